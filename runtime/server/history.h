// SPDX-License-Identifier: GPL-2.0-or-later
/* server/history.h: the rows that scrolled off the top of a screen, as text. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct kept_row {
	char *text;
	bool wrapped; /* continues the row above */
};

struct history {
	struct kept_row *rows; /* use history_row() */
	size_t first, count, room;
};

/** history_add() - keep one more. @text: allocated, consumed. */
void history_add(struct history *history, char *text, bool wrapped);

/** history_drop() - forget the oldest ones. */
void history_drop(struct history *history, size_t count);

/** history_row() - @i from 0, the oldest, to count - 1. */
const struct kept_row *history_row(const struct history *history, size_t i);

void history_free(struct history *history);

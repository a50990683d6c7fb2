// SPDX-License-Identifier: GPL-2.0-or-later
/* server/edit_history.h: what `undo_edit` goes back to: per file the last ten texts, of all files together a few tens
 * of megabytes. */
#pragma once
#include <stddef.h>

#include "server/text.h"

enum { HISTORY_PER_FILE = 10, HISTORY_BYTES = 32 << 20 };

struct edit_history {
	struct edit_saved *newest;
	size_t bytes;
};

/** edit_history_add() - save a text of a file; the oldest ones make room for it. */
void edit_history_add(struct edit_history *history, const char *path, const struct text *text);

/** edit_history_pop() - take the last one of a file. @text: empty; set. Return: false: there is none */
bool edit_history_pop(struct edit_history *history, const char *path, struct text *text);

void edit_history_free(struct edit_history *history);

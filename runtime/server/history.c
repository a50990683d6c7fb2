// SPDX-License-Identifier: GPL-2.0-or-later
/* server/history.c: see history.h */
#include "server/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static struct kept_row *new_row(struct history *history)
{
	size_t end = history->first + history->count++;

	if (end < history->room)
		return &history->rows[end];
	if (history->first > history->room / 4) {
		memmove(history->rows, history->rows + history->first, (history->count - 1) * sizeof *history->rows);
		history->first = 0;
	} else {
		history->room = history->room ? history->room * 2 : 256;
		history->rows = xrealloc(history->rows, history->room, sizeof *history->rows);
	}
	return &history->rows[history->first + history->count - 1];
}

void history_add(struct history *history, char *text, bool wrapped)
{
	*new_row(history) = (struct kept_row){ text, wrapped };
}

void history_drop(struct history *history, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(history->rows[history->first + i].text);
	history->count -= count;
	history->first = history->count ? history->first + count : 0;
}

const struct kept_row *history_row(const struct history *history, size_t i)
{
	return &history->rows[history->first + i];
}

void history_free(struct history *history)
{
	history_drop(history, history->count);
	free(history->rows);
	*history = (struct history){ 0 };
}

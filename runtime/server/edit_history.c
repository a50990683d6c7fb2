// SPDX-License-Identifier: GPL-2.0-or-later
/* server/edit_history.c: see edit_history.h */
#include "server/edit_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct edit_saved {
	char *path;
	struct text text;
	struct edit_saved *older;
};

static void drop(struct edit_history *history, struct edit_saved **link)
{
	struct edit_saved *saved = *link;

	*link = saved->older;
	history->bytes -= saved->text.size;
	text_free(&saved->text);
	free(saved->path);
	free(saved);
}

void edit_history_add(struct edit_history *history, const char *path, const struct text *text)
{
	struct edit_saved *saved = xcalloc(1, sizeof *saved);
	struct edit_saved **link = &history->newest;
	size_t kept = 0, of_file = 0;

	saved->path = xstrdup(path);
	text_add(&saved->text, text->bytes ? text->bytes : "", text->size);
	saved->older = history->newest;
	history->newest = saved;
	history->bytes += text->size;
	while (*link) {
		of_file += strcmp((*link)->path, path) == 0;
		kept += (*link)->text.size;
		if (kept > HISTORY_BYTES || (of_file > HISTORY_PER_FILE && strcmp((*link)->path, path) == 0))
			drop(history, link);
		else
			link = &(*link)->older;
	}
}

bool edit_history_pop(struct edit_history *history, const char *path, struct text *text)
{
	for (struct edit_saved **link = &history->newest; *link; link = &(*link)->older) {
		if (strcmp((*link)->path, path) != 0)
			continue;
		history->bytes -= (*link)->text.size;
		*text = (*link)->text;
		(*link)->text = (struct text){ 0 };
		drop(history, link);
		return true;
	}
	return false;
}

void edit_history_free(struct edit_history *history)
{
	while (history->newest)
		drop(history, &history->newest);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/screen.c: see screen.h
 *
 * Theory of operation
 *
 * libvterm's state layer interprets the bytes and calls back with glyphs, scrolls and erasures. Its screen layer is not
 * used: it allocates and clears every cell of the window at once (40 MiB for 1000 x 1000), where a command usually
 * prints a few short lines. Here a row has only as many cells as were written.
 *
 * What a program prints goes through filter.c first.
 *
 * A row that scrolls off the top is turned into UTF-8 and kept in the history, at most SCREEN_HISTORY rows.
 *
 * Wrapped lines: libvterm does not say that a glyph came to a new row by wrapping. It is seen from outside: a glyph
 * that filled the last column, then one in the first column, without the cursor having been moved in between.
 */
#include "server/screen.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/filter.h"
#include "server/text.h"

/* A cell holds a code point, or one of these. 0 is a cell that was never written or was erased. */
#define CELL_WIDE_TAIL 0xffffffffu /* the right half of a wide character */
#define CELL_CLUSTER   0x80000000u /* plus an index into clusters: a character with combining marks */
enum { CLUSTERS_MAX = 4096 };

struct row {
	uint32_t *cells;
	int used, room;
	bool wrapped; /* continues the row above */
};

struct kept_row {
	char *text;
	bool wrapped;
};

struct screen {
	VTerm *vterm;
	VTermState *state;
	int height, width;
	struct row *rows; /* what is displayed: main_rows or alternate_rows */
	struct row *main_rows, *alternate_rows;
	struct kept_row *history;
	size_t history_count, history_room;
	uint32_t (*clusters)[VTERM_MAX_CHARS_PER_CELL];
	uint32_t cluster_count;
	VTermPos last_end; /* where the glyph before left the cursor; col == width after the last column */
	struct filter filter;
	bool may_wrap, changed, lost;
};

static void row_clear(struct row *row)
{
	free(row->cells);
	*row = (struct row){ 0 };
}

/* Make cells [0, columns) exist. */
static void row_extend(struct row *row, int columns)
{
	if (columns > row->room) {
		int room = columns + columns / 2 + 16;
		row->cells = xrealloc(row->cells, (size_t)room, sizeof *row->cells);
		row->room = room;
	}
	if (columns > row->used) {
		memset(row->cells + row->used, 0, (size_t)(columns - row->used) * sizeof *row->cells);
		row->used = columns;
	}
}

static void row_text(const struct screen *screen, const struct row *row, struct text *out)
{
	for (int i = 0; i < row->used; i++) {
		uint32_t cell = row->cells[i];
		if (cell == CELL_WIDE_TAIL)
			continue;
		if (!(cell & CELL_CLUSTER)) {
			text_add_code_point(out, cell ? cell : ' ');
			continue;
		}
		const uint32_t *cluster = screen->clusters[cell & ~CELL_CLUSTER];
		for (int k = 0; k < VTERM_MAX_CHARS_PER_CELL && cluster[k]; k++)
			text_add_code_point(out, cluster[k]);
	}
}

static void drop_history(struct screen *screen, size_t count)
{
	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		free(screen->history[i].text);
	screen->history_count -= count;
	memmove(screen->history, screen->history + count, screen->history_count * sizeof *screen->history);
}

static void keep_row(struct screen *screen, const struct row *row)
{
	struct text text = { 0 };

	if (screen->history_count == SCREEN_HISTORY) {
		drop_history(screen, SCREEN_HISTORY_STEP);
		screen->lost = true;
	}
	if (screen->history_count == screen->history_room) {
		screen->history_room = screen->history_room ? screen->history_room * 2 : 256;
		screen->history = xrealloc(screen->history, screen->history_room, sizeof *screen->history);
	}
	row_text(screen, row, &text);
	screen->history[screen->history_count++] = (struct kept_row){ text_take(&text), row->wrapped };
}

static uint32_t cell_of(struct screen *screen, const uint32_t *chars)
{
	if (!chars[1])
		return chars[0] & CELL_CLUSTER ? 0xfffd : chars[0];
	if (screen->cluster_count == CLUSTERS_MAX)
		return chars[0]; /* the base character is what matters; nobody prints that many different marks */
	if (!screen->clusters)
		screen->clusters = xcalloc(CLUSTERS_MAX, sizeof *screen->clusters);
	for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && chars[i]; i++)
		screen->clusters[screen->cluster_count][i] = chars[i];
	return CELL_CLUSTER | screen->cluster_count++;
}

/* Half of a wide character must not survive when the other half is overwritten. */
static void split_wide(struct row *row, int column)
{
	if (column > 0 && column < row->used && row->cells[column] == CELL_WIDE_TAIL)
		row->cells[column - 1] = row->cells[column] = 0;
}

static int on_glyph(VTermGlyphInfo *info, VTermPos pos, void *context)
{
	struct screen *screen = context;
	if (pos.row < 0 || pos.row >= screen->height || pos.col < 0 || pos.col >= screen->width)
		return 1;
	struct row *row = &screen->rows[pos.row];
	int end = pos.col + (info->width > 1 ? 2 : 1);
	uint32_t cell = cell_of(screen, info->chars);

	if (end > screen->width)
		end = screen->width;
	if (pos.col == 0)
		row->wrapped = screen->may_wrap && pos.row > 0 && screen->last_end.col >= screen->width - 1;
	if (pos.col >= row->used || row->cells[pos.col] != cell)
		screen->changed = true;
	split_wide(row, pos.col);
	split_wide(row, end);
	row_extend(row, end);
	row->cells[pos.col] = cell;
	if (end - pos.col > 1)
		row->cells[pos.col + 1] = CELL_WIDE_TAIL;
	screen->last_end = (VTermPos){ .row = pos.row, .col = end };
	screen->may_wrap = true;
	return 1;
}

static int on_cursor(VTermPos pos, VTermPos old, int visible, void *context)
{
	struct screen *screen = context;
	int resting = screen->last_end.col < screen->width ? screen->last_end.col : screen->width - 1;

	(void)old;
	(void)visible;
	if (pos.row != screen->last_end.row || pos.col != resting)
		screen->may_wrap = false;
	return 1;
}

static int on_scroll(VTermRect rect, int down, int right, void *context)
{
	struct screen *screen = context;
	int height = rect.end_row - rect.start_row;

	screen->changed = true;
	if (right || rect.start_col != 0 || rect.end_col != screen->width)
		return 0; /* libvterm then moves and erases cells through the two callbacks below */
	int gone = down > 0 ? down : -down;
	if (gone > height)
		gone = height;
	int first_gone = down > 0 ? rect.start_row : rect.end_row - gone;
	for (int i = first_gone; i < first_gone + gone; i++) {
		if (down > 0 && rect.start_row == 0 && screen->rows == screen->main_rows)
			keep_row(screen, &screen->rows[i]);
		row_clear(&screen->rows[i]);
	}
	struct row *top = &screen->rows[rect.start_row];
	size_t staying = (size_t)(height - gone);
	if (down > 0)
		memmove(top, top + gone, staying * sizeof *top);
	else
		memmove(top + gone, top, staying * sizeof *top);
	memset(down > 0 ? top + staying : top, 0, (size_t)gone * sizeof *top);
	return 1;
}

static int on_move(VTermRect dest, VTermRect src, void *context)
{
	struct screen *screen = context;
	int height = src.end_row - src.start_row;
	size_t bytes = (size_t)(src.end_col - src.start_col) * sizeof(uint32_t);

	for (int i = 0; i < height; i++) {
		int k = dest.start_row <= src.start_row ? i : height - 1 - i;
		struct row *from = &screen->rows[src.start_row + k], *to = &screen->rows[dest.start_row + k];
		row_extend(from, src.end_col);
		row_extend(to, dest.end_col);
		memmove(to->cells + dest.start_col, from->cells + src.start_col, bytes);
	}
	return 1;
}

static void erase_cells(struct screen *screen, struct row *row, int start, int end)
{
	if (start >= row->used)
		return;
	screen->changed = true;
	split_wide(row, start);
	split_wide(row, end);
	if (end >= row->used)
		row->used = start;
	else
		memset(row->cells + start, 0, (size_t)(end - start) * sizeof *row->cells);
	if (start == 0 && row->used == 0)
		row_clear(row);
}

static int last_row_used(const struct screen *screen)
{
	int last = screen->height - 1;

	while (last >= 0 && !screen->rows[last].used)
		last--;
	return last;
}

static int on_erase(VTermRect rect, int selective, void *context)
{
	struct screen *screen = context;
	bool whole = rect.start_row == 0 && rect.end_row == screen->height && rect.start_col == 0 &&
		     rect.end_col == screen->width;

	(void)selective;
	/* Clearing the whole screen is no loss of output: tmux moves it to the history, and so do we. */
	int last = whole && screen->rows == screen->main_rows ? last_row_used(screen) : -1;
	for (int i = 0; i <= last; i++)
		keep_row(screen, &screen->rows[i]);
	for (int i = rect.start_row; i < rect.end_row; i++)
		erase_cells(screen, &screen->rows[i], rect.start_col, rect.end_col);
	return 1;
}

static void clear_rows(struct row *rows, int height)
{
	for (int i = 0; rows && i < height; i++)
		row_clear(&rows[i]);
}

static int on_property(VTermProp property, VTermValue *value, void *context)
{
	struct screen *screen = context;

	if (property != VTERM_PROP_ALTSCREEN)
		return 1;
	if (value->boolean && !screen->alternate_rows)
		screen->alternate_rows = xcalloc((size_t)screen->height, sizeof *screen->rows);
	clear_rows(screen->alternate_rows, screen->height);
	screen->rows = value->boolean ? screen->alternate_rows : screen->main_rows;
	screen->changed = true;
	return 1;
}

static const VTermStateCallbacks callbacks = {
	.putglyph = on_glyph,
	.movecursor = on_cursor,
	.scrollrect = on_scroll,
	.moverect = on_move,
	.erase = on_erase,
	.settermprop = on_property,
};

static void on_pass(void *context, const char *bytes, size_t size)
{
	vterm_input_write(((struct screen *)context)->vterm, bytes, size);
}

static void on_erase_saved(void *context)
{
	struct screen *screen = context;

	drop_history(screen, screen->history_count);
	screen->lost = screen->changed = true;
}

struct screen *screen_new(
	int rows, int columns, void (*reply)(const char *bytes, size_t size, void *context), void *context)
{
	struct screen *screen = xcalloc(1, sizeof *screen);

	screen->height = rows;
	screen->width = columns;
	screen->rows = screen->main_rows = xcalloc((size_t)rows, sizeof *screen->rows);
	screen->filter = (struct filter){ on_pass, on_erase_saved, screen, .repeat_max = columns };
	screen->vterm = vterm_new(rows, columns);
	vterm_set_utf8(screen->vterm, 1);
	if (reply)
		vterm_output_set_callback(screen->vterm, reply, context);
	screen->state = vterm_obtain_state(screen->vterm);
	vterm_state_set_callbacks(screen->state, &callbacks, screen);
	screen_clear(screen);
	return screen;
}

void screen_free(struct screen *screen)
{
	if (!screen)
		return;
	vterm_free(screen->vterm);
	clear_rows(screen->main_rows, screen->height);
	clear_rows(screen->alternate_rows, screen->height);
	drop_history(screen, screen->history_count);
	free(screen->history);
	free(screen->main_rows);
	free(screen->alternate_rows);
	free(screen->clusters);
	free(screen);
}

void screen_write(struct screen *screen, const char *bytes, size_t size)
{
	filter_write(&screen->filter, bytes, size);
}

bool screen_changed(struct screen *screen)
{
	bool changed = screen->changed;

	screen->changed = false;
	return changed;
}

static void begin_row(struct text *out, bool wrapped, bool first)
{
	if (first || wrapped)
		return;
	text_trim_blanks(out);
	text_add(out, "\n", 1);
}

char *screen_text(const struct screen *screen)
{
	struct text out = { 0 };
	bool first = true;

	for (size_t i = 0; i < screen->history_count; i++, first = false) {
		begin_row(&out, screen->history[i].wrapped, first);
		text_add(&out, screen->history[i].text, strlen(screen->history[i].text));
	}
	int last = last_row_used(screen);
	for (int i = 0; i <= last; i++, first = false) {
		begin_row(&out, screen->rows[i].wrapped, first);
		row_text(screen, &screen->rows[i], &out);
	}
	text_trim_blanks(&out);
	return text_take(&out);
}

bool screen_lost_lines(const struct screen *screen)
{
	return screen->lost;
}

void screen_clear(struct screen *screen)
{
	bool many_rows = screen->history_count > 0;

	filter_write(&screen->filter, "\x18", 1); /* CAN ends whatever sequence is not complete */
	vterm_state_reset(screen->state, 1);
	screen->rows = screen->main_rows;
	clear_rows(screen->main_rows, screen->height);
	clear_rows(screen->alternate_rows, screen->height);
	drop_history(screen, screen->history_count);
	free(screen->history);
	free(screen->clusters);
	screen->history = NULL;
	screen->clusters = NULL;
	screen->history_room = 0;
	screen->cluster_count = 0;
	screen->changed = screen->lost = screen->may_wrap = false;
	if (many_rows)
		malloc_trim(0); /* thousands of small pieces, which would not be needed again for long */
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/screen.c: see screen.h
 *
 * Theory of operation
 *
 * libvterm's state layer interprets the bytes and calls back with glyphs, scrolls and erasures. Its screen layer is not
 * used: it allocates and clears every cell of the window at once (40 MiB for 1000 x 1000), where a command usually
 * prints a few short lines. Here a row has only as many cells as were written.
 *
 * What a program prints goes through filter.c first. Most of it is plain text, colours and line ends, for which
 * libvterm takes ten times as long as the terminal itself: as long as a program sent nothing else (`plain`), such
 * output is put into the rows here (plain_*()), with a cursor of our own. Before anything else libvterm is told where
 * it is.
 *
 * A row that scrolls off the top is turned into UTF-8 and kept in the history, at most SCREEN_HISTORY rows.
 *
 * Wrapped lines: libvterm does not say that a glyph came to a new row by wrapping. It is seen from outside: a glyph
 * that filled the last column, then one in the first column, without the cursor having been moved in between.
 */
#include "server/screen.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/filter.h"
#include "server/history.h"
#include "server/text.h"

/* A cell holds a code point, or one of these. 0 is a cell that was never written or was erased. */
#define CELL_WIDE_TAIL 0xffffffffu /* the right half of a wide character */
#define CELL_CLUSTER   0x80000000u /* plus an index into clusters: a character with combining marks */
enum { CLUSTERS_MAX = 4096, HELD_MAX = 256 };

struct row {
	uint32_t *cells;
	int used, room;
	bool wrapped; /* continues the row above */
};

/* The rows of a screen, a ring: scrolling moves none of them. */
struct grid {
	struct row *rows;
	int first;
};

struct screen {
	VTerm *vterm;
	VTermState *state;
	int height, width;
	struct grid *shown; /* &main or &alternate */
	struct grid main, alternate;
	struct history history;
	uint32_t (*clusters)[VTERM_MAX_CHARS_PER_CELL];
	uint32_t cluster_count;
	VTermPos last_end; /* where the glyph before left the cursor; col == width after the last column */
	struct filter filter;
	bool may_wrap, changed, lost;

	bool plain; /* libvterm is in its first state, but for the cursor */
	bool ahead; /* the cursor is here, libvterm's is not up to date */
	VTermPos cursor;
	bool phantom;	     /* it is behind the last column: the next character wraps */
	bool after_glyph;    /* nothing came since the character in front of it */
	char held[HELD_MAX]; /* a control sequence that may be a colour */
	size_t held_size;
};

static struct row *row_at(const struct screen *screen, int i)
{
	int at = screen->shown->first + i;

	return &screen->shown->rows[at < screen->height ? at : at - screen->height];
}

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

static void cell_text(const struct screen *screen, uint32_t cell, struct text *out)
{
	if (!(cell & CELL_CLUSTER)) {
		text_add_code_point(out, cell ? cell : ' ');
		return;
	}
	const uint32_t *cluster = screen->clusters[cell & ~CELL_CLUSTER];
	for (int k = 0; k < VTERM_MAX_CHARS_PER_CELL && cluster[k]; k++)
		text_add_code_point(out, cluster[k]);
}

/* A run of ASCII cells from @start on, in pieces. Return: how many there were */
static int add_ascii(const struct row *row, int start, struct text *out)
{
	char piece[256];
	int count = 0;

	while (count < (int)sizeof piece && start + count < row->used && row->cells[start + count] < 0x80) {
		uint32_t cell = row->cells[start + count];
		piece[count++] = cell ? (char)cell : ' ';
	}
	text_add(out, piece, (size_t)count);
	return count;
}

static void row_text(const struct screen *screen, const struct row *row, struct text *out)
{
	for (int i = 0; i < row->used;) {
		int ascii = add_ascii(row, i, out);
		if (!ascii && row->cells[i] != CELL_WIDE_TAIL)
			cell_text(screen, row->cells[i], out);
		i += ascii ? ascii : 1;
	}
}

static void keep_row(struct screen *screen, const struct row *row)
{
	struct text text = { 0 };

	if (screen->history.count == SCREEN_HISTORY) {
		history_drop(&screen->history, SCREEN_HISTORY_STEP);
		screen->lost = true;
	}
	row_text(screen, row, &text);
	history_add(&screen->history, text_take(&text), row->wrapped);
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
	struct row *row = row_at(screen, pos.row);
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

/* Move rows within a region up by @up, or down if that is negative; those that are overwritten are empty. */
static void move_rows(struct screen *screen, int start, int height, int up)
{
	int gone = up > 0 ? up : -up;

	for (int i = 0; i < height - gone; i++) {
		int to = up > 0 ? start + i : start + height - 1 - i;
		*row_at(screen, to) = *row_at(screen, to + up);
		*row_at(screen, to + up) = (struct row){ 0 };
	}
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
		if (down > 0 && rect.start_row == 0 && screen->shown == &screen->main)
			keep_row(screen, row_at(screen, i));
		row_clear(row_at(screen, i));
	}
	if (down > 0 && height == screen->height)
		screen->shown->first = (screen->shown->first + gone) % height;
	else
		move_rows(screen, rect.start_row, height, down > 0 ? gone : -gone);
	return 1;
}

static int on_move(VTermRect dest, VTermRect src, void *context)
{
	struct screen *screen = context;
	int height = src.end_row - src.start_row;
	size_t bytes = (size_t)(src.end_col - src.start_col) * sizeof(uint32_t);

	for (int i = 0; i < height; i++) {
		int k = dest.start_row <= src.start_row ? i : height - 1 - i;
		struct row *from = row_at(screen, src.start_row + k), *to = row_at(screen, dest.start_row + k);
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

	while (last >= 0 && !row_at(screen, last)->used)
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
	int last = whole && screen->shown == &screen->main ? last_row_used(screen) : -1;
	for (int i = 0; i <= last; i++)
		keep_row(screen, row_at(screen, i));
	for (int i = rect.start_row; i < rect.end_row; i++)
		erase_cells(screen, row_at(screen, i), rect.start_col, rect.end_col);
	return 1;
}

static void clear_grid(struct grid *grid, int height)
{
	for (int i = 0; grid->rows && i < height; i++)
		row_clear(&grid->rows[i]);
	grid->first = 0;
}

static int on_property(VTermProp property, VTermValue *value, void *context)
{
	struct screen *screen = context;

	if (property != VTERM_PROP_ALTSCREEN)
		return 1;
	if (value->boolean && !screen->alternate.rows)
		screen->alternate.rows = xcalloc((size_t)screen->height, sizeof *screen->alternate.rows);
	clear_grid(&screen->alternate, screen->height);
	screen->shown = value->boolean ? &screen->alternate : &screen->main;
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

/* ---- plain output ---- */

/* Take the cursor over from libvterm. */
static void plain_begin(struct screen *screen)
{
	vterm_state_get_cursorpos(screen->state, &screen->cursor);
	screen->phantom =
		screen->may_wrap && screen->last_end.col >= screen->width && screen->last_end.row == screen->cursor.row;
	screen->after_glyph = false;
	screen->ahead = true;
}

/* Hand it back. The character in front of it is printed again: only so libvterm's cursor comes behind the last column,
 * and combining marks may follow. */
static void plain_end(struct screen *screen)
{
	char move[32];
	bool again = screen->phantom || screen->after_glyph;
	int column = screen->cursor.col - (again && !screen->phantom);
	struct row *row = row_at(screen, screen->cursor.row);
	struct text last = { 0 };

	if (!screen->ahead)
		return;
	screen->ahead = screen->may_wrap = false;
	int size = snprintf(move, sizeof move, "\033[%d;%dH", screen->cursor.row + 1, column + 1);
	vterm_input_write(screen->vterm, move, (size_t)size);
	if (!again)
		return;
	bool wrapped = row->wrapped;
	cell_text(screen, row->cells[column], &last);
	vterm_input_write(screen->vterm, last.bytes, last.size);
	row->wrapped = wrapped;
	text_free(&last);
}

static void plain_line_feed(struct screen *screen)
{
	if (screen->cursor.row < screen->height - 1) {
		screen->cursor.row++;
		screen->phantom = false;
		return;
	}
	const VTermRect all = { 0, screen->height, 0, screen->width };
	on_scroll(all, 1, 0, screen);
}

/* ASCII without control characters, which fits into the row. */
static void plain_cells(struct screen *screen, const char *bytes, int count)
{
	struct row *row = row_at(screen, screen->cursor.row);
	int start = screen->cursor.col, end = start + count, old = row->used;
	bool differs = end > old;

	split_wide(row, start);
	split_wide(row, end);
	row_extend(row, end);
	for (int i = 0; i < count; i++) {
		uint32_t cell = (unsigned char)bytes[i];
		differs |= row->cells[start + i] != cell;
		row->cells[start + i] = cell;
	}
	screen->changed |= differs;
	screen->after_glyph = true;
	screen->phantom = end == screen->width;
	screen->cursor.col = screen->phantom ? end - 1 : end;
}

static void plain_text(struct screen *screen, const char *bytes, size_t size)
{
	while (size) {
		bool wraps = screen->phantom;
		if (wraps) {
			plain_line_feed(screen);
			screen->phantom = false;
			screen->cursor.col = 0;
		}
		if (screen->cursor.col == 0)
			row_at(screen, screen->cursor.row)->wrapped = wraps && screen->cursor.row > 0;
		size_t room = (size_t)(screen->width - screen->cursor.col), part = size < room ? size : room;
		plain_cells(screen, bytes, (int)part);
		bytes += part;
		size -= part;
	}
}

/* Return: whether the control character is one that is dealt with here */
static bool plain_control(struct screen *screen, char byte)
{
	VTermPos before = screen->cursor;

	switch (byte) {
	case '\r':
		screen->cursor.col = 0;
		break;
	case '\n':
		if (screen->phantom && screen->cursor.row == screen->height - 1)
			return false; /* libvterm leaves the cursor behind the last column of an empty row */
		plain_line_feed(screen);
		break;
	case '\b':
		screen->cursor.col -= screen->cursor.col > 0;
		break;
	case '\t':
		screen->cursor.col = (screen->cursor.col | 7) + 1;
		if (screen->cursor.col >= screen->width)
			screen->cursor.col = screen->width - 1;
		break;
	case '\a':
		break;
	default:
		return false;
	}
	if (screen->cursor.col != before.col)
		screen->phantom = false;
	screen->after_glyph = false;
	return true;
}

/* Part of a control sequence: held as long as it may set colours, which changes nothing here. */
static void plain_hold(struct screen *screen, const char *bytes, size_t size)
{
	static const char parameters[] = "0123456789;:";
	size_t held = screen->held_size;
	bool colour = held == 0 || (held == 1 && *bytes == '[') ||
		      (held > 1 && (*bytes == 'm' || strchr(parameters, *bytes)));

	if (colour && size == 1 && held < HELD_MAX) {
		screen->held[screen->held_size++] = *bytes;
		if (held > 1 && *bytes == 'm')
			screen->held_size = 0;
		return;
	}
	screen->plain = false;
	plain_end(screen);
	vterm_input_write(screen->vterm, screen->held, held);
	vterm_input_write(screen->vterm, bytes, size);
	screen->held_size = 0;
}

static void on_pass(void *context, const char *bytes, size_t size)
{
	struct screen *screen = context;
	bool in_text = screen->filter.state == FILTER_TEXT && !screen->held_size;
	bool ascii = !(*bytes & 0x80) && *bytes != 0x7f; /* what is not comes a character at a time */

	if (screen->plain && !in_text) {
		plain_hold(screen, bytes, size);
		return;
	}
	if (screen->plain && ascii) {
		if (!screen->ahead)
			plain_begin(screen);
		if (*bytes >= ' ') {
			plain_text(screen, bytes, size);
			return;
		}
		if (plain_control(screen, *bytes))
			return;
		screen->plain = false;
	}
	plain_end(screen);
	vterm_input_write(screen->vterm, bytes, size);
}

static void on_erase_saved(void *context)
{
	struct screen *screen = context;

	history_drop(&screen->history, screen->history.count);
	screen->lost = screen->changed = true;
}

struct screen *screen_new(
	int rows, int columns, void (*reply)(const char *bytes, size_t size, void *context), void *context)
{
	struct screen *screen = xcalloc(1, sizeof *screen);

	screen->height = rows;
	screen->width = columns;
	screen->main.rows = xcalloc((size_t)rows, sizeof *screen->main.rows);
	screen->shown = &screen->main;
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
	clear_grid(&screen->main, screen->height);
	clear_grid(&screen->alternate, screen->height);
	history_free(&screen->history);
	free(screen->main.rows);
	free(screen->alternate.rows);
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

	for (size_t i = 0; i < screen->history.count; i++, first = false) {
		const struct kept_row *row = history_row(&screen->history, i);
		begin_row(&out, row->wrapped, first);
		text_add(&out, row->text, strlen(row->text));
	}
	int last = last_row_used(screen);
	for (int i = 0; i <= last; i++, first = false) {
		begin_row(&out, row_at(screen, i)->wrapped, first);
		row_text(screen, row_at(screen, i), &out);
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
	bool many_rows = screen->history.count > 0;

	filter_write(&screen->filter, "\x18", 1); /* CAN ends whatever sequence is not complete */
	vterm_state_reset(screen->state, 1);
	screen->shown = &screen->main;
	clear_grid(&screen->main, screen->height);
	clear_grid(&screen->alternate, screen->height);
	history_free(&screen->history);
	free(screen->clusters);
	screen->clusters = NULL;
	screen->cluster_count = 0;
	screen->changed = screen->lost = screen->may_wrap = screen->ahead = false;
	screen->plain = true;
	screen->held_size = 0;
	if (many_rows)
		malloc_trim(0); /* thousands of small pieces, which would not be needed again for long */
}

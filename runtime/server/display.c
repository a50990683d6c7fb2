// SPDX-License-Identifier: GPL-2.0-or-later
/* server/display.c: see display.h. libvterm keeps the cells; what programs print goes through filter.c first. */
#include "server/display.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/filter.h"
#include "server/observation.h"
#include "server/text.h"

enum attribute { BOLD = 1, ITALIC = 2, UNDERLINED = 4, REVERSED = 8, STRUCK = 16, WIDE = 32 };

struct display {
	VTerm *vterm;
	VTermScreen *screen;
	int rows, columns;
	struct filter filter;
	bool dirty[DISPLAY_ROWS_MAX];
	bool changed, cursor_visible;
	VTermPos cursor;
	json_t *scrolled;
};

/* ---- what libvterm tells ---- */

static int on_damage(VTermRect rect, void *context)
{
	struct display *display = context;

	for (int row = rect.start_row; row < rect.end_row && row < DISPLAY_ROWS_MAX; row++)
		display->dirty[row < 0 ? 0 : row] = true;
	display->changed = true;
	return 1;
}

static int on_cursor(VTermPos pos, VTermPos old, int visible, void *context)
{
	struct display *display = context;

	(void)old;
	display->cursor = pos;
	display->cursor_visible = visible;
	display->changed = true;
	return 1;
}

static int on_property(VTermProp property, VTermValue *value, void *context)
{
	struct display *display = context;

	if (property == VTERM_PROP_CURSORVISIBLE)
		display->cursor_visible = value->boolean;
	display->changed = true;
	return 1;
}

static json_t *colour_json(const struct display *display, VTermColor colour)
{
	char text[8];

	if (VTERM_COLOR_IS_DEFAULT_FG(&colour) || VTERM_COLOR_IS_DEFAULT_BG(&colour))
		return json_null();
	if (VTERM_COLOR_IS_INDEXED(&colour))
		return json_integer(colour.indexed.idx);
	vterm_screen_convert_color_to_rgb(display->screen, &colour);
	snprintf(text, sizeof text, "#%02x%02x%02x", colour.rgb.red, colour.rgb.green, colour.rgb.blue);
	return json_string(text);
}

static int attributes_of(const VTermScreenCell *cell)
{
	return (cell->attrs.bold ? BOLD : 0) | (cell->attrs.italic ? ITALIC : 0) |
	       (cell->attrs.underline ? UNDERLINED : 0) | (cell->attrs.reverse ? REVERSED : 0) |
	       (cell->attrs.strike ? STRUCK : 0) | (cell->width > 1 ? WIDE : 0);
}

static bool same_look(const VTermScreenCell *a, const VTermScreenCell *b)
{
	return attributes_of(a) == attributes_of(b) && vterm_color_is_equal(&a->fg, &b->fg) &&
	       vterm_color_is_equal(&a->bg, &b->bg);
}

static bool is_plain_blank(const VTermScreenCell *cell)
{
	return (!cell->chars[0] || cell->chars[0] == ' ') && VTERM_COLOR_IS_DEFAULT_BG(&cell->bg) &&
	       !(attributes_of(cell) & (REVERSED | UNDERLINED | STRUCK));
}

static json_t *run_json(const struct display *display, const VTermScreenCell *look, const struct text *text)
{
	int attributes = attributes_of(look);
	json_t *run = json_pack("[o]", json_text_of(text->bytes, text->size));
	json_t *foreground = colour_json(display, look->fg), *background = colour_json(display, look->bg);
	bool more = attributes || !json_is_null(background);

	if (more || !json_is_null(foreground))
		json_array_append(run, foreground);
	if (more)
		json_array_append(run, background);
	if (attributes)
		json_array_append_new(run, json_integer(attributes));
	json_decref(foreground);
	json_decref(background);
	return run;
}

/* A wide character is a run of its own: its cell on the page needs a width of its own. */
static json_t *row_json(const struct display *display, const VTermScreenCell *cells, int count)
{
	json_t *runs = json_array();
	cleanup_text struct text text = { 0 };
	const VTermScreenCell *look = cells;

	while (count && is_plain_blank(&cells[count - 1]))
		count--;
	for (int i = 0; i<count; i += cells[i].width> 1 ? 2 : 1) {
		if (text.size && (!same_look(look, &cells[i]) || cells[i].width > 1)) {
			json_array_append_new(runs, run_json(display, look, &text));
			text.size = 0;
		}
		look = &cells[i];
		text_add_code_point(&text, look->chars[0] ? look->chars[0] : ' ');
		for (int k = 1; k < VTERM_MAX_CHARS_PER_CELL && look->chars[k]; k++)
			text_add_code_point(&text, look->chars[k]);
	}
	if (text.size)
		json_array_append_new(runs, run_json(display, look, &text));
	return runs;
}

static int on_scrolled_off(int columns, const VTermScreenCell *cells, void *context)
{
	struct display *display = context;

	if (json_array_size(display->scrolled) >= DISPLAY_SCROLLED_MAX)
		json_array_remove(display->scrolled, 0);
	json_array_append_new(display->scrolled, row_json(display, cells, columns));
	return 1;
}

static const VTermScreenCallbacks callbacks = {
	.damage = on_damage,
	.movecursor = on_cursor,
	.settermprop = on_property,
	.sb_pushline = on_scrolled_off,
};

/* ---- the rest ---- */

static void on_pass(void *context, const char *bytes, size_t size)
{
	vterm_input_write(((struct display *)context)->vterm, bytes, size);
}

static void on_erase_saved(void *context)
{
	json_array_clear(((struct display *)context)->scrolled);
}

struct display *display_new(
	int rows, int columns, void (*type)(const char *bytes, size_t size, void *context), void *context)
{
	struct display *display = xcalloc(1, sizeof *display);

	display->rows = rows;
	display->columns = columns;
	display->scrolled = json_array();
	display->filter = (struct filter){ on_pass, on_erase_saved, display, .repeat_max = columns };
	display->vterm = vterm_new(rows, columns);
	vterm_set_utf8(display->vterm, 1);
	vterm_output_set_callback(display->vterm, type, context);
	display->screen = vterm_obtain_screen(display->vterm);
	vterm_screen_set_callbacks(display->screen, &callbacks, display);
	vterm_screen_set_damage_merge(display->screen, VTERM_DAMAGE_ROW);
	vterm_screen_enable_altscreen(display->screen, 1);
	vterm_screen_reset(display->screen, 1);
	display_touch(display);
	return display;
}

void display_free(struct display *display)
{
	if (!display)
		return;
	vterm_free(display->vterm);
	json_decref(display->scrolled);
	free(display);
}

void display_write(struct display *display, const char *bytes, size_t size)
{
	filter_write(&display->filter, bytes, size);
	vterm_screen_flush_damage(display->screen);
}

/* libvterm 0.1 keeps the upper and left margin when the window becomes smaller than they are, and moves a negative
 * number of lines then. So there are no margins when the size changes; CAN ends a sequence that is not complete, and
 * the cursor, which goes home with the margins, is put back. Programs that use margins draw anew when they learn the
 * size.
 */
static void drop_margins(struct display *display)
{
	cleanup_text struct text reset = { 0 };

	text_addf(&reset, "\x18\033[r\033[?69h\033[s\033[?69l\033[%d;%dH", display->cursor.row + 1,
		display->cursor.col + 1);
	filter_write(&display->filter, reset.bytes, reset.size);
}

void display_resize(struct display *display, int rows, int columns)
{
	drop_margins(display);
	display->rows = rows;
	display->columns = columns;
	display->filter.repeat_max = columns;
	vterm_set_size(display->vterm, rows, columns);
	vterm_screen_flush_damage(display->screen);
	display_touch(display);
}

bool display_changed(const struct display *display)
{
	return display->changed;
}

void display_touch(struct display *display)
{
	memset(display->dirty, true, sizeof display->dirty);
	display->changed = true;
}

static json_t *line_json(const struct display *display, int row)
{
	VTermScreenCell cells[DISPLAY_COLUMNS_MAX];

	for (int column = 0; column < display->columns; column++)
		vterm_screen_get_cell(display->screen, (VTermPos){ .row = row, .col = column }, &cells[column]);
	return row_json(display, cells, display->columns);
}

json_t *display_frame(struct display *display)
{
	json_t *lines = json_object();
	char name[16];

	for (int row = 0; row < display->rows; row++) {
		if (!display->dirty[row])
			continue;
		snprintf(name, sizeof name, "%d", row);
		json_object_set_new(lines, name, line_json(display, row));
		display->dirty[row] = false;
	}
	json_t *scrolled = display->scrolled;
	display->scrolled = json_array();
	display->changed = false;
	return json_pack("{s:i, s:i, s:o, s:o, s:[i, i, b]}", "rows", display->rows, "columns", display->columns,
		"lines", lines, "scrolled", scrolled, "cursor", display->cursor.row, display->cursor.col,
		(int)display->cursor_visible);
}

/* ---- keys ---- */

static const struct {
	const char *name; /* KeyboardEvent.key */
	VTermKey key;
} keys[] = {
	{ "Enter", VTERM_KEY_ENTER },
	{ "Tab", VTERM_KEY_TAB },
	{ "Backspace", VTERM_KEY_BACKSPACE },
	{ "Escape", VTERM_KEY_ESCAPE },
	{ "ArrowUp", VTERM_KEY_UP },
	{ "ArrowDown", VTERM_KEY_DOWN },
	{ "ArrowLeft", VTERM_KEY_LEFT },
	{ "ArrowRight", VTERM_KEY_RIGHT },
	{ "Insert", VTERM_KEY_INS },
	{ "Delete", VTERM_KEY_DEL },
	{ "Home", VTERM_KEY_HOME },
	{ "End", VTERM_KEY_END },
	{ "PageUp", VTERM_KEY_PAGEUP },
	{ "PageDown", VTERM_KEY_PAGEDOWN },
};

static VTermKey find_key(const char *name)
{
	uint64_t number;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return keys[i].key;
	if (*name == 'F' && str_to_u64(name + 1, 12, &number) && number > 0)
		return (VTermKey)VTERM_KEY_FUNCTION((int)number);
	return VTERM_KEY_NONE;
}

static VTermModifier modifiers_of(const json_t *item)
{
	return (json_is_true(json_object_get(item, "shift")) ? VTERM_MOD_SHIFT : 0) |
	       (json_is_true(json_object_get(item, "alt")) ? VTERM_MOD_ALT : 0) |
	       (json_is_true(json_object_get(item, "ctrl")) ? VTERM_MOD_CTRL : 0);
}

/* The next character of well-formed UTF-8. */
static uint32_t next_character(const char **at)
{
	const unsigned char *bytes = (const unsigned char *)*at;
	size_t length = text_utf8_length(*at, strlen(*at));
	uint32_t code = length < 2 ? bytes[0] : bytes[0] & (0xffu >> (length + 1));

	for (size_t i = 1; i < length; i++)
		code = code << 6 | (bytes[i] & 0x3fu);
	*at += length ? length : 1;
	return code;
}

/* Control characters as terminals have always sent them: libvterm has newer codes for some, which few programs know. */
static uint32_t controlled(uint32_t code, VTermModifier *modifiers)
{
	if (!(*modifiers & VTERM_MOD_CTRL) || !((code >= '@' && code <= '~') || code == ' '))
		return code;
	*modifiers ^= VTERM_MOD_CTRL;
	return code & 0x1f;
}

static void type_text(struct display *display, const char *text, VTermModifier modifiers)
{
	while (*text) {
		VTermModifier left = modifiers & (VTERM_MOD_ALT | VTERM_MOD_CTRL); /* shift is in the character */
		uint32_t code = controlled(next_character(&text), &left);
		vterm_keyboard_unichar(display->vterm, code == '\n' ? '\r' : code, left);
	}
}

bool display_key(struct display *display, const json_t *item)
{
	const char *text = json_string_value(json_object_get(item, "text"));
	const char *name = json_string_value(json_object_get(item, "key"));
	const char *paste = json_string_value(json_object_get(item, "paste"));
	VTermModifier modifiers = modifiers_of(item);

	if (text) {
		type_text(display, text, modifiers);
	} else if (paste) {
		vterm_keyboard_start_paste(display->vterm);
		type_text(display, paste, VTERM_MOD_NONE);
		vterm_keyboard_end_paste(display->vterm);
	} else if (name && find_key(name) != VTERM_KEY_NONE) {
		vterm_keyboard_key(display->vterm, find_key(name), modifiers);
	} else {
		return false;
	}
	return true;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/display.h: a terminal's screen with colours, as JSON for the console page. (screen.h is the other one: a
 * screen as plain text, far larger and without colours, for agents.)
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	DISPLAY_ROWS_MAX = 200,
	DISPLAY_COLUMNS_MAX = 400,
	DISPLAY_SIZE_MIN = 2,
	DISPLAY_SCROLLED_MAX = 2000, /* rows that scrolled off and nobody has seen */
};

struct display;

/**
 * display_new() - an empty screen
 * @type:	called with what has to be written to the terminal: keys, pastes, answers to queries
 */
struct display *display_new(
	int rows, int columns, void (*type)(const char *bytes, size_t size, void *context), void *context);
void display_free(struct display *display);

/** display_write() - output of a program: any bytes. */
void display_write(struct display *display, const char *bytes, size_t size);

/** display_resize() - both within the bounds above. */
void display_resize(struct display *display, int rows, int columns);

/** display_changed() - whether display_frame() would have something to say. */
bool display_changed(const struct display *display);

/** display_touch() - everything is new: somebody else looks now. */
void display_touch(struct display *display);

/**
 * display_frame() - what changed since the last frame
 *
 *     {"rows": R, "columns": C, "lines": {"ROW": RUNS, ...}, "scrolled": [RUNS, ...],
 *      "cursor": [ROW, COLUMN, VISIBLE]}
 *
 * RUNS: [[TEXT, FOREGROUND, BACKGROUND, ATTRIBUTES], ...], shorter by what is default at the end. A colour is null, a
 * number of the 256 or "#rrggbb". ATTRIBUTES: 1 bold, 2 italic, 4 underlined, 8 reversed, 16 struck out, 32 two columns
 * wide.
 */
json_t *display_frame(struct display *display);

/**
 * display_key() - press a key
 * @item:	{"text": T} with characters, or {"key": NAME} as browsers call it, each with "ctrl", "alt", "shift" true
 *or absent; or {"paste": T}
 *
 * Return: false: @item is malformed
 */
bool display_key(struct display *display, const json_t *item);

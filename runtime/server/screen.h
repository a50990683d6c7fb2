// SPDX-License-Identifier: GPL-2.0-or-later
/* server/screen.h: what a terminal would show of a command's output, as plain text.
 *
 * Carriage returns, cursor movement, clearing, tabs, wide and combining characters are applied as a terminal does;
 * colours are dropped; wrapped lines come back as one (spec: openhands 3.7, 3.8).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum {
	SCREEN_ROWS = 1000,
	SCREEN_COLUMNS = 1000,
	/* Rows kept after they scrolled off the top. With the rows of the screen these are 11100 to 11200 lines:
	 * clients expect the last 10000, and expect the oldest kept ones within the first 15000 characters (3.8).
	 */
	SCREEN_HISTORY = 10200,
	SCREEN_HISTORY_STEP = 100, /* dropped at once when that is full */
};

struct screen;

/**
 * screen_new() - an empty terminal
 * @reply:	called with what a terminal answers to queries (cursor position, device attributes); may be NULL
 *
 * Return: the screen; screen_free() releases it. Out of memory ends the program, here and below (base/str.h).
 */
struct screen *screen_new(
	int rows, int columns, void (*reply)(const char *bytes, size_t size, void *context), void *context);
void screen_free(struct screen *screen);

/** screen_write() - output of a program: any bytes, sequences may be split anywhere. */
void screen_write(struct screen *screen, const char *bytes, size_t size);

/** screen_changed() - whether anything visible changed since the last call. */
bool screen_changed(struct screen *screen);

/**
 * screen_text() - everything from the oldest kept row to the last row that is not blank
 *
 * Lines are separated by '\n' and trimmed on the right; there is no '\n' after the last one. Valid UTF-8 without NUL.
 *
 * Return: allocated text, owned by the caller
 */
char *screen_text(const struct screen *screen);

/** screen_lost_lines() - whether rows were dropped since screen_clear(): too many, or the program cleared them. */
bool screen_lost_lines(const struct screen *screen);

/** screen_clear() - empty, no history, every mode at its default. */
void screen_clear(struct screen *screen);

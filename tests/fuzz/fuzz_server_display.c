// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_display.c: a terminal of the console page: any output of programs, in pieces; between them (a
 * 0xff byte) the window changes its size, keys are pressed and frames are taken.
 */
#include "server/display.h"
#include "tests/fuzz/fuzz.h"

static void type(const char *bytes, size_t size, void *context)
{
	(void)context;
	must(size == 0 || bytes);
}

static void check_frame(struct display *display, int rows, int columns)
{
	json_t *frame = display_frame(display), *runs, *run;
	const char *row;
	size_t i;

	must(frame && !display_changed(display));
	must(json_integer_value(json_object_get(frame, "rows")) == rows);
	must(json_integer_value(json_object_get(frame, "columns")) == columns);
	must(json_array_size(json_object_get(frame, "scrolled")) <= DISPLAY_SCROLLED_MAX);
	json_object_foreach(json_object_get(frame, "lines"), row, runs)
	{
		must(atoi(row) >= 0 && atoi(row) < rows);
		json_array_foreach(runs, i, run) must(json_string_length(json_array_get(run, 0)) > 0);
	}
	char *text = json_dumps(frame, JSON_COMPACT);
	must(text);
	free(text);
	json_decref(frame);
}

static void press(struct display *display, const char *text)
{
	static const char *const names[] = { "text", "key", "paste" };
	json_t *value = json_string(text);
	json_t *item = value ? json_pack("{s:o, s:b, s:b}", names[(unsigned char)text[0] % 3], value, "ctrl",
				       text[0] & 4, "alt", text[0] & 8)
			     : json_null();

	display_key(display, item);
	json_decref(item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int rows = 24, columns = 80;
	struct display *display = display_new(rows, columns, type, NULL);

	while (size) {
		char *piece = fuzz_piece(&data, &size);
		size_t length = strlen(piece);
		display_write(display, piece, length);
		if (length % 3 == 0)
			check_frame(display, rows, columns);
		if (length % 5 == 1) {
			rows = DISPLAY_SIZE_MIN + (unsigned char)piece[0] % (DISPLAY_ROWS_MAX - 1);
			columns = DISPLAY_SIZE_MIN + (unsigned char)piece[length / 2] * 3 % (DISPLAY_COLUMNS_MAX - 1);
			display_resize(display, rows, columns);
		}
		if (length && length % 7 < 3)
			press(display, piece);
		free(piece);
	}
	check_frame(display, rows, columns);
	display_free(display);
	return 0;
}

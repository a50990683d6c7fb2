// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_screen.c: any output of programs on the server's terminal. The first byte says in which
 * pieces it arrives. */
#include "server/screen.h"
#include "server/text.h"
#include "tests/fuzz/fuzz.h"

static void reply(const char *bytes, size_t size, void *context)
{
	(void)context;
	must(size == 0 || bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen *screen = screen_new(24, 80, reply, NULL);
	size_t step = size ? (size_t)data[0] + 1 : 1;
	char *text = fuzz_text(data, size);

	for (size_t at = 1; at < size; at += step)
		screen_write(screen, text + at, size - at < step ? size - at : step);
	char *shown = screen_text(screen);
	must(text_is_utf8(shown, strlen(shown)));
	screen_changed(screen);
	screen_lost_lines(screen);
	screen_clear(screen);
	char *cleared = screen_text(screen);
	must(*cleared == '\0');
	free(cleared);
	free(shown);
	free(text);
	screen_free(screen);
	return 0;
}

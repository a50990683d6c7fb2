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

/* What is shown after @text, which arrives in pieces. */
static char *shown_after(struct screen *screen, const char *text, size_t size, size_t step)
{
	for (size_t at = 0; at < size; at += step)
		screen_write(screen, text + at, size - at < step ? size - at : step);
	return screen_text(screen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct screen *screen = screen_new(24, 80, reply, NULL), *other = screen_new(24, 80, reply, NULL);
	size_t step = size ? (size_t)data[0] + 1 : 1, text_size = size ? size - 1 : 0;
	char *text = fuzz_text(data + (size > 0), text_size);

	char *shown = shown_after(screen, text, text_size, step);
	must(text_is_utf8(shown, strlen(shown)));
	/* The same by way of libvterm alone: a mode is set that is set anyway. */
	screen_write(other, "\033[?7h", 5);
	char *wanted = shown_after(other, text, text_size, text_size ? text_size : 1);
	must(strcmp(shown, wanted) == 0);
	must(screen_lost_lines(screen) == screen_lost_lines(other));
	screen_changed(screen);
	screen_clear(screen);
	char *cleared = screen_text(screen);
	must(*cleared == '\0');
	free(cleared);
	free(shown);
	free(wanted);
	free(text);
	screen_free(screen);
	screen_free(other);
	return 0;
}

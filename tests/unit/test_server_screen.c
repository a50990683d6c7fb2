// SPDX-License-Identifier: GPL-2.0-or-later
/* What a terminal would show: rendering, wrapping, history, and input made to break the terminal library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/screen.h"
#include "server/text.h"

static void shows(int rows, int columns, const char *written, const char *wanted)
{
	struct screen *screen = screen_new(rows, columns, NULL, NULL);

	screen_write(screen, written, strlen(written));
	cleanup_free char *whole = screen_text(screen);
	if (strcmp(whole, wanted) != 0)
		fail_msg("\"%s\" instead of \"%s\"", whole, wanted);
	screen_clear(screen);
	for (const char *at = written; *at; at++) /* the same, a byte at a time */
		screen_write(screen, at, 1);
	cleanup_free char *bytewise = screen_text(screen);
	assert_string_equal(bytewise, wanted);
	screen_free(screen);
}

static void control_characters_are_applied(void **state)
{
	(void)state;
	shows(10, 40, "abc\rX\r\n\033[31mred\033[0m\r\ntab\tx\r\nab\bc\007  \r\n", "Xbc\nred\ntab     x\nac");
	shows(10, 40, "one\r\ntwo\033[1A\rONE", "ONE\ntwo");
	shows(10, 40, "abcdef\033[3D\033[K", "abc");
	shows(10, 40, "abcdef\033[4D\033[2P", "abef");
	shows(10, 40, "a\r\nb\r\nc\033[2;1H\033[M", "a\nc");
	shows(10, 40, "a\r\nb\033[1;1H\033[Lx", "x\na\nb");
	shows(10, 40, "", "");
}

static void wrapped_lines_come_back_as_one(void **state)
{
	(void)state;
	shows(10, 5, "abcdefghij", "abcdefghij");
	shows(10, 5, "abcde\r\nfgh", "abcde\nfgh");
	shows(10, 5, "abcdefghijk\r\nx", "abcdefghijk\nx");
	shows(3, 5, "abcdefghijklmnopqrst\r\nx\r\ny\r\nz", "abcdefghijklmnopqrst\nx\ny\nz");
	shows(10, 5, "abcd\u65e5x", "abcd\u65e5x");
}

static void characters_of_all_kinds_survive(void **state)
{
	(void)state;
	shows(5, 40, "\u2603 \u65e5\u672c e\u0301 \U0001d11e", "\u2603 \u65e5\u672c e\u0301 \U0001d11e");
	shows(5, 40, "a\xff\xc2z\xe2\x98", "a\ufffd\ufffdz");
	shows(5, 40,
		"a\xc2\x80\xc2\x9f"
		"b",
		"ab");
	shows(5, 40, "\u65e5\033[2D\033[1Cx", " x");
}

static void repetition_repeats_characters_only(void **state)
{
	(void)state;
	shows(5, 40, "-\033[4bx", "-----x");
	shows(5, 40, "\u2603\033[2b", "\u2603\u2603\u2603");
	shows(5, 40, "\033[5b\033[99999999999bok", "ok");
	shows(5, 40, "\u0301\033[5bok", "ok");
	shows(5, 40, "\033[?5bok\033[1;2mx", "okx");
}

static void cleared_screens_are_kept_until_they_are_erased_for_good(void **state)
{
	struct screen *screen = screen_new(5, 40, NULL, NULL);

	(void)state;
	screen_write(screen, "one\033[2J\033[Htwo", 14);
	cleanup_free char *both = screen_text(screen);
	assert_string_equal(both, "one\ntwo");
	assert_false(screen_lost_lines(screen));
	screen_write(screen, "\033[3", 3);
	screen_write(screen, "J", 1);
	cleanup_free char *rest = screen_text(screen);
	assert_string_equal(rest, "two");
	assert_true(screen_lost_lines(screen));
	screen_free(screen);
}

static void the_alternate_screen_is_left_without_a_trace(void **state)
{
	(void)state;
	shows(5, 40, "shell\r\n\033[?1049h\033[2J\033[Heditor\033[?1049l", "shell");
	shows(5, 40, "shell\r\n\033[?1049h\033[Heditor", "editor");
}

static void the_newest_rows_are_kept(void **state)
{
	struct screen *screen = screen_new(SCREEN_ROWS, SCREEN_COLUMNS, NULL, NULL);
	char line[32];

	(void)state;
	for (int i = 1; i <= 50000; i++)
		screen_write(screen, line, (size_t)snprintf(line, sizeof line, "Line %d\r\n", i));
	cleanup_free char *text = screen_text(screen);
	size_t lines = 1;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_true(screen_lost_lines(screen));
	assert_in_range(lines, 10001, 11363); /* what clients rely on */
	assert_non_null(strstr(text, "\nLine 50000"));
	screen_clear(screen);
	cleanup_free char *empty = screen_text(screen);
	assert_string_equal(empty, "");
	assert_false(screen_lost_lines(screen));
	screen_free(screen);
}

static void only_visible_changes_count(void **state)
{
	struct screen *screen = screen_new(5, 40, NULL, NULL);

	(void)state;
	assert_false(screen_changed(screen));
	screen_write(screen, "x", 1);
	assert_true(screen_changed(screen));
	assert_false(screen_changed(screen));
	screen_write(screen, "\rx\033[31m\007", 8);
	assert_false(screen_changed(screen));
	screen_free(screen);
}

static void take_reply(const char *bytes, size_t size, void *context)
{
	text_add(context, bytes, size);
}

static void queries_are_answered(void **state)
{
	struct text answers = { 0 };
	struct screen *screen = screen_new(5, 40, take_reply, &answers);

	(void)state;
	screen_write(screen, "ab\033[6n", 6);
	assert_string_equal(answers.bytes, "\033[1;3R");
	screen_free(screen);
	text_free(&answers);
}

static void an_unfinished_sequence_does_not_outlive_its_command(void **state)
{
	struct screen *screen = screen_new(5, 40, NULL, NULL);

	(void)state;
	screen_write(screen, "\033]0;title", 9);
	screen_clear(screen);
	screen_write(screen, "fine", 4);
	cleanup_free char *text = screen_text(screen);
	assert_string_equal(text, "fine");
	screen_free(screen);
}

/* Sequences glued together at random, in windows of every size. */
static void hostile_output_is_survived(void **state)
{
	static const char *const bits[] = { "\033[", "\033]", "\033P", "\033(", "0", "?", "1049h", "1049l", "6n", "c",
		"J", "K", "2J", "3J", "H", "f", "r", "1;5r", "5;2r", "L", "M", "@", "P", "X", "S", "T", "A", "B", "C",
		"D", "d", "G", "`", "\033H", "\033M", "\033D", "\033E", "\033#3", "\033#5", "\033#6", "\033#8", "\033c",
		"\033[?69h", "\033[2;5s", "\033[4h", "\033[4l", "\033[?7l", "\033[?7h", "\033[?6h", "\t", "\033[Z",
		"\033[I", "\033[g", "\033[3g", "99999999999999999999", ";", "\r", "\n", "\b", "\xc2\x80",
		"\xc2\x07\x80", "\xcc\x81", "\u2603", "\u65e5", "\xc2", "\x80", "abc", "\0337", "\0338", "\016", "\017",
		"\033N", "\033[b", "\033[99999b", " " };

	(void)state;
	srand(1);
	for (int round = 0; round < 60; round++) {
		struct screen *screen = screen_new(1 + rand() % 30, 1 + rand() % 40, NULL, NULL);
		for (int i = 0; i < 2000; i++) {
			const char *bit = bits[(size_t)rand() % (sizeof bits / sizeof *bits)];
			char noise = (char)rand();
			screen_write(screen, bit, strlen(bit));
			if (i % 5 == 0)
				screen_write(screen, &noise, 1);
			if (i % 700 == 0)
				screen_clear(screen);
		}
		cleanup_free char *text = screen_text(screen);
		assert_true(text_is_utf8(text, strlen(text)));
		screen_free(screen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters_are_applied),
		cmocka_unit_test(wrapped_lines_come_back_as_one),
		cmocka_unit_test(characters_of_all_kinds_survive),
		cmocka_unit_test(repetition_repeats_characters_only),
		cmocka_unit_test(cleared_screens_are_kept_until_they_are_erased_for_good),
		cmocka_unit_test(the_alternate_screen_is_left_without_a_trace),
		cmocka_unit_test(the_newest_rows_are_kept),
		cmocka_unit_test(only_visible_changes_count),
		cmocka_unit_test(queries_are_answered),
		cmocka_unit_test(an_unfinished_sequence_does_not_outlive_its_command),
		cmocka_unit_test(hostile_output_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* The text rules of the wire protocol: slices, the length limit, floats, UTF-8; and the key and the marks. */
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
#include "server/observation.h"
#include "server/server.h"
#include "server/shell_script.h"
#include "server/text.h"

#define MARK_KEY   "0123456789abcdef0123456789abcdef"
#define SECRET_KEY "fedcba9876543210fedcba9876543210"

static void slices_of_five_lines(void **state)
{
	static const struct {
		int64_t start, end, first, last;
	} cases[] = { { 1, 3, 1, 3 }, { 0, 0, 0, 1 }, { 2, 2, 2, 3 }, { 4, 5, 3, 5 }, { 10, 20, 3, 5 }, { 4, -1, 4, 5 },
		{ 0, -5, 0, 1 }, { 0, -1, 0, 5 }, { -3, -1, 0, 5 }, { 9, -1, 5, 5 }, { INT64_MAX, INT64_MAX, 3, 5 },
		{ INT64_MIN, INT64_MIN, 0, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t start = cases[i].start, end = cases[i].end;
		text_slice(5, &start, &end);
		assert_int_equal(start, cases[i].first);
		assert_int_equal(end, cases[i].last);
	}
	for (int64_t lines = 0; lines < 3; lines++) {
		for (int64_t start = -2; start < 5; start++) {
			int64_t first = start, last = start;
			text_slice(lines, &first, &last);
			assert_true(first >= 0 && first <= last && last <= lines);
		}
	}
}

static char *repeated(const char *unit, size_t times)
{
	struct text out = { 0 };

	for (size_t i = 0; i < times; i++)
		text_add(&out, unit, strlen(unit));
	return text_take(&out);
}

static void content_is_limited_in_characters_not_bytes(void **state)
{
	cleanup_free char *exact = text_limit(repeated("\u00e9", 30000));
	cleanup_free char *cut = text_limit(repeated("\u00e9", 30001));
	size_t size = strlen(cut);

	(void)state;
	assert_int_equal(strlen(exact), 60000);
	assert_int_equal(size, 60000 + strlen("\n[... Observation truncated due to length ...]\n"));
	assert_true(text_is_utf8(cut, size));
	cleanup_free char *again = text_limit(xstrdup(cut));
	assert_string_equal(again, cut);
}

static void floats_print_as_python_does(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = { { 1, "1.0" }, { 120, "120.0" }, { 2.5, "2.5" }, { 0.1, "0.1" },
		{ 0.30000000000000004, "0.30000000000000004" }, { 1e16, "1e+16" }, { 1e22, "1e+22" } };
	char buffer[32];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(text_from_double(cases[i].value, buffer), cases[i].text);
}

static void strip_removes_white_space_at_the_ends(void **state)
{
	char text[] = " \n\t a b \r\n";

	(void)state;
	assert_string_equal(text_strip(text), "a b");
	assert_string_equal(text_remove_prefix("abc", "ab"), "c");
	assert_string_equal(text_remove_prefix("abc", "b"), "abc");
}

static void utf8_is_checked_strictly(void **state)
{
	static const char *const bad[] = { "\x80", "\xc2", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf8", "a\xff", NULL };

	(void)state;
	assert_true(text_is_utf8("a\u00e9\u2603\U0001d11e", 10));
	for (size_t i = 0; bad[i]; i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void keys_are_equal_only_as_a_whole(void **state)
{
	(void)state;
	assert_true(key_equal("secret", "secret"));
	assert_false(key_equal("secret", "secre"));
	assert_false(key_equal("secret", "secrets"));
	assert_false(key_equal("secret", ""));
	assert_false(key_equal("secret", "Secret"));
}

static void the_key_is_taken_out_of_the_environment(void **state)
{
	struct azm_err err = { 0 };
	char *taken = NULL;

	(void)state;
	setenv("SESSION_API_KEY", "from-env", 1);
	const char *where = getenv("SESSION_API_KEY");
	assert_int_equal(key_take(NULL, &taken, &err), 0);
	assert_string_equal(taken, "from-env");
	assert_null(getenv("SESSION_API_KEY"));
	assert_string_equal(where, ""); /* not even in the memory /proc/PID/environ shows */
	free(taken);
	assert_int_equal(key_take(NULL, &taken, &err), 0);
	assert_null(taken);
	assert_int_equal(key_take("/nonexistent", &taken, &err), -1);
	assert_int_equal(key_take("/dev/null", &taken, &err), -1);
}

static void an_error_observation_has_its_shape(void **state)
{
	json_t *observation = observation_error("no %s", "way");
	cleanup_free char *text = json_dumps(observation, JSON_COMPACT | JSON_SORT_KEYS);

	(void)state;
	assert_string_equal(text, "{\"content\":\"no way\",\"extras\":{\"error_id\":\"\"},\"message\":\"no "
				  "way\",\"observation\":\"error\"}");
	json_decref(observation);
}

static void a_run_observation_without_metadata_has_nulls(void **state)
{
	const struct run_metadata unknown = { .exit_code = -1, .background = -1 };
	json_t *observation = observation_run("c", "x\xff", &unknown, true);
	cleanup_free char *text = json_dumps(observation, JSON_COMPACT | JSON_SORT_KEYS);

	(void)state;
	assert_string_equal(text,
		"{\"content\":\"x\ufffd\",\"extras\":{\"command\":\"c\",\"hidden\":true,\"metadata\":{\"exit_code\":-1,"
		"\"hostname\":null,\"pid\":-1,\"prefix\":\"\",\"py_interpreter_path\":null,\"suffix\":\"\","
		"\"username\":null,"
		"\"working_dir\":null}},\"message\":\"Command `c` executed with exit code "
		"-1.\",\"observation\":\"run\","
		"\"success\":false}");
	json_decref(observation);
}

static const struct shell_keys plain_marks = { .marks_report = false, .mark = MARK_KEY, .secret = SECRET_KEY };
static const struct shell_keys marks_with_report = { .marks_report = true, .mark = MARK_KEY, .secret = SECRET_KEY };

static void marks_are_found_whole_and_in_pieces(void **state)
{
	char stream[] = "output\n\033]77;" MARK_KEY ";s\007tail", *report;
	size_t plain, whole, start = 7, size = sizeof stream - 1;

	(void)state;
	for (size_t cut = start + 1; cut < size - 4; cut++) {
		assert_int_equal(shell_mark_find(stream, cut, &plain_marks, &plain, &whole, &report), MARK_PARTIAL);
		assert_int_equal(plain, start);
		assert_int_equal(whole, start);
	}
	assert_int_equal(shell_mark_find(stream, size, &plain_marks, &plain, &whole, &report), MARK_START);
	stream[size - 6] = 'e';
	assert_int_equal(shell_mark_find(stream, size, &plain_marks, &plain, &whole, &report), MARK_END);
	assert_int_equal(plain, start);
	assert_int_equal(whole, size - 4);
	assert_null(report);
}

static void an_end_mark_carries_a_report_where_shells_have_no_hook(void **state)
{
	char stream[] = "output\n\033]77;" MARK_KEY ";e;" SECRET_KEY "3;42;1000;/a b;c\x01" SECRET_KEY
			"/bin:/usr/bin" SECRET_KEY "\007tail";
	size_t plain, whole, start = 7, size = sizeof stream - 1;
	struct shell_prompt prompt;
	char *report;

	(void)state;
	assert_int_equal(shell_mark_find(stream, size, &plain_marks, &plain, &whole, &report), MARK_NONE);
	for (size_t cut = start + 1; cut < size - 4; cut++) {
		assert_int_equal(
			shell_mark_find(stream, cut, &marks_with_report, &plain, &whole, &report), MARK_PARTIAL);
		assert_int_equal(plain, start);
	}
	assert_int_equal(shell_mark_find(stream, size, &marks_with_report, &plain, &whole, &report), MARK_END);
	assert_int_equal(whole, size - 4);
	assert_true(shell_report_parse(report, &marks_with_report, &prompt));
	assert_int_equal(prompt.exit_code, 3);
	assert_int_equal(prompt.background, 42);
	assert_int_equal(prompt.uid, 1000);
	assert_string_equal(prompt.cwd, "/a b;c\x01");
	assert_string_equal(prompt.path, "/bin:/usr/bin");
}

static void malformed_reports_are_none(void **state)
{
	static const char *const malformed[] = { "", ";", "x;1;0;/", "1", "1;2", "1;2;3", "1;2;3;/no key", "1;;x;/" };
	struct shell_prompt prompt;

	(void)state;
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		char text[64];
		snprintf(text, sizeof text, "%s", malformed[i]);
		assert_false(shell_report_parse(text, &plain_marks, &prompt));
	}
}

static void marks_of_another_key_are_output(void **state)
{
	char stream[] = "\033]77;ffffffffffffffffffffffffffffffff;e\007", *report;
	size_t plain, whole;

	(void)state;
	assert_int_equal(shell_mark_find(stream, sizeof stream - 1, &plain_marks, &plain, &whole, &report), MARK_NONE);
	assert_int_equal(plain, sizeof stream - 1);
}

static void malformed_and_endless_marks_are_output(void **state)
{
	static char stream[SHELL_MARK_MAX + 100];
	size_t plain, whole;
	char *report;
	size_t size = (size_t)snprintf(stream, sizeof stream, "\033]77;" MARK_KEY ";q;\007");

	(void)state;
	assert_int_equal(shell_mark_find(stream, size, &plain_marks, &plain, &whole, &report), MARK_NONE);
	assert_int_equal(plain, whole);
	assert_true(plain > 0);
	size = (size_t)snprintf(stream, sizeof stream, "\033]77;" MARK_KEY ";e;" SECRET_KEY);
	memset(stream + size, 'x', sizeof stream - size);
	assert_int_equal(
		shell_mark_find(stream, sizeof stream, &marks_with_report, &plain, &whole, &report), MARK_NONE);
	assert_int_equal(plain, whole);
	assert_true(plain > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_of_five_lines),
		cmocka_unit_test(content_is_limited_in_characters_not_bytes),
		cmocka_unit_test(floats_print_as_python_does),
		cmocka_unit_test(strip_removes_white_space_at_the_ends),
		cmocka_unit_test(utf8_is_checked_strictly),
		cmocka_unit_test(keys_are_equal_only_as_a_whole),
		cmocka_unit_test(the_key_is_taken_out_of_the_environment),
		cmocka_unit_test(an_error_observation_has_its_shape),
		cmocka_unit_test(a_run_observation_without_metadata_has_nulls),
		cmocka_unit_test(marks_are_found_whole_and_in_pieces),
		cmocka_unit_test(an_end_mark_carries_a_report_where_shells_have_no_hook),
		cmocka_unit_test(malformed_reports_are_none),
		cmocka_unit_test(marks_of_another_key_are_output),
		cmocka_unit_test(malformed_and_endless_marks_are_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

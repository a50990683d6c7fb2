// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_str.c: numbers, sizes and text that must not drive a terminal (base/str.h), times as text
 * (base/clock.h). */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/str.h"
#include "tests/unit/runtime_fixture.h"

static void numbers_are_digits_within_their_bound(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "0", 10, true, 0 },
		{ "10", 10, true, 10 },
		{ "0010", 10, true, 10 },
		{ "11", 10, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999999999", UINT64_MAX, false, 0 },
		{ "", 10, false, 0 },
		{ "-1", UINT64_MAX, false, 0 },
		{ "+1", 10, false, 0 },
		{ " 1", 10, false, 0 },
		{ "1 ", 10, false, 0 },
		{ "1abc", 10, false, 0 },
		{ "0x1", 10, false, 0 },
		{ "1\n", 10, false, 0 },
		{ "1.0", 10, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t value = 77;
		if (str_to_u64(rows[i].text, rows[i].max, &value) != rows[i].good)
			fail_msg("\"%s\"", rows[i].text);
		assert_true(value == (rows[i].good ? rows[i].value : 77));
	}
}

static void sizes_have_dockers_units_and_fit_a_file(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "4096", true, 4096 },
		{ "1b", true, 1 },
		{ "2k", true, 2048 },
		{ "2K", true, 2048 },
		{ "64m", true, 64ull << 20 },
		{ "3G", true, 3ull << 30 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "9223372036854775808", false, 0 }, /* 2^63 */
		{ "18446744073709551616", false, 0 },
		{ "8589934591g", true, 8589934591ull << 30 },
		{ "8589934592g", false, 0 }, /* 2^63 again */
		{ "9223372036854775807k", false, 0 },
		{ "-1", false, 0 },
		{ "", false, 0 },
		{ "m", false, 0 },
		{ "1abc", false, 0 },
		{ "1kb", false, 0 },
		{ "1t", false, 0 },
		{ "1 m", false, 0 },
		{ "1.5g", false, 0 },
		{ "1 ", false, 0 },
		{ "1\x07", false, 0 },
		{ "1\xe7", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t value = 77;
		if (str_to_bytes(rows[i].text, &value) != rows[i].good)
			fail_msg("\"%s\"", rows[i].text);
		assert_true(value == (rows[i].good ? rows[i].value : 77));
	}
}

static void nothing_that_drives_a_terminal_is_left(void **state)
{
	static const struct {
		const char *text, *line, *lines;
	} rows[] = {
		{ "plain ~ text", "plain ~ text", "plain ~ text" },
		{ "a\x1b[31mred\x1b]0;title\x07", "a?[31mred?]0;title?", "a?[31mred?]0;title?" },
		{ "a\nb\tc\rd\x7f", "a?b?c?d?", "a\nb\tc?d?" },
		{ "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82", "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82",
			"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82" },
		{ "\xc2\x9b"
		  "31m",
			"??31m", "??31m" },		      /* CSI in UTF-8 */
		{ "\x9b\x90", "??", "??" },		      /* C1 as bytes */
		{ "\xc0\x9b\xe0\x82\x9b", "?????", "?????" }, /* the same, overlong */
		{ "\xed\xa0\x80", "???", "???" },	      /* surrogate */
		{ "\xf4\x90\x80\x80", "????", "????" },	      /* above U+10FFFF */
		{ "\xe6\x97", "??", "??" },		      /* cut off */
		{ "\xe6\x1b[m", "??[m", "??[m" },	      /* an escape where a continuation belongs */
		{ "\xc2\xa0", "\xc2\xa0", "\xc2\xa0" },	      /* the first after C1 */
		{ "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_free char *line = xstrdup(rows[i].text);
		cleanup_free char *lines = xstrdup(rows[i].text);
		str_sanitise(line);
		assert_string_equal(line, rows[i].line);
		str_sanitise_lines(lines);
		assert_string_equal(lines, rows[i].lines);
	}
}

static void lists_are_null_terminated_and_keep_empty_pieces(void **state)
{
	struct str_list list = { 0 };

	(void)state;
	str_list_split(&list, ":a::b:", ':');
	assert_int_equal(list.count, 5);
	assert_string_equal(list.items[0], "");
	assert_string_equal(list.items[1], "a");
	assert_string_equal(list.items[2], "");
	assert_string_equal(list.items[3], "b");
	assert_string_equal(list.items[4], "");
	assert_null(list.items[5]);
	str_list_addf(&list, "%d", 7);
	assert_string_equal(list.items[5], "7");
	str_list_free(&list);
	assert_null(list.items);
	str_list_split(&list, "", ',');
	assert_int_equal(list.count, 1);
	str_list_free(&list);
}

static void json_does_not_drive_a_terminal_and_stays_readable(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{ "plain", "\"plain\"" },
		{ "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82", "\"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82\"" },
		{ "\x1b[m\n", "\"\\u001B[m\\n\"" }, /* jansson's own */
		{ "a\x7f"
		  "b\x7f",
			"\"a\\u007Fb\\u007F\"" },
		{ "\xc2\x80\xc2\x9b\xc2\x9f", "\"\\u0080\\u009B\\u009F\"" },
		{ "\xc2\xa0\xc3\x9b", "\"\xc2\xa0\xc3\x9b\"" },	   /* the first after C1; another first byte */
		{ "\xe2\x82\x9b", "\"\xe2\x82\x9b\"" },		   /* the end of a longer one */
		{ "\\u009b \\\x7f", "\"\\\\u009b \\\\\\u007F\"" }, /* after a backslash of the text's own */
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *value = json_string(rows[i].text);
		cleanup_free char *text = json_escaped(value, JSON_ENCODE_ANY);
		assert_string_equal(text, rows[i].json);
		json_t *again = json_loads(text, JSON_DECODE_ANY, NULL);
		assert_true(json_equal(again, value));
		json_decref(again);
		json_decref(value);
	}
	assert_null(json_escaped(NULL, 0));
}

/* Every month of 9999 years, and the seconds around the days that calendars get wrong. */
static void times_read_as_the_c_library_writes_them(void **state)
{
	static const int64_t first = -62135596800, last = 253402300799; /* 0001-01-01T00:00:00, 9999-12-31T23:59:59 */
	static const int64_t around[] = { 0, 951782400, 1709164800, 4107542400, -2203891200, -11676096000 };
	char text[CLOCK_UTC_TEXT], expected[CLOCK_UTC_TEXT];
	struct tm day;

	(void)state;
	clock_utc_text(first, text);
	assert_string_equal(text, "0001-01-01T00:00:00");
	clock_utc_text(last, text);
	assert_string_equal(text, "9999-12-31T23:59:59");
	for (int64_t i = 0; i < 200000; i++) {
		const int64_t edge =
			i < 60 ? around[i % 6] + i / 6 - 5 : first + i * ((last - first) / 200000) + i % 86400;
		const time_t seconds = (time_t)edge;
		assert_non_null(gmtime_r(&seconds, &day));
		day.tm_year += 1900;
		snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d", day.tm_year, day.tm_mon + 1,
			day.tm_mday, day.tm_hour, day.tm_min, day.tm_sec);
		clock_utc_text(edge, text);
		if (strcmp(text, expected) != 0)
			fail_msg("%lld: %s, expected %s", (long long)edge, text, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_digits_within_their_bound),
		cmocka_unit_test(sizes_have_dockers_units_and_fit_a_file),
		cmocka_unit_test(nothing_that_drives_a_terminal_is_left),
		cmocka_unit_test(json_does_not_drive_a_terminal_and_stays_readable),
		cmocka_unit_test(lists_are_null_terminated_and_keep_empty_pieces),
		cmocka_unit_test(times_read_as_the_c_library_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

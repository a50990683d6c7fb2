// SPDX-License-Identifier: GPL-2.0-or-later
/* The editor's diff against what Python's difflib.unified_diff(n=0) gives, each line stripped at its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "server/diff.h"

static void check(const char *old, const char *new, const char *expected)
{
	struct text out = { 0 };

	diff_unified("p", old, strlen(old), new, strlen(new), &out);
	assert_string_equal(out.bytes ? out.bytes : "", expected);
	text_free(&out);
}

static void hunks_are_those_of_difflib(void **state)
{
	(void)state;
	check("", "", "");
	check("a\n", "a\n", "");
	check("", "a\nb", "--- p\n+++ p\n@@ -1 +1,2 @@\n-\n+a\n+b");
	check("", "a\nb\n", "--- p\n+++ p\n@@ -0,0 +1,2 @@\n+a\n+b");
	check("a\nb\nc", "a\nc", "--- p\n+++ p\n@@ -2 +1,0 @@\n-b");
	check("A\nB\nC", "A\nA\nB\nC", "--- p\n+++ p\n@@ -0,0 +1 @@\n+A");
	check("a\nb\nc\nd \ne", "a\nB\nc\nD\t\ne", "--- p\n+++ p\n@@ -2 +2 @@\n-b\n+B\n@@ -4 +4 @@\n-d\n+D");
	check("one", "two", "--- p\n+++ p\n@@ -1 +1 @@\n-one\n+two");
}

/* A line that makes up more than a hundredth of a long text is no place to begin a match. */
static void frequent_lines_are_not_matched_alone(void **state)
{
	struct text old = { 0 }, new = { 0 }, out = { 0 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		text_addf(&old, "old %d\nsame\n", i);
		text_addf(&new, "new %d\nsame\n", i);
	}
	diff_unified("p", old.bytes, old.size, new.bytes, new.size, &out);
	assert_true(str_starts(out.bytes, "--- p\n+++ p\n@@ -1,599 +1,599 @@\n"));
	text_free(&old);
	text_free(&new);
	text_free(&out);
}

static void work_is_bounded(void **state)
{
	struct text old = { 0 }, new = { 0 }, out = { 0 };

	(void)state;
	for (int i = 0; i < 150000; i++) {
		text_addf(&old, "%d\n", i * 7 % 190);
		text_addf(&new, "%d\n", i * 11 % 190);
	}
	diff_unified("p", old.bytes, old.size, new.bytes, new.size, &out);
	assert_true(out.size > 0);
	text_free(&out);
	for (int i = 0; i < 300000; i++)
		text_add(&old, "\n", 1);
	diff_unified("p", old.bytes, old.size, new.bytes, new.size, &out);
	assert_string_equal(out.bytes, "--- p\n+++ p");
	text_free(&old);
	text_free(&new);
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hunks_are_those_of_difflib),
		cmocka_unit_test(frequent_lines_are_not_matched_alone),
		cmocka_unit_test(work_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

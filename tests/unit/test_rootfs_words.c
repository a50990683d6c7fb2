// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_words.c: variables and quotes of a Dockerfile, patterns, .dockerignore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs-tools/dockerignore.h"
#include "rootfs-tools/glob.h"
#include "rootfs-tools/words.h"

/* ---- variables -------------------------------------------------------------------------------------------------- */

static const char *value(void *context, const char *name)
{
	static const char *const known[][2] = {
		{ "A", "a" },
		{ "B_2", "b c" },
		{ "E", "" },
		{ "P", "linux/arm/v7" },
		{ "F", "archive.tar.gz" },
		{ "Q", "\"q\"" },
	};

	(void)context;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i][0]) == 0)
			return known[i][1];
	return NULL;
}

static const struct {
	const char *word, *want; /* NULL: refused */
	char escape;
} words[] = {
	{ "", "", 0 },
	{ "plain", "plain", 0 },
	{ "$A", "a", 0 },
	{ "${A}x$A-$B_2", "axa-b c", 0 },
	{ "$Ax", "", 0 },
	{ "$", "$", 0 },
	{ "a$ b$.", "a$ b$.", 0 },
	{ "$1a$@$*", "a", 0 },
	{ "${1}", "", 0 },
	{ "${A:-x}${E:-x}${N:-x}", "axx", 0 },
	{ "${A-x}${E-x}${N-x}", "ax", 0 },
	{ "${A:+x}${E:+x}${N:+x}", "x", 0 },
	{ "${A+x}${E+x}${N+x}", "xx", 0 },
	{ "${A:?no}${E?no}", "a", 0 },
	{ "${N:?no}", NULL, 0 },
	{ "${E:?}", NULL, 0 },
	{ "${N:-${M:-$A}}", "a", 0 },
	{ "${N:-'}'}", "}", 0 },
	{ "${N:-\"$A }\"}", "a }", 0 },
	{ "${N:-}", "", 0 },
	{ "${F#*.}|${F##*.}|${F%.*}|${F%%.*}", "tar.gz|gz|archive.tar|archive", 0 },
	{ "${F#x}${F%x}", "archive.tar.gzarchive.tar.gz", 0 },
	{ "${P//\\//-}|${P/\\//-}|${P//?/x}", "linux-arm-v7|linux-arm/v7|xxxxxxxxxxxx", 0 },
	{ "${P//linux}|${P/*m/z}", "/arm/v7|z/v7", 0 },
	{ "${N#x}${N/x/y}", "", 0 },
	{ "${F%\\*}", "archive.tar.gz", 0 },
	{ "'$A'\"$A\"", "$Aa", 0 },
	{ "'a\\b'", "a\\b", 0 },
	{ "\"a\\b\\\"\\$A\\\\\"", "a\\b\"$A\\", 0 },
	{ "a\\ b\\$A\\\\", "a b$A\\", 0 },
	{ "a\\", "a", 0 },
	{ "$Q", "\"q\"", 0 },
	{ "a`$A\\$A", "a$A\\a", '`' },
	{ "'a", NULL, 0 },
	{ "\"a", NULL, 0 },
	{ "\"a\\", NULL, 0 },
	{ "${A", NULL, 0 },
	{ "${", NULL, 0 },
	{ "${}", NULL, 0 },
	{ "${-", NULL, 0 },
	{ "${A:", NULL, 0 },
	{ "${A:x}", NULL, 0 },
	{ "${A:-x", NULL, 0 },
	{ "${A!x}", NULL, 0 },
	{ "${A#[}", NULL, 0 },
	{ "${A/x/y", NULL, 0 },
};

static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		const struct word_scope scope = { .escape = words[i].escape ? words[i].escape : '\\', .value = value };
		struct azm_err err = { 0 };
		cleanup_free char *got = word_expand(words[i].word, &scope, &err);
		if (!got != !words[i].want || (got && strcmp(got, words[i].want) != 0))
			fail_msg("%s: \"%s\", not \"%s\": %s", words[i].word, got ? got : "(refused)",
				words[i].want ? words[i].want : "(refused)", err.reason);
		assert_true(got || err.code == EINVAL);
	}
}

static void test_heredoc_text(void **state)
{
	const struct word_scope scope = { .escape = '`', .value = value };
	struct azm_err err = { 0 };
	cleanup_free char *got = word_expand_text("'$A' \"${A}\" \\$A \\n \\\\ `$A ${N:-x}\\\ny\\", &scope, &err);

	(void)state;
	assert_string_equal(got, "'a' \"a\" $A \\n \\ `a xy\\");
}

static const char *big_value(void *context, const char *name)
{
	(void)name;
	return context;
}

static void test_bounds(void **state)
{
	char big[1025] = "", word[1200], deep[200] = "";
	const struct word_scope scope = { .escape = '\\', .value = big_value, .context = big };
	struct azm_err err = { 0 };

	(void)state;
	memset(big, 'x', 1024);
	for (char *at = word; at < word + 600;)
		at = stpcpy(at, "$B");
	assert_null(word_expand(word, &scope, &err));
	assert_int_equal(err.code, E2BIG);
	for (char *at = deep; at < deep + 20 * strlen("${A+");)
		at = stpcpy(at, "${A+");
	assert_null(word_expand(deep, &scope, &err));
	assert_int_equal(err.code, E2BIG);
	assert_null(word_expand("${B#x}", &scope, &err));
	assert_int_equal(err.code, E2BIG);
}

static void split_is(const char *text, char escape, const char *want)
{
	cleanup_str_list struct str_list list = { 0 };
	char got[256] = "";

	words_split(text, escape, &list);
	for (size_t i = 0; i < list.count; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "|" : "", list.items[i]);
	assert_string_equal(got, want);
}

static void test_split(void **state)
{
	(void)state;
	split_is(" a  'b c'\td\"e \\\" f\"g h\\ i ", '\\', "a|'b c'|d\"e \\\" f\"g|h\\ i");
	split_is("a` b\\ c", '`', "a` b\\|c");
	split_is("'a\\' b", '\\', "'a\\'|b");
	split_is("'a b", '\\', "'a b");
	split_is("a\\", '\\', "a\\");
	split_is("  ", '\\', "");
}

static void test_json(void **state)
{
	cleanup_str_list struct str_list list = { 0 };

	(void)state;
	assert_int_equal(words_json(" [\"a\", \"\"] ", &list), 1);
	assert_int_equal(list.count, 2);
	assert_int_equal(words_json("[\"a\"] x", &list), 0);
	assert_int_equal(words_json("{\"a\": 1}", &list), 0);
	assert_int_equal(words_json("[[\"a\"]]", &list), -1);
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

static const struct {
	const char *pattern, *text;
	int flags;
	bool want;
} globs[] = {
	{ "", "", 0, true },
	{ "", "a", 0, false },
	{ "a", "a", 0, true },
	{ "*", "", 0, true },
	{ "a*c", "abc", 0, true },
	{ "a*c", "abcd", 0, false },
	{ "*a*b", "xaxxb", 0, true },
	{ "*", "a/b", GLOB_PATHS, false },
	{ "*", "a/b", 0, true },
	{ "*/b", "a/b", GLOB_PATHS, true },
	{ "?", "/", GLOB_PATHS, false },
	{ "a?c",
		"a\xc3\xa9"
		"c",
		0, true },
	{ "a?c",
		"a\xff"
		"c",
		0, true },
	{ "a??c",
		"a\xc3\xa9"
		"c",
		0, false },
	{ "[a-c]x", "bx", 0, true },
	{ "[^a-c]x", "bx", 0, false },
	{ "[^a-c]x", "dx", 0, true },
	{ "[^a]", "/", GLOB_PATHS, false },
	{ "[\\]-]", "]", 0, false },
	{ "[\\]\\-]", "-", 0, true },
	{ "[\xc3\xa0-\xc3\xaf]", "\xc3\xa9", 0, true },
	{ "\\*", "*", 0, true },
	{ "\\*", "a", 0, false },
	{ ".*", ".a", 0, true },
	{ "**", "a/b/c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "**", "a/b", GLOB_PATHS, false },
	{ "**/c", "a/b/c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "**/c", "c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "**/c", "a/bc", GLOB_PATHS | GLOB_DOUBLE_STAR, false },
	{ "a/**/c", "a/c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "a/**/c", "a/x/y/c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "a/**", "a/x/y", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "a/**", "a", GLOB_PATHS | GLOB_DOUBLE_STAR, false },
	{ "**/*.[ch]", "x/y.c", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "**/**/x", "a/x", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
	{ "a**b", "a/x/b", GLOB_PATHS | GLOB_DOUBLE_STAR, true },
};

static void test_globs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
		if (glob_match(globs[i].pattern, globs[i].text, globs[i].flags) != globs[i].want)
			fail_msg("%s against %s is not %d", globs[i].pattern, globs[i].text, globs[i].want);
}

static void test_bad_globs(void **state)
{
	static const char *const bad[] = { "[", "[]", "[a", "[a-", "[b-a]", "a\\", "[a\\", "[-]", "[^]" };
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(glob_check(bad[i], &err), -1);
		assert_false(glob_match(bad[i], "a", 0));
	}
	cleanup_free char *pattern = calloc(1, GLOB_MAX + 2);
	for (size_t i = 0; i < GLOB_MAX; i++)
		pattern[i] = "*a"[i % 2];
	assert_int_equal(glob_check(pattern, &err), 0);
	cleanup_free char *text = calloc(1, 4096);
	memset(text, 'a', 2000); /* what takes others years */
	assert_false(glob_match(pattern, text, 0));
	pattern[GLOB_MAX] = 'a';
	assert_int_equal(glob_check(pattern, &err), -1);
}

/* ---- .dockerignore ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *file, *path;
	bool want;
} ignores[] = {
	{ "", "a", false },
	{ "a", "a", true },
	{ "a", "a/b/c", true },
	{ "a", "b/a", false },
	{ "/a/", "a/b", true },
	{ "./a/../b", "b", true },
	{ "  a  \r\n", "a", true },
	{ "#a\n#b", "#a", false },
	{ " #a", "#a", true },
	{ "*.md\n!README.md", "x.md", true },
	{ "*.md\n!README.md", "README.md", false },
	{ "!README.md\n*.md", "README.md", true },
	{ "*.md\n!R*.md\nREADME.md", "README.md", true },
	{ "d\n!d/keep", "d/keep", false },
	{ "d\n!d/keep", "d/other", true },
	{ "**/*.o", "a/b/c.o", true },
	{ "*.o", "a/c.o", false },
	{ "*\n!src", "src/a/b", false },
	{ "*\n!src", "doc/a", true },
	{ "**\n!a/b", "a/b", false },
	{ "/\n.\n", "a", false },
	{ "a/*/c", "a/b/c/d", true },
};

static void test_ignore(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ignores / sizeof *ignores; i++) {
		cleanup_dockerignore struct dockerignore ignore = { 0 };
		struct azm_err err = { 0 };
		assert_int_equal(dockerignore_parse(ignores[i].file, ".dockerignore", &ignore, &err), 0);
		if (dockerignore_matches(&ignore, ignores[i].path) != ignores[i].want)
			fail_msg("%s: %s is not %d", ignores[i].file, ignores[i].path, ignores[i].want);
	}
}

static void test_bad_ignore(void **state)
{
	struct dockerignore ignore = { 0 };
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(dockerignore_parse("a\n[", ".dockerignore", &ignore, &err), -1);
	assert_non_null(strstr(err.text, ".dockerignore:2"));
	assert_int_equal(dockerignore_parse("!", ".dockerignore", &ignore, &err), -1);
	assert_null(ignore.items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_heredoc_text),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_bad_globs),
		cmocka_unit_test(test_ignore),
		cmocka_unit_test(test_bad_ignore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

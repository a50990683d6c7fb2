// SPDX-License-Identifier: GPL-2.0-or-later
/* How many commands a text holds: the cases upstream was observed with, and texts made to confuse the lexer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/commands.h"

static size_t count(const char *text)
{
	cleanup_str_list struct str_list pieces = { 0 };

	commands_split(text, &pieces);
	return pieces.count;
}

static void check(const char *const texts[], size_t wanted)
{
	for (size_t i = 0; texts[i]; i++)
		if (count(texts[i]) != wanted)
			fail_msg("%zu pieces instead of %zu: %s", count(texts[i]), wanted, texts[i]);
}

static void newlines_at_top_level_separate_commands(void **state)
{
	static const char *const two[] = { "ls\npwd", "\n\nls\n\n pwd\n", "a && b\nc", "a;\nb", "ls &\nps",
		"f() {\n a\n}\nf", "function f() {\na\n}\nf", "# c\nls", "cat <<EOF > f\nx\ny\nEOF\nls",
		"cat <<-'E'\n\tx\n\tE\nls", "cat <<A <<B\n1\nA\n2\nB\nls", "for i in 1; do\na\ndone; b\nc",
		"if a\nthen b\nfi | cat\nls", "(a\nb)\nc", "echo if\nls", "echo }\nls", "echo a#b\nls",
		"echo ${x#a}\nls", "diff <(a\n) <(b)\nx", "a &> f\nb", "a > f 2>&1\nb", "a <<< 'x\ny'\nb", "A=1\nls",
		"! ls\npwd", "echo $(\nls\n)\npwd", NULL };

	(void)state;
	check(two, 2);
	assert_int_equal(count("a\nb\nc"), 3);
}

static void one_command_may_have_many_lines(void **state)
{
	static const char *const one[] = { "ls", "a; b; c", "a | b && c || d &", "echo a \\\n b", "echo 'a\nb'",
		"echo \"a\n$(b\n)\"", "echo `a\nb`", "echo ${x:-a\nb}", "a |\nb", "a &&\nb", "a ||\n\nb",
		"for i in 1 2\ndo\na\ndone", "while a\ndo b\ndone < f", "until a; do b\ndone",
		"if a; then\nb\nelif c; then\nd\nelse\ne\nfi", "{ a\nb\n}", "(a\nb)", "f() {\na\n}", "f()\n{\na\n}",
		"function f {\na\n}", "cat <<EOF\nx\nEOF", "cat <<EOF && echo 2\nx\nEOF",
		"case x in\na) b;;\n(c) d\n;;\nesac", "ls # c\n# d", "git commit -m \"a\n\nb # c\"",
		"echo \"$(cat <<E\nx\nE\n)\"", "a | while read x; do\necho\ndone", "A=1 B=2 cmd", NULL };

	(void)state;
	check(one, 1);
}

static void what_is_not_understood_is_one_command(void **state)
{
	static const char *const odd[] = { "", " \n", "# only", "echo 'x\ny", "echo \"x\ny", "cat <<EOF\nx", "a &&\n",
		"fi\nls", "done", "}\nx", ")\nx", "if a\nb", "ls;;ls\nx", "$((1+2))\nls", "((i++))\nls",
		"[[ a && b ]]\nls", "case x in a) b;; esac\nls", "x=(a\nb)\nls", "select x in a\ndo b\ndone\nls",
		"echo $(\nls", "cat <<\nx", "f()\n", "((((((\n", "${${${\n", NULL };

	(void)state;
	check(odd, 1);
}

static void pieces_are_the_trimmed_source(void **state)
{
	cleanup_str_list struct str_list pieces = { 0 };

	(void)state;
	commands_split("  ls -l  \n\n\tcat <<E\nx\nE\n", &pieces);
	assert_int_equal(pieces.count, 2);
	assert_string_equal(pieces.items[0], "ls -l");
	assert_string_equal(pieces.items[1], "cat <<E\nx\nE");
}

/* Deep nesting and random tokens must end, and not run out of stack. */
static void hostile_texts_are_survived(void **state)
{
	static const char *const tokens[] = { "$(", "${", "(", ")", "{ ", "} ", "'", "\"", "`", "\\", "\n", "<<E", "<<",
		"E\n", "if ", "fi\n", "for ", "do ", "done ", ";", "&", "|", "#", "<", ">", " ", "x", "f() ",
		"function ", "a=(", "$" };
	static char text[1 << 16];

	(void)state;
	for (int round = 0; round < 400; round++) {
		size_t size = 0;
		srand((unsigned)round);
		for (int i = 0; i < 300; i++) {
			const char *token = tokens[(size_t)rand() % (sizeof tokens / sizeof *tokens)];
			size += (size_t)snprintf(text + size, sizeof text - size, "%s", token);
		}
		assert_true(count(text) >= 1);
	}
	for (size_t t = 0; t < 6; t++) {
		size_t size = 0, length = strlen(tokens[t]);
		for (; size + length < sizeof text; size += length)
			memcpy(text + size, tokens[t], length + 1);
		assert_true(count(text) >= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newlines_at_top_level_separate_commands),
		cmocka_unit_test(one_command_may_have_many_lines),
		cmocka_unit_test(what_is_not_understood_is_one_command),
		cmocka_unit_test(pieces_are_the_trimmed_source),
		cmocka_unit_test(hostile_texts_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_options.c: command lines from tables, and everything that is printed from the same tables
 * (base/options.h), with the options of `run` as the example. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "base/str.h"
#include "run_options.h"
#include "tests/unit/runtime_fixture.h"

struct seen {
	struct str_list calls;
};

static int note(void *config, const char *name, const char *value)
{
	str_list_addf(&((struct seen *)config)->calls, "%s=%s", name, value ? value : "");
	return 0;
}

#define NOTE(name)                                                                                                     \
	static int set_##name(void *config, const char *value, struct azm_err *err)                                    \
	{                                                                                                              \
		(void)err;                                                                                             \
		return note(config, #name, value);                                                                     \
	}
NOTE(interactive)
NOTE(tty)
NOTE(publish)
NOTE(name)

static int set_number(void *config, const char *value, struct azm_err *err)
{
	uint64_t number;

	return str_to_u64(value, 9, &number) ? note(config, "number", value)
					     : err_msg(err, EINVAL, "use number", NULL, "not 0 to 9");
}

static const struct option_row rows[] = {
	{ 'i', "interactive", NULL, set_interactive, "flag" },
	{ 't', "tty", NULL, set_tty, "flag" },
	{ 'p', "publish", "PORT", set_publish, "value" },
	{ 0, "name", "NAME", set_name, "no letter" },
	{ 'n', "number", "N", set_number, "checked" },
	OPTIONS_END,
};
static const struct command command = { .name = "test", .options = rows, .summary = "a test" };
static const struct command bare = { .name = "bare", .summary = "no options" };

/* Parse words separated by blanks; @calls: what the setters saw, likewise. */
static int parse(const struct command *which, const char *words, char **calls, struct azm_err *err)
{
	cleanup_str_list struct str_list argv = { 0 };
	struct seen seen = { 0 };

	str_list_add(&argv, which->name);
	if (*words)
		str_list_split(&argv, words, ' ');
	int operand = options_parse(which, &seen, (int)argv.count, argv.items, err);
	*calls = xstrdup("");
	for (size_t i = 0; i < seen.calls.count; i++) {
		char *longer = xasprintf("%s%s%s", *calls, i ? " " : "", seen.calls.items[i]);
		free(*calls);
		*calls = longer;
	}
	str_list_free(&seen.calls);
	return operand;
}

static void every_form_of_an_option_is_understood(void **state)
{
	static const struct {
		const char *words, *calls;
		int operand;
	} table[] = {
		{ "", "", 1 }, { "-i -t", "interactive= tty=", 3 }, { "-it cmd", "interactive= tty=", 2 },
		{ "-p 80 cmd", "publish=80", 3 }, { "-p80 cmd", "publish=80", 2 },
		{ "-itp80:90 cmd", "interactive= tty= publish=80:90", 2 },
		{ "-itp 80 cmd", "interactive= tty= publish=80", 3 }, { "-pi -i", "publish=i interactive=", 3 },
		{ "-p -i", "publish=-i", 3 }, /* a value may begin with a dash */
		{ "-p -- cmd", "publish=--", 3 }, { "--publish=80 --publish 81", "publish=80 publish=81", 4 },
		{ "--name=", "name=", 2 }, { "--name=a=b", "name=a=b", 2 }, { "-i -- -t", "interactive=", 3 },
		{ "-- --", "", 2 }, { "-i cmd -t", "interactive=", 2 }, /* POSIX order: the command's own options */
		{ "-", "", 1 },						/* stdin, by custom */
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct azm_err err = { 0 };
		cleanup_free char *calls = NULL;
		int operand = parse(&command, table[i].words, &calls, &err);
		if (operand != table[i].operand)
			fail_msg("\"%s\": %d: %s %s", table[i].words, operand, err.text, err.reason);
		assert_string_equal(calls, table[i].calls);
	}
}

static void what_is_not_an_option_is_refused(void **state)
{
	static const struct {
		const char *words, *says;
	} table[] = {
		{ "--nope", "--nope" },
		{ "-x", "-x" },
		{ "-ix", "-x" },
		{ "--nam=x", "--nam=x" }, /* no abbreviations: they change meaning with the next release */
		{ "--tty=yes", "takes no value" },
		{ "-p", "needs a value" },
		{ "-itp", "needs a value" },
		{ "--name", "needs a value" },
		{ "--number=10", "not 0 to 9" },
		{ "-n10", "not 0 to 9" },
		{ "--=x", "--=x" },
	};
	struct azm_err err = { 0 };
	cleanup_free char *none = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		cleanup_free char *calls = NULL;
		assert_int_equal(parse(&command, table[i].words, &calls, &err), -1);
		assert_int_equal(err.code, EINVAL);
		if (!strstr(err.reason, table[i].says))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", table[i].words, err.reason, table[i].says);
		err_clear(&err);
	}
	assert_int_equal(parse(&bare, "-i", &none, &err), -1);
}

/* ---- what is printed ------------------------------------------------------------------------------------------- */

static const struct command run_commands[] = {
	{ .name = "run", .operands = "[COMMAND]", .summary = "start", .options = run_option_rows, .details = "More." },
	{ .name = "logs", .operands = "NAME", .summary = "show", .options = rows },
	{ .name = "secret", .summary = "not shown", .hidden = true },
	{ .name = NULL },
};
static const struct man_section sections[] = {
	{ "FILES", "First.\n\n  example --a\n  .example two\n\nLast's." },
	{ NULL, NULL },
};
static const struct program program = { .name = "azm-test",
	.summary = "test",
	.description = "Describes.",
	.commands = run_commands,
	.sections = sections };

static void has(const char *text, const char *wanted)
{
	if (!strstr(text, wanted))
		fail_msg("\"%s\" is missing", wanted);
}

static void help_shows_every_row(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	options_help(&program, &run_commands[0], out);
	program_help(&program, out);
	fclose(out);
	for (const struct option_row *row = run_option_rows; row->name; row++) {
		cleanup_free char *form =
			row->letter ? xasprintf("-%c, --%s", row->letter, row->name) : xasprintf("    --%s", row->name);
		has(text, form);
		has(text, row->help);
	}
	has(text, "    --help");
	has(text, "More.");
	assert_null(strstr(text, "secret"));
	free(text);
}

/* A dash in a man page is written \-: a name as it appears there. */
static char *man_name(const char *name)
{
	char *text = xstrdup("\\-\\-");

	for (; *name; name++) {
		char *longer = *name == '-' ? xasprintf("%s\\-", text) : xasprintf("%s%c", text, *name);
		free(text);
		text = longer;
	}
	return text;
}

static void the_man_page_shows_every_row_and_quotes_its_markup(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	program_man(&program, out);
	fclose(out);
	for (const struct option_row *row = run_option_rows; row->name; row++) {
		cleanup_free char *name = man_name(row->name);
		has(text, name);
	}
	has(text, ".SH FILES\nFirst.\n");
	has(text, ".nf\n.RS 4\nexample \\-\\-a\n\\&.example two\n.RE\n.fi\n.PP\nLast\\(aqs.\n");
	assert_null(strstr(text, "secret"));
	free(text);
}

static void completions_know_every_row(void **state)
{
	static const struct {
		const char *shell, *dashes, *names;
	} shells[] = {
		{ "bash", "--", "names=$(azm-test ps -aq" },
		{ "zsh", "--", "azm-test ps -aq" },
		{ "fish", "-l ", "(azm-test ps -aq)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		assert_int_equal(program_completion(&program, shells[i].shell, out), 0);
		fclose(out);
		for (const struct option_row *row = run_option_rows; row->name; row++) {
			cleanup_free char *option = xasprintf("%s%s", shells[i].dashes, row->name);
			has(text, option);
		}
		has(text, shells[i].names);
		free(text);
	}
	assert_int_equal(program_completion(&program, "tcsh", stdout), -1);
}

/* A letter or a name that appears twice would make the second row dead. */
static void no_option_of_run_is_there_twice(void **state)
{
	(void)state;
	for (const struct option_row *row = run_option_rows; row->name; row++) {
		for (const struct option_row *other = row + 1; other->name; other++) {
			assert_string_not_equal(row->name, other->name);
			assert_true(!row->letter || row->letter != other->letter);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_an_option_is_understood),
		cmocka_unit_test(what_is_not_an_option_is_refused),
		cmocka_unit_test(help_shows_every_row),
		cmocka_unit_test(the_man_page_shows_every_row_and_quotes_its_markup),
		cmocka_unit_test(completions_know_every_row),
		cmocka_unit_test(no_option_of_run_is_there_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/options.c: see options.h */
#include "base/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/version.h"

static const struct option_row no_options[] = { OPTIONS_END };

static const struct option_row *rows_of(const struct command *command)
{
	return command->options ? command->options : no_options;
}

static const struct option_row *find_long(const struct command *command, const char *name, size_t length)
{
	for (const struct option_row *row = rows_of(command); row->name; row++)
		if (strlen(row->name) == length && strncmp(row->name, name, length) == 0)
			return row;
	return NULL;
}

static const struct option_row *find_short(const struct command *command, char letter)
{
	for (const struct option_row *row = rows_of(command); row->name; row++)
		if (row->letter == letter)
			return row;
	return NULL;
}

static int unknown(const struct command *command, const char *what, struct azm_err *err)
{
	err_msg(err, EINVAL, command->name, NULL, "unknown option %s", what);
	return err_hint(err, "see `%s %s --help`", program_invocation_short_name, command->name);
}

static int apply(const struct option_row *row, void *config, const char *value, struct azm_err *err)
{
	char label[64];

	if (row->set(config, value, err) == 0)
		return 0;
	snprintf(label, sizeof label, "--%s", row->name);
	return err_wrap(err, label, value);
}

static int missing_value(const struct option_row *row, struct azm_err *err)
{
	return err_msg(err, EINVAL, row->name, NULL, "needs a value: --%s %s", row->name, row->arg);
}

/* One "--name", "--name=value" or "--name value". Return: arguments used, -1 on error. */
static int parse_long(const struct command *command, void *config, char **argv, struct azm_err *err)
{
	const char *text = argv[0] + 2;
	size_t length = strcspn(text, "=");
	const struct option_row *row = find_long(command, text, length);

	if (!row)
		return unknown(command, argv[0], err);
	if (!row->arg) {
		if (text[length])
			return err_msg(err, EINVAL, argv[0], NULL, "--%s takes no value", row->name);
		return apply(row, config, NULL, err) < 0 ? -1 : 1;
	}
	if (text[length])
		return apply(row, config, text + length + 1, err) < 0 ? -1 : 1;
	if (!argv[1])
		return missing_value(row, err);
	return apply(row, config, argv[1], err) < 0 ? -1 : 2;
}

/* One "-x", "-xyz", "-xVALUE" or "-x VALUE". Return: arguments used, -1 on error. */
static int parse_short(const struct command *command, void *config, char **argv, struct azm_err *err)
{
	for (const char *letter = argv[0] + 1; *letter; letter++) {
		const struct option_row *row = find_short(command, *letter);
		if (!row) {
			char what[] = { '-', *letter, '\0' };
			return unknown(command, what, err);
		}
		if (row->arg) {
			const char *value = letter[1] ? letter + 1 : argv[1];
			if (!value)
				return missing_value(row, err);
			return apply(row, config, value, err) < 0 ? -1 : letter[1] ? 1 : 2;
		}
		if (apply(row, config, NULL, err) < 0)
			return -1;
	}
	return 1;
}

int options_parse(const struct command *command, void *config, int argc, char **argv, struct azm_err *err)
{
	int i = 1;

	while (i < argc) {
		const char *arg = argv[i];
		if (strcmp(arg, "--") == 0)
			return i + 1;
		if (arg[0] != '-' || arg[1] == '\0')
			return i;
		if (strcmp(arg, "--help") == 0) {
			options_help(NULL, command, stdout);
			exit(fflush(stdout) == 0 ? 0 : EXIT_AZM);
		}
		int used = arg[1] == '-' ? parse_long(command, config, argv + i, err)
					 : parse_short(command, config, argv + i, err);
		if (used < 0)
			return -1;
		i += used;
	}
	return i;
}

static void print_option(const struct option_row *row, FILE *out)
{
	char left[80];
	char letter[] = { row->letter ? '-' : ' ', row->letter ? row->letter : ' ', row->letter ? ',' : ' ', '\0' };

	snprintf(left, sizeof left, "%s --%s%s%s", letter, row->name, row->arg ? " " : "", row->arg ? row->arg : "");
	if (strlen(left) > 36)
		fprintf(out, "  %s\n  %-36s  %s\n", left, "", row->help);
	else
		fprintf(out, "  %-36s  %s\n", left, row->help);
}

void options_help(const struct program *program, const struct command *command, FILE *out)
{
	fprintf(out, "Usage: %s %s%s%s%s\n\n%s\n", program ? program->name : program_invocation_short_name,
		command->name, rows_of(command)->name ? " [OPTIONS]" : "", command->operands ? " " : "",
		command->operands ? command->operands : "", command->summary);
	if (command->details)
		fprintf(out, "\n%s\n", command->details);
	fprintf(out, "\nOptions:\n");
	for (const struct option_row *row = rows_of(command); row->name; row++)
		print_option(row, out);
	fprintf(out, "  %-36s  %s\n", "    --help", "show this help");
}

size_t command_group(const struct command *command)
{
	size_t length = strcspn(command->name, " ");

	return command->name[length] ? length : 0;
}

bool command_in_group(const struct command *command, const char *group, size_t length)
{
	return length > 0 && command_group(command) == length && strncmp(command->name, group, length) == 0;
}

bool command_begins_group(const struct program *program, const struct command *command)
{
	size_t length = command_group(command);

	return length && (command == program->commands || !command_in_group(command - 1, command->name, length));
}

/* All commands, or those of a group. Return: whether there is one. */
static bool list_commands(const struct program *program, const char *group, FILE *out)
{
	bool found = false;

	for (const struct command *command = program->commands; command->name; command++)
		if (!command->hidden && (!group || command_in_group(command, group, strlen(group)))) {
			if (!found)
				fprintf(out, "Usage: %s %s [OPTIONS] ...\n\n%s\n\nCommands:\n", program->name,
					group ? group : "COMMAND", program->summary);
			fprintf(out, "  %-15s  %s\n", command->name, command->summary);
			found = true;
		}
	if (found)
		fprintf(out, "\n`%s COMMAND --help` shows the options of a command.\n", program->name);
	return found;
}

void program_help(const struct program *program, FILE *out)
{
	list_commands(program, NULL, out);
}

const struct command *program_find(const struct program *program, const char *name)
{
	for (const struct command *command = program->commands; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

/* The command that the first words of a command line name. @words: how many that are. */
static const struct command *find_words(const struct program *program, int argc, char **argv, int *words)
{
	char two[64];
	const struct command *command = argc > 0 ? program_find(program, argv[0]) : NULL;

	*words = 1;
	if (command || argc < 2 || strchr(argv[0], ' ') ||
		snprintf(two, sizeof two, "%s %s", argv[0], argv[1]) >= (int)sizeof two)
		return command && !command_group(command) ? command : NULL;
	*words = 2;
	return program_find(program, two);
}

static int help_command(const struct program *program, int argc, char **argv)
{
	int words;
	const struct command *command = find_words(program, argc, argv, &words);

	if (argc == 0)
		program_help(program, stdout);
	else if (command)
		options_help(program, command, stdout);
	else if (argc == 1 && list_commands(program, argv[0], stdout))
		;
	else if (strcmp(argv[0], "man") == 0)
		program_man(program, stdout);
	else if (strcmp(argv[0], "completion") != 0 || argc != 2 || program_completion(program, argv[1], stdout) < 0) {
		fprintf(stderr, "%s: help: no such topic\nhint: COMMAND, man, or completion bash|zsh|fish\n",
			program->name);
		return EXIT_AZM;
	}
	return fflush(stdout) == 0 ? 0 : EXIT_AZM;
}

static int no_such_command(const struct program *program, int argc, char **argv)
{
	struct azm_err err;
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;

	/* "network --help"; "network" alone is no command, but it is clear what is wanted. */
	if ((argc == 1 || help) && list_commands(program, argv[0], help ? stdout : stderr))
		return help && fflush(stdout) == 0 ? 0 : EXIT_AZM;
	bool group = false;
	for (const struct command *command = program->commands; command->name; command++)
		group = group || command_in_group(command, argv[0], strlen(argv[0]));
	char words[64];
	snprintf(
		words, sizeof words, "%s%s%s", argv[0], group && argc > 1 ? " " : "", group && argc > 1 ? argv[1] : "");
	err_msg(&err, EINVAL, words, NULL, "no such command");
	err_hint(&err, "`%s help%s%s` lists the commands", program->name, group ? " " : "", group ? argv[0] : "");
	return err_print(&err, program->name);
}

void program_refuse_privileges(const struct program *program)
{
	if (!getauxval(AT_SECURE) && geteuid() == getuid() && getegid() == getgid())
		return;
	fprintf(stderr, "%s: start: the program must not be set-uid, set-gid or carry capabilities\n", program->name);
	exit(EXIT_AZM);
}

bool program_is_real_root(void)
{
	cleanup_free char *map = geteuid() == 0 ? read_path("/proc/self/uid_map", 4096, NULL) : NULL;
	unsigned inside, outside, count;

	return geteuid() == 0 && (!map || sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 ||
					 (inside == 0 && outside == 0 && count == UINT32_MAX));
}

int program_main(const struct program *program, int argc, char **argv)
{
	if (argc < 2) {
		program_help(program, stderr);
		return EXIT_AZM;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help_command(program, argc - 2, argv + 2);
	if (strcmp(argv[1], "--version") == 0) {
		printf("%s %s\n", program->name, AZM_VERSION);
		return fflush(stdout) == 0 ? 0 : EXIT_AZM;
	}
	int words;
	const struct command *command = find_words(program, argc - 1, argv + 1, &words);
	if (!command)
		return no_such_command(program, argc - 1, argv + 1);
	return command->run(argc - words, argv + words);
}

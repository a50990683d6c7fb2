// SPDX-License-Identifier: GPL-2.0-or-later
/* base/options.h: command lines from tables.
 *
 * A program is a table of commands, a command a table of options; one row is one option. The parser, --help, the man
 * page and the shell completions are all made from the rows, so they cannot drift apart.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

struct option_row {
	char letter;	  /* short form, 0 for none */
	const char *name; /* long form, without the dashes */
	const char *arg;  /* what the value is called in --help; NULL: a flag */
	/* Store the value into the command's configuration. @value is NULL for a flag. 0, or -1 with @err set. */
	int (*set)(void *config, const char *value, struct azm_err *err);
	const char *help; /* one line; ends a table when NULL together with name */
};

#define OPTIONS_END                                                                                                    \
	{                                                                                                              \
		0, NULL, NULL, NULL, NULL                                                                              \
	}

/*
 * OPTION_STORES() - define the setter of an option that only stores
 * @setter:	how it is called
 * @type:	of the command's configuration
 * @member:	of it
 * @what:	true for a flag, a constant, or @value: the text itself, which lives as long as the command line
 */
#define OPTION_STORES(setter, type, member, what)                                                                      \
	static int setter(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)      \
	{                                                                                                              \
		((type *)config)->member = what;                                                                       \
		return 0;                                                                                              \
	}

struct command {
	const char *name;		  /* "run"; "network create" for one of a group; NULL ends a table */
	const char *operands;		  /* what follows the options, for usage: "NAME COMMAND [ARG...]" */
	const char *summary;		  /* one line */
	const struct option_row *options; /* NULL: none but --help */
	/* Run with argv[0] = the (last word of the) command's name. Return: the exit status of the program. */
	int (*run)(int argc, char **argv);
	const char *details; /* paragraphs for --help and the man page; may be NULL */
	bool hidden;
};

/* A section of the man page after the commands: EXAMPLES, FILES ... An empty line begins a paragraph; lines that begin
 * with a blank are examples and stay as they are. */
struct man_section {
	const char *title; /* NULL ends a list */
	const char *text;
};

struct program {
	const char *name;
	const char *summary;
	const char *description; /* for the man page */
	const struct command *commands;
	const struct man_section *sections; /* for the man page; NULL: only what exit statuses mean */
};

/**
 * options_parse() - parse the options in front of the operands
 * @command:	whose table it is; "--help" prints the help on stdout and exits 0
 * @config:	handed to the setters
 * @argv:	argv[0] is the command's name
 *
 * POSIX order: the first argument that is not an option, or the one after "--", ends the options. Short flags can be
 * joined (-it), values may be attached (-p80, --name=x) or follow. Return: index of the first operand, or -1 with @err
 * set (EINVAL)
 */
int options_parse(const struct command *command, void *config, int argc, char **argv, struct azm_err *err);

/** options_help() - usage, summary and one line an option. */
void options_help(const struct program *program, const struct command *command, FILE *out);

/** program_help() - the list of commands. */
void program_help(const struct program *program, FILE *out);

/** program_man() - the manual page in man(7) format, date from SOURCE_DATE_EPOCH, else the release's. */
void program_man(const struct program *program, FILE *out);

/** program_completion() - a completion script for "bash", "zsh" or "fish". Return: 0, -1 for another shell. */
int program_completion(const struct program *program, const char *shell, FILE *out);

/** program_find() - the command of that name ("run", "network create"), or NULL. */
const struct command *program_find(const struct program *program, const char *name);

/** command_group() - length of the first word of a command of two words, 0 of others. */
size_t command_group(const struct command *command);

/** command_in_group() - whether a command is one of the group @group (@length bytes: "network"). */
bool command_in_group(const struct command *command, const char *group, size_t length);

/** command_begins_group() - whether a command is the first one in the table of its group: where completions list it. */
bool command_begins_group(const struct program *program, const struct command *command);

/**
 * program_refuse_privileges() - end the program when it has more rights than who started it: set-uid, set-gid, file
 * capabilities (AT_SECURE in getauxval(3))
 */
void program_refuse_privileges(const struct program *program);

/** program_is_real_root() - uid 0 of the first user namespace, as far as can be told: an outer container's root is not.
 */
bool program_is_real_root(void);

/**
 * program_main() - dispatch: "PROGRAM COMMAND ...", help, --help, --version
 *
 * The commands of a group come one after the other in the table.
 *
 * "PROGRAM help man" and "PROGRAM help completion SHELL" print what program_man() and program_completion() make.
 */
int program_main(const struct program *program, int argc, char **argv);

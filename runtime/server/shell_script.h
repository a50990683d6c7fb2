// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_script.h: the few lines of shell that tie a shell to the server, and the marks they print.
 *
 * Theory of operation
 *
 * The shell inherits a memory file on descriptor SHELL_SCRIPT_FD. The server writes a script into it and types a short
 * fixed line that makes the shell read and evaluate it; so a command of any size and content (control characters, tabs,
 * unbalanced quotes) reaches the shell unharmed, with no terminal editing in between, and its echo is that fixed line.
 *
 * The script first prints a *start mark* and waits on the channel for a line with the command's number (an interrupt
 * may have kept the shell from reading the line of a command before), then runs the command. PROMPT_COMMAND (bash) or
 * PS1 (other shells) prints an *end mark*. What lies between is the command's output, exactly. Marks travel through the
 * terminal, so they cannot overtake the output or be overtaken by it: a second channel would have to be synchronised
 * with the terminal's buffers in the kernel, which are flushed by a worker at its leisure.
 *
 * A mark is an escape sequence with a random key, so that nothing prints one by accident. But the hook of bash is
 * exported, because a nested interactive shell has to report its prompts too: a program can read the key and print the
 * mark. So bash's end mark says only "here"; what makes it an end is a *report* with the exit status and the directory,
 * which the shell wrote to the channel (shell_channel.h) just before. Nobody else can write that one. Other shells
 * cannot write anything while they expand PS1; there the end mark carries the report, between copies of a second key,
 * the secret, which only the shell's memory holds: their PS1 is not exported, and nested shells are programs like any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/shell.h"
#include "server/text.h"

enum {
	SHELL_SCRIPT_FD = 60, /* below 63..61, which bash takes for <( ), above what scripts use */
	SHELL_CHANNEL_FD = 59,
	SHELL_KEY_LENGTH = 32,
	SHELL_MARK_MAX = 65536, /* bytes of a report; it carries $PWD and $PATH */
};

struct shell_keys {
	bool marks_report; /* end marks carry the report */
	unsigned command;  /* number of the last one */
	char mark[SHELL_KEY_LENGTH + 1], secret[SHELL_KEY_LENGTH + 1];
};

enum shell_dialect { SHELL_BASH, SHELL_POSIX };

/** shell_script_start() - what the shell reads when it starts. @user_files: read ~/.bashrc as well. */
void shell_script_start(struct text *out, enum shell_dialect dialect, const struct shell_keys *keys, bool user_files);

/** shell_script_command() - what the shell evaluates to run @command. */
void shell_script_command(
	struct text *out, enum shell_dialect dialect, const struct shell_keys *keys, const char *command);

/** shell_script_line() - the line to type that makes the shell evaluate the script. */
const char *shell_script_line(enum shell_dialect dialect);

enum mark_kind { MARK_NONE, MARK_PARTIAL, MARK_START, MARK_END };

/**
 * shell_mark_find() - look for the next mark in terminal output
 * @plain:	set to the number of bytes in front of the mark, which are output
 * @whole:	set to the number of bytes up to its end
 * @report:	set for MARK_END to the report in it, ended by NUL in place; NULL if it has none
 *
 * MARK_PARTIAL: after @plain bytes a mark seems to begin that has not arrived entirely.
 */
enum mark_kind shell_mark_find(
	char *bytes, size_t size, const struct shell_keys *keys, size_t *plain, size_t *whole, char **report);

/** shell_report_parse() - what a report says. @text is changed, the strings of @prompt point into it. */
bool shell_report_parse(char *text, const struct shell_keys *keys, struct shell_prompt *prompt);

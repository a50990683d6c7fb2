// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_script.h: the few lines of shell that tie a shell to the server, and the marks they print.
 *
 * Theory of operation
 *
 * The shell inherits a memory file on descriptor SHELL_SCRIPT_FD. The server writes a script into it and types a short
 * fixed line that makes the shell read and evaluate it; so a command of any size and content (control characters, tabs,
 * unbalanced quotes) reaches the shell unharmed, with no terminal editing in between, and its echo is that fixed line.
 *
 * The script first prints a *start mark*, then runs the command. PROMPT_COMMAND (bash) or PS1 (other shells) prints an
 * *end mark* with the exit status and the working directory. What lies between is the command's output, exactly.
 *
 * Marks travel through the terminal, so they cannot overtake the output or be overtaken by it: a second channel would
 * have to be synchronised with the terminal's buffers in the kernel, which are flushed by a worker at its leisure. A
 * mark is an escape sequence that contains 128 random bits chosen for this shell. Printed text cannot contain it by
 * accident, and a file or a program's output that imitates one does not know the number. The hook is exported, because
 * a nested interactive shell has to report its prompts too; a program that reads the number from its environment only
 * to end its own command early could as well exit.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/shell.h"
#include "server/text.h"

enum {
	SHELL_SCRIPT_FD = 60, /* below 63..61, which bash takes for <( ), above what scripts use */
	SHELL_KEY_LENGTH = 32,
	SHELL_MARK_MAX = 65536, /* bytes; the mark carries $PWD and $PATH */
};

enum shell_dialect { SHELL_BASH, SHELL_POSIX };

/** shell_script_start() - what the shell reads when it starts. @user_files: read ~/.bashrc as well. */
void shell_script_start(struct text *out, enum shell_dialect dialect, const char *key, bool user_files);

/** shell_script_command() - what the shell evaluates to run @command. */
void shell_script_command(struct text *out, enum shell_dialect dialect, const char *key, const char *command);

/** shell_script_line() - the line to type that makes the shell evaluate the script. */
const char *shell_script_line(enum shell_dialect dialect);

enum mark_kind { MARK_NONE, MARK_PARTIAL, MARK_START, MARK_END };

/**
 * shell_mark_find() - look for the next mark in terminal output
 * @bytes:	output, changed: the strings of an end mark are terminated in place
 * @plain:	set to the number of bytes in front of the mark, which are output
 * @whole:	set to the number of bytes up to its end
 * @prompt:	filled for MARK_END; its strings point into @bytes
 *
 * MARK_PARTIAL: after @plain bytes a mark seems to begin that has not arrived entirely.
 */
enum mark_kind shell_mark_find(
	char *bytes, size_t size, const char *key, size_t *plain, size_t *whole, struct shell_prompt *prompt);

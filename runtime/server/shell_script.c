// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_script.c: see shell_script.h
 *
 * What the script lines have to survive: set -u (every variable may be unset), set -e and ERR traps (a failing command
 * that is not the last of an && list triggers neither), set -x (the trace of a group goes where its stderr goes),
 * `exec >file` (marks go to the terminal itself).
 */
#include "server/shell_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Clears what may be left on the line (an answer to a terminal query that nobody read), then calls the script. The
 * blank keeps it out of the history. */
#define TYPED(line) "\025 " line "\r"

const char *shell_script_line(enum shell_dialect dialect)
{
	return dialect == SHELL_BASH ? TYPED("eval \"$__azm\"") : TYPED(". /proc/self/fd/60");
}

static void add_quoted(struct text *out, const char *string)
{
	text_add(out, "'", 1);
	for (; *string; string++)
		text_add(out, *string == '\'' ? "'\\''" : string, *string == '\'' ? 4 : 1);
	text_add(out, "'", 1);
}

/* $PROMPT_COMMAND: bash runs it before every prompt and keeps $? for the user. */
static void add_prompt_command(struct text *out, const char *key)
{
	struct text hook = { 0 };

	text_addf(&hook,
		"{ __azm_status=$?; PS1= PS2=; "
		"printf '\\033]77;%s;e;%%s;%%s;%%s;%%s%s%%s%s\\007' "
		"\"$__azm_status\" \"${!-}\" \"${EUID-}\" \"${PWD-}\" \"${PATH-}\" >/dev/tty; } 2>/dev/null",
		key, key, key);
	text_addf(out, "export PROMPT_COMMAND=");
	add_quoted(out, hook.bytes);
	text_addf(out, "\n");
	text_free(&hook);
}

static void start_bash(struct text *out, const char *key, bool user_files)
{
	if (user_files)
		text_addf(out, "[ -f ~/.bashrc ] && . ~/.bashrc\n");
	text_addf(out,
		"alias git='git --no-pager'\n"
		"bind 'set enable-bracketed-paste off' 2>/dev/null\n"
		"HISTCONTROL=ignoreboth\n"
		"unset PROMPT_COMMAND\n"
		"export __azm='__azm_status=$?; IFS= read -rd \"\" -u60 __azm_script; eval \"$__azm_script\"'\n");
	add_prompt_command(out, key);
}

/* Other shells have no hook, but expand parameters in PS1 (POSIX). */
static void start_posix(struct text *out, const char *key)
{
	text_addf(out,
		"unset ENV\n"
		"PS2=\n"
		"PS1='\033]77;%s;e;$?;${!-};%u;${PWD-}%s${PATH-}%s\007'\n",
		key, (unsigned)geteuid(), key, key);
}

void shell_script_start(struct text *out, enum shell_dialect dialect, const char *key, bool user_files)
{
	if (dialect == SHELL_BASH)
		start_bash(out, key, user_files);
	else
		start_posix(out, key);
}

void shell_script_command(struct text *out, enum shell_dialect dialect, const char *key, const char *command)
{
	if (dialect == SHELL_POSIX)
		text_addf(out, "__azm_status=$?\n");
	text_addf(out,
		"__azm_return() { return $1; }\n"
		"{ printf '\\033]77;%s;s%s\\007' >/dev/tty; ",
		key, key);
	/* A command may have replaced PROMPT_COMMAND (a freshly sourced start-up file does). */
	if (dialect == SHELL_BASH) {
		text_addf(out, "case ${PROMPT_COMMAND-} in *%s*) ;; *) ", key);
		add_prompt_command(out, key);
		text_addf(out, ";; esac; ");
	}
	text_addf(out, "__azm_return $__azm_status && :; } 2>/dev/null\n");
	text_add(out, command, strlen(command));
	text_add(out, "\n", 1);
	if (dialect == SHELL_BASH)
		text_add(out, "", 1); /* what `read -d ""` reads up to */
}

static size_t mark_prefix(char prefix[static 64], const char *key)
{
	return (size_t)snprintf(prefix, 64, "\033]77;%s;", key);
}

/* "e;STATUS;BACKGROUND;UID;PWD<key>PATH", ended by NUL */
static bool parse_end(char *text, const char *key, struct shell_prompt *prompt)
{
	char *rest = text + 2;

	prompt->exit_code = (int)strtol(rest, &rest, 10);
	if (*rest++ != ';')
		return false;
	char *background = rest;
	prompt->background = strtol(background, &rest, 10);
	if (rest == background)
		prompt->background = -1;
	if (*rest++ != ';')
		return false;
	prompt->uid = (uid_t)strtoul(rest, &rest, 10);
	if (*rest++ != ';')
		return false;
	char *path = strstr(rest, key);
	if (!path)
		return false;
	*path = '\0';
	prompt->cwd = rest;
	prompt->path = path + SHELL_KEY_LENGTH;
	return true;
}

/* Length of the longest proper prefix of the mark that ends @bytes. */
static size_t partial_tail(const char *bytes, size_t size, const char *prefix, size_t prefix_size)
{
	for (size_t n = size < prefix_size ? size : prefix_size - 1; n; n--)
		if (memcmp(bytes + size - n, prefix, n) == 0)
			return n;
	return 0;
}

enum mark_kind shell_mark_find(
	char *bytes, size_t size, const char *key, size_t *plain, size_t *whole, struct shell_prompt *prompt)
{
	char prefix[64], suffix[64];
	size_t prefix_size = mark_prefix(prefix, key);
	size_t suffix_size = (size_t)snprintf(suffix, sizeof suffix, "%s\007", key);
	char *mark = memmem(bytes, size, prefix, prefix_size);

	if (!mark) {
		size_t held = partial_tail(bytes, size, prefix, prefix_size);
		*plain = *whole = size - held;
		return held ? MARK_PARTIAL : MARK_NONE;
	}
	*plain = *whole = (size_t)(mark - bytes);
	char *text = mark + prefix_size;
	char *end = memmem(text, size - (size_t)(text - bytes), suffix, suffix_size);
	if (!end && size - *plain < SHELL_MARK_MAX)
		return MARK_PARTIAL;
	if (!end) {
		*plain = *whole = size;
		return MARK_NONE;
	}
	*whole = (size_t)(end - bytes) + suffix_size;
	*end = '\0';
	if (text[0] == 's' && !text[1])
		return MARK_START;
	if (text[0] == 'e' && text[1] == ';' && parse_end(text, key, prompt))
		return MARK_END;
	*plain = *whole; /* not one of ours after all: it is output */
	return MARK_NONE;
}

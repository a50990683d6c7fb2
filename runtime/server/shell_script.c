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

#include "server/commands.h"

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

/* $PROMPT_COMMAND: bash runs it before every prompt and keeps $? for the user. The report comes before the mark. */
static void add_prompt_command(struct text *out, const struct shell_keys *keys)
{
	struct text hook = { 0 };

	text_addf(&hook,
		"{ __azm_status=${__azm_last-$?}; unset __azm_last; PS1= PS2=; "
		"printf '%%s;%%s;%%s;%%s%s%%s\\0' "
		"\"$__azm_status\" \"${!-}\" \"${EUID-}\" \"${PWD-}\" \"${PATH-}\" >&%d; "
		"printf '\\033]77;%s;e\\007' >/dev/tty; } 2>/dev/null",
		keys->secret, SHELL_CHANNEL_FD, keys->mark);
	text_addf(out, "export PROMPT_COMMAND=");
	add_quoted(out, hook.bytes);
	text_addf(out, "\n");
	text_free(&hook);
}

static void start_bash(struct text *out, const struct shell_keys *keys, bool user_files)
{
	if (user_files)
		text_addf(out, "[ -f ~/.bashrc ] && . ~/.bashrc\n");
	text_addf(out,
		"alias git='git --no-pager'\n"
		"bind 'set enable-bracketed-paste off' 2>/dev/null\n"
		"HISTCONTROL=ignoreboth\n"
		"unset PROMPT_COMMAND TMOUT 2>/dev/null\n" /* TMOUT would end a shell that waits for the next command */
		"export __azm='__azm_now=$?; IFS= read -rd \"\" __azm_script </proc/self/fd/%d && eval "
		"\"$__azm_script\"'\n",
		SHELL_SCRIPT_FD);
	add_prompt_command(out, keys);
}

/* Other shells have no hook, but expand parameters in PS1 (POSIX). The secret stays in a variable that is not exported:
 * the script of a command can be read by what it starts. */
static void start_posix(struct text *out, const struct shell_keys *keys)
{
	text_addf(out,
		"unset ENV\n"
		"PS2=\n"
		"__azm_ps1='\033]77;%s;e;%s$?;${!-};%u;${PWD-}%s${PATH-}%s\007'\n"
		"PS1=$__azm_ps1\n",
		keys->mark, keys->secret, (unsigned)geteuid(), keys->secret, keys->secret);
}

void shell_script_start(struct text *out, enum shell_dialect dialect, const struct shell_keys *keys, bool user_files)
{
	if (dialect == SHELL_BASH)
		start_bash(out, keys, user_files);
	else
		start_posix(out, keys);
}

/* The start mark is printed, and the line read that answers it. A second time, if the end of a background process came
 * in between: busybox forgets what it was about to write. */
static void add_start(struct text *out, const struct shell_keys *keys)
{
	text_addf(out,
		"__azm_mark() { printf '\\033]77;%s;s\\007' >/dev/tty; }; { __azm_mark || __azm_mark; } && "
		"while IFS= read -r __azm_go <&%d && [ \"$__azm_go\" != %u ]; do :; done; ",
		keys->mark, SHELL_CHANNEL_FD, keys->command);
}

static void command_bash(struct text *out, const struct shell_keys *keys, const char *command)
{
	text_addf(out, "__azm_return() { return $1; }\n{ ");
	add_start(out, keys);
	/* A command may have replaced PROMPT_COMMAND (a freshly sourced start-up file does), which saves the status. */
	text_addf(out, "case ${PROMPT_COMMAND-} in *%s*) ;; *) __azm_status=${__azm_last-$__azm_now}; ", keys->mark);
	add_prompt_command(out, keys);
	text_addf(out, ";; esac; ");
	if (*command) {
		text_addf(out, "history -s -- ");
		add_quoted(out, command);
	}
	/* $? and $_ as the command before left them. */
	text_addf(out,
		"\nunset __azm_last\n"
		"__azm_return \"${__azm_status-0}\" \"${__azm_word-}\" && : \"${__azm_word-}\"; } 2>/dev/null\n");
	text_add(out, command, strlen(command));
	text_add(out, "\n", 1);
	/* A failure of the whole text would be a second one to an ERR trap. Not where this line could become a part of
	 * the command. */
	if (*command && commands_complete(command))
		text_addf(out, "{ __azm_last=$? __azm_word=$_; } 2>/dev/null\n");
	text_add(out, "", 1); /* what `read -d ""` reads up to */
}

static void command_posix(struct text *out, const struct shell_keys *keys, const char *command)
{
	text_addf(out, "__azm_status=$?\n__azm_return() { return $1; }\n{ ");
	add_start(out, keys);
	/* A command may have replaced PS1, as a sourced /etc/profile does, and exported it: in busybox it stays so when
	 * it is unset, in dash not, which has no -n and would end the script for it. */
	text_addf(out,
		"case ${PS1-} in *%s*) ;; *) unset PS1; (export -n PS1) && export -n PS1; PS1=${__azm_ps1-};; esac; "
		"__azm_return $__azm_status && :; } 2>/dev/null\n",
		keys->mark);
	text_add(out, command, strlen(command));
	text_add(out, "\n", 1);
}

void shell_script_command(
	struct text *out, enum shell_dialect dialect, const struct shell_keys *keys, const char *command)
{
	(dialect == SHELL_BASH ? command_bash : command_posix)(out, keys, command);
}

/* "STATUS;BACKGROUND;UID;PWD<secret>PATH" */
bool shell_report_parse(char *text, const struct shell_keys *keys, struct shell_prompt *prompt)
{
	char *rest = text;

	prompt->exit_code = (int)strtol(rest, &rest, 10);
	if (rest == text || *rest++ != ';')
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
	char *path = strstr(rest, keys->secret);
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

/* Behind "e;": the secret, the report, the secret again. Sets @whole to the bytes of all that. */
static enum mark_kind find_report(char *text, size_t size, const struct shell_keys *keys, size_t *whole, char **report)
{
	char suffix[SHELL_KEY_LENGTH + 2];
	size_t known = size < SHELL_KEY_LENGTH ? size : SHELL_KEY_LENGTH;

	if (memcmp(text, keys->secret, known) != 0)
		return MARK_NONE;
	if (known < SHELL_KEY_LENGTH)
		return MARK_PARTIAL;
	text += known;
	size -= known;
	memcpy(suffix, keys->secret, SHELL_KEY_LENGTH);
	suffix[SHELL_KEY_LENGTH] = '\007';
	char *end = memmem(text, size, suffix, SHELL_KEY_LENGTH + 1);
	if (!end)
		return size < SHELL_MARK_MAX ? MARK_PARTIAL : MARK_NONE;
	*end = '\0';
	*report = text;
	*whole = known + (size_t)(end - text) + SHELL_KEY_LENGTH + 1;
	return MARK_END;
}

enum mark_kind shell_mark_find(
	char *bytes, size_t size, const struct shell_keys *keys, size_t *plain, size_t *whole, char **report)
{
	char prefix[64];
	size_t prefix_size = (size_t)snprintf(prefix, sizeof prefix, "\033]77;%s;", keys->mark), report_size = 0;
	char *mark = memmem(bytes, size, prefix, prefix_size);

	*report = NULL;
	if (!mark) {
		size_t held = partial_tail(bytes, size, prefix, prefix_size);
		*plain = *whole = size - held;
		return held ? MARK_PARTIAL : MARK_NONE;
	}
	*plain = (size_t)(mark - bytes);
	const char *kind = mark + prefix_size;
	size_t left = size - *plain - prefix_size;
	*whole = *plain + prefix_size + 2;
	if (left < 2) {
		*whole = *plain;
		return MARK_PARTIAL;
	}
	if (memcmp(kind, "s\007", 2) == 0)
		return MARK_START;
	if (memcmp(kind, "e\007", 2) == 0)
		return MARK_END;
	enum mark_kind found = MARK_NONE;
	if (keys->marks_report && memcmp(kind, "e;", 2) == 0)
		found = find_report(mark + prefix_size + 2, left - 2, keys, &report_size, report);
	if (found == MARK_END)
		*whole += report_size;
	else if (found == MARK_PARTIAL)
		*whole = *plain;
	else
		*plain = *whole; /* not one of ours after all: it is output */
	return found;
}

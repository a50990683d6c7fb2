// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell.h: one interactive shell on a pseudo-terminal, and how commands get into it and out of it. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "server/loop.h"

struct shell;

/* What the shell says about itself whenever it is ready for a command. Strings live during the callback. */
struct shell_prompt {
	int exit_code;	 /* $? */
	long background; /* $!, -1 if none */
	uid_t uid;
	const char *cwd;  /* $PWD */
	const char *path; /* $PATH */
};

struct shell_end {
	int exit_code;							   /* 128+n after signal n */
	int signal;							   /* n, or 0 */
	enum { SHELL_NEVER_READY, SHELL_NOT_BEGUN, SHELL_BEGUN } progress; /* of the shell, and of its last command */
};

/* Called from the loop; shell_free() may be called from within. */
struct shell_events {
	void (*output)(void *context); /* what the screen shows has changed */
	void (*prompt)(void *context, const struct shell_prompt *prompt);
	void (*exited)(void *context, const struct shell_end *end); /* all output was read */
};

/* All shells of the server, so that the one place that reaps children can find them. */
struct shell_set {
	struct shell *first;
};

struct shell_config {
	struct loop *loop;
	struct shell_set *set;
	const char *cwd;
	bool without_user_files; /* do not read ~/.bashrc: it ended the shell before */
	const struct shell_events *events;
	void *context;
};

/**
 * shell_start() - start bash, or sh where there is no bash
 *
 * The first prompt is not reported: a command may be given at once and waits for it.
 *
 * Return: the shell, or NULL with @err set; shell_free() hangs up on it
 */
struct shell *shell_start(const struct shell_config *config, struct azm_err *err);
void shell_free(struct shell *shell);

/** shell_run() - execute a command line (it may have many lines, but no NUL); only while the shell waits for one. */
int shell_run(struct shell *shell, const char *command, struct azm_err *err);

/**
 * shell_await_line() - wait until an idle bash reads its line, 50 ms at most
 *
 * Between its prompt's report and readline's taking the terminal over, half a millisecond usually, bash loses an
 * interrupt. Other shells need no waiting for.
 */
void shell_await_line(const struct shell *shell);

/** shell_type() - type bytes on the terminal, once the command that was given to shell_run() has begun. */
void shell_type(struct shell *shell, const char *bytes, size_t size);

/** shell_press() - type a control character for the running command. One that sends a signal is typed again when it met
 * nobody because it came between two programs of the command. */
void shell_press(struct shell *shell, char key);

/** shell_probe() - a shell that reads a command line although it has not said so gets its prompt hook back, and a
 * prompt callback follows; one that cannot be spoken to any more is ended. Any other one is left alone. */
void shell_probe(struct shell *shell);

/** shell_is_posix() - whether it is sh, for want of bash. */
bool shell_is_posix(const struct shell *shell);

/** shell_text() / shell_lost_lines() / shell_clear() - the screen: see screen.h. */
char *shell_text(const struct shell *shell);
bool shell_lost_lines(const struct shell *shell);
void shell_clear(struct shell *shell);

/** shell_set_reap() - a child ended: tell its shell, if it was one. */
void shell_set_reap(struct shell_set *set, pid_t pid, int status);

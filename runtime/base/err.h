// SPDX-License-Identifier: GPL-2.0-or-later
/* base/err.h: the one error object of the project.
 *
 * A function that can fail returns a negative value and fills the error where the failure happens: which step, on which
 * object, why, and what the user can do. Callers add context with err_wrap(); only a command renders the result, once,
 * as "azm-sandbox: TEXT: REASON" and "hint: HINT". The object is plain data, so that azm-init can send it through a
 * pipe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Exit statuses of the programs (Docker's): 125 we failed, 126 COMMAND cannot be executed, 127 COMMAND not found. */
enum { EXIT_AZM = 125, EXIT_CANNOT_EXEC = 126, EXIT_NOT_FOUND = 127 };

struct azm_err {
	int code;	  /* errno value; 0 when no error is set */
	int exit_status;  /* EXIT_*; 0 means EXIT_AZM */
	char text[512];	  /* step and object, outermost context first: `start "demo": mask /proc/kcore` */
	char reason[384]; /* why; empty means strerror(code) */
	char hint[640];	  /* what to do about it; may be empty */
};

/**
 * err_sys() - set an error from errno
 * @err:	object to fill; anything in it before is replaced
 * @step:	what was being done, a verb phrase: "mask", "open workspace"
 * @object:	what it was done to, usually a path; may be NULL
 *
 * Return: -1, so that `return err_sys(...)` ends a function
 */
int err_sys(struct azm_err *err, const char *step, const char *object);

/** err_code() - as err_sys(), with an errno value of the caller's (positive). */
int err_code(struct azm_err *err, int code, const char *step, const char *object);

/**
 * err_msg() - set an error whose reason is not an errno text
 * @code:	errno value that classifies it (err_is() looks at it), for example EINVAL
 * @format:	the reason, printf style
 *
 * Return: -1
 */
[[gnu::format(printf, 5, 6)]] int err_msg(
	struct azm_err *err, int code, const char *step, const char *object, const char *format, ...);

/** err_wrap() - put "step object: " in front of an error that is already set. Return: -1. */
int err_wrap(struct azm_err *err, const char *step, const char *object);

/** err_hint() - say what the user can do; replaces an earlier hint. Return: -1. */
[[gnu::format(printf, 2, 3)]] int err_hint(struct azm_err *err, const char *format, ...);

/** err_is() - whether an error is set and of this errno class. */
bool err_is(const struct azm_err *err, int code);

/** err_clear() - forget an error that was handled. */
void err_clear(struct azm_err *err);

/**
 * err_print() - render an error on stderr: one line, and a second one with the hint
 * @program:	the name in front, "azm-sandbox"
 *
 * Control characters are replaced: names of files may come from an image.
 *
 * Return: the exit status that belongs to the error
 */
int err_print(const struct azm_err *err, const char *program);

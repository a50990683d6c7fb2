// SPDX-License-Identifier: GPL-2.0-or-later
/* server/git_run.h: one git command, waited for. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "server/text.h"

/** git_prepare() - the environment of all git commands: no questions, no pager, no locks, messages in English. */
void git_prepare(void);

/**
 * git_run() - run git in a directory
 * @arguments:	after "git", ended by NULL
 * @limit:	most bytes of output
 * @out:	empty; what it printed. NULL: not wanted
 *
 * Return: 0 when it succeeded, -1 with @err set: ENOENT there is no git, ETIMEDOUT, EFBIG, EIO it failed
 */
int git_run(const char *directory, const char *const arguments[], size_t limit, struct text *out, struct azm_err *err);

/** git_line() - the output of a command that prints one line, without the newline. Caller owns; NULL: it failed */
char *git_line(const char *directory, const char *const arguments[]);

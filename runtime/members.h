// SPDX-License-Identifier: GPL-2.0-or-later
/* members.h: the processes of a running sandbox, as its user sees them on the host.
 *
 * They are found by their pid namespace (or one below it): `exec` makes processes that are no descendants of azm-init.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct member {
	pid_t pid;		  /* the host's number; azm-init is one of them */
	char state;		  /* as in proc_pid_stat(5): R, S, T, Z, ... */
	unsigned long long ticks; /* processor time of its own and of its children that ended */
};

/**
 * members_list() - all of them
 * @init:	azm-init, as the host sees it
 * @list:	set to an array the caller frees
 *
 * A process that comes or goes meanwhile may be missing. Return: 0, or -1 with @err set (ESRCH: @init is gone)
 */
[[gnu::nonnull]] int members_list(pid_t init, struct member **list, size_t *count, struct azm_err *err);

/**
 * members_signal() - send a signal to one of them
 *
 * Its number may be another process's since it was listed, the user's own: that one gets nothing. Return: whether it
 * was sent
 */
bool members_signal(pid_t init, pid_t pid, int signal);

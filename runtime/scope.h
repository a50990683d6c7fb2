// SPDX-License-Identifier: GPL-2.0-or-later
/* scope.h: asking systemd for a delegated cgroup. */
#pragma once
#include <stdbool.h>

#include "config.h"

/** scope_in_job() - a batch system's, whose limits, account and end a scope of the user's manager would not have. */
bool scope_in_job(void);

/**
 * scope_enter() - execute this program again in a scope of its own, when limits need a cgroup that only that gives
 *
 * `exec` does the same, because only from below the manager's own cgroup a process can be moved into the sandbox's.
 * Under a systemd user manager a login session's own cgroup is not the user's, a scope's is: `systemd-run --user
 * --scope -p Delegate=yes` moves itself there and executes what follows, with our descriptors. Returns when there is no
 * need (nothing needs a cgroup, or one is delegated), no systemd to ask, it was asked already, or this is a job;
 * otherwise it does not return.
 *
 * @stays:	the sandbox is to outlive this command. A scope goes with its manager, and the manager with the
 *		user's last session unless he lingers: said on standard error.
 */
void scope_enter(const struct config *config, char **argv, int keep_fd, bool stays);

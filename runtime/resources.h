// SPDX-License-Identifier: GPL-2.0-or-later
/* resources.h: --ulimit, --pids-limit, --memory, --cpus.
 *
 * cgroup v2 where the host delegated one to the user (or systemd will), resource limits where they can express the
 * same, otherwise an error: a limit that was asked for is never silently missing. The default limit on processes always
 * holds: RLIMIT_NPROC is counted per user namespace since Linux 5.14.
 */
#pragma once
#include "config.h"
#include "init/plan.h"

enum { DEFAULT_PIDS_LIMIT = 4096 };

/** limits_plan() - resource limits for the plan; --ulimit is checked against what this host lets us set. */
int limits_plan(const struct config *config, struct plan *plan, struct azm_err *err);

struct cgroup {
	char *path; /* the sandbox's own cgroup; NULL: none */
	int dir;    /* the same, open */
};

/** limits_need_cgroup() - whether something was asked for that only a cgroup can enforce. */
bool limits_need_cgroup(const struct config *config);

/**
 * cgroup_make() - a cgroup of the sandbox's own with the limits set
 *
 * Made below the caller's cgroup when that is delegated. Without delegation: success and no cgroup when nothing needs
 * one, else an error with the hint how to get a delegated one. Called before any namespace is entered. Return: 0, or -1
 * with @err set
 */
int cgroup_make(const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err);

/** cgroup_make_below() - the same below a given directory of the cgroup file system, the caller's own; NULL: he has
 * none.
 */
int cgroup_make_below(
	const char *own, const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err);

/** cgroup_add() - move a process (the cloned child, before it executes anything) into it. */
int cgroup_add(const struct cgroup *cgroup, pid_t pid, struct azm_err *err);

/** cgroup_remove() - remove it when its last process is gone; never fails loudly. */
void cgroup_remove(struct cgroup *cgroup);

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

/* The sandbox's own cgroup. What is used once the supervisor has confined itself is opened before. */
struct cgroup {
	char *path; /* NULL: none */
	int parent; /* the directory it was made in */
	int dir;
	int freeze; /* cgroup.freeze */
	int events; /* memory.events; -1 without the controller */
};

#define CGROUP_NONE                                                                                                    \
	{                                                                                                              \
		NULL, -1, -1, -1, -1                                                                                   \
	}

/** limits_need_cgroup() - whether something was asked for that only a cgroup can enforce. */
bool limits_need_cgroup(const struct config *config);

/**
 * cgroup_make() - a cgroup of the sandbox's own with the limits set
 *
 * Made in --cgroup-parent, else in the nearest delegated directory from the caller's own cgroup upwards. Without one:
 * success and no cgroup when nothing needs one (it then only serves `pause`, or --best-effort was given, which is said
 * on stderr), else an error with the hint how to get a delegated one. Called before any namespace is entered. Return:
 * 0, or -1 with @err set
 */
int cgroup_make(const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err);

/** cgroup_make_below() - the same below a given directory of the cgroup file system; NULL: there is none. */
int cgroup_make_below(
	const char *own, const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err);

/** cgroup_delegated() - the directory cgroup_make() would use, NULL without one; allocated. */
char *cgroup_delegated(const struct config *config);

/** cgroup_add() - move a process (the cloned child, before it executes anything) into it. */
int cgroup_add(const struct cgroup *cgroup, pid_t pid, struct azm_err *err);

/** cgroup_freeze() - stop everything in it, or let it go on. Return: 0, -1 when there is no freezer. */
int cgroup_freeze(const struct cgroup *cgroup, bool frozen);

/** cgroup_oom_kills() - how many of its processes the kernel killed for want of memory. */
unsigned long long cgroup_oom_kills(const struct cgroup *cgroup);

/** cgroup_remove() - remove it when its last process is gone; never fails loudly. */
void cgroup_remove(struct cgroup *cgroup);

/**
 * cgroup_remove_rest() - remove the one that a killed supervisor left empty
 * @dir:	the sandbox's directory, whose lock the caller holds
 *
 * Never fails loudly: one with a process in it, or one that is not there, is left alone.
 */
void cgroup_remove_rest(int dir);

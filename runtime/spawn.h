// SPDX-License-Identifier: GPL-2.0-or-later
/* spawn.h: from the supervisor into the namespaces: the clone for `run`, the setns for `exec`. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "init/plan.h"

/* What the child gets as 0, 1, 2: our pipes' far ends, or the verified /dev/null; never a descriptor of the caller's.
 */
struct child_stdio {
	int in, out, err;
};

struct child {
	pid_t pid;
	int pidfd;
	int plan;    /* write end */
	int report;  /* read end */
	int command; /* write end; -1 for exec */
};

/**
 * spawn_sandbox() - one clone(2) into new user, mount, network, pid, ipc, uts and cgroup namespaces, then azm-init
 * @init:	descriptor of azm-init (embed.h)
 * @out:	filled; the child waits for its go byte: write the maps first, then spawn_send_plan()
 *
 * The calling process must be single-threaded, and the calling thread must live as long as the sandbox should
 * (PR_SET_PDEATHSIG).
 */
int spawn_sandbox(int init, const struct child_stdio *stdio, struct child *out, struct azm_err *err);

/**
 * spawn_entered() - azm-init inside an existing sandbox, for exec
 * @target:	pidfd of the sandbox's azm-init
 * @alias:	user namespace to enter last (INIT_ALIAS_FD of the sandbox's azm-init), -1 for none
 */
int spawn_entered(
	int init, int target, int alias, const struct child_stdio *stdio, struct child *out, struct azm_err *err);

/** spawn_send_plan() - the go byte and the plan. */
int spawn_send_plan(const struct child *child, struct plan *plan, struct azm_err *err);

/** spawn_go() - the second go byte: everything outside is ready. */
int spawn_go(const struct child *child, struct azm_err *err);

/** spawn_report() - read one report; hostile input: kind and texts are checked. Return: 0; 1 when the pipe ended; -1
 * with @err set (REPORT_FAILED's error, too). */
int spawn_report(const struct child *child, struct report *report, struct azm_err *err);

/**
 * spawn_reason() - after a failure: if azm-init has reported one of its own, that is the reason and ours only the
 * consequence
 *
 * Return: -1, with @err replaced or left
 */
int spawn_reason(const struct child *child, struct azm_err *err);

/**
 * spawn_copy() - for a plan that copies: send it, and wait until that is done
 * @skipped:	set to how many objects were passed over
 *
 * Return: 0, or -1 with @err set; ECHILD when azm-init was killed
 */
int spawn_copy(const struct child *child, struct plan *plan, int32_t *skipped, struct azm_err *err);

/** spawn_stdio_null() - the host's /dev/null, verified to be character device 1:3. Return: descriptor, -1 with @err
 * set. */
int spawn_stdio_null(struct azm_err *err);

/** child_close() - close the descriptors; the process itself is the caller's to wait for. */
void child_close(struct child *child);

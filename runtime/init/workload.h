// SPDX-License-Identifier: GPL-2.0-or-later
/* init/workload.h: from azm-init to the program the user asked for. */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "init/plan.h"

/**
 * workload_exec() - limits, session, working directory, identity, filter, execve; does not return on success
 * @tty:	slave of the terminal, or -1
 *
 * Return: -1 with @err set; exit_status tells "not found" (127) from "cannot be executed" (126)
 */
int workload_exec(const struct plan *plan, int tty, struct azm_err *err);

/* A command that is about to be. */
struct workload {
	pid_t pid;
	int release;	 /* write end: one byte lets it go */
	int failed;	 /* read end: an azm_err, or end of file once execve has succeeded */
	int master;	 /* the terminal it takes when released; set before that, -1 for none */
	int user_limits; /* user_limits_open() */
};

/**
 * workload_fork() - the child that will be the command
 *
 * Without a terminal it prepares itself at once (limits, also those of the user namespace, session, identity, filter)
 * while the caller goes on building the root, and waits to be released: what it has to do then is chdir and execve. The
 * child shares the caller's root, so a pivot_root moves it along.
 */
int workload_fork(const struct plan *plan, struct workload *workload, struct azm_err *err);

/** workload_release() - let it go. Return: 0 once execve has succeeded, -1 with @err set */
int workload_release(const struct plan *plan, struct workload *workload, struct azm_err *err);

/** workload_terminal() - a new pty of the sandbox's own devpts. Return: master, -1 with @err set. */
int workload_terminal(struct azm_err *err);

/** workload_terminal_peer() - the slave of a master, without a path in between. Return: descriptor, -1 with errno. */
int workload_terminal_peer(int master);

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

/**
 * workload_start() - workload_exec() in a child
 * @master:	pty master, or -1; the child takes its slave
 *
 * Return: pid of the child once execve has succeeded, or -1 with @err set
 */
pid_t workload_start(const struct plan *plan, int master, struct azm_err *err);

/** workload_terminal() - a new pty of the sandbox's own devpts. Return: master, -1 with @err set. */
int workload_terminal(struct azm_err *err);

/** workload_terminal_peer() - the slave of a master, without a path in between. Return: descriptor, -1 with errno. */
int workload_terminal_peer(int master);

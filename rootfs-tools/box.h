// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/box.h: run a program as "root" of namespaces of its own.
 *
 * The caller's own id becomes uid 0 in a new user namespace with one id, nothing on the host is gained. Calls that need
 * more than one id (chown, setuid, setgroups, mknod of a device ...) answer success and do nothing, by a system call
 * filter: that is what package managers and tar need to believe they are root. Host network, own mounts and processes.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

struct box {
	char *const *argv; /* argv[0] is looked up in PATH of @envp's caller: give a path or a name */
	char *const *envp;
	int stdio; /* standard output and error of the program; a terminal becomes its controlling one; input is null */
	/* Runs inside the namespaces, before the filter: the mounts. 0, or -1 with @err set. May be NULL. */
	int (*prepare)(void *context, struct azm_err *err);
	void *context;
};

/**
 * box_start() - start the program
 * @box:	what to run
 * @pid:	set to pid 1 of the namespaces: wait for it with waitpid(); its status is the program's (128+n after
 *		a signal). SIGKILL ends everything inside, and so does the death of the calling process.
 * @err:	set on failure, with a hint when the host forbids user namespaces
 *
 * Single-threaded callers only. Returns when the program was exec'ed: a program that cannot be is an error here.
 *
 * Return: 0, or -1 with @err set and nothing left running
 */
[[gnu::nonnull]] int box_start(const struct box *box, pid_t *pid, struct azm_err *err);

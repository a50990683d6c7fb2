// SPDX-License-Identifier: GPL-2.0-or-later
/* server/children.h: processes of the server that are not shells. */
#pragma once
#include <sys/types.h>

struct child {
	pid_t pid;				       /* -1 once it was reaped */
	void (*ended)(struct child *self, int status); /* of waitpid(); may free the structure */
	struct child *next;
};

/** children_watch() - have ended() called when the process is gone. The structure is the caller's. */
void children_watch(struct child **list, struct child *child);

/** children_forget() - do not call it any more; the process is reaped all the same. */
void children_forget(struct child **list, struct child *child);

/** children_reap() - a process ended: tell whom it concerns. */
void children_reap(struct child **list, pid_t pid, int status);

/** child_kill() - signal a child's process group; the child itself while it has none yet. */
void child_kill(pid_t pid, int number);

/**
 * child_begin() - in a child just forked, before exec: a session of its own, default signals, stdio
 * @stdio:	descriptors for 0, 1 and 2; -1 for one of them is /dev/null
 *
 * Only system calls. Return: 0, -1 with errno
 */
int child_begin(const int stdio[static 3]);

/** executable_find() - an executable of that name in $PATH. Return: its path, owned by the caller; NULL: there is none
 */
char *executable_find(const char *name);

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/die_with.h: a child that must not outlive its parent. */
#pragma once
#include <sys/prctl.h>
#include <unistd.h>

/**
 * die_with_parent() - in a child that was just forked: end with the process that made it
 * @parent:	getpid() before the fork
 * @signal:	what the kernel sends when the parent ends (PR_SET_PDEATHSIG)
 *
 * A parent that died before this call sends nothing any more: then the child exits here. Kept over execve(2), lost with
 * a change of ids or of the user namespace: call it after those. For a parent in the same pid namespace.
 */
static inline void die_with_parent(pid_t parent, int signal)
{
	(void)prctl(PR_SET_PDEATHSIG, signal);
	if (getppid() != parent)
		_exit(128 + signal);
}

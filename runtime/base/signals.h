// SPDX-License-Identifier: GPL-2.0-or-later
/* base/signals.h: what a process has of its parent's signals. */
#pragma once
#include <signal.h>
#include <stddef.h>

/** signals_unblock() - let all signals in. */
static inline void signals_unblock(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/** signals_default() - as a fresh program expects them, whatever its caller ignored (nohup, a shell's background job).
 */
static inline void signals_default(void)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* but SIGKILL, SIGSTOP and those of libc, which stay as they are */
	signals_unblock();
}

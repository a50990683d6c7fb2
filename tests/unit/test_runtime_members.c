// SPDX-License-Identifier: GPL-2.0-or-later
/* Whom a signal meant for a process of a sandbox reaches: runtime/members.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "members.h"

/* A process that waits; @namespaces for a pid namespace of its own. */
static pid_t waiting(unsigned long namespaces)
{
	pid_t child = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, NULL, NULL, NULL, NULL);

	if (child == 0) {
		pause();
		_exit(1);
	}
	assert_true(child > 0);
	return child;
}

static int ended_by(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	return WTERMSIG(status);
}

static void a_signal_reaches_members_only(void **state)
{
	pid_t init = waiting(CLONE_NEWUSER | CLONE_NEWPID), other = waiting(CLONE_NEWUSER | CLONE_NEWPID),
	      ours = waiting(0);

	(void)state;
	/* What was listed has ended, and its number is a process's of the host, or of another sandbox. */
	assert_false(members_signal(init, ours, SIGTERM));
	assert_false(members_signal(init, other, SIGKILL));
	assert_true(members_signal(init, init, SIGKILL));
	assert_int_equal(ended_by(init), SIGKILL);
	/* The sandbox itself has ended. */
	assert_false(members_signal(init, init, SIGKILL));
	assert_false(members_signal(ours, ours, SIGTERM));
	kill(ours, SIGUSR1);
	kill(other, SIGKILL);
	assert_int_equal(ended_by(ours), SIGUSR1);
	assert_int_equal(ended_by(other), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_signal_reaches_members_only) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

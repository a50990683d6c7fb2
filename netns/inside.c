// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/inside.c: see inside.h.
 *
 * Theory of operation
 *
 * A process that left the host's network namespace could not come back (that takes privilege over the host), so a child
 * goes instead. It shares our memory and our descriptor table (CLONE_VM, CLONE_FILES), and we sleep until it is gone
 * (CLONE_VFORK): a socket it opens is simply ours, nothing is copied, and it costs a fraction of a fork.
 */
#include "netns/inside.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

struct errand {
	struct netns_socket *sockets;
	size_t count;
	int code;	  /* errno of the failure */
	const char *step; /* what failed */
};

static int enter_netns(int netns)
{
	if (setns(netns, CLONE_NEWNET) == 0)
		return 0;
	if (errno != EPERM)
		return -1;
	/* Owning a namespace is not enough for setns(): it asks for capabilities in the caller's own user namespace
	 * too. The owner gets them by entering the user namespace first. */
	cleanup_fd int owner = ioctl(netns, NS_GET_USERNS);
	if (owner < 0 || setns(owner, CLONE_NEWUSER) < 0)
		return -1;
	return setns(netns, CLONE_NEWNET);
}

/* Runs on borrowed memory while the caller sleeps: no allocation, nothing but system calls. */
static int run_errand(void *argument)
{
	struct errand *errand = argument;

	for (size_t i = 0; i < errand->count; i++) {
		struct netns_socket *wanted = &errand->sockets[i];
		errand->step = "enter a network namespace";
		if (enter_netns(wanted->netns) == 0) {
			errand->step = "open a socket in a network namespace";
			wanted->fd = socket(wanted->family, wanted->type | SOCK_CLOEXEC, wanted->protocol);
		}
		if (wanted->fd < 0)
			break;
	}
	errand->code = errno;
	return 0;
}

/* The child on our own CPU: it starts when we go to sleep, and we go on when it ends. Left to the scheduler it is sent
 * to another CPU, and both ways wait for that one to wake up or to have time (600 us instead of 90 on a busy host). */
static pid_t clone_here(void *stack_end, struct errand *errand)
{
	cpu_set_t before, here;
	int cpu = sched_getcpu();
	bool pinned = cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof before, &before) == 0;

	if (pinned) {
		CPU_ZERO(&here);
		CPU_SET((unsigned)cpu, &here);
		pinned = sched_setaffinity(0, sizeof here, &here) == 0;
	}
	pid_t child = clone(run_errand, stack_end, CLONE_VM | CLONE_VFORK | CLONE_FILES, errand);
	errand->code = child < 0 ? errno : errand->code;
	if (pinned)
		sched_setaffinity(0, sizeof before, &before);
	return child;
}

int netns_sockets(struct netns_socket *sockets, size_t count, struct azm_err *err)
{
	_Alignas(16) char stack[16384];
	struct errand errand = { .sockets = sockets, .count = count };
	sigset_t all, before;
	int dumpable = prctl(PR_GET_DUMPABLE);

	for (size_t i = 0; i < count; i++)
		sockets[i].fd = -1;
	/* A signal handler must not run in the child: it would change our memory from a process that is not us. */
	errand.step = "start a helper process";
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t child = clone_here(stack + sizeof stack, &errand);
	if (child > 0)
		while (waitpid(child, NULL, (int)__WCLONE) < 0 && errno == EINTR)
			;
	/* Entering a user namespace cleared the flag of the memory we share. */
	if (dumpable == 1 && prctl(PR_GET_DUMPABLE) != 1)
		prctl(PR_SET_DUMPABLE, 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (sockets[count - 1].fd >= 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (sockets[i].fd >= 0)
			close(steal_fd(&sockets[i].fd));
	return err_code(err, errand.code, errand.step, NULL);
}

int netns_socket(int netns, int family, int type, int protocol, struct azm_err *err)
{
	struct netns_socket wanted = { .netns = netns, .family = family, .type = type, .protocol = protocol };

	return netns_sockets(&wanted, 1, err) < 0 ? -1 : wanted.fd;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_share.c: a second process for published ports with many connections.
 *
 * Theory of operation
 *
 * With many connections it is the relay that limits them: it sends as much as client and server together. One thread
 * gets at most the share of the processors that the scheduler has for one, and where that groups by session (autogroup)
 * a second thread gets nothing on top. So the second half of the connections goes to a process in a session of its own.
 * Measured with 64 connections on two processors: a twelfth more requests a second of wrk's, a sixth of bare ones; a
 * second thread brought nothing.
 *
 * The inner thread accepts, asks who it is and dials, for all. It keeps the first SHARE_FROM connections; of those
 * beyond, the second process gets one whenever it has fewer. It is forked off when it gets its first, and is sent both
 * sockets of each (SCM_RIGHTS). It keeps no other descriptor of ours but the standard streams, is under the same
 * filter, without any capability, and ends when we close the channel or die. If it is gone before, or cannot be had,
 * the inner thread does everything.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd_passing.h"
#include "base/io.h"
#include "netns/publish_internal.h"

enum {
	SHARE_FROM = 32,	/* connections of the inner thread */
	TAKES = 32,		/* before others get their turn */
	END_MS = 5 * DELIVER_MS /* for the second process to end; it takes DELIVER_MS at most, and a little */
};

/* The second process's side of the channel. */
struct taker {
	struct relay_watch watch;
	struct relay *relay;
	int channel;
	bool closed;
};

/* ---- the second process --------------------------------------------------------------------------------------- */

static void take_ready(struct relay_watch *watch, uint32_t events)
{
	struct taker *taker = (struct taker *)((char *)watch - offsetof(struct taker, watch));
	char byte;
	int fds[2];

	(void)events;
	for (int i = 0; i < TAKES; i++) {
		size_t count = 2;
		ssize_t size = fds_receive(taker->channel, &byte, 1, fds, &count, MSG_DONTWAIT);
		if (size == 0 || (size < 0 && errno != EAGAIN)) {
			taker->closed = true;
			relay_unwatch(taker->relay, taker->channel);
		}
		if (size <= 0)
			return;
		if (count == 2) /* or there was no room for them, and the connection is lost */
			(void)relay_join(taker->relay, fds[0], fds[1]);
	}
}

/* Standard input and output stay: what is written there on an emergency must not go to somebody's connection. */
static int close_all_but(int channel)
{
	if (channel > 3 && fd_close_range(3, (unsigned)channel - 1) < 0)
		return -1;
	return fd_close_range((unsigned)(channel < 3 ? 3 : channel + 1), ~0u);
}

[[gnu::noreturn]] static void second_process(int channel, pid_t parent, atomic_ulong *ended)
{
	struct azm_err ignored;
	struct taker taker = { .watch = { take_ready }, .channel = channel };

	/* Of the thread that forked us; it waits for us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || close_all_but(channel) < 0)
		_exit(1);
	(void)prctl(PR_SET_NAME, "azm-publish-2");
	(void)setsid();
	taker.relay = relay_new(&ignored);
	if (!taker.relay || relay_watch(taker.relay, channel, EPOLLIN, &taker.watch) < 0)
		_exit(1);
	while (!taker.closed) {
		if (relay_turn(taker.relay, -1) < 0)
			_exit(1);
		atomic_store(ended, relay_ended(taker.relay));
	}
	publish_deliver(taker.relay);
	/* What is left is reset. */
	relay_free(taker.relay);
	_exit(0);
}

/* ---- the first ------------------------------------------------------------------------------------------------ */

static bool several_processors(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

/* Once: where it fails it is not tried again. */
static void start(struct share *share)
{
	int ends[2];
	pid_t parent = getpid();

	share->tried = true;
	if (!several_processors() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return;
	cleanup_fd int ours = ends[0], theirs = ends[1];
	void *page = mmap(NULL, sizeof *share->ended, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	share->ended = page;
	share->child = fork();
	if (share->child == 0)
		second_process(theirs, parent, share->ended);
	if (share->child > 0)
		share->channel = steal_fd(&ours);
}

bool share_give(struct share *share, unsigned long kept, int client, int inner)
{
	const int fds[] = { client, inner };

	if (kept < SHARE_FROM)
		return false;
	if (!share->tried)
		start(share);
	if (share->channel < 0 || kept <= share->given - atomic_load(share->ended))
		return false;
	if (fds_send(share->channel, "", 1, fds, 2, MSG_DONTWAIT) < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			close(steal_fd(&share->channel));
		return false;
	}
	close(client);
	close(inner);
	share->given++;
	return true;
}

void share_close(struct share *share)
{
	if (share->channel >= 0)
		shutdown(share->channel, SHUT_WR);
}

void share_stop(struct share *share)
{
	struct pollfd end = { .fd = share->channel };

	share_close(share);
	if (share->child > 0) {
		if (share->channel >= 0)
			(void)TEMP_FAILURE_RETRY(poll(&end, 1, END_MS));
		kill(share->child, SIGKILL);
		(void)TEMP_FAILURE_RETRY(waitpid(share->child, NULL, 0));
	}
	if (share->channel >= 0)
		close(steal_fd(&share->channel));
	if (share->ended)
		munmap(share->ended, sizeof *share->ended);
	*share = (struct share){ .channel = -1, .tried = true };
}

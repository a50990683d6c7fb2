// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay.c: see relay.h.
 *
 * Theory of operation
 *
 * A pair has two ends (sockets) and two flows (directions). Ends are registered edge-triggered once, so that the steady
 * state needs no epoll_ctl(): an end remembers whether it is readable and writable until a call says EAGAIN. After an
 * event the pair runs: each flow first gets rid of what it holds, then reads, but only while its receiver can take
 * bytes. That is the back-pressure: a flow holds at most one read, the rest waits in the sender's kernel buffers.
 *
 * A message is read into one buffer shared by all and written at once: two system calls. Where a read leaves no doubt
 * that nothing is left (it was short), the read that would say EAGAIN is saved; ends with anything odd about them
 * (urgent data and passed descriptors make reads short, too; end of file and errors wait behind the data) do not take
 * the short cut. What the receiver did not take is kept in a chunk of exactly its size.
 *
 * Two large reads in a row make a flow a bulk one: it splices through a borrowed pipe, which moves pages instead of
 * copying them, until what arrives is small again.
 *
 * End of file is passed on with shutdown(), once nothing is held. An end that failed is never written to again; what
 * its peer had sent before failing is still delivered, as without us in between, and then the other end is reset.
 *
 * A guard looks at what the first end says while it still lies in the kernel's buffer (MSG_PEEK): until it is content
 * that flow does not read, which is all that holding back takes.
 *
 * A pair works a bounded number of steps an event and then queues behind the others, so bulk does not starve messages.
 * How the thread waits when there is nothing to do is in relay_wait.c.
 *
 * Ended pairs are freed after the batch of events that may still point to them; descriptors are taken out of epoll
 * before they are closed, because a child between fork() and exec() keeps their file alive.
 */
#include "netns/relay.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/relay_internal.h"

enum {
	STEPS = 8, /* of each flow, before others get their turn */
	EVENTS = 64
};

/* ---- one pair ------------------------------------------------------------------------------------------------- */

void socket_reset(int fd)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

/* Of a reset, too, an end that was told everything is only closed: a reset would throw away what is still to be sent.
 */
static void pair_end(struct pair *pair, bool reset)
{
	struct relay *relay = pair->relay;

	for (int i = 0; i < 2; i++) {
		relay_unwatch(relay, pair->end[i].fd);
		if (reset && !pair->end[i].spared && !pair->flow[!i].eof)
			socket_reset(pair->end[i].fd);
		else
			close(pair->end[i].fd);
		free(pair->flow[i].chunk); /* NOLINT(clang-analyzer-unix.Malloc): taken off the list below */
		if (pair->flow[i].pipe)
			relay_pipe_return(&relay->pipes, pair->flow[i].pipe);
	}
	pair->dead = true;
	LIST_REMOVE(pair, all);
	LIST_INSERT_HEAD(&relay->dead, pair, all);
	relay->ended++;
	if (pair->guard)
		pair->guard->ended(pair->guard, pair->flow[0].moved, pair->flow[1].moved);
}

/* A failed end takes nothing, and once its flow has ended it gives nothing. */
static bool is_hopeless(const struct pair *pair)
{
	const struct end *end = pair->end;

	return (end[0].failed && (end[1].failed || pair->flow[0].eof)) || (end[1].failed && pair->flow[1].eof);
}

static void pair_run(struct pair *pair)
{
	for (int step = 0; step < STEPS; step++) {
		enum progress there = flow_step(pair, 0);
		enum progress back = there == BROKEN ? BROKEN : flow_step(pair, 1);

		if (back == BROKEN)
			return pair_end(pair, true);
		if (pair->flow[0].eof && pair->flow[1].eof)
			return pair_end(pair, false);
		if (is_hopeless(pair))
			return pair_end(pair, true);
		if (there == STUCK && back == STUCK)
			return;
	}
	if (!pair->queued) {
		pair->queued = true;
		STAILQ_INSERT_TAIL(&pair->relay->turns, pair, turn);
	}
}

static void end_ready(struct pair *pair, struct end *end, uint32_t events)
{
	if (pair->dead)
		return;
	if (pair->relay->wait.place) {
		pair->relay->wait.place = false;
		relay_stay_near(&pair->relay->wait, pair->end[0].fd, pair->end[1].fd);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		end->readable = true;
	if (events & EPOLLOUT)
		end->writable = true;
	if (events & (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR))
		end->odd = true;
	if (events & EPOLLERR)
		end->failed = true;
	pair_run(pair);
}

static void first_ready(struct relay_watch *watch, uint32_t events)
{
	struct pair *pair = (struct pair *)((char *)watch - offsetof(struct pair, end[0].watch));

	end_ready(pair, &pair->end[0], events);
}

static void second_ready(struct relay_watch *watch, uint32_t events)
{
	struct pair *pair = (struct pair *)((char *)watch - offsetof(struct pair, end[1].watch));

	end_ready(pair, &pair->end[1], events);
}

static bool is_unix(int fd)
{
	int domain = 0;
	socklen_t size = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain == AF_UNIX;
}

static int join(struct relay *relay, int a, int b, struct relay_guard *guard)
{
	static const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
	struct pair *pair = calloc(1, sizeof *pair);

	if (!pair) {
		socket_reset(a);
		socket_reset(b);
		if (guard)
			guard->ended(guard, 0, 0);
		errno = ENOMEM;
		return -1;
	}
	pair->relay = relay;
	pair->guard = guard;
	pair->looking = guard && guard->look;
	if (guard)
		guard->pair = pair;
	pair->end[0] = (struct end){ .watch = { first_ready }, .fd = a, .writable = true, .odd = is_unix(a) };
	pair->end[1] = (struct end){ .watch = { second_ready }, .fd = b, .writable = true, .odd = is_unix(b) };
	LIST_INSERT_HEAD(&relay->pairs, pair, all);
	relay->joined++;
	if (relay_watch(relay, a, events, &pair->end[0].watch) < 0 ||
		relay_watch(relay, b, events, &pair->end[1].watch) < 0) {
		int saved = errno;
		pair_end(pair, true);
		errno = saved;
		return -1;
	}
	return 0;
}

int relay_join(struct relay *relay, int a, int b)
{
	return join(relay, a, b, NULL);
}

int relay_join_guarded(struct relay *relay, int a, int b, struct relay_guard *guard)
{
	return join(relay, a, b, guard);
}

void relay_look_again(struct relay_guard *guard)
{
	guard->pair->end[0].readable = true;
	pair_run(guard->pair);
}

void relay_break(struct relay_guard *guard)
{
	pair_end(guard->pair, true);
}

/* ---- the loop ------------------------------------------------------------------------------------------------- */

static int watch_control(struct relay *relay, int operation, int fd, uint32_t events, struct relay_watch *watch)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	return epoll_ctl(relay->epoll, operation, fd, &event);
}

int relay_watch(struct relay *relay, int fd, uint32_t events, struct relay_watch *watch)
{
	return watch_control(relay, EPOLL_CTL_ADD, fd, events, watch);
}

int relay_rewatch(struct relay *relay, int fd, uint32_t events, struct relay_watch *watch)
{
	return watch_control(relay, EPOLL_CTL_MOD, fd, events, watch);
}

void relay_unwatch(struct relay *relay, int fd)
{
	(void)watch_control(relay, EPOLL_CTL_DEL, fd, 0, NULL);
}

/* One turn for each pair that is queued now; those that queue again wait for the next. */
static void run_turns(struct relay *relay)
{
	struct pair_queue now = STAILQ_HEAD_INITIALIZER(now);
	struct pair *pair;

	STAILQ_CONCAT(&now, &relay->turns);
	while ((pair = STAILQ_FIRST(&now))) {
		STAILQ_REMOVE_HEAD(&now, turn);
		pair->queued = false;
		if (!pair->dead)
			pair_run(pair);
	}
}

static void bury(struct relay *relay)
{
	struct pair *pair = LIST_FIRST(&relay->dead);

	while (pair) {
		struct pair *next = LIST_NEXT(pair, all);
		if (!pair->queued) {
			LIST_REMOVE(pair, all);
			free(pair);
		}
		pair = next;
	}
}

int relay_turn(struct relay *relay, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int count = STAILQ_EMPTY(&relay->turns) ? relay_wait_for(&relay->wait, relay->epoll, events, EVENTS, timeout_ms)
						: epoll_wait(relay->epoll, events, EVENTS, 0);

	if (count < 0 && errno != EINTR)
		return -1;
	for (int i = 0; i < count; i++) {
		struct relay_watch *watch = events[i].data.ptr;
		watch->ready(watch, events[i].events);
	}
	run_turns(relay);
	bury(relay);
	return 0;
}

bool relay_delivering(const struct relay *relay, int from)
{
	const struct pair *pair;

	LIST_FOREACH(pair, &relay->pairs, all)
	if (!pair->flow[from].eof && !pair->dead)
		return true;
	return false;
}

int relay_fd(const struct relay *relay)
{
	return relay->epoll;
}

unsigned long relay_ended(const struct relay *relay)
{
	return relay->ended;
}

unsigned long relay_count(const struct relay *relay)
{
	return relay->joined - relay->ended;
}

struct relay *relay_new(struct azm_err *err)
{
	cleanup_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct relay *relay = epoll < 0 ? NULL : malloc(sizeof *relay);

	if (!relay) {
		err_sys(err, "make a relay", NULL);
		return NULL;
	}
	memset(relay, 0, offsetof(struct relay, buffer)); /* the buffer takes no memory before it is used */
	relay->epoll = steal_fd(&epoll);
	relay_wait_init(&relay->wait);
	LIST_INIT(&relay->pairs);
	LIST_INIT(&relay->dead);
	STAILQ_INIT(&relay->turns);
	return relay;
}

void relay_free(struct relay *relay)
{
	if (!relay)
		return;
	while (!LIST_EMPTY(&relay->pairs))
		pair_end(LIST_FIRST(&relay->pairs), true);
	run_turns(relay);
	bury(relay);
	relay_pipes_free(&relay->pipes);
	close(relay->epoll);
	free(relay);
}

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
 * Falling asleep and being woken takes longer than moving a message does. While answers keep coming within
 * PATIENCE_MOST_NS, the thread looks on for about that long, giving its CPU to whoever wants it, before it sleeps; the
 * first waits that take longer end that, so slow traffic and idle connections cost nothing. (One request at a time went
 * through half as fast again, 64 at once lost nothing.) A single CPU is better left to the others.
 *
 * Ended pairs are freed after the batch of events that may still point to them; descriptors are taken out of epoll
 * before they are closed, because a child between fork() and exec() keeps their file alive.
 */
#include "netns/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/relay_pipe.h"

enum {
	BUFFER_BYTES = 64 * 1024,
	BULK_READ = 32 * 1024, /* a read of this size is a large one */
	BULK_AFTER = 2,	       /* large reads in a row that switch to splicing */
	BULK_LEAST = 8 * 1024, /* a splice below this is a small one */
	BULK_UNTIL = 4,	       /* small ones in a row that switch back */
	SPLICE_MOST = 1 << 20,
	PATIENCE_FIRST_NS = 10000,
	PATIENCE_MOST_NS = 50000,
	STEPS = 8, /* of each flow, before others get their turn */
	EVENTS = 64
};

struct chunk {
	uint32_t offset, length;
	uint8_t bytes[];
};

struct end {
	struct relay_watch watch;
	int fd;
	bool readable, writable; /* as far as known */
	bool odd;		 /* a short read proves nothing */
	bool failed;
	bool spared; /* not reset with the pair: what it was sent last must arrive */
};

/* From end[i] to end[!i] for flow[i]. */
struct flow {
	struct chunk *chunk;	 /* read, not yet taken; owned */
	struct relay_pipe *pipe; /* the same, spliced; borrowed from the loop */
	uint64_t moved;		 /* bytes the receiver has taken */
	uint8_t streak;		 /* towards becoming bulk, or towards ceasing to be */
	bool bulk;
	bool eof; /* passed on; a flow reads only while it holds nothing, so nothing is left either */
};

struct pair {
	struct end end[2];
	struct flow flow[2];
	struct relay *relay;
	LIST_ENTRY(pair) all; /* in pairs, then in dead */
	STAILQ_ENTRY(pair) turn;
	struct relay_guard *guard; /* NULL: none */
	bool looking;		   /* the guard has not let the first flow pass yet */
	bool queued, dead;
};
_Static_assert(sizeof(struct pair) <= 192, "thousands of idle pairs must stay cheap");

struct relay {
	int epoll;
	unsigned long ended;
	int64_t patience;      /* ns to look on before sleeping, learnt from the last waits */
	int64_t patience_most; /* 0 where there is one CPU */
	LIST_HEAD(pair_list, pair) pairs;
	struct pair_list dead;
	STAILQ_HEAD(pair_queue, pair) turns;
	struct relay_pipes pipes;
	uint8_t buffer[BUFFER_BYTES];
};

enum progress {
	MOVED,	/* ask again */
	STUCK,	/* until an event */
	BROKEN, /* the pair is to be reset */
};

/* ---- one flow ------------------------------------------------------------------------------------------------- */

/* The receiver's connection is gone. What it sent before may still be readable: let the other flow find out. */
static enum progress receiver_failed(struct end *to)
{
	to->failed = to->odd = to->readable = true;
	return STUCK;
}

static enum progress write_blocked(struct end *to)
{
	if (errno == EINTR)
		return MOVED;
	if (errno != EAGAIN)
		return receiver_failed(to);
	to->writable = false;
	return STUCK;
}

static enum progress read_blocked(struct end *from)
{
	if (errno == EINTR)
		return MOVED;
	if (errno != EAGAIN)
		return BROKEN;
	from->readable = false;
	return STUCK;
}

static enum progress reached_eof(struct flow *flow, struct end *from, struct end *to)
{
	if (from->failed)
		return BROKEN;
	flow->eof = true;
	if (shutdown(to->fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return BROKEN;
	return STUCK;
}

static enum progress keep_rest(struct flow *flow, const uint8_t *bytes, size_t length)
{
	flow->chunk = malloc(sizeof *flow->chunk + length);
	if (!flow->chunk)
		return BROKEN;
	flow->chunk->offset = 0;
	flow->chunk->length = (uint32_t)length;
	memcpy(flow->chunk->bytes, bytes, length);
	return MOVED;
}

static void note_size(struct flow *flow, size_t size)
{
	bool towards_change = flow->bulk ? size < BULK_LEAST : size >= BULK_READ;

	flow->streak = towards_change ? (uint8_t)(flow->streak + 1) : 0;
	if (flow->streak >= (flow->bulk ? BULK_UNTIL : BULK_AFTER)) {
		flow->bulk = !flow->bulk;
		flow->streak = 0;
	}
}

static enum progress copy_step(struct relay *relay, struct flow *flow, struct end *from, struct end *to)
{
	ssize_t size = recv(from->fd, relay->buffer, sizeof relay->buffer, MSG_DONTWAIT);

	if (size < 0)
		return read_blocked(from);
	if (size == 0)
		return reached_eof(flow, from, to);
	if ((size_t)size < sizeof relay->buffer && !from->odd)
		from->readable = false;
	note_size(flow, (size_t)size);

	ssize_t sent = send(to->fd, relay->buffer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
	flow->moved += sent > 0 ? (size_t)sent : 0;
	if (sent == size)
		return MOVED;
	if (sent < 0 && write_blocked(to) == STUCK && to->failed)
		return STUCK;
	size_t taken = sent < 0 ? 0 : (size_t)sent;
	return keep_rest(flow, relay->buffer + taken, (size_t)size - taken);
}

static enum progress flush_chunk(struct flow *flow, struct end *to)
{
	struct chunk *chunk = flow->chunk;
	ssize_t sent =
		send(to->fd, chunk->bytes + chunk->offset, chunk->length - chunk->offset, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0)
		return write_blocked(to);
	chunk->offset += (uint32_t)sent;
	flow->moved += (size_t)sent;
	if (chunk->offset == chunk->length) {
		free(chunk);
		flow->chunk = NULL;
	}
	return MOVED;
}

static enum progress flush_pipe(struct relay *relay, struct flow *flow, struct end *to)
{
	ssize_t sent = splice(flow->pipe->out, NULL, to->fd, NULL, flow->pipe->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (sent < 0)
		return write_blocked(to);
	flow->pipe->held -= (size_t)sent;
	flow->moved += (size_t)sent;
	if (flow->pipe->held == 0) {
		relay_pipe_return(&relay->pipes, flow->pipe);
		flow->pipe = NULL;
	}
	return MOVED;
}

static enum progress splice_step(struct relay *relay, struct flow *flow, struct end *from, struct end *to)
{
	flow->pipe = relay_pipe_borrow(&relay->pipes);
	if (!flow->pipe) {
		flow->bulk = false;
		return MOVED;
	}
	ssize_t size = splice(from->fd, NULL, flow->pipe->in, NULL, SPLICE_MOST, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (size > 0) {
		flow->pipe->held = (size_t)size;
		note_size(flow, (size_t)size);
		return flush_pipe(relay, flow, to);
	}
	int saved = errno;
	relay_pipe_return(&relay->pipes, flow->pipe);
	flow->pipe = NULL;
	errno = saved;
	return size == 0 ? reached_eof(flow, from, to) : read_blocked(from);
}

static enum progress look_step(struct pair *pair, struct end *from)
{
	switch (pair->guard->look(pair->guard, from->fd)) {
	case RELAY_PASS:
		pair->looking = false;
		return MOVED;
	case RELAY_WAIT:
		from->readable = false;
		return STUCK;
	case RELAY_CLOSE:
		from->spared = true;
		break;
	}
	return BROKEN;
}

static enum progress flow_step(struct pair *pair, int i)
{
	struct end *from = &pair->end[i], *to = &pair->end[!i];
	struct flow *flow = &pair->flow[i];

	if (!to->writable || to->failed)
		return STUCK;
	if (flow->chunk)
		return flush_chunk(flow, to);
	if (flow->pipe)
		return flush_pipe(pair->relay, flow, to);
	if (flow->eof || !from->readable)
		return STUCK;
	if (i == 0 && pair->looking)
		return look_step(pair, from);
	return (flow->bulk ? splice_step : copy_step)(pair->relay, flow, from, to);
}

/* ---- one pair ------------------------------------------------------------------------------------------------- */

void socket_reset(int fd)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

static void pair_end(struct pair *pair, bool reset)
{
	struct relay *relay = pair->relay;

	for (int i = 0; i < 2; i++) {
		relay_unwatch(relay, pair->end[i].fd);
		if (reset && !pair->end[i].spared)
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
	pair->end[0] = (struct end){ .watch = { first_ready }, .fd = a, .writable = true, .odd = is_unix(a) };
	pair->end[1] = (struct end){ .watch = { second_ready }, .fd = b, .writable = true, .odd = is_unix(b) };
	LIST_INSERT_HEAD(&relay->pairs, pair, all);
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

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The next event came after @took ns: would looking on for as long as allowed have caught it? */
static void learn_patience(struct relay *relay, int64_t took)
{
	if (relay->patience_most && took < relay->patience_most)
		relay->patience = relay->patience ? 2 * relay->patience : PATIENCE_FIRST_NS;
	else
		relay->patience = relay->patience > PATIENCE_FIRST_NS ? relay->patience / 2 : 0;
	if (relay->patience > relay->patience_most)
		relay->patience = relay->patience_most;
}

static int await(struct relay *relay, struct epoll_event *events, int timeout_ms)
{
	int64_t start = now_ns(), took = 0;
	int count = 0;

	while (count == 0 && took < relay->patience) {
		count = epoll_wait(relay->epoll, events, EVENTS, 0);
		if (count == 0)
			sched_yield();
		took = now_ns() - start;
	}
	if (count != 0)
		return count;
	count = epoll_wait(relay->epoll, events, EVENTS, timeout_ms);
	learn_patience(relay, now_ns() - start);
	return count;
}

int relay_turn(struct relay *relay, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int count = STAILQ_EMPTY(&relay->turns) ? await(relay, events, timeout_ms)
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

bool relay_delivering(const struct relay *relay)
{
	const struct pair *pair;

	LIST_FOREACH(pair, &relay->pairs, all)
	if (!pair->flow[1].eof && !pair->dead)
		return true;
	return false;
}

unsigned long relay_ended(const struct relay *relay)
{
	return relay->ended;
}

struct relay *relay_new(struct azm_err *err)
{
	cleanup_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct relay *relay = epoll < 0 ? NULL : calloc(1, sizeof *relay);

	if (!relay) {
		err_sys(err, "make a relay", NULL);
		return NULL;
	}
	relay->epoll = steal_fd(&epoll);
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1)
		relay->patience_most = PATIENCE_MOST_NS;
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

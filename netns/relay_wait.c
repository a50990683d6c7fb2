// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_wait.c: see relay_wait.h.
 *
 * Theory of operation
 *
 * Falling asleep and being woken takes longer than moving a message does. While answers keep coming within
 * PATIENCE_MOST_NS, the thread looks on for about that long before it sleeps, giving its CPU to whoever wants it
 * between any two looks. The first waits that take longer end that, so slow traffic and idle connections cost nothing,
 * and with one CPU there is nothing to look on from.
 *
 * In an exchange (one request at a time, the same two sockets in turn) each of the two is waited for with a patience of
 * its own: a server that answers at once is looked on for, a client that thinks is slept for. Who takes the CPU then is
 * mostly the very process that was sent something and will answer: on our CPU none needs to be woken for it, the
 * fastest way of all, and so the thread gives way before the first look.
 *
 * Whoever keeps the CPU for longer than we would have looked on is a stranger with work of its own: being woken instead
 * would have been faster, and what we look on with is taken from that work. So the thread then sleeps at once for
 * LOSS_SHARE times what it took, and for at least twice as long as the last time, up to AWAY_MOST_NS, when the stranger
 * was back before as much time had passed: one program that starts ends little, and busy neighbours keep what they
 * had (measured: within a few percent, at 4000 and 10000 requests a second beside 1, 2 and 8 of them).
 *
 * With many requests at a time there is something to do for everybody who takes our CPU, and a batch of it for us
 * afterwards: the thread then sleeps at once for some hundred waits or more.
 *
 * The kernel may also put both peers on one CPU and leave us alone on the other. Each message then wakes a processor,
 * where a peer beside us would just follow in turn (measured: a quarter of the rate). A socket tells on which CPU its
 * last packet was sent (loopback, veth), so every PLACE_EVERY messages the thread looks where they are and moves there;
 * the kernel then moves one of them away, which is how it stays for a while.
 *
 * Moving is done by allowing the thread that one CPU, and then all of them again: all, because what the kernel keeps is
 * what was asked for, and asking for those that may be used now would outlast a cpuset that grows later. Where a mask
 * had been set on purpose (taskset), allowing all allows more: then it is put back, and nothing moves.
 */
#include "netns/relay_wait.h"

#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
	PATIENCE_FIRST_NS = 10000,
	PATIENCE_MOST_NS = 50000,
	LOSS_SHARE = 64,
	CROWDED_NS = 3000,   /* many connections: giving way that took longer went to somebody */
	CROWDED_LEAST = 256, /* waits not to look on after that; more and more when it happens again and again */
	CROWDED_MOST = 1 << 16,
	PLACE_EVERY = 96
};
static const int64_t AWAY_MOST_NS = 3200000000;

/* ---- the rule ------------------------------------------------------------------------------------------------- */

int64_t patience_at(const struct relay_wait *wait, int64_t now)
{
	if (wait->exchange)
		return now < wait->away_until ? 0 : wait->peer[0].patience;
	return wait->crowded > 0 ? 0 : wait->patience;
}

void patience_learn(struct relay_wait *wait, int64_t took)
{
	int64_t *patience = wait->exchange ? &wait->peer[0].patience : &wait->patience;

	if (!wait->exchange && wait->crowded) {
		wait->crowded--;
		return;
	}
	if (took < wait->most)
		*patience = *patience ? 2 * *patience : PATIENCE_FIRST_NS;
	else
		*patience = *patience > PATIENCE_FIRST_NS ? *patience / 2 : 0;
	if (*patience > wait->most)
		*patience = wait->most;
}

void patience_gave(struct relay_wait *wait, int64_t now, int64_t took)
{
	if (took <= PATIENCE_MOST_NS)
		return;
	bool soon = now - wait->away_until < wait->away;
	int64_t away = LOSS_SHARE * took;
	wait->away = soon && away < 2 * wait->away ? 2 * wait->away : away;
	if (wait->away > AWAY_MOST_NS)
		wait->away = AWAY_MOST_NS;
	wait->away_until = now + wait->away;
}

bool patience_whose(struct relay_wait *wait, const void *who)
{
	struct relay_peer last = wait->peer[0];

	if (who == last.who)
		return true;
	bool known = who == wait->peer[1].who;
	wait->peer[0] = known ? wait->peer[1] : (struct relay_peer){ .who = who, .patience = wait->patience };
	wait->peer[1] = last;
	return known;
}

/* ---- waiting -------------------------------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void relay_wait_init(struct relay_wait *wait)
{
	cpu_set_t cpus;

	*wait = (struct relay_wait){ 0 };
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1)
		wait->most = PATIENCE_MOST_NS;
}

/* Whether another process has had our CPU since we were asked last. */
static bool gave_way(struct relay_wait *wait)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage) < 0 || usage.ru_nivcsw == wait->gave_way)
		return false;
	wait->gave_way = usage.ru_nivcsw;
	return true;
}

static void stay_away(struct relay_wait *wait)
{
	wait->caution = wait->caution < CROWDED_LEAST ? CROWDED_LEAST : 4 * wait->caution;
	if (wait->caution > CROWDED_MOST)
		wait->caution = CROWDED_MOST;
	wait->crowded = wait->caution;
}

/* Return: as epoll_wait() that does not wait */
static int look_on(struct relay_wait *wait, int epoll, struct epoll_event *events, int most, int64_t start)
{
	int64_t last = start, end = start + patience_at(wait, start);
	int count = wait->exchange || last == end ? 0 : epoll_wait(epoll, events, most, 0);

	while (count == 0 && last < end) {
		sched_yield();
		int64_t now = now_ns(), took = now - last;
		last = now;
		if (wait->exchange) {
			patience_gave(wait, now, took);
		} else if (took > CROWDED_NS && gave_way(wait)) {
			/* An interrupt takes as long, but hands the CPU to nobody. */
			stay_away(wait);
			return 0;
		}
		count = epoll_wait(epoll, events, most, 0);
	}
	if (count > 0 && !wait->exchange)
		wait->caution -= wait->caution / 16;
	return count;
}

int relay_wait_for(struct relay_wait *wait, int epoll, struct epoll_event *events, int most, int timeout_ms)
{
	int64_t start = now_ns();
	int count = look_on(wait, epoll, events, most, start);
	bool looked = count > 0;

	if (!looked) {
		count = epoll_wait(epoll, events, most, timeout_ms);
		patience_learn(wait, now_ns() - start);
	}
	wait->exchange = count == 1 && patience_whose(wait, events[0].data.ptr);
	wait->place = looked && wait->exchange && ++wait->paid % PLACE_EVERY == 0;
	return count;
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

/* Return: the CPU on which the last packet for @fd was sent, if on this host; -1 where that is not known */
static int sender_cpu(int fd)
{
	int cpu = -1;
	socklen_t size = sizeof cpu;

	return getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &size) < 0 ? -1 : cpu;
}

/* Allow the calling thread all processors, as if it had never been moved; to be done before it is moved first. */
static bool may_move(struct relay_wait *wait)
{
	cpu_set_t given, now, all;

	if (wait->placing != PLACING_UNKNOWN)
		return wait->placing == PLACING_FREE;
	wait->placing = PLACING_BOUND;
	memset(&all, 0xff, sizeof all);
	if (sched_getaffinity(0, sizeof given, &given) < 0 || sched_setaffinity(0, sizeof all, &all) < 0)
		return false;
	if (sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &given))
		wait->placing = PLACING_FREE;
	else
		(void)sched_setaffinity(0, sizeof given, &given);
	return wait->placing == PLACING_FREE;
}

void relay_stay_near(struct relay_wait *wait, int a, int b)
{
	int cpu = sender_cpu(a);
	cpu_set_t all, there;

	if (cpu < 0 || cpu >= CPU_SETSIZE || cpu != sender_cpu(b) || cpu == sched_getcpu() || !may_move(wait))
		return;
	memset(&all, 0xff, sizeof all);
	CPU_ZERO(&there);
	CPU_SET((size_t)cpu, &there);
	/* The first fails, and changes nothing, where we are not allowed. */
	if (sched_setaffinity(0, sizeof there, &there) == 0)
		(void)sched_setaffinity(0, sizeof all, &all);
}

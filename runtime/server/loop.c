// SPDX-License-Identifier: GPL-2.0-or-later
/* server/loop.c: see loop.h
 *
 * Level-triggered epoll, one event a wait: a callback may remove and free any other source, and an event of a freed
 * source that was fetched in the same batch would then be a dangling pointer. The rates here make batching worthless.
 *
 * A server that could not run for a while (a loaded machine, a suspended one) finds timers due and what they wait for
 * ready at once. So timers come when nothing is ready any more; a flood delays them for a few turns only.
 */
#include "server/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { HEARD_FIRST = 32 };

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1;
}

int loop_open(struct loop *loop, struct azm_err *err)
{
	*loop = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epoll < 0 ? err_sys(err, "make an epoll instance", NULL) : 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll);
	loop->epoll = -1;
}

static int control(struct loop *loop, int operation, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll, operation, source->fd, &event);
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_ADD, source, events);
}

int loop_want(struct loop *loop, struct loop_source *source, uint32_t events)
{
	return control(loop, EPOLL_CTL_MOD, source, events);
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	control(loop, EPOLL_CTL_DEL, source, 0);
}

void loop_set(struct loop *loop, struct loop_timer *timer, uint64_t at)
{
	struct loop_timer **link = &loop->timers;

	while (*link && *link != timer)
		link = &(*link)->next;
	if (*link)
		*link = timer->next;
	timer->at = at;
	if (!at)
		return;
	for (link = &loop->timers; *link && (*link)->at <= at;)
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

static int wait_limit(const struct loop *loop, int limit_ms)
{
	if (!loop->timers)
		return limit_ms;
	uint64_t now = loop_now();
	uint64_t left = loop->timers->at > now ? loop->timers->at - now : 0;
	if (left > INT32_MAX)
		left = INT32_MAX;
	return limit_ms >= 0 && (uint64_t)limit_ms < left ? limit_ms : (int)left;
}

static bool is_due(const struct loop *loop)
{
	return loop->timers && loop->timers->at <= loop_now();
}

int loop_turn(struct loop *loop, int limit_ms, struct azm_err *err)
{
	struct epoll_event event;
	int n = epoll_wait(loop->epoll, &event, 1, wait_limit(loop, limit_ms));

	if (n < 0 && errno != EINTR)
		return err_sys(err, "wait for events", NULL);
	if (n > 0) {
		struct loop_source *source = event.data.ptr;
		source->ready(source, event.events);
	}
	if (n > 0 && is_due(loop) && loop->heard_first++ < HEARD_FIRST)
		return 0;
	loop->heard_first = 0;
	while (is_due(loop)) {
		struct loop_timer *timer = loop->timers;
		loop_set(loop, timer, 0);
		timer->fire(timer);
	}
	return 0;
}

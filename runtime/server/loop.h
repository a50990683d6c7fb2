// SPDX-License-Identifier: GPL-2.0-or-later
/* server/loop.h: the one thread of the server waits here, for descriptors and for points in time.
 *
 * Everything else of the server runs inside a callback of this loop, so nothing needs a lock. The structures belong to
 * their users (embedded in them); the loop only points to them, so they are removed before they are freed.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop_source {
	int fd;
	void (*ready)(struct loop_source *self, uint32_t events); /* epoll events; may remove or free the source */
};

struct loop_timer {
	uint64_t at; /* milliseconds of loop_now(); 0 while not set */
	void (*fire)(struct loop_timer *self);
	struct loop_timer *next;
};

struct loop {
	int epoll;
	bool stopping;
	struct loop_timer *timers;
	int heard_first; /* turns in a row in which a timer that was due waited for what was ready */
};

int loop_open(struct loop *loop, struct azm_err *err);
void loop_close(struct loop *loop);

/** loop_add() / loop_want() / loop_remove() - watch a descriptor for @events (EPOLLIN, EPOLLOUT). 0, or -1 with errno.
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_want(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

/** loop_set() - fire once at @at (see loop_now()), replacing an earlier setting; 0 switches the timer off. */
void loop_set(struct loop *loop, struct loop_timer *timer, uint64_t at);

/** loop_now() - milliseconds of CLOCK_MONOTONIC; never 0. */
uint64_t loop_now(void);

/** loop_turn() - wait for at most @limit_ms (-1: for ever), serve what is ready, fire what is due: first the one, then
 * the other. */
int loop_turn(struct loop *loop, int limit_ms, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_wait.h: how a relay waits for its next event. Times are nanoseconds of the monotonic clock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Who is waited for: what the last event but one was for, only to be compared. */
struct relay_peer {
	const void *who;
	int64_t patience; /* to look on before sleeping after an event of this one, learnt from the last such waits */
};

enum relay_placing { PLACING_UNKNOWN, PLACING_FREE, PLACING_BOUND /* somebody has said where the thread may run */ };

struct relay_wait {
	int64_t most; /* patience; 0 where there is one CPU */

	/* An exchange: the last wait ended with a single event, for one of the two that had the last ones. */
	bool exchange;
	struct relay_peer peer[2]; /* the latest first */
	int64_t away, away_until;  /* how long not to look on because others need the CPU, and until when */

	/* Many connections. */
	int64_t patience;
	long gave_way;	  /* times the CPU was taken from this thread */
	unsigned crowded; /* waits for which not to look on, because others need the CPU */
	unsigned caution; /* how many the next time */

	enum relay_placing placing;
	bool place;    /* whoever serves the event: call relay_stay_near() */
	unsigned paid; /* waits in exchanges that looking on has shortened */
};

/** relay_wait_init() - look at the processors the calling thread may use. */
[[gnu::nonnull]] void relay_wait_init(struct relay_wait *wait);

/** relay_wait_for() - epoll_wait(), looking on for a while before it sleeps when that has paid lately. */
[[gnu::nonnull]] int relay_wait_for(
	struct relay_wait *wait, int epoll, struct epoll_event *events, int most, int timeout_ms);

/** relay_stay_near() - move the calling thread to the processor that both TCP sockets' peers send from, if they share
 * one that is not ours and nobody has said where the thread may run. What it may run on stays the same. */
[[gnu::nonnull]] void relay_stay_near(struct relay_wait *wait, int a, int b);

/* The rule, without the clock. */

/** patience_at() - how long to look on at @now. */
[[gnu::nonnull]] int64_t patience_at(const struct relay_wait *wait, int64_t now);

/** patience_learn() - an event came after @took in spite of looking on: would more patience have caught it? */
[[gnu::nonnull]] void patience_learn(struct relay_wait *wait, int64_t took);

/** patience_whose() - an event came for @who. Return: whether it is one of the two that had the last ones */
[[gnu::nonnull(1)]] bool patience_whose(struct relay_wait *wait, const void *who);

/** patience_gave() - somebody else had our processor for @took, until @now. */
[[gnu::nonnull]] void patience_gave(struct relay_wait *wait, int64_t now, int64_t took);

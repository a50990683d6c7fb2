// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_internal.h: what relay.c and relay_flow.c share; the theory is in relay.c. */
#pragma once
#include <sys/queue.h>
#include <sys/types.h>

#include "netns/relay.h"
#include "netns/relay_pipe.h"
#include "netns/relay_wait.h"

enum { RELAY_BUFFER_BYTES = 64 * 1024 };

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
	unsigned long joined, ended; /* pairs since the start */
	struct relay_wait wait;
	LIST_HEAD(pair_list, pair) pairs;
	struct pair_list dead;
	STAILQ_HEAD(pair_queue, pair) turns;
	struct relay_pipes pipes;
	uint8_t buffer[RELAY_BUFFER_BYTES];
};

enum progress {
	MOVED,	/* ask again */
	STUCK,	/* until an event */
	BROKEN, /* the pair is to be reset */
};

/** flow_step() - one move of the pair's flow @i: get rid of what it holds, else read and write once. */
enum progress flow_step(struct pair *pair, int i);

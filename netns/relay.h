// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay.h: an epoll loop that moves bytes between pairs of connected stream sockets, many pairs on one thread.
 *
 * It carries what TCP carries: both directions, half-close, reset, back-pressure. It never blocks, and an idle pair
 * costs one small allocation and its two descriptors.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct relay;
struct pair;

/* Something the loop waits for besides the pairs: embed it and get the object back from the pointer. */
struct relay_watch {
	void (*ready)(struct relay_watch *watch, uint32_t events); /* EPOLL* bits */
};

/** relay_new() - an empty loop. Return: owned by the caller, relay_free(); NULL with @err. */
[[gnu::nonnull]] struct relay *relay_new(struct azm_err *err);

/** relay_free() - reset every pair that is left and release the loop; watched descriptors are the caller's. */
void relay_free(struct relay *relay);

/**
 * relay_watch() - have @watch->ready called when @fd has one of @events
 *
 * A watch must not be freed by another watch's call while its descriptor may still be reported; by its own it may.
 * Return: 0, -1 with errno
 */
[[gnu::nonnull]] int relay_watch(struct relay *relay, int fd, uint32_t events, struct relay_watch *watch);

/** relay_rewatch() - change the events; 0 pauses. Return: 0, -1 with errno. */
[[gnu::nonnull]] int relay_rewatch(struct relay *relay, int fd, uint32_t events, struct relay_watch *watch);

/** relay_unwatch() - forget the descriptor; before closing it. */
[[gnu::nonnull]] void relay_unwatch(struct relay *relay, int fd);

/**
 * relay_join() - move bytes between two sockets until both directions have ended
 * @a, @b: connected, non-blocking, stream; taken over whatever the result
 *
 * Return: 0; -1 with errno after both were reset
 */
[[gnu::nonnull]] int relay_join(struct relay *relay, int a, int b);

enum relay_verdict {
	RELAY_PASS,  /* let it flow; do not ask again */
	RELAY_WAIT,  /* ask again when there is more */
	RELAY_CLOSE, /* end the pair: what was sent to the first socket still arrives there, the second is reset */
};

/* Somebody who looks at the beginning of a pair and hears of its end: embed it. It must live until ended(). */
struct relay_guard {
	/* Look (MSG_PEEK) at what @first, the pair's first socket, says, before any of it is passed on. The other
	 * direction flows meanwhile. NULL: there is nothing to look at. */
	enum relay_verdict (*look)(struct relay_guard *guard, int first);
	/* Called once, last of all, with the bytes that first and second have sent to each other. */
	void (*ended)(struct relay_guard *guard, uint64_t sent, uint64_t received);
	struct pair *pair; /* the relay's */
};

/** relay_join_guarded() - relay_join() with a guard, which ends (guard->ended()) also when joining fails. */
[[gnu::nonnull]] int relay_join_guarded(struct relay *relay, int a, int b, struct relay_guard *guard);

/** relay_look_again() - ask a guard that said RELAY_WAIT once more, though nothing more has come. Not from within
 * look().
 */
[[gnu::nonnull]] void relay_look_again(struct relay_guard *guard);

/** relay_break() - reset both ends of a guarded pair; the guard ends with it. Not from within look(). */
[[gnu::nonnull]] void relay_break(struct relay_guard *guard);

/** relay_fd() - readable when relay_turn() would have something to do: for a thread that does not turn it yet. */
[[gnu::nonnull]] int relay_fd(const struct relay *relay);

/** relay_turn() - wait for events and serve them. @timeout_ms: -1 without end. Return: 0, -1 with errno (not EINTR). */
[[gnu::nonnull]] int relay_turn(struct relay *relay, int timeout_ms);

/** relay_ended() - pairs that have ended since the start: descriptors came free when it changes. */
[[gnu::nonnull]] unsigned long relay_ended(const struct relay *relay);

/** relay_count() - pairs there are now. */
[[gnu::nonnull]] unsigned long relay_count(const struct relay *relay);

/** relay_delivering() - whether a pair is left whose socket @from (0 the first, 1 the second) has not ended, or whose
 * bytes the other one has not all been given. */
[[gnu::nonnull]] bool relay_delivering(const struct relay *relay, int from);

/** socket_reset() - close a TCP socket so that its peer sees a reset instead of an end. */
void socket_reset(int fd);

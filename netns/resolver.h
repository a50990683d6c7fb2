// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/resolver.h: host names to addresses, by the host's own rules, in a process of its own.
 *
 * getaddrinfo() loads whatever /etc/nsswitch.conf names and parses answers of strangers; the supervisor, which holds a
 * sandbox in its hands, does neither. The helper speaks a message a question over a SEQPACKET socket, answers as many
 * at once as it has threads, and ends when the last copy of its socket is closed.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "netns/host_name.h"
#include "netns/relay.h"

enum {
	RESOLVER_ADDRESSES = 16, /* more are left out */
	RESOLVER_THREADS = 16,
	RESOLVER_NAMES = 256, /* asked or remembered at a time */
	RESOLVER_TIMEOUT_MS = 10000,
	RESOLVER_KEEP_MS = 10000, /* an answer is used again for this long */
};

/**
 * resolver_start() - start the helper
 *
 * Call it where names are to be resolved as for the user: before network_enter(), in a process without threads. It
 * gets nothing of ours but its socket; no capability, no new privileges, no file it may write.
 *
 * Return: our end of its socket, non-blocking: closing it ends the helper. -1 with @err
 */
[[gnu::nonnull]] int resolver_start(struct azm_err *err);

/* ---- asking it, on a relay loop -------------------------------------------------------------------------------- */

/* One who waits for a name; embed it. */
struct resolver_waiter {
	LIST_ENTRY(resolver_waiter) waiting;
	/* @why: NULL when there are addresses, else why not, a literal. The addresses are valid during the call. Not to
	 * ask again from within. */
	void (*resolved)(
		struct resolver_waiter *waiter, const struct in6_addr *addresses, size_t count, const char *why);
};

struct resolver;

/** resolver_new() - @fd from resolver_start(), owned from here on, also on failure. Return: NULL with @err. */
[[gnu::nonnull]] struct resolver *resolver_new(struct relay *relay, int fd, struct azm_err *err);

/**
 * resolver_ask() - look up a normalised name
 *
 * @waiter->resolved is called exactly once, perhaps at once. The same question of several is asked once.
 */
[[gnu::nonnull]] void resolver_ask(
	struct resolver *resolver, const char *name, struct resolver_waiter *waiter, int64_t now_ms);

/** resolver_forget() - @waiter does not wait any more. */
[[gnu::nonnull]] void resolver_forget(struct resolver_waiter *waiter);

/** resolver_tick() - give up what has waited too long. Call it about every second while somebody waits. */
[[gnu::nonnull]] void resolver_tick(struct resolver *resolver, int64_t now_ms);

/** resolver_alive() - whether the helper is there. */
[[gnu::nonnull]] bool resolver_alive(const struct resolver *resolver);

/** resolver_free() - whoever still waits is told; the helper ends. NULL is fine. */
void resolver_free(struct resolver *resolver);

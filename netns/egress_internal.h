// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_internal.h: what the files egress*.c share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "netns/dns.h"
#include "netns/egress.h"
#include "netns/egress_log.h"
#include "netns/egress_proxy.h"
#include "netns/relay.h"
#include "netns/resolver.h"
#include "netns/sniff.h"
#include "netns/synthetic.h"

enum { BROKER_REMEMBERED = 16 /* names whose denial was logged a moment ago */ };

enum connection_state {
	CONNECTION_RESOLVING,
	CONNECTION_DIALLING,
	CONNECTION_ASKING, /* the site's proxy */
	CONNECTION_JOINED,
	CONNECTION_OVER, /* freed after the batch of events that may still point to it */
};

/* A connection of the sandbox, from accept() to its end. */
struct connection {
	struct relay_guard guard;
	struct relay_watch client_watch, upstream_watch;
	struct resolver_waiter waiter;
	struct broker *broker;
	LIST_ENTRY(connection) all;   /* in connections, then in over */
	LIST_ENTRY(connection) timed; /* while there is a deadline */
	enum connection_state state;
	int client, upstream; /* -1; the relay's once joined */
	int64_t deadline;     /* 0: none */
	uint16_t port;	      /* that the sandbox dialled */
	bool host_service, last_look;
	uint8_t count, next;	     /* of addresses: how many, which is being tried */
	struct in6_addr destination; /* what the sandbox dialled when it named no name; later what we dialled */
	struct in6_addr *addresses;  /* checked; owned, while dialling */
	char *name;		     /* that was dialled; owned, NULL: an address was */
	char *rule;		     /* that allowed it; owned */
};

struct remembered {
	char name[HOST_NAME_SIZE];
	int64_t until;
};

struct broker {
	/* Constant while the thread runs. */
	struct broker_options options;
	struct egress_proxy proxy;
	bool proxied;
	int host;      /* address_host_open() */
	unsigned most; /* connections at a time */

	/* Owned by the thread. */
	struct relay *relay;
	struct relay_watch listen_watch, wake_watch;
	struct egress_rules *rules;
	struct egress_log *log;
	struct resolver *resolver; /* NULL: none */
	struct synthetic *names;
	struct dns_responder *dns;
	LIST_HEAD(connection_list, connection) connections;
	struct connection_list timed, over;
	unsigned count;
	int spare;   /* a socket for the next connection, so that none is accepted that cannot be served; -1 */
	bool paused; /* not accepting */
	unsigned long ended_at; /* relay_ended() when that happened */
	int64_t resume_at;
	int64_t tick; /* when to look at the deadlines again */
	struct remembered remembered[BROKER_REMEMBERED];
	unsigned next_remembered;
	uint8_t first_bytes[SNIFF_MOST]; /* of one connection, while they are looked at */

	/* Between the threads. */
	pthread_t thread;
	bool started;
	int wake; /* eventfd */
	atomic_bool stopping, resolves;
	pthread_mutex_t lock;
	struct egress_rules *new_rules; /* NULL: none */
	int new_resolver;		/* -1: none */
};

/** connection_begin() - decide about an accepted connection and start what follows; @client is taken over. */
[[gnu::nonnull]] void connection_begin(struct broker *broker, int client, const struct sockaddr_in *destination);

/** connection_timeout() - its deadline has passed. */
[[gnu::nonnull]] void connection_timeout(struct connection *connection);

/** connection_recheck() - end it if today's rules would not let it begin. */
[[gnu::nonnull]] void connection_recheck(struct connection *connection);

/** connection_abandon() - reset it, whatever it is doing. */
[[gnu::nonnull]] void connection_abandon(struct connection *connection);

/** connection_log() - one line about it. @why may be NULL. */
[[gnu::nonnull(1)]] void connection_log(
	const struct connection *connection, enum egress_verdict verdict, const char *why);

/** connection_expect() - a deadline @ms from now; 0: none any more. */
[[gnu::nonnull]] void connection_expect(struct connection *connection, int64_t ms);

/** connection_look() - relay_guard.look: does what the client says agree with what it was allowed? */
enum relay_verdict connection_look(struct relay_guard *guard, int first);

/** connection_of() - the connection a guard belongs to. */
static inline struct connection *connection_of(struct relay_guard *guard)
{
	return (struct connection *)((char *)guard - offsetof(struct connection, guard));
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress.h: the broker: how a sandbox reaches what its rules allow.
 *
 * A thread of the supervisor, "azm-egress", lives in the host's network namespace and serves sockets that were made in
 * the network's: the packet filter sends it every TCP connection of the sandbox, and its questions to the name server.
 * It decides by name (the synthetic address that was dialled stands for one) or by address, resolves names on the host
 * when a connection is made, connects to exactly the address that was checked, and moves bytes.
 *
 * Every decision is one line of JSON in the sandbox's egress log (egress_log.h).
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/egress_rules.h"

struct broker_options {
	uint32_t client; /* the sandbox's address, host byte order: nobody else is served */
	uint32_t subnet; /* the network's own: never dialled from the host's side */
	unsigned prefix;
	int tcp; /* listening, in the network's namespace; where the packet filter sends TCP */
	uint16_t tcp_port;
	int dns_udp, dns_tcp;
	int log_dir;	   /* where egress.log is; duplicated */
	int resolver;	   /* from resolver_start(); -1: names cannot be resolved */
	const char *proxy; /* http://[USER:PASSWORD@]HOST:PORT that everything but host:PORT goes through; NULL: none */
	/* Names of the network's members, NULL where there are none; called on the broker's thread. */
	bool (*member_find)(void *context, const char *name, uint32_t *address);
	bool (*member_name)(void *context, uint32_t address, char *name, size_t size);
	void *context;
};

struct broker;

/**
 * broker_start() - start the thread
 * @options:	copied; the four sockets are owned by the broker from here on, whatever the result
 * @rules:	the same
 *
 * Call it in the host's network namespace, after the process has confined itself: the thread inherits that and drops
 * every capability. Return: owned by the caller, broker_stop(); NULL with @err
 */
[[gnu::nonnull]] struct broker *broker_start(
	const struct broker_options *options, struct egress_rules *rules, struct azm_err *err);

/**
 * broker_change() - other rules, and perhaps a resolver, from now on
 * @rules:	owned by the broker afterwards
 * @resolver:	-1: keep the one there is
 *
 * Connections that are open stay open unless the new rules refuse their name or address: those are reset.
 */
[[gnu::nonnull]] void broker_change(struct broker *broker, struct egress_rules *rules, int resolver);

/** broker_resolves() - whether a resolver is there and alive. */
[[gnu::nonnull]] bool broker_resolves(const struct broker *broker);

/** broker_stop() - let servers have what the sandbox had sent (two seconds at most), reset what is left and end the
 * thread. NULL is allowed. Call it when the sandbox is gone. */
void broker_stop(struct broker *broker);

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/dns.h: the name server of one sandbox, on a relay loop: UDP and TCP, A, AAAA (none) and PTR.
 *
 *     a member's NAME or NAME.azm     its address
 *     a name egress may connect to    a synthetic address, see synthetic.h
 *     4.3.2.1.in-addr.arpa            the name of a synthetic address, NAME.azm of a member
 *     everything else                 NXDOMAIN
 *
 * Nothing is asked of anybody else: the answer to a lookup leaks nothing and costs nothing. Only packets from the
 * sandbox's own address are answered.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/relay.h"
#include "netns/synthetic.h"

struct dns_config {
	struct relay *loop;
	int udp, tcp;	 /* bound, @tcp listening, non-blocking; stay the caller's, to be closed after dns_stop() */
	uint32_t client; /* who may ask, host byte order */
	struct synthetic *names;

	/* All names are normalised: lower case, no trailing dot. @context is handed to each. */
	void *context;
	/* Whether egress allows some port of @name. */
	bool (*answerable)(void *context, const char *name);
	/* The address of a live member, host byte order, asked for NAME without ".azm". NULL: a network without
	 * members. */
	bool (*member_find)(void *context, const char *name, uint32_t *address);
	/* The reverse, into @name of HOST_NAME_SIZE. NULL together with member_find. */
	bool (*member_name)(void *context, uint32_t address, char *name, size_t size);
};

struct dns_responder;

/**
 * dns_start() - serve until dns_stop()
 * @config:	copied
 *
 * Return: owned by the caller; NULL with @err
 */
[[gnu::nonnull]] struct dns_responder *dns_start(const struct dns_config *config, struct azm_err *err);

/** dns_stop() - close every connection and leave the loop; not from within a call of the loop. NULL is fine. */
void dns_stop(struct dns_responder *dns);

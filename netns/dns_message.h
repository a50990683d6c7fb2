// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/dns_message.h: DNS queries in, answers out (RFC 1035, EDNS0 of RFC 6891). Pure: no state, no sockets.
 *
 * Packets are hostile. The names are taken apart and put together by the resolver parsers of the C library.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns/host_name.h"

enum {
	DNS_QUERY_MAX = 1232, /* bytes; a question has 271, the rest is EDNS options */
	DNS_ANSWER_MAX = 576, /* longest answer that dns_answer() makes */
	DNS_DROP = -1,	      /* do not answer at all */
};

/* A query that can be answered: one question, or enough of one to say what is wrong with it. */
struct dns_query {
	uint16_t id, type;
	uint8_t opcode;
	bool recursion_desired, checking_disabled, edns;
	const uint8_t *question; /* in the packet, to be repeated in the answer; NULL: could not be read */
	size_t question_size;
	char name[HOST_NAME_SIZE]; /* normalised; empty: not a host name, so nobody's */
};

/**
 * dns_query_read() - take a query apart
 * @packet:	must outlive @query
 *
 * Return: ns_r_noerror: answer the question. Another NS_R code (formerr, notimpl, refused, badvers): answer with it.
 * DNS_DROP: shorter than a header, or itself an answer (two servers would talk for ever).
 */
[[gnu::nonnull]] int dns_query_read(const uint8_t *packet, size_t size, struct dns_query *query);

/* What an answer holds besides the question. */
struct dns_answer {
	int rcode;
	uint16_t type;	  /* ns_t_a, ns_t_ptr; 0: no record */
	uint32_t ttl;	  /* s */
	uint32_t address; /* of ns_t_a, host byte order */
	const char *name; /* of ns_t_ptr, normalised */
};

/** dns_answer() - put an answer together. Return: its size; 0 when it does not fit or @answer->name is none. */
[[gnu::nonnull]] size_t dns_answer(
	const struct dns_query *query, const struct dns_answer *answer, uint8_t packet[static DNS_ANSWER_MAX]);

/** dns_reverse_name() - the IPv4 address in "4.3.2.1.in-addr.arpa", host byte order. Return: false: it is not that. */
[[gnu::nonnull]] bool dns_reverse_name(const char *name, uint32_t *address);

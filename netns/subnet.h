// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/subnet.h: which private addresses a network uses.
 *
 * A network is not connected to the host's, but a sandbox that may reach out must be able to name every address the
 * host can reach: a network inside a sandbox's own subnet would be hidden. So the subnet is one the host has no route
 * to.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct subnet {
	uint32_t base;	 /* host byte order */
	unsigned prefix; /* length */
};

/* A growing list of subnets that are in use. */
struct subnet_list {
	struct subnet *items;
	size_t count, room;
};

#define cleanup_subnet_list [[gnu::cleanup(subnet_list_free)]]

/** subnet_list_add() - append one. Out of memory aborts, as in base/str.h. */
void subnet_list_add(struct subnet_list *list, struct subnet subnet);
void subnet_list_free(struct subnet_list *list);

enum {
	SUBNET_LARGEST = 16,  /* prefix of the largest subnet a network may have */
	SUBNET_SMALLEST = 29, /* and of the smallest one: five members */
	SUBNET_TEXT_MAX = 19, /* "255.255.255.255/32" */
};

/** subnet_overlap() - whether two subnets have an address in common. */
[[gnu::nonnull]] bool subnet_overlap(const struct subnet *a, const struct subnet *b);

/**
 * subnet_choose() - the first candidate that overlaps none of @taken
 * @prefix:	length of a subnet that is large enough; candidates that are smaller are returned as they are
 *
 * The last candidate (a documentation range that nothing real lives in) when all overlap. Default routes and their
 * halves (prefixes 0 and 1) do not count.
 */
struct subnet subnet_choose(const struct subnet *taken, size_t count, unsigned prefix);

/** subnet_host_routes() - append what the IPv4 routes of the caller's network namespace lead to, as far as it could
 * collide with a network. */
[[gnu::nonnull]] int subnet_host_routes(struct subnet_list *list, struct azm_err *err);

/** subnet_valid() - whether a network can live there: private addresses, no host bits, a length that is allowed. */
[[gnu::nonnull]] bool subnet_valid(const struct subnet *subnet);

/** subnet_parse() - "10.5.0.0/24", checked as subnet_valid() does, with an error that says what is wrong. */
[[gnu::nonnull]] int subnet_parse(const char *text, struct subnet *subnet, struct azm_err *err);

/** subnet_text() - the other way. */
void subnet_text(const struct subnet *subnet, char text[SUBNET_TEXT_MAX]);

/** subnet_address_text() - "10.5.0.1" of an address in host byte order. */
void subnet_address_text(uint32_t address, char text[SUBNET_TEXT_MAX]);

/** subnet_gateway() - the bridge's own address, the first one. */
uint32_t subnet_gateway(const struct subnet *subnet);

/* Leases are the addresses between the gateway and the broadcast address, numbered by their offset. */
enum { SUBNET_FIRST_LEASE = 2 };
uint32_t subnet_last_lease(const struct subnet *subnet);

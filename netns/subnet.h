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

/** subnet_choose() - the first candidate that overlaps none of @taken; the last candidate (a documentation range that
 * nothing real lives in) when all do. Default routes and their halves (prefixes 0 and 1) do not count. */
struct subnet subnet_choose(const struct subnet *taken, size_t count);

/** subnet_find_free() - subnet_choose() against the IPv4 routes of the caller's network namespace. */
[[gnu::nonnull]] int subnet_find_free(struct subnet *out, struct azm_err *err);

/** subnet_valid() - whether a subnet received from elsewhere makes sense: private, no host bits, room for leases. */
[[gnu::nonnull]] bool subnet_valid(const struct subnet *subnet);

/** subnet_gateway() - the bridge's own address, the first one. */
uint32_t subnet_gateway(const struct subnet *subnet);

/* Leases are the addresses between the gateway and the broadcast address, numbered by their offset. */
enum { SUBNET_FIRST_LEASE = 2 };
uint32_t subnet_last_lease(const struct subnet *subnet);

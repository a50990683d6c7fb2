// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/address_class.h: which addresses egress never goes to, and which only when the user named them.
 *
 * A name the sandbox may reach can be made to resolve to anything by whoever owns it. So every address is classified
 * after it was resolved, and the connection goes to exactly the address that was looked at.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum address_kind {
	ADDRESS_PRIVATE, /* site-internal: only for an exact name or a rule that names the address */
	ADDRESS_NEVER,
};

struct address_class {
	const char *prefix; /* as text; IPv4 prefixes in IPv4 notation */
	uint8_t length;
	enum address_kind kind;
	const char *what;   /* "loopback", for messages */
	const char *source; /* the document that reserves it */
};

/**
 * address_classify() - the row of the table that an address belongs to
 * @address:	IPv4 as ::ffff:a.b.c.d, so an IPv4-mapped IPv6 address is what it maps to
 *
 * Return: a static row; NULL for a public unicast address
 */
[[gnu::nonnull]] const struct address_class *address_classify(const struct in6_addr *address);

/**
 * address_classify_subnet() - the row that holds every address of a subnet
 * @length:	prefix length, counted in the 128 bits (an IPv4 /8 is 104)
 *
 * Return: a static row; NULL when no single row covers it
 */
[[gnu::nonnull]] const struct address_class *address_classify_subnet(const struct in6_addr *address, unsigned length);

/** address_from_v4() - ::ffff:a.b.c.d of an address in host byte order. */
struct in6_addr address_from_v4(uint32_t address);

/** address_to_v4() - the reverse. Return: false when @address is not IPv4. */
[[gnu::nonnull]] bool address_to_v4(const struct in6_addr *address, uint32_t *v4);

/** address_in() - whether @address lies in @prefix/@length (of 128). */
[[gnu::nonnull]] bool address_in(const struct in6_addr *address, const struct in6_addr *prefix, unsigned length);

/**
 * address_host_open() - a socket that knows the routes of the caller's network namespace (the host's)
 *
 * Open it before the process confines itself. One thread at a time. Return: descriptor, -1 with @err
 */
[[gnu::nonnull]] int address_host_open(struct azm_err *err);

/**
 * address_is_own() - whether the host itself answers under this address, whatever its range
 * @host:	from address_host_open()
 *
 * Asks the kernel where it would send a packet (RTM_GETROUTE): everything but "to another host" counts as own.
 * No route at all is not: connect(2) says so better.
 *
 * Return: false only when the kernel said so; true for own addresses and, to fail closed, when it could not be asked
 */
[[gnu::nonnull]] bool address_is_own(int host, const struct in6_addr *address);

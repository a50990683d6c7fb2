// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/synthetic.h: addresses that stand for names, inside one sandbox.
 *
 * DNS answers an allowed name with an address of 198.18.0.0/15 (RFC 2544, benchmarking: in nobody's use), and the
 * connection to that address is a connection to the name. So the broker knows the name of every connection without
 * looking into it, and nothing is resolved before it is needed.
 *
 * A map is bounded. Names stay until there is no room: then the one that was neither answered nor connected to for the
 * longest time goes, and none that was in the last SYNTHETIC_KEEP_MS. Addresses are given out in turn through the
 * whole range, so one comes back only after 130 000 others, and never while it is mapped.
 *
 * Addresses are in host byte order. Not locked: one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SYNTHETIC_BASE 0xc6120000u /* 198.18.0.0 */
enum {
	SYNTHETIC_PREFIX = 15,
	SYNTHETIC_NAMES = 4096,
	SYNTHETIC_TTL_S = 30,	    /* what DNS says */
	SYNTHETIC_KEEP_MS = 120000, /* no name is forgotten earlier: caches of clients are not exact */
};

struct synthetic;

/** synthetic_new() - an empty map for at most @names names. Return: owned by the caller; NULL with @err. */
[[gnu::nonnull]] struct synthetic *synthetic_new(size_t names, struct azm_err *err);
void synthetic_free(struct synthetic *map);

/** synthetic_contains() - whether an address is of the range, mapped or not. */
bool synthetic_contains(uint32_t address);

/**
 * synthetic_address() - the address of a name; made when it has none
 * @name:	normalised (host_name.h)
 * @now_ms:	a clock that does not run backwards
 *
 * Return: true and *@address; false when the map is full of names in use, or memory is out
 */
[[gnu::nonnull]] bool synthetic_address(struct synthetic *map, const char *name, int64_t now_ms, uint32_t *address);

/**
 * synthetic_name() - the name an address stands for; counts as use
 *
 * Return: owned by the map, valid until the next synthetic_address(); NULL: not mapped
 */
[[gnu::nonnull]] const char *synthetic_name(struct synthetic *map, uint32_t address, int64_t now_ms);

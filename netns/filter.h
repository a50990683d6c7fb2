// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/filter.h: the packet filter of a network. network_serve() in netns.h is its face. */
#pragma once
#include "base/err.h"
#include "netns/netns.h"

/**
 * filter_forget() - take an earlier holder of our address out of the packet filter
 *
 * Before our port exists. Costs a read of one byte when there is nothing to forget, which is nearly always.
 *
 * Return: 0; -1 with @err: what it left is still there, the address must not be used
 */
[[gnu::nonnull]] int filter_forget(struct network *network, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/make.h: bring a network into being. */
#pragma once
#include "base/err.h"
#include "netns/keeper.h"
#include "netns/netns.h"

/**
 * network_make() - make the namespaces of a network, with maps, bridge and loopback
 * @stock:	filled; the descriptors are the caller's. kept_fd is not touched
 *
 * Return: 0, or -1 with @err and nothing left behind
 */
[[gnu::nonnull]] int network_make(
	const struct network_options *options, struct keeper_stock *stock, struct azm_err *err);

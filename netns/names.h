// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/names.h: what the lease file of a network says beside who holds which address. The functions for everybody,
 * network_name_set() and the like, are in netns.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/**
 * lease_mark() - note that the packet filter knows something about an address, or that it does not any more
 *
 * The note outlives its writer: the next holder of the lease finds it and cleans up.
 */
int lease_mark(int lease_fd, uint32_t lease, bool filtered, struct azm_err *err);

/** lease_is_marked() - whether an earlier holder may have left something in the packet filter. */
bool lease_is_marked(int lease_fd, uint32_t lease);

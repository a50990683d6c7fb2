// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/link.h: the links of a network: the bridge, the ports of sandboxes, the inside of a sandbox.
 *
 * Every function takes a NETLINK_ROUTE socket that was opened inside the namespace it changes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/subnet.h"

#define BRIDGE_NAME "azm0"

/** link_mac() - MAC address of the link that has an IP address: of eth0 in a sandbox, and of azm0. */
void link_mac(uint32_t address, uint8_t mac[6]);

/** link_make_bridge() - loopback, and azm0 with the gateway's address, that forwards nothing between IP networks. */
[[gnu::nonnull]] int link_make_bridge(int rtnl, const struct subnet *subnet, struct azm_err *err);

/** link_port_name() - name of the port of a lease, for humans: veth ends are addressed by number. */
void link_port_name(uint32_t lease, char name[16]);

/**
 * link_make_port() - a veth pair: one end on azm0 and up, the other as eth0 (down) in a sandbox
 * @lease:	number of the address, unique in the network
 * @address:	decides the MAC address of eth0
 * @isolated:	the port talks to the bridge itself only, never to another isolated port
 *
 * Return: 0; -1 with @err. EEXIST and EBUSY mean that the port of an earlier holder of the lease is still being
 * destroyed by the kernel: take another lease. Nothing is left behind on failure.
 */
[[gnu::nonnull]] int link_make_port(
	int rtnl, uint32_t lease, uint32_t address, bool isolated, int sandbox_netns, struct azm_err *err);

/** link_delete_port() - remove the port of a lease, both ends. One that is gone already is no error. */
[[gnu::nonnull]] int link_delete_port(int rtnl, uint32_t lease, struct azm_err *err);

/** link_configure_inside() - in the sandbox: lo up, eth0 up with @address and no IPv6 link-local address. */
[[gnu::nonnull]] int link_configure_inside(int rtnl, uint32_t address, unsigned prefix, struct azm_err *err);

/** link_loopback_up() - lo up and nothing else. */
[[gnu::nonnull]] int link_loopback_up(int rtnl, struct azm_err *err);

/** link_route() - in the sandbox: a default route through eth0 to @gateway, whose MAC is link_mac()'s. One that is
 * there already is no error. */
[[gnu::nonnull]] int link_route(int rtnl, uint32_t gateway, struct azm_err *err);

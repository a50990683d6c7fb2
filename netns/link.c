// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/link.c: see link.h.
 *
 * Theory of operation
 *
 * Links get their interface numbers from us: azm0 is BRIDGE_INDEX, the port of lease n is BRIDGE_INDEX + n, eth0 in
 * the sandbox is INSIDE_INDEX. No request then has to look up a name or wait for the answer of the one before, so each
 * namespace is set up with one batch. (The numbers start above the tunnel devices some kernels put into every new
 * namespace.)
 *
 * A port is made and put on the bridge by the first request, and isolated and brought up by the second: a port must be
 * on a bridge before the bridge knows flags for it (EOPNOTSUPP otherwise), and it carries nothing before it is up. When
 * the first request fails because the number is still taken, the second one runs into the dying port of the same lease,
 * where it does no harm.
 *
 * One queue a device: the kernel's default is one for each possible CPU, and each costs memory and sysfs entries.
 *
 * Sources: net/core/rtnetlink.c, drivers/net/veth.c, net/bridge/br_netlink.c of the kernel; rtnetlink(7).
 */
#include "netns/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "netns/rtnl.h"

enum { LOOPBACK_INDEX = 1, BRIDGE_INDEX = 64, INSIDE_INDEX = 64 };

/* Locally administered, and different for every address of a network. A bridge left to itself takes the lowest MAC of
 * its ports, and changes it under the feet of everybody's neighbour table when a port comes or goes. */
void link_mac(uint32_t address, uint8_t mac[ETH_ALEN])
{
	const uint8_t bytes[ETH_ALEN] = { 0x0a, 0x5a, (uint8_t)(address >> 24), (uint8_t)(address >> 16),
		(uint8_t)(address >> 8), (uint8_t)address };

	memcpy(mac, bytes, sizeof bytes);
}

static void put_mac(struct rtnl_batch *batch, uint32_t address)
{
	uint8_t mac[ETH_ALEN];

	link_mac(address, mac);
	rtnl_put(batch, IFLA_ADDRESS, mac, sizeof mac);
}

static void put_one_queue(struct rtnl_batch *batch)
{
	rtnl_put_u32(batch, IFLA_NUM_TX_QUEUES, 1);
	rtnl_put_u32(batch, IFLA_NUM_RX_QUEUES, 1);
}

/* Without this, a link that comes up gets a link-local address, with duplicate detection and reports to the bridge. It
 * has to be a request of its own: within one, the kernel brings the link up first. */
static void request_no_ipv6_address(struct rtnl_batch *batch, int index)
{
	struct ifinfomsg link = { .ifi_index = index };

	rtnl_request(batch, "configure eth0 in the sandbox", RTM_NEWLINK, 0, &link, sizeof link);
	struct nlattr *families = rtnl_nest(batch, IFLA_AF_SPEC);
	struct nlattr *inet6 = rtnl_nest(batch, AF_INET6);
	rtnl_put_u8(batch, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	rtnl_nest_end(batch, inet6);
	rtnl_nest_end(batch, families);
}

static void request_up(struct rtnl_batch *batch, const char *step, int index)
{
	struct ifinfomsg link = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	rtnl_request(batch, step, RTM_NEWLINK, 0, &link, sizeof link);
}

static void request_address(struct rtnl_batch *batch, int index, uint32_t address, unsigned prefix)
{
	struct ifaddrmsg where = {
		.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = (unsigned)index
	};
	uint32_t mask = prefix == 0 ? 0 : ~0u << (32 - prefix);

	rtnl_request(batch, "set the address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &where, sizeof where);
	rtnl_put_u32(batch, IFA_LOCAL, htonl(address));
	rtnl_put_u32(batch, IFA_ADDRESS, htonl(address));
	rtnl_put_u32(batch, IFA_BROADCAST, htonl(address | ~mask));
}

/* The address of the bridge must not become a way around port isolation: a packet sent to the bridge's MAC with the
 * address of another sandbox would be routed straight back out. A new namespace inherits the host's settings. */
static void put_no_forwarding(struct rtnl_batch *batch)
{
	static const struct {
		int setting;
		uint32_t value;
	} settings[] = {
		{ IPV4_DEVCONF_FORWARDING, 0 },
		{ IPV4_DEVCONF_ROUTE_LOCALNET, 0 },
		{ IPV4_DEVCONF_PROXY_ARP, 0 },
		{ IPV4_DEVCONF_ACCEPT_REDIRECTS, 0 },
		{ IPV4_DEVCONF_SEND_REDIRECTS, 0 },
		{ IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE, 0 },
		{ IPV4_DEVCONF_RP_FILTER, 1 },
	};
	struct nlattr *families = rtnl_nest(batch, IFLA_AF_SPEC);
	struct nlattr *inet = rtnl_nest(batch, AF_INET);
	struct nlattr *conf = rtnl_nest(batch, IFLA_INET_CONF);

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		rtnl_put_u32(batch, settings[i].setting, settings[i].value);
	rtnl_nest_end(batch, conf);
	rtnl_nest_end(batch, inet);
	rtnl_nest_end(batch, families);
}

int link_make_bridge(int rtnl, const struct subnet *subnet, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };
	struct ifinfomsg link = { .ifi_index = BRIDGE_INDEX };
	/* Frames to 01:80:c2:00:00:0X go around the packet filter: the bridge must not learn from them who is where. */
	const struct br_boolopt_multi no_learning = { 1 << BR_BOOLOPT_NO_LL_LEARN, 1 << BR_BOOLOPT_NO_LL_LEARN };

	rtnl_request(
		&batch, "make the bridge " BRIDGE_NAME, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
	rtnl_put_string(&batch, IFLA_IFNAME, BRIDGE_NAME);
	put_mac(&batch, subnet_gateway(subnet));
	struct nlattr *info = rtnl_nest(&batch, IFLA_LINKINFO);
	rtnl_put_string(&batch, IFLA_INFO_KIND, "bridge");
	struct nlattr *data = rtnl_nest(&batch, IFLA_INFO_DATA);
	rtnl_put_u32(&batch, IFLA_BR_STP_STATE, 0);
	rtnl_put_u32(&batch, IFLA_BR_FORWARD_DELAY, 0); /* a port works at once */
	rtnl_put_u8(&batch, IFLA_BR_MCAST_SNOOPING, 0);
	rtnl_put(&batch, IFLA_BR_MULTI_BOOLOPT, &no_learning, sizeof no_learning);
	rtnl_nest_end(&batch, data);
	rtnl_nest_end(&batch, info);

	request_up(&batch, "bring up the bridge " BRIDGE_NAME, BRIDGE_INDEX);
	put_no_forwarding(&batch);
	request_address(&batch, BRIDGE_INDEX, subnet_gateway(subnet), subnet->prefix);
	request_up(&batch, "bring up loopback", LOOPBACK_INDEX);
	return rtnl_commit(rtnl, &batch, err);
}

void link_port_name(uint32_t lease, char name[16])
{
	snprintf(name, 16, "azm%05u", lease);
}

static void request_pair(struct rtnl_batch *batch, uint32_t lease, uint32_t address, int sandbox_netns)
{
	struct ifinfomsg port = { .ifi_index = BRIDGE_INDEX + (int)lease };
	struct ifinfomsg inside = { .ifi_index = INSIDE_INDEX };
	char name[16];

	link_port_name(lease, name);
	rtnl_request(batch, "make the network link", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &port, sizeof port);
	rtnl_put_string(batch, IFLA_IFNAME, name);
	rtnl_put_u32(batch, IFLA_MASTER, BRIDGE_INDEX);
	put_one_queue(batch);
	struct nlattr *info = rtnl_nest(batch, IFLA_LINKINFO);
	rtnl_put_string(batch, IFLA_INFO_KIND, "veth");
	struct nlattr *data = rtnl_nest(batch, IFLA_INFO_DATA);
	struct nlattr *peer = rtnl_nest(batch, VETH_INFO_PEER);
	rtnl_put_raw(batch, &inside, sizeof inside);
	rtnl_put_string(batch, IFLA_IFNAME, "eth0");
	rtnl_put_u32(batch, IFLA_NET_NS_FD, (uint32_t)sandbox_netns);
	put_mac(batch, address);
	put_one_queue(batch);
	rtnl_nest_end(batch, peer);
	rtnl_nest_end(batch, data);
	rtnl_nest_end(batch, info);
}

static void request_port_up(struct rtnl_batch *batch, uint32_t lease, bool isolated)
{
	request_up(batch, "bring up the port on the bridge", BRIDGE_INDEX + (int)lease);
	struct nlattr *info = rtnl_nest(batch, IFLA_LINKINFO);
	rtnl_put_string(batch, IFLA_INFO_SLAVE_KIND, "bridge");
	struct nlattr *data = rtnl_nest(batch, IFLA_INFO_SLAVE_DATA);
	rtnl_put_u8(batch, IFLA_BRPORT_ISOLATED, isolated);
	rtnl_nest_end(batch, data);
	rtnl_nest_end(batch, info);
}

int link_make_port(int rtnl, uint32_t lease, uint32_t address, bool isolated, int sandbox_netns, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };
	struct azm_err ignored;

	request_pair(&batch, lease, address, sandbox_netns);
	request_port_up(&batch, lease, isolated);
	if (rtnl_commit(rtnl, &batch, err) == 0)
		return 0;
	if (!err_is(err, EEXIST) && !err_is(err, EBUSY))
		link_delete_port(rtnl, lease, &ignored);
	return -1;
}

int link_delete_port(int rtnl, uint32_t lease, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };
	struct ifinfomsg port = { .ifi_index = BRIDGE_INDEX + (int)lease };

	rtnl_request(&batch, "remove the network link", RTM_DELLINK, 0, &port, sizeof port);
	if (rtnl_commit(rtnl, &batch, err) < 0 && !err_is(err, ENODEV))
		return -1;
	return 0;
}

/* Requests that may be repeated. */
static void request_inside(struct rtnl_batch *batch, uint32_t address, unsigned prefix)
{
	request_up(batch, "bring up eth0 in the sandbox", INSIDE_INDEX);
	request_up(batch, "bring up loopback in the sandbox", LOOPBACK_INDEX);
	request_address(batch, INSIDE_INDEX, address, prefix);
}

int link_configure_inside(int rtnl, uint32_t address, unsigned prefix, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };
	cleanup_rtnl_batch struct rtnl_batch without = { 0 };

	request_no_ipv6_address(&batch, INSIDE_INDEX);
	request_inside(&batch, address, prefix);
	if (rtnl_commit(rtnl, &batch, err) == 0)
		return 0;
	if (!err_is(err, EAFNOSUPPORT))
		return -1;
	request_inside(&without, address, prefix); /* a kernel without IPv6 */
	return rtnl_commit(rtnl, &without, err);
}

int link_loopback_up(int rtnl, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };

	request_up(&batch, "bring up loopback in the sandbox", LOOPBACK_INDEX);
	return rtnl_commit(rtnl, &batch, err);
}

/* The gateway's MAC follows from its address: nobody has to ask for it, or to wait when what was asked before there was
 * a gateway is asked again a second later. */
static void request_neighbour(struct rtnl_batch *batch, uint32_t address)
{
	struct ndmsg neighbour = { .ndm_family = AF_INET, .ndm_ifindex = INSIDE_INDEX, .ndm_state = NUD_PERMANENT };
	uint8_t mac[ETH_ALEN];

	link_mac(address, mac);
	rtnl_request(batch, "set the gateway's neighbour entry", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &neighbour,
		sizeof neighbour);
	rtnl_put_u32(batch, NDA_DST, htonl(address));
	rtnl_put(batch, NDA_LLADDR, mac, sizeof mac);
}

int link_route(int rtnl, uint32_t gateway, struct azm_err *err)
{
	cleanup_rtnl_batch struct rtnl_batch batch = { 0 };
	struct rtmsg route = { .rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST };

	rtnl_request(&batch, "set the default route", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof route);
	rtnl_put_u32(&batch, RTA_GATEWAY, htonl(gateway));
	rtnl_put_u32(&batch, RTA_OIF, INSIDE_INDEX);
	request_neighbour(&batch, gateway);
	return rtnl_commit(rtnl, &batch, err);
}

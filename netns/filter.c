// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/filter.c: the packet filter of a network; see network_serve() in netns.h, and filter.h.
 *
 * Theory of operation
 *
 * A network without egress and without names for its members needs no rules: the private bridge isolates its ports and
 * forwards nothing. The first member that is served loads two tables, for all; from then on a member is a few elements:
 *
 *     table bridge azm   set members   { port . MAC address . IPv4 address }      who may send as whom
 *     table ip azm       maps tcp, dns_udp, dns_tcp   { IPv4 address : port }     where its packets go
 *
 * Each member sees to its own elements and to nothing else, in one transaction; the number of rules and chains does not
 * grow. Two who load the tables at once: one gets EEXIST and adds its elements only.
 *
 * Frames. A frame that comes in through a port passes when its port, source MAC and IPv4 source are those of one
 * member; ARP when its sender fields are, too. All else is dropped, IPv6 and VLAN tags included, and frames of a port
 * that is no element: a member of the private network without egress, whose port leads nowhere anyway. Nobody has to be
 * trusted then: a source address is as good as a name. The bridge learns who is where after these rules; frames to
 * 01:80:c2:00:00:0X, which go around them, teach it nothing (link.c).
 *
 * Packets. What comes to azm0 for the gateway's MAC is redirected by source address: DNS to the member's responder,
 * other TCP to its broker. What was not redirected is rejected at once, before it is routed, because azm0 forwards
 * nothing and would drop it silently. A direct connection to a broker's port is not redirected: it has that address
 * already, the redirect changes nothing, and it is rejected as well. Frames that are only passing through the bridge
 * come here, too, where br_netfilter is loaded and could not be told off (make.c); they have another MAC address and
 * are left alone.
 *
 * Death. Elements outlive their member. The lease file keeps a byte a lease that says what may be left (names.c),
 * written before elements are loaded: the next holder of the address, with or without egress, finds it and deletes
 * them before its port exists, so that nobody inherits anything. Holding the lease is what makes that safe.
 *
 * Sources: nft(8); net/bridge/br_input.c, net/netfilter/nft_redir.c, nft_reject.c of the kernel (reject in prerouting:
 * Linux 5.9).
 */
#include "netns/filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <linux/if.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "netns/hints.h"
#include "netns/inside.h"
#include "netns/link.h"
#include "netns/names.h"
#include "netns/nft.h"

#define TABLE	"azm"
#define MEMBERS "members"

/* Numbers nft(8) has for types; a concatenation has six bits for each. */
enum { TYPE_IPV4 = 7, TYPE_MAC = 9, TYPE_PORT = 13, TYPE_IFNAME = 41 };

/* A key of `members`, as the rules put it together in registers: each field begins at a multiple of four bytes. */
enum { PORT_WORD = 0, MAC_WORD = 4, IPV4_WORD = 6, MEMBER_KEY = 28, SCRATCH_WORD = 8 };

static const struct nft_set_row member_set = { MEMBERS, TYPE_IFNAME << 12 | TYPE_MAC << 6 | TYPE_IPV4, MEMBER_KEY, 0,
	0 };

static const struct nft_set_row redirect_maps[] = {
	{ "tcp", TYPE_IPV4, 4, TYPE_PORT, 2 },
	{ "dns_udp", TYPE_IPV4, 4, TYPE_PORT, 2 },
	{ "dns_tcp", TYPE_IPV4, 4, TYPE_PORT, 2 },
};
enum { MAP_COUNT = sizeof redirect_maps / sizeof *redirect_maps };

static const struct nft_chain_row bridge_chain = { "from_ports", "filter", NF_BR_PRE_ROUTING, NF_BR_PRI_FILTER_BRIDGED,
	NF_DROP };

static const struct nft_chain_row ip_chains[] = {
	{ "redirect", "nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST, NF_ACCEPT },
	{ "refuse", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST + 10, NF_ACCEPT },
	{ "to_gateway", "filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER, NF_DROP },
};

#define LINK(offset, size, word)                                                                                       \
	{                                                                                                              \
		NFT_STEP_LOAD, NFT_PAYLOAD_LL_HEADER, word, offset, size, NULL, NULL                                   \
	}
#define NET(offset, size, word)                                                                                        \
	{                                                                                                              \
		NFT_STEP_LOAD, NFT_PAYLOAD_NETWORK_HEADER, word, offset, size, NULL, NULL                              \
	}
#define TRANSPORT(offset, size, word)                                                                                  \
	{                                                                                                              \
		NFT_STEP_LOAD, NFT_PAYLOAD_TRANSPORT_HEADER, word, offset, size, NULL, NULL                            \
	}
#define META(key, word)                                                                                                \
	{                                                                                                              \
		NFT_STEP_META, key, word, 0, 0, NULL, NULL                                                             \
	}
#define IS(word, bytes)                                                                                                \
	{                                                                                                              \
		NFT_STEP_IS, 0, word, 0, sizeof(bytes), NULL, bytes                                                    \
	}
#define IS_NOT(word, bytes)                                                                                            \
	{                                                                                                              \
		NFT_STEP_IS_NOT, 0, word, 0, sizeof(bytes), NULL, bytes                                                \
	}
#define MASK(word, bytes)                                                                                              \
	{                                                                                                              \
		NFT_STEP_MASK, 0, word, 0, sizeof(bytes), NULL, bytes                                                  \
	}
#define IN(set, word)                                                                                                  \
	{                                                                                                              \
		NFT_STEP_IN, 0, word, 0, 0, set, NULL                                                                  \
	}
#define MAP(set, word)                                                                                                 \
	{                                                                                                              \
		NFT_STEP_MAP, 0, word, 0, 0, set, NULL                                                                 \
	}
#define VERDICT(verdict)                                                                                               \
	{                                                                                                              \
		NFT_STEP_VERDICT, verdict, 0, 0, 0, NULL, NULL                                                         \
	}
#define REDIRECT(word)                                                                                                 \
	{                                                                                                              \
		NFT_STEP_REDIRECT, 0, word, 0, 0, NULL, NULL                                                           \
	}
#define REJECT(type, code)                                                                                             \
	{                                                                                                              \
		NFT_STEP_REJECT, type, 0, code, 0, NULL, NULL                                                          \
	}
#define STATUS(word)                                                                                                   \
	{                                                                                                              \
		NFT_STEP_STATUS, 0, word, 0, 0, NULL, NULL                                                             \
	}
#define END                                                                                                            \
	{                                                                                                              \
		NFT_STEP_END, 0, 0, 0, 0, NULL, NULL                                                                   \
	}

static void put_bridge_rules(struct nft_batch *batch)
{
	static const uint8_t ipv4[2] = { 0x08, 0x00 }, arp[2] = { 0x08, 0x06 };
	/* ARP about IPv4 over Ethernet, as the sender fields are read. */
	static const uint8_t arp_of_ipv4[6] = { 0, 1, 0x08, 0x00, ETH_ALEN, 4 };
	static const struct nft_step genuine_ipv4[] = { LINK(12, 2, SCRATCH_WORD), IS(SCRATCH_WORD, ipv4),
		META(NFT_META_IIFNAME, PORT_WORD), LINK(6, ETH_ALEN, MAC_WORD), NET(12, 4, IPV4_WORD),
		IN(MEMBERS, PORT_WORD), VERDICT(NF_ACCEPT), END };
	static const struct nft_step genuine_arp[] = { LINK(12, 2, SCRATCH_WORD), IS(SCRATCH_WORD, arp),
		NET(0, 6, SCRATCH_WORD), IS(SCRATCH_WORD, arp_of_ipv4), META(NFT_META_IIFNAME, PORT_WORD),
		LINK(6, ETH_ALEN, MAC_WORD), NET(14, 4, IPV4_WORD), IN(MEMBERS, PORT_WORD), NET(8, ETH_ALEN, MAC_WORD),
		IN(MEMBERS, PORT_WORD), VERDICT(NF_ACCEPT), END };

	nft_table(batch, NFPROTO_BRIDGE, TABLE);
	nft_set(batch, NFPROTO_BRIDGE, TABLE, &member_set, 1);
	nft_chain(batch, NFPROTO_BRIDGE, TABLE, &bridge_chain);
	nft_rule(batch, NFPROTO_BRIDGE, TABLE, "from_ports", genuine_ipv4);
	nft_rule(batch, NFPROTO_BRIDGE, TABLE, "from_ports", genuine_arp);
}

static void put_ip_rules(struct nft_batch *batch, const struct network *network)
{
	static const uint8_t tcp[1] = { IPPROTO_TCP }, udp[1] = { IPPROTO_UDP }, domain[2] = { 0, 53 };
	static const uint32_t destination_changed[1] = { IPS_DST_NAT }, none[1] = { 0 };
	const uint32_t gateway[1] = { htonl(network->gateway) };
	uint8_t mac[ETH_ALEN];

	link_mac(network->gateway, mac);
#define DNS(protocol, map)                                                                                             \
	(const struct nft_step[])                                                                                      \
	{                                                                                                              \
		META(NFT_META_L4PROTO, 0), IS(0, protocol), LINK(0, ETH_ALEN, 0), IS(0, mac), NET(16, 4, 0),           \
			IS(0, gateway), TRANSPORT(2, 2, 0), IS(0, domain), NET(12, 4, 0), MAP(map, 0), REDIRECT(0),    \
			END                                                                                            \
	}
	const struct nft_step other_tcp[] = { META(NFT_META_L4PROTO, 0), IS(0, tcp), LINK(0, ETH_ALEN, 0), IS(0, mac),
		NET(12, 4, 0), MAP("tcp", 0), REDIRECT(0), END };
	const struct nft_step passing_through[] = { LINK(0, ETH_ALEN, 0), IS_NOT(0, mac), VERDICT(NF_ACCEPT), END };
	const struct nft_step redirected[] = { STATUS(0), MASK(0, destination_changed), IS_NOT(0, none),
		VERDICT(NF_ACCEPT), END };
	const struct nft_step reset[] = { META(NFT_META_L4PROTO, 0), IS(0, tcp), REJECT(NFT_REJECT_TCP_RST, 0), END };
	const struct nft_step prohibit[] = { REJECT(NFT_REJECT_ICMP_UNREACH, ICMP_PKT_FILTERED), END };

	nft_table(batch, NFPROTO_IPV4, TABLE);
	for (uint32_t i = 0; i < MAP_COUNT; i++)
		nft_set(batch, NFPROTO_IPV4, TABLE, &redirect_maps[i], 2 + i);
	for (size_t i = 0; i < sizeof ip_chains / sizeof *ip_chains; i++)
		nft_chain(batch, NFPROTO_IPV4, TABLE, &ip_chains[i]);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "redirect", DNS(udp, "dns_udp"));
	nft_rule(batch, NFPROTO_IPV4, TABLE, "redirect", DNS(tcp, "dns_tcp"));
	nft_rule(batch, NFPROTO_IPV4, TABLE, "redirect", other_tcp);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "refuse", passing_through);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "refuse", redirected);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "refuse", reset);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "refuse", prohibit);
	nft_rule(batch, NFPROTO_IPV4, TABLE, "to_gateway", redirected);
#undef DNS
}

/* ---- elements of one member ----------------------------------------------------------------------------------- */

static struct nft_element member_element(const struct network *network)
{
	struct nft_element element = { .key_size = MEMBER_KEY };
	uint32_t address = htonl(network->address);
	char name[IFNAMSIZ] = "";

	link_port_name(network->address - network->subnet, name);
	memcpy(element.key + 4 * PORT_WORD, name, sizeof name);
	link_mac(network->address, element.key + 4 * MAC_WORD);
	memcpy(element.key + 4 * IPV4_WORD, &address, sizeof address);
	return element;
}

static struct nft_element map_element(const struct network *network, uint16_t port)
{
	struct nft_element element = { .key_size = 4, .data = htons(port) };
	uint32_t address = htonl(network->address);

	memcpy(element.key, &address, sizeof address);
	return element;
}

static uint16_t port_of(const struct network_service *service, size_t map)
{
	const uint16_t ports[MAP_COUNT] = { service->tcp, service->dns_udp, service->dns_tcp };

	return ports[map];
}

static void change_map(struct nft_batch *batch, const struct network *network, size_t map, uint16_t port, bool add)
{
	struct nft_element element = map_element(network, add ? port : 0);

	if (port)
		nft_element(batch, NFPROTO_IPV4, TABLE, redirect_maps[map].name, &element, add);
}

/* From what is loaded to @service. */
static void put_changes(struct nft_batch *batch, const struct network *network, const struct network_service *service)
{
	const struct nft_element member = member_element(network);

	if (!network->filtered)
		nft_element(batch, NFPROTO_BRIDGE, TABLE, MEMBERS, &member, true);
	for (size_t i = 0; i < MAP_COUNT; i++) {
		uint16_t before = network->filtered ? port_of(&network->served, i) : 0, now = port_of(service, i);
		if (before == now)
			continue;
		change_map(batch, network, i, before, false);
		change_map(batch, network, i, now, true);
	}
}

static bool nothing_to_do(const struct network *network, const struct network_service *service)
{
	return network->filtered && memcmp(&network->served, service, sizeof *service) == 0;
}

static int open_filter(struct network *network, struct azm_err *err)
{
	if (network->filter < 0)
		network->filter = netns_socket(network->netns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, err);
	return network->filter < 0 ? hint_filter(err) : 0;
}

/* The tables with our elements in them. EEXIST: somebody else was faster. */
static int load_tables(struct network *network, const struct network_service *service, struct azm_err *err)
{
	struct nft_batch batch;

	nft_begin(&batch);
	put_bridge_rules(&batch);
	put_ip_rules(&batch, network);
	put_changes(&batch, network, service);
	return nft_commit(network->filter, &batch, "load the packet filter", err);
}

static int change_elements(struct network *network, const struct network_service *service, struct azm_err *err)
{
	struct nft_batch batch;

	nft_begin(&batch);
	put_changes(&batch, network, service);
	return nft_commit(network->filter, &batch, "change the packet filter", err);
}

int network_serve(struct network *network, const struct network_service *service, struct azm_err *err)
{
	uint32_t lease = network->address - network->subnet;

	if (nothing_to_do(network, service))
		return 0;
	if (open_filter(network, err) < 0 || lease_mark(network->lease_fd, lease, true, err) < 0)
		return -1;
	int result = change_elements(network, service, err);
	if (result < 0 && err_is(err, ENOENT) && !network->filtered) {
		result = load_tables(network, service, err);
		if (result < 0 && err_is(err, EEXIST))
			result = change_elements(network, service, err);
	}
	if (result < 0)
		return hint_filter(err);
	network->served = *service;
	network->filtered = true;
	return 0;
}

/* Delete one element, if there is one, and if there are tables at all. */
static int delete_element(struct network *network, uint8_t family, const char *set, const struct nft_element *element,
	struct azm_err *err)
{
	struct nft_batch batch;

	nft_begin(&batch);
	nft_element(&batch, family, TABLE, set, element, false);
	if (nft_commit(network->filter, &batch, "clean up the packet filter", err) == 0 || err_is(err, ENOENT))
		return 0;
	return hint_filter(err);
}

int filter_forget(struct network *network, struct azm_err *err)
{
	uint32_t lease = network->address - network->subnet;
	const struct nft_element member = member_element(network), redirect = map_element(network, 0);

	if (!lease_is_marked(network->lease_fd, lease))
		return 0;
	if (open_filter(network, err) < 0 || delete_element(network, NFPROTO_BRIDGE, MEMBERS, &member, err) < 0)
		return -1;
	for (size_t i = 0; i < MAP_COUNT; i++)
		if (delete_element(network, NFPROTO_IPV4, redirect_maps[i].name, &redirect, err) < 0)
			return -1;
	err_clear(err);
	return lease_mark(network->lease_fd, lease, false, err);
}

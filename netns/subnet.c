// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/subnet.c: see subnet.h. */
#include "netns/subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/rtnl.h"

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* Consecutive subnets of one prefix length, in order of preference: away from what routers, VPNs, Docker (172.17) and
 * libvirt (192.168.122) take first. 198.18/15 is left out: the DNS responder's synthetic addresses. */
static const struct {
	uint32_t base;
	unsigned prefix, count;
} candidates[] = {
	{ IP(10, 111, 0, 0), 16, 145 }, /* RFC 1918 */
	{ IP(172, 31, 0, 0), 16, 1 }, { IP(172, 18, 0, 0), 16, 13 }, { IP(10, 1, 0, 0), 16, 110 },
	{ IP(192, 168, 200, 0), 24, 50 }, { IP(100, 96, 0, 0), 16, 32 }, /* RFC 6598, carrier NAT */
	{ IP(203, 0, 113, 0), 24, 1 }, /* RFC 5737, documentation: the last resort, never really in use */
};
enum { CANDIDATE_ROWS = sizeof candidates / sizeof *candidates };

static uint32_t mask_of(unsigned prefix)
{
	return prefix == 0 ? 0 : ~0u << (32 - prefix);
}

bool subnet_overlap(const struct subnet *a, const struct subnet *b)
{
	uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

	return ((a->base ^ b->base) & mask) == 0;
}

static bool is_free(const struct subnet *candidate, const struct subnet *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (taken[i].prefix > 1 && taken[i].prefix <= 32 && subnet_overlap(candidate, &taken[i]))
			return false;
	return true;
}

struct subnet subnet_choose(const struct subnet *taken, size_t count, unsigned prefix)
{
	struct subnet candidate = { 0 };

	for (size_t row = 0; row < CANDIDATE_ROWS; row++) {
		candidate.prefix = candidates[row].prefix > prefix ? candidates[row].prefix : prefix;
		uint32_t size = (~mask_of(candidates[row].prefix) + 1) * candidates[row].count;
		for (uint32_t offset = 0; offset < size; offset += ~mask_of(candidate.prefix) + 1) {
			candidate.base = candidates[row].base + offset;
			if (is_free(&candidate, taken, count))
				return candidate;
		}
	}
	return candidate;
}

/* Addresses that are nobody's on the Internet: RFC 1918, RFC 6598, RFC 5737. A network on other ones would hide real
 * hosts from its members. */
static const struct subnet private_ranges[] = { { IP(10, 0, 0, 0), 8 }, { IP(172, 16, 0, 0), 12 },
	{ IP(192, 168, 0, 0), 16 }, { IP(100, 64, 0, 0), 10 }, { IP(192, 0, 2, 0), 24 }, { IP(198, 51, 100, 0), 24 },
	{ IP(203, 0, 113, 0), 24 } };

static bool is_private(const struct subnet *subnet)
{
	for (size_t i = 0; i < sizeof private_ranges / sizeof *private_ranges; i++)
		if (subnet->prefix >= private_ranges[i].prefix && subnet_overlap(subnet, &private_ranges[i]))
			return true;
	return false;
}

bool subnet_valid(const struct subnet *subnet)
{
	return subnet->prefix >= SUBNET_LARGEST && subnet->prefix <= SUBNET_SMALLEST &&
	       (subnet->base & ~mask_of(subnet->prefix)) == 0 && is_private(subnet);
}

void subnet_address_text(uint32_t address, char text[SUBNET_TEXT_MAX])
{
	struct in_addr in = { .s_addr = htonl(address) };

	inet_ntop(AF_INET, &in, text, SUBNET_TEXT_MAX);
}

void subnet_text(const struct subnet *subnet, char text[SUBNET_TEXT_MAX])
{
	subnet_address_text(subnet->base, text);
	snprintf(text + strlen(text), 4, "/%u", subnet->prefix & 63);
}

int subnet_parse(const char *text, struct subnet *subnet, struct azm_err *err)
{
	static const char step[] = "use subnet";
	char address[SUBNET_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : sizeof address;
	struct in_addr in;
	uint64_t prefix;

	snprintf(address, sizeof address, "%.*s", (int)(length < sizeof address ? length : 0), text);
	if (!slash || inet_pton(AF_INET, address, &in) != 1 || !str_to_u64(slash + 1, 32, &prefix)) {
		err_msg(err, EINVAL, step, text, "not an IPv4 subnet");
		return err_hint(err, "write an address and a prefix length: 10.5.0.0/24");
	}
	struct subnet parsed = { .base = ntohl(in.s_addr), .prefix = (unsigned)prefix };
	struct subnet without = { .base = parsed.base & mask_of(parsed.prefix), .prefix = parsed.prefix };
	if (parsed.prefix < SUBNET_LARGEST || parsed.prefix > SUBNET_SMALLEST)
		return err_msg(err, EINVAL, step, text, "too %s: the prefix length is from %d to %d",
			parsed.prefix < SUBNET_LARGEST ? "large" : "small", SUBNET_LARGEST, SUBNET_SMALLEST);
	if (parsed.base != without.base) {
		subnet_text(&without, address);
		return err_msg(err, EINVAL, step, text, "it has host bits; the subnet of that address is %s", address);
	}
	if (!is_private(&parsed)) {
		err_msg(err, EINVAL, step, text, "not a private range: it would hide hosts of the Internet");
		return err_hint(err, "take one from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10");
	}
	*subnet = parsed;
	return 0;
}

void subnet_list_add(struct subnet_list *list, struct subnet subnet)
{
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->items = xrealloc(list->items, list->room, sizeof *list->items);
	}
	list->items[list->count++] = subnet;
}

void subnet_list_free(struct subnet_list *list)
{
	free(list->items);
	*list = (struct subnet_list){ 0 };
}

uint32_t subnet_gateway(const struct subnet *subnet)
{
	return subnet->base + 1;
}

uint32_t subnet_last_lease(const struct subnet *subnet)
{
	return ~mask_of(subnet->prefix) - 1;
}

/* A host that carries the routes of the whole Internet has a million of them; the private ones are few. */
enum { ROUTES_MAX = 65536 };

static void add_route(const struct nlmsghdr *row, void *context)
{
	struct subnet_list *list = context;
	const struct rtmsg *route = NLMSG_DATA(row);
	struct nlattr *fields[RTA_MAX + 1];

	if (row->nlmsg_type != RTM_NEWROUTE || row->nlmsg_len < NLMSG_LENGTH(sizeof *route) ||
		route->rtm_type == RTN_BROADCAST || list->count >= ROUTES_MAX ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)row, sizeof *route, fields, RTA_MAX, NULL) < 0 ||
		!fields[RTA_DST] || nla_len(fields[RTA_DST]) < 4)
		return;
	struct subnet taken = { .base = ntohl(nla_get_u32(fields[RTA_DST])), .prefix = route->rtm_dst_len };
	for (size_t i = 0; i < sizeof private_ranges / sizeof *private_ranges; i++)
		if (subnet_overlap(&private_ranges[i], &taken)) {
			subnet_list_add(list, taken);
			return;
		}
}

int subnet_host_routes(struct subnet_list *list, struct azm_err *err)
{
	cleanup_fd int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (rtnl < 0)
		return err_sys(err, "open an rtnetlink socket", NULL);
	return rtnl_dump(rtnl, RTM_GETROUTE, add_route, list, err);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/subnet.c: see subnet.h. */
#include "netns/subnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
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

static bool overlap(const struct subnet *a, const struct subnet *b)
{
	uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

	return ((a->base ^ b->base) & mask) == 0;
}

static bool is_free(const struct subnet *candidate, const struct subnet *taken, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (taken[i].prefix > 1 && taken[i].prefix <= 32 && overlap(candidate, &taken[i]))
			return false;
	return true;
}

struct subnet subnet_choose(const struct subnet *taken, size_t count)
{
	struct subnet candidate = { 0 };

	for (size_t row = 0; row < CANDIDATE_ROWS; row++)
		for (uint32_t i = 0; i < candidates[row].count; i++) {
			candidate.prefix = candidates[row].prefix;
			candidate.base = candidates[row].base + i * (~mask_of(candidate.prefix) + 1);
			if (is_free(&candidate, taken, count))
				return candidate;
		}
	return candidate;
}

bool subnet_valid(const struct subnet *subnet)
{
	for (size_t row = 0; row < CANDIDATE_ROWS; row++) {
		uint32_t step = 32 - candidates[row].prefix;
		uint32_t offset = subnet->base - candidates[row].base;
		if (step < 32 && subnet->prefix == candidates[row].prefix && (offset & ~mask_of(subnet->prefix)) == 0 &&
			offset >> step < candidates[row].count)
			return true;
	}
	return false;
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

struct route_list {
	struct subnet *items;
	size_t count, room;
};

static void add_route(const struct nlmsghdr *row, void *context)
{
	struct route_list *list = context;
	const struct rtmsg *route = NLMSG_DATA(row);
	struct nlattr *fields[RTA_MAX + 1];

	if (row->nlmsg_type != RTM_NEWROUTE || row->nlmsg_len < NLMSG_LENGTH(sizeof *route) ||
		route->rtm_type == RTN_BROADCAST || list->count == list->room ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)row, sizeof *route, fields, RTA_MAX, NULL) < 0 ||
		!fields[RTA_DST] || nla_len(fields[RTA_DST]) < 4)
		return;
	struct subnet taken = { .base = ntohl(nla_get_u32(fields[RTA_DST])), .prefix = route->rtm_dst_len };
	for (size_t i = 0; i < CANDIDATE_ROWS; i++) {
		struct subnet all = { candidates[i].base, 8 };
		if (overlap(&all, &taken)) {
			list->items[list->count++] = taken;
			return;
		}
	}
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the analyzer does not know cleanup_free */
int subnet_find_free(struct subnet *out, struct azm_err *err)
{
	cleanup_fd int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	cleanup_free struct subnet *items = calloc(ROUTES_MAX, sizeof *items);
	struct route_list list = { .items = items, .room = items ? ROUTES_MAX : 0 };

	if (rtnl < 0)
		return err_sys(err, "open an rtnetlink socket", NULL);
	if (rtnl_dump(rtnl, RTM_GETROUTE, add_route, &list, err) < 0)
		return -1;
	*out = subnet_choose(list.items, list.count);
	return 0;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */

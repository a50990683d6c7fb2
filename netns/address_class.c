// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/address_class.c: see address_class.h.
 *
 * The tables follow the IANA registries of special-purpose addresses (RFC 6890 and its updates), plus the addresses
 * under which clouds serve credentials to whoever asks. First row that matches wins, so the exceptions stand first.
 * Documentation ranges (RFC 5737, RFC 3849) lead nowhere and are left alone: people build test networks of them.
 */
#include "netns/address_class.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "netns/rtnl.h"

static const struct address_class classes[] = {
	/* Inside private or public ranges, hence first. */
	{ "168.63.129.16", 32, ADDRESS_NEVER, "cloud metadata", "Azure, virtual public IP of the host" },
	{ "100.100.100.200", 32, ADDRESS_NEVER, "cloud metadata", "Alibaba Cloud instance metadata" },
	{ "fd00:ec2::", 32, ADDRESS_NEVER, "cloud metadata", "AWS instance metadata, DNS and time over IPv6" },
	{ "fd20:ce::254", 128, ADDRESS_NEVER, "cloud metadata", "Google Compute Engine metadata over IPv6" },
	{ "fd00:c1::a9fe:a9fe", 128, ADDRESS_NEVER, "cloud metadata", "Oracle Cloud metadata over IPv6" },
	{ "fd00:42::42", 128, ADDRESS_NEVER, "cloud metadata", "Scaleway metadata over IPv6" },

	{ "0.0.0.0", 8, ADDRESS_NEVER, "\"this network\"", "RFC 791, section 3.2" },
	{ "127.0.0.0", 8, ADDRESS_NEVER, "loopback", "RFC 1122, section 3.2.1.3" },
	{ "169.254.0.0", 16, ADDRESS_NEVER, "link-local and cloud metadata", "RFC 3927" },
	{ "192.0.0.0", 24, ADDRESS_NEVER, "protocol assignments", "RFC 6890, section 2.1" },
	{ "192.88.99.0", 24, ADDRESS_NEVER, "6to4 relays", "RFC 7526" },
	{ "198.18.0.0", 15, ADDRESS_NEVER, "the sandbox's names", "RFC 2544" },
	{ "224.0.0.0", 4, ADDRESS_NEVER, "multicast", "RFC 1112" },
	{ "240.0.0.0", 4, ADDRESS_NEVER, "reserved and broadcast", "RFC 1112, section 4; RFC 919" },
	{ "10.0.0.0", 8, ADDRESS_PRIVATE, "private", "RFC 1918" },
	{ "172.16.0.0", 12, ADDRESS_PRIVATE, "private", "RFC 1918" },
	{ "192.168.0.0", 16, ADDRESS_PRIVATE, "private", "RFC 1918" },
	{ "100.64.0.0", 10, ADDRESS_PRIVATE, "carrier NAT", "RFC 6598" },

	{ "fc00::", 7, ADDRESS_PRIVATE, "unique local", "RFC 4193" },
	{ "2001::", 23, ADDRESS_NEVER, "Teredo and protocol assignments", "RFC 2928, RFC 4380" },
	{ "2002::", 16, ADDRESS_NEVER, "6to4, which holds an IPv4 address", "RFC 3056" },
	{ "fe80::", 10, ADDRESS_NEVER, "link-local", "RFC 4291, section 2.5.6" },
	{ "fec0::", 10, ADDRESS_NEVER, "site-local", "RFC 3879" },
	{ "ff00::", 8, ADDRESS_NEVER, "multicast", "RFC 4291, section 2.7" },
	{ "100::", 64, ADDRESS_NEVER, "discard only", "RFC 6666" },
	{ "64:ff9b::", 96, ADDRESS_NEVER, "NAT64, which holds an IPv4 address", "RFC 6052" },
	{ "64:ff9b:1::", 48, ADDRESS_NEVER, "NAT64, which holds an IPv4 address", "RFC 8215" },
	{ "::1", 128, ADDRESS_NEVER, "loopback", "RFC 4291, section 2.5.3" },
	/* What is left outside of 2000::/3: unspecified, IPv4-compatible, translated, unassigned. */
	{ "::", 3, ADDRESS_NEVER, "not global unicast", "RFC 4291, sections 2.4 and 2.5" },
	{ "4000::", 2, ADDRESS_NEVER, "not global unicast", "RFC 4291, section 2.4" },
	{ "8000::", 1, ADDRESS_NEVER, "not global unicast", "RFC 4291, section 2.4" },
};
enum { CLASS_ROWS = sizeof classes / sizeof *classes, V4_BITS = 96 };

struct in6_addr address_from_v4(uint32_t address)
{
	struct in6_addr mapped = { .s6_addr32 = { 0, 0, htonl(0xffff), htonl(address) } };

	return mapped;
}

bool address_to_v4(const struct in6_addr *address, uint32_t *v4)
{
	if (!IN6_IS_ADDR_V4MAPPED(address))
		return false;
	*v4 = ntohl(address->s6_addr32[3]);
	return true;
}

bool address_in(const struct in6_addr *address, const struct in6_addr *prefix, unsigned length)
{
	unsigned bytes = length / 8, bits = length % 8;

	if (memcmp(address->s6_addr, prefix->s6_addr, bytes) != 0)
		return false;
	return bits == 0 || (address->s6_addr[bytes] ^ prefix->s6_addr[bytes]) >> (8 - bits) == 0;
}

static void row_prefix(const struct address_class *row, struct in6_addr *prefix, unsigned *length)
{
	struct in_addr v4;

	*length = row->length;
	if (inet_pton(AF_INET, row->prefix, &v4) == 1) {
		*prefix = address_from_v4(ntohl(v4.s_addr));
		*length += V4_BITS;
	} else {
		(void)inet_pton(AF_INET6, row->prefix, prefix);
	}
}

const struct address_class *address_classify_subnet(const struct in6_addr *address, unsigned length)
{
	for (size_t i = 0; i < CLASS_ROWS; i++) {
		struct in6_addr prefix;
		unsigned prefix_length;

		row_prefix(&classes[i], &prefix, &prefix_length);
		/* ::/3 would hold the IPv4-mapped ones. */
		if (IN6_IS_ADDR_V4MAPPED(address) && prefix_length < V4_BITS)
			continue;
		if (length >= prefix_length && address_in(address, &prefix, prefix_length))
			return &classes[i];
	}
	return NULL;
}

const struct address_class *address_classify(const struct in6_addr *address)
{
	return address_classify_subnet(address, 128);
}

int address_host_open(struct azm_err *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? err_sys(err, "open an rtnetlink socket", NULL) : fd;
}

/* ---- the host's own addresses --------------------------------------------------------------------------------- */

struct route_request {
	struct nlmsghdr header;
	struct rtmsg route;
	struct rtattr destination;
	uint8_t address[sizeof(struct in6_addr)];
};

static void ask_for(const struct in6_addr *address, struct route_request *request)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	size_t size = v4 ? sizeof(struct in_addr) : sizeof *address;

	*request = (struct route_request){
		.header = { .nlmsg_len = (uint32_t)(offsetof(struct route_request, address) + size),
			.nlmsg_type = RTM_GETROUTE },
		.route = { .rtm_family = v4 ? AF_INET : AF_INET6, .rtm_dst_len = (unsigned char)(8 * size) },
		.destination = { .rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = RTA_DST },
	};
	memcpy(request->address, address->s6_addr + sizeof *address - size, size);
}

struct route_answer {
	const struct route_request *request;
	bool elsewhere;
};

/* It has to be about the address that was asked for: an answer left over from a request that failed must not count. */
static void note_type(const struct nlmsghdr *row, void *context)
{
	const struct rtmsg *route = NLMSG_DATA(row);
	struct route_answer *answer = context;
	const struct rtmsg *asked = &answer->request->route;
	struct nlattr *fields[RTA_MAX + 1];

	if (row->nlmsg_type != RTM_NEWROUTE || row->nlmsg_len < NLMSG_LENGTH(sizeof *route) ||
		route->rtm_family != asked->rtm_family || route->rtm_dst_len != asked->rtm_dst_len ||
		nlmsg_parse((struct nlmsghdr *)(uintptr_t)row, sizeof *route, fields, RTA_MAX, NULL) < 0 ||
		!fields[RTA_DST] || nla_len(fields[RTA_DST]) != asked->rtm_dst_len / 8 ||
		memcmp(nla_data(fields[RTA_DST]), answer->request->address, asked->rtm_dst_len / 8) != 0)
		return;
	answer->elsewhere = route->rtm_type == RTN_UNICAST;
}

bool address_is_own(int host, const struct in6_addr *address)
{
	struct route_request request;
	struct route_answer answer = { .request = &request };
	struct azm_err err = { 0 };

	ask_for(address, &request);
	if (rtnl_ask(host, &request.header, note_type, &answer, &err) < 0)
		return !err_is(&err, ENETUNREACH) && !err_is(&err, EHOSTUNREACH);
	return !answer.elsewhere;
}

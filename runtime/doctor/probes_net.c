// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_net.c: a sandbox's wires and filter, made in a network namespace that goes away with its process; see
 * probes.h. Messages as rtnetlink(7) and linux/netfilter/nf_tables.h describe them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor/probes.h"

enum { MESSAGE = 4096 };

/* Connected to the kernel: nobody else's messages come in. */
static int open_socket(int protocol, const char *step, struct azm_err *err)
{
	cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	if (fd < 0 || connect(fd, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return err_sys(err, step, NULL);
	return steal_fd(&fd);
}

static struct nlmsghdr *begin(char *buffer, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return message;
}

static struct nlmsghdr *begin_link(char *buffer, uint16_t type, uint16_t flags, unsigned char family, unsigned index)
{
	struct nlmsghdr *message = begin(buffer, type, flags);
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof *link);

	link->ifi_family = family;
	link->ifi_index = (int)index;
	return message;
}

/* The kernel's verdict about the next request. */
static int hear(int fd, const char *step, struct azm_err *err)
{
	_Alignas(struct nlmsghdr) char answer[MESSAGE];
	ssize_t length = recv(fd, answer, sizeof answer, 0);

	return length < 0 || mnl_cb_run(answer, (size_t)length, 0, 0, NULL, NULL) < 0 ? err_sys(err, step, NULL) : 0;
}

static int ask(int fd, const struct nlmsghdr *message, const char *step, struct azm_err *err)
{
	return send(fd, message, message->nlmsg_len, 0) < 0 ? err_sys(err, step, NULL) : hear(fd, step, err);
}

int probe_address(const struct probe_env *env, struct probe_outcome *out)
{
	char buffer[MESSAGE];

	(void)env;
	cleanup_fd int fd = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	if (fd < 0)
		return -1;
	struct nlmsghdr *message = begin(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(message, sizeof *address);
	address->ifa_family = AF_INET;
	address->ifa_prefixlen = 32;
	address->ifa_index = if_nametoindex("lo");
	mnl_attr_put_u32(message, IFA_LOCAL, htonl(0x0a6fffff)); /* 10.111.255.255: any address will do */
	return ask(fd, message, "add an address (RTM_NEWADDR)", &out->err);
}

/* A pair of ends; the second one in the network namespace @netns, or here when that is negative. */
static int make_veth(int fd, const char *name, const char *peer, int netns, struct azm_err *err)
{
	char buffer[MESSAGE];
	struct nlmsghdr *message = begin_link(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0);

	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	struct nlattr *other = mnl_attr_nest_start(message, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, peer);
	if (netns >= 0)
		mnl_attr_put_u32(message, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_nest_end(message, other);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return ask(fd, message, "make a veth pair", err);
}

int probe_veth(const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child sandbox = PROBE_NO_CHILD;
	char path[64];

	(void)env;
	if (probe_child_hold(CLONE_NEWUSER | CLONE_NEWNET, NULL, &sandbox, &out->err) < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)sandbox.pid);
	cleanup_fd int netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return err_sys(&out->err, "open", "/proc/PID/ns/net");
	cleanup_fd int fd = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	return fd < 0 ? -1 : make_veth(fd, "azm-port", "eth0", netns, &out->err);
}

static int make_bridge(int fd, const char *name, struct azm_err *err)
{
	char buffer[MESSAGE];
	struct nlmsghdr *message = begin_link(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0);

	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(message, info);
	return ask(fd, message, "make a bridge", err);
}

/* Enslave first, isolate in a second message: together they give EOPNOTSUPP. */
static int make_isolated_port(int fd, const char *port, const char *bridge, struct azm_err *err)
{
	char buffer[MESSAGE];
	unsigned index = if_nametoindex(port);
	struct nlmsghdr *message = begin_link(buffer, RTM_NEWLINK, 0, AF_UNSPEC, index);

	mnl_attr_put_u32(message, IFLA_MASTER, if_nametoindex(bridge));
	if (ask(fd, message, "put a port on a bridge", err) < 0)
		return -1;
	message = begin_link(buffer, RTM_SETLINK, 0, AF_BRIDGE, index);
	struct nlattr *port_info = mnl_attr_nest_start(message, IFLA_PROTINFO);
	mnl_attr_put_u8(message, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_nest_end(message, port_info);
	return ask(fd, message, "isolate a port of a bridge", err);
}

int probe_bridge(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	cleanup_fd int fd = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	if (fd < 0 || make_bridge(fd, "azm0", &out->err) < 0 ||
		make_veth(fd, "azm-port", "azm-peer", -1, &out->err) < 0)
		return -1;
	return make_isolated_port(fd, "azm-port", "azm0", &out->err);
}

/* ---- nftables ------------------------------------------------------------------------------------------------- */

/* The messages of a transaction, one behind the other. */
struct transaction {
	_Alignas(struct nlmsghdr) char buffer[MESSAGE];
	struct nlmsghdr *newest;
};

static struct nlmsghdr *add(struct transaction *all, uint16_t type, uint16_t flags)
{
	char *at = all->newest ? (char *)all->newest + all->newest->nlmsg_len : all->buffer;
	bool control = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	all->newest = begin(at, type, flags);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(all->newest, sizeof *family);
	family->nfgen_family = control ? AF_UNSPEC : NFPROTO_IPV4;
	family->version = NFNETLINK_V0;
	family->res_id = control ? htons(NFNL_SUBSYS_NFTABLES) : 0;
	if (control)
		all->newest->nlmsg_flags = NLM_F_REQUEST;
	return all->newest;
}

static struct nlmsghdr *add_nft(struct transaction *all, uint16_t type)
{
	return add(all, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_CREATE | NLM_F_APPEND);
}

/* What egress needs: a table, a NAT chain before routing, a rule that redirects to this host. */
static void fill(struct transaction *all)
{
	add(all, NFNL_MSG_BATCH_BEGIN, 0);
	mnl_attr_put_strz(add_nft(all, NFT_MSG_NEWTABLE), NFTA_TABLE_NAME, "azm");

	struct nlmsghdr *message = add_nft(all, NFT_MSG_NEWCHAIN);
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "azm");
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "redirect");
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "nat");
	struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)-100)); /* NF_IP_PRI_NAT_DST */
	mnl_attr_nest_end(message, hook);

	message = add_nft(all, NFT_MSG_NEWRULE);
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, "azm");
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "redirect");
	struct nlattr *expressions = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_strz(message, NFTA_EXPR_NAME, "redir");
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, expressions);

	add(all, NFNL_MSG_BATCH_END, 0);
}

int probe_nftables(const struct probe_env *env, struct probe_outcome *out)
{
	static const char *const steps[] = { "make an nftables table", "make a NAT chain", "make a redirect rule" };
	struct transaction all = { .newest = NULL };

	(void)env;
	cleanup_fd int fd = open_socket(NETLINK_NETFILTER, "open an nfnetlink socket", &out->err);
	if (fd < 0)
		return -1;
	fill(&all);
	size_t size = (size_t)((char *)all.newest + all.newest->nlmsg_len - all.buffer);
	if (send(fd, all.buffer, size, 0) < 0)
		return err_sys(&out->err, steps[0], NULL);
	/* One acknowledgement a message, in order; the first that is an error ends the transaction. */
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (hear(fd, steps[i], &out->err) < 0)
			return -1;
	return 0;
}

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

#define cleanup_socket [[gnu::cleanup(close_socket)]]

static void close_socket(struct mnl_socket **socket)
{
	if (*socket)
		mnl_socket_close(*socket);
}

static struct mnl_socket *open_socket(int protocol, const char *step, struct azm_err *err)
{
	struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err_sys(err, step, NULL);
		close_socket(&socket);
		return NULL;
	}
	return socket;
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

/* Send one request and wait for the kernel's verdict. */
static int ask(struct mnl_socket *socket, struct nlmsghdr *message, const char *step, struct azm_err *err)
{
	char answer[MESSAGE];

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return err_sys(err, step, NULL);
	ssize_t length = mnl_socket_recvfrom(socket, answer, sizeof answer);
	if (length < 0 || mnl_cb_run(answer, (size_t)length, 0, 0, NULL, NULL) < 0)
		return err_sys(err, step, NULL);
	return 0;
}

int probe_address(const struct probe_env *env, struct probe_outcome *out)
{
	char buffer[MESSAGE];

	(void)env;
	cleanup_socket struct mnl_socket *socket = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	if (!socket)
		return -1;
	struct nlmsghdr *message = begin(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(message, sizeof *address);
	address->ifa_family = AF_INET;
	address->ifa_prefixlen = 32;
	address->ifa_index = if_nametoindex("lo");
	mnl_attr_put_u32(message, IFA_LOCAL, htonl(0x0a6fffff)); /* 10.111.255.255: any address will do */
	return ask(socket, message, "add an address (RTM_NEWADDR)", &out->err);
}

/* A pair of ends; the second one in the network namespace @netns, or here when that is negative. */
static int make_veth(struct mnl_socket *socket, const char *name, const char *peer, int netns, struct azm_err *err)
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
	return ask(socket, message, "make a veth pair", err);
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
	cleanup_socket struct mnl_socket *socket = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	return socket ? make_veth(socket, "azm-port", "eth0", netns, &out->err) : -1;
}

static int make_bridge(struct mnl_socket *socket, const char *name, struct azm_err *err)
{
	char buffer[MESSAGE];
	struct nlmsghdr *message = begin_link(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0);

	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(message, info);
	return ask(socket, message, "make a bridge", err);
}

/* Enslave first, isolate in a second message: together they give EOPNOTSUPP. */
static int make_isolated_port(struct mnl_socket *socket, const char *port, const char *bridge, struct azm_err *err)
{
	char buffer[MESSAGE];
	unsigned index = if_nametoindex(port);
	struct nlmsghdr *message = begin_link(buffer, RTM_NEWLINK, 0, AF_UNSPEC, index);

	mnl_attr_put_u32(message, IFLA_MASTER, if_nametoindex(bridge));
	if (ask(socket, message, "put a port on a bridge", err) < 0)
		return -1;
	message = begin_link(buffer, RTM_SETLINK, 0, AF_BRIDGE, index);
	struct nlattr *port_info = mnl_attr_nest_start(message, IFLA_PROTINFO);
	mnl_attr_put_u8(message, IFLA_BRPORT_ISOLATED, 1);
	mnl_attr_nest_end(message, port_info);
	return ask(socket, message, "isolate a port of a bridge", err);
}

int probe_bridge(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	cleanup_socket struct mnl_socket *socket = open_socket(NETLINK_ROUTE, "open an rtnetlink socket", &out->err);
	if (!socket || make_bridge(socket, "azm0", &out->err) < 0 ||
		make_veth(socket, "azm-port", "azm-peer", -1, &out->err) < 0)
		return -1;
	return make_isolated_port(socket, "azm-port", "azm0", &out->err);
}

/* ---- nftables ------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *batch_add(struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *message = begin(mnl_nlmsg_batch_current(batch), type, flags);
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(message, sizeof *family);
	bool control = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	family->nfgen_family = control ? AF_UNSPEC : NFPROTO_IPV4;
	family->version = NFNETLINK_V0;
	family->res_id = control ? htons(NFNL_SUBSYS_NFTABLES) : 0;
	if (control)
		message->nlmsg_flags = NLM_F_REQUEST;
	return message;
}

static struct nlmsghdr *batch_add_nft(struct mnl_nlmsg_batch *batch, uint16_t type)
{
	return batch_add(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_CREATE | NLM_F_APPEND);
}

/* What egress needs: a table, a NAT chain before routing, a rule that redirects to this host. */
static void fill_batch(struct mnl_nlmsg_batch *batch)
{
	batch_add(batch, NFNL_MSG_BATCH_BEGIN, 0);
	mnl_nlmsg_batch_next(batch);
	mnl_attr_put_strz(batch_add_nft(batch, NFT_MSG_NEWTABLE), NFTA_TABLE_NAME, "azm");
	mnl_nlmsg_batch_next(batch);

	struct nlmsghdr *message = batch_add_nft(batch, NFT_MSG_NEWCHAIN);
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "azm");
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, "redirect");
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "nat");
	struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(NF_INET_PRE_ROUTING));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl((uint32_t)-100)); /* NF_IP_PRI_NAT_DST */
	mnl_attr_nest_end(message, hook);
	mnl_nlmsg_batch_next(batch);

	message = batch_add_nft(batch, NFT_MSG_NEWRULE);
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, "azm");
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, "redirect");
	struct nlattr *expressions = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_strz(message, NFTA_EXPR_NAME, "redir");
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, expressions);
	mnl_nlmsg_batch_next(batch);

	batch_add(batch, NFNL_MSG_BATCH_END, 0);
	mnl_nlmsg_batch_next(batch);
}

int probe_nftables(const struct probe_env *env, struct probe_outcome *out)
{
	static const char *const steps[] = { "make an nftables table", "make a NAT chain", "make a redirect rule" };
	char buffer[MESSAGE], answer[MESSAGE];

	(void)env;
	cleanup_socket struct mnl_socket *socket =
		open_socket(NETLINK_NETFILTER, "open an nfnetlink socket", &out->err);
	if (!socket)
		return -1;
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buffer, sizeof buffer / 2);
	if (!batch)
		return err_sys(&out->err, "make an nftables table", NULL);
	fill_batch(batch);
	ssize_t sent = mnl_socket_sendto(socket, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch));
	mnl_nlmsg_batch_stop(batch);
	if (sent < 0)
		return err_sys(&out->err, steps[0], NULL);
	/* One acknowledgement a message, in order; the first that is an error ends the transaction. */
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		ssize_t length = mnl_socket_recvfrom(socket, answer, sizeof answer);
		if (length < 0 || mnl_cb_run(answer, (size_t)length, 0, 0, NULL, NULL) < 0)
			return err_sys(&out->err, steps[i], NULL);
	}
	return 0;
}

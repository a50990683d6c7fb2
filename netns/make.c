// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/make.c: see make.h.
 *
 * Theory of operation
 *
 * A throw-away child is cloned into new user and network namespaces, where it has every capability. The parent,
 * outside, writes its id maps and lets it go on; the child sets up the links from the inside and reports with a struct
 * azm_err over a socket; the parent takes descriptors of its namespaces from /proc and closes the socket, and the child
 * exits. The namespaces live on in the descriptors. When either side dies, the other one reads end-of-file and gives
 * up.
 */
#include "netns/make.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id_map.h"
#include "base/io.h"
#include "netns/hints.h"
#include "netns/link.h"

/* Settings that a new network namespace inherits from the host's. That azm0 forwards nothing does not depend on them
 * (link_make_bridge() sees to it), so a read-only /proc/sys, as in a container, is no reason to fail. */
static const struct {
	const char *path, *value;
} settings[] = {
	{ "/proc/sys/net/ipv4/ip_forward", "0" },
	{ "/proc/sys/net/ipv4/conf/all/route_localnet", "0" },
	{ "/proc/sys/net/ipv4/conf/all/proxy_arp", "0" },
	{ "/proc/sys/net/ipv6/conf/all/forwarding", "0" },
	/* What goes nowhere is rejected at once, however often it is tried. */
	{ "/proc/sys/net/ipv4/icmp_ratelimit", "0" },
	/* Where br_netfilter is loaded (Docker does it), frames between members would go through the IP rules: slow,
	 * though not wrong, see filter.c. */
	{ "/proc/sys/net/bridge/bridge-nf-call-iptables", "0" },
	{ "/proc/sys/net/bridge/bridge-nf-call-arptables", "0" },
	/* Networks are IPv4. Without IPv6 the bridge and its ports send no reports and need no addresses. */
	{ "/proc/sys/net/ipv6/conf/all/disable_ipv6", "1" },
	{ "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1" },
};

static int set_up_inside(const struct subnet *subnet, struct azm_err *err)
{
	cleanup_fd int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (rtnl < 0)
		return err_sys(err, "open an rtnetlink socket", NULL);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		write_path(settings[i].path, settings[i].value);
	if (link_make_bridge(rtnl, subnet, err) < 0)
		return hint_links(err);
	return 0;
}

/* The child: wait for the maps, work, report, stay until the parent holds the namespaces. */
[[gnu::noreturn]] static void child_main(int channel, const struct subnet *subnet)
{
	struct azm_err err = { 0 };
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_full(channel, &go, 1) != 1)
		_exit(1);
	set_up_inside(subnet, &err);
	if (send(channel, &err, sizeof err, MSG_NOSIGNAL) == sizeof err)
		read_full(channel, &go, 1);
	_exit(0);
}

static int open_namespace(pid_t pid, const char *kind, struct azm_err *err)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open", path) : fd;
}

/* The parent's side of the conversation, and taking the namespaces. */
static int direct_child(const struct network_options *options, pid_t child, int channel, struct keeper_stock *stock,
	struct azm_err *err)
{
	struct azm_err report;
	/* Else the caller's own id under its own number: the most that needs no privilege and no /etc/subuid. */
	int mapped = options->write_maps ? options->write_maps(child, options->context, err)
					 : id_map_single(child, geteuid(), geteuid(), getegid(), getegid(), err);

	if (mapped < 0)
		return err->hint[0] ? -1 : hint_namespaces(err);
	if (send(channel, "", 1, MSG_NOSIGNAL) != 1 ||
		TEMP_FAILURE_RETRY(recv(channel, &report, sizeof report, 0)) != sizeof report)
		return err_msg(err, EIO, "set up the network", options->name, "the helper process died");
	if (report.code) {
		*err = report;
		return -1;
	}
	cleanup_fd int userns = open_namespace(child, "user", err);
	cleanup_fd int netns = userns < 0 ? -1 : open_namespace(child, "net", err);
	if (netns < 0)
		return -1;
	stock->userns = steal_fd(&userns);
	stock->netns = steal_fd(&netns);
	return 0;
}

/* fork() into new namespaces. The raw call, because clone(3) would want a stack. */
static pid_t clone_child(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
}

static int find_subnet(const struct network_options *options, struct subnet *subnet, struct azm_err *err)
{
	cleanup_subnet_list struct subnet_list taken = { 0 };

	if (subnet_host_routes(&taken, err) < 0 ||
		(options->avoid && options->avoid(&taken, options->context, err) < 0))
		return -1;
	*subnet = subnet_choose(taken.items, taken.count, SUBNET_LARGEST);
	return 0;
}

int network_make(const struct network_options *options, struct keeper_stock *stock, struct azm_err *err)
{
	int ends[2];

	/* The routes are the host's: before any namespace. */
	stock->subnet = options->subnet;
	if (!stock->subnet.prefix && find_subnet(options, &stock->subnet, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "make a socket pair", NULL);
	cleanup_fd int ours = ends[0], theirs = ends[1];
	pid_t child = clone_child();
	if (child < 0) {
		err_sys(err, "make the network's namespaces", options->name);
		return hint_namespaces(err);
	}
	if (child == 0) {
		close(ours);
		child_main(theirs, &stock->subnet);
	}
	close(steal_fd(&theirs));
	int result = direct_child(options, child, ours, stock, err);
	close(steal_fd(&ours));
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return result;
}

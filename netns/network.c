// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/network.c: members of a network: join, enter, attach, leave. See netns.h.
 *
 * Theory of operation
 *
 * Joining asks the keeper. When there is none, whoever gets the network's lock makes the network and its keeper and
 * then joins it like everybody else; the others keep asking. The lock is held only while making, and a holder that dies
 * loses it, so the worst a crash costs is that the next one in line starts over.
 *
 * After network_enter() the process has every capability in the network's user namespace and still lives in the host's
 * network namespace. The links are changed through two sockets that live elsewhere (inside.h): one in the network's
 * namespace, kept for the member's life, and one in the sandbox's, needed for a moment. Both are made when the sandbox
 * is there, by one errand, while it starts on another processor.
 *
 * The address of a sandbox is a lease (lease.h). The search starts at the process id, so that successive sandboxes
 * rarely meet: the kernel destroys a sandbox's links a little after the sandbox, and the port of a lease that was free
 * a moment ago may still be there.
 */
#include "netns/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/filter.h"
#include "netns/hints.h"
#include "netns/inside.h"
#include "netns/keeper.h"
#include "netns/lease.h"
#include "netns/link.h"
#include "netns/make.h"

enum {
	JOIN_DEADLINE_MS = 30000, /* making may include newuidmap, which may ask a slow directory service */
	JOIN_FIRST_WAIT_US = 500,
	JOIN_LONGEST_WAIT_US = 16000,
	DYING_PORT_MS = 2000, /* how long a lease may wait for its last holder's port to go away */
};

static int check_name(const char *name, struct azm_err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	size_t length = strlen(name);

	if (length == 0 || length > KEEPER_NAME_MAX || strspn(name, allowed) != length)
		return err_msg(err, EINVAL, "join network", name,
			"a network's name has 1 to %d letters, digits, '_', '.' or '-'", KEEPER_NAME_MAX);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Make the network and its keeper, with the lock held. */
static int make_with_keeper(const struct network_options *options, struct azm_err *err)
{
	cleanup_fd int made = options->make_kept ? options->make_kept(options->context, err) : -1;
	struct keeper_stock stock = {
		.userns = -1, .netns = -1, .kept_fd = options->make_kept ? made : options->keep_fd
	};

	if ((options->make_kept && made < 0) || network_make(options, &stock, err) < 0)
		return -1;
	int result = keeper_start(
		options->live_dirfd, options->name, options->keep_tag, &stock, options->grace_seconds, err);
	close(stock.userns);
	close(stock.netns);
	return result;
}

static enum keeper_result ask(
	const struct network_options *options, struct keeper_stock *stock, int *connection, struct azm_err *err)
{
	return keeper_ask(options->live_dirfd, options->name, options->keep_tag, stock, connection, err);
}

/* Nobody answered: get the right to make the network, look again, make it. KEEPER_ABSENT: somebody else is at it. */
static enum keeper_result make_and_ask(
	const struct network_options *options, struct keeper_stock *stock, int *connection, struct azm_err *err)
{
	cleanup_fd int lock = keeper_lock(options->live_dirfd, options->name);
	if (lock < 0 && errno == EWOULDBLOCK)
		return KEEPER_ABSENT;
	if (lock < 0) {
		err_sys(err, "lock network", options->name);
		if (options->live_path)
			err_wrap(err, "use the state directory", options->live_path);
		return KEEPER_ERROR;
	}
	enum keeper_result result = ask(options, stock, connection, err);
	if (result != KEEPER_ABSENT)
		return result;
	if (make_with_keeper(options, err) < 0)
		return KEEPER_ERROR;
	result = ask(options, stock, connection, err);
	if (result == KEEPER_ABSENT) {
		err_msg(err, EIO, "join network", options->name, "its new keeper does not answer");
		return KEEPER_ERROR;
	}
	return result;
}

static enum keeper_result join(
	const struct network_options *options, struct keeper_stock *stock, int *connection, struct azm_err *err)
{
	int64_t deadline = now_ms() + JOIN_DEADLINE_MS;
	useconds_t pause = JOIN_FIRST_WAIT_US;

	for (;;) {
		enum keeper_result result = ask(options, stock, connection, err);
		if (result == KEEPER_ABSENT)
			result = make_and_ask(options, stock, connection, err);
		if (result != KEEPER_ABSENT)
			return result;
		if (now_ms() > deadline) {
			err_msg(err, ETIMEDOUT, "join network", options->name,
				"another process has been making it for %d seconds", JOIN_DEADLINE_MS / 1000);
			return KEEPER_ERROR;
		}
		usleep(pause);
		pause = pause * 2 > JOIN_LONGEST_WAIT_US ? JOIN_LONGEST_WAIT_US : pause * 2;
	}
}

int network_knock(int live_dirfd, const char *name, uint64_t tag)
{
	struct azm_err ignored;
	cleanup_fd int fd = check_name(name, &ignored) < 0 ? -1 : keeper_knock(live_dirfd, name, tag);

	/* 0 says "none", so the descriptor must not be that, even in a program started without stdin. */
	return fd > 0 ? steal_fd(&fd) : 0;
}

static void close_stock(const struct keeper_stock *stock)
{
	close(stock->userns);
	close(stock->netns);
	if (stock->kept_fd >= 0)
		close(stock->kept_fd);
}

bool network_peek(int live_dirfd, const char *name, uint64_t tag, struct subnet *subnet)
{
	cleanup_fd int keeper = keeper_knock(live_dirfd, name, tag);
	struct keeper_stock stock;

	if (keeper < 0 || keeper_hear(keeper, &stock) != KEEPER_JOINED)
		return false;
	*subnet = stock.subnet;
	close_stock(&stock);
	return true;
}

void network_forget(int live_dirfd, const char *name)
{
	static const char *const suffixes[] = { "sock", "leases", "lock" };
	char file[KEEPER_FILE_MAX];
	struct keeper_stock stock;
	/* A tag that no keeper has retires it. */
	cleanup_fd int keeper = keeper_knock(live_dirfd, name, KEEPER_NO_TAG);

	if (keeper >= 0 && keeper_hear(keeper, &stock) == KEEPER_JOINED)
		close_stock(&stock);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		keeper_file(file, name, suffixes[i]);
		unlinkat(live_dirfd, file, 0);
	}
}

/* Join with the answer to an earlier network_knock(). */
static enum keeper_result join_knocked(int knocked, struct keeper_stock *stock, int *connection)
{
	enum keeper_result result = knocked > 0 ? keeper_hear(knocked, stock) : KEEPER_ABSENT;

	if (result == KEEPER_JOINED)
		*connection = knocked;
	else if (knocked > 0)
		close(knocked);
	return result;
}

int network_join(const struct network_options *options, struct network *out, struct azm_err *err)
{
	struct keeper_stock stock;
	char leases[KEEPER_FILE_MAX];
	int dumpable = prctl(PR_GET_DUMPABLE);

	*out = (struct network){
		.userns = -1, .netns = -1, .keeper = -1, .kept_fd = -1, .rtnl = -1, .lease_fd = -1, .filter = -1
	};
	/* For a process that is not dumpable, its own child's maps belong to root, and the keeper may not see it on a
	 * host that mounts /proc with hidepid. */
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 1);
	enum keeper_result result = join_knocked(options->knocked, &stock, &out->keeper);
	if (result != KEEPER_JOINED)
		result = check_name(options->name, err) < 0 ? KEEPER_ERROR : join(options, &stock, &out->keeper, err);
	if (dumpable != 1)
		prctl(PR_SET_DUMPABLE, 0);
	if (result != KEEPER_JOINED)
		return -1;
	out->userns = stock.userns;
	out->netns = stock.netns;
	out->kept_fd = stock.kept_fd;
	out->subnet = stock.subnet.base;
	out->prefix = stock.subnet.prefix;
	out->gateway = subnet_gateway(&stock.subnet);
	keeper_file(leases, options->name, "leases");
	out->lease_fd = lease_open(options->live_dirfd, leases, err);
	if (out->lease_fd < 0) {
		network_leave(out);
		return -1;
	}
	return 0;
}

int network_enter(struct network *network, struct azm_err *err)
{
	return setns(network->userns, CLONE_NEWUSER) < 0 ? err_sys(err, "enter the network's user namespace", NULL) : 0;
}

static void close_once(int *fd)
{
	if (*fd >= 0)
		close(steal_fd(fd));
}

static struct subnet subnet_of(const struct network *network)
{
	return (struct subnet){ .base = network->subnet, .prefix = network->prefix };
}

int network_lease(struct network *network, struct azm_err *err)
{
	const struct subnet subnet = subnet_of(network);
	uint32_t lease;

	if (lease_take(network->lease_fd, SUBNET_FIRST_LEASE, subnet_last_lease(&subnet), (uint32_t)getpid(), &lease,
		    err) < 0)
		return -1;
	network->address = subnet.base + lease;
	return 0;
}

/* The port of our lease; if its last holder's is still there (the kernel takes links down a little after their
 * sandbox), hurry that up. */
static int make_leased_port(struct network *network, bool isolated, int sandbox_netns, struct azm_err *err)
{
	uint32_t lease = network->address - network->subnet;
	struct azm_err ignored;

	for (int64_t deadline = now_ms() + DYING_PORT_MS;;) {
		if (link_make_port(network->rtnl, lease, network->address, isolated, sandbox_netns, err) == 0)
			break;
		if ((!err_is(err, EEXIST) && !err_is(err, EBUSY)) || now_ms() > deadline)
			return hint_links(err);
		link_delete_port(network->rtnl, lease, &ignored);
		usleep(JOIN_FIRST_WAIT_US);
	}
	link_port_name(lease, network->bridge_port);
	return 0;
}

int network_attach(struct network *network, bool isolated, int sandbox_netns, bool gateway_route, struct azm_err *err)
{
	struct azm_err ignored;
	struct netns_socket sockets[] = {
		{ .netns = network->netns, .family = AF_NETLINK, .type = SOCK_RAW, .protocol = NETLINK_ROUTE },
		{ .netns = sandbox_netns, .family = AF_NETLINK, .type = SOCK_RAW, .protocol = NETLINK_ROUTE },
	};

	close_once(&network->rtnl);
	if (netns_sockets(sockets, 2, err) < 0)
		return -1;
	network->rtnl = sockets[0].fd;
	cleanup_fd int inside = sockets[1].fd;
	if ((!network->address && network_lease(network, err) < 0) || filter_forget(network, err) < 0 ||
		make_leased_port(network, isolated, sandbox_netns, err) < 0)
		return -1;
	if (link_configure_inside(inside, network->address, network->prefix, err) < 0 ||
		(gateway_route && link_route(inside, network->gateway, err) < 0)) {
		link_delete_port(network->rtnl, network->address - network->subnet, &ignored);
		return hint_links(err);
	}
	return 0;
}

int network_route(struct network *network, int sandbox_netns, struct azm_err *err)
{
	cleanup_fd int inside = netns_socket(sandbox_netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, err);

	return inside < 0 ? -1 : link_route(inside, network->gateway, err);
}

int network_listen(struct network *network, int type, uint16_t *port, struct azm_err *err)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(network->gateway) };
	socklen_t size = sizeof own;
	cleanup_fd int fd = netns_socket(network->netns, AF_INET, type | SOCK_NONBLOCK, 0, err);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&own, sizeof own) < 0 || (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0) ||
		getsockname(fd, (struct sockaddr *)&own, &size) < 0)
		return err_sys(err, "listen in the network", NULL);
	*port = ntohs(own.sin_port);
	return steal_fd(&fd);
}

int network_loopback_up(int sandbox_netns, struct azm_err *err)
{
	cleanup_fd int inside = netns_socket(sandbox_netns, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, err);

	if (inside < 0)
		return -1;
	return link_loopback_up(inside, err) < 0 ? hint_links(err) : 0;
}

void network_leave(struct network *network)
{
	close_once(&network->filter);
	close_once(&network->rtnl);
	close_once(&network->lease_fd);
	close_once(&network->kept_fd);
	close_once(&network->netns);
	close_once(&network->userns);
	close_once(&network->keeper);
}

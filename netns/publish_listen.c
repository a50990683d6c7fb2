// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_listen.c: the listening sockets of published ports, see publish_bind() in netns.h.
 *
 * A rule without an address holds its port on 127.0.0.1 and on [::1]: whoever holds only one leaves the other to any
 * user of the host, and "localhost" may mean either. A free port is searched in random order, so that two users who
 * start at the same time rarely meet, and it counts as free only when all addresses of the rule can be had.
 *
 * The supervisor of a running sandbox is locked in and may not bind everywhere: another command of the user binds and
 * passes the descriptors. What they are is then read from the sockets themselves, not from what the command says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/publish_internal.h"

enum { AUTO_FIRST = 30000, AUTO_COUNT = 10000, BACKLOG = 4096 };

static const int on = 1;

/* "127.0.0.1:8000", "[::1]:8000" */
static const char *format_address(const union inside_address *address, char text[64])
{
	char bare[INET6_ADDRSTRLEN];
	bool v4 = address->any.sa_family == AF_INET;

	inet_ntop(address->any.sa_family, v4 ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr, bare,
		sizeof bare);
	snprintf(text, 64, v4 ? "%s:%u" : "[%s]:%u", bare, ntohs(v4 ? address->v4.sin_port : address->v6.sin6_port));
	return text;
}

static int explain_bind(const union inside_address *address, struct azm_err *err)
{
	char text[64];

	err_sys(err, "listen on", format_address(address, text));
	if (err->code == EADDRINUSE)
		err_hint(err, "another process holds that port: choose another, or leave HOST empty for a free one");
	else if (err->code == EACCES)
		err_hint(err, "low ports need a privilege (net.ipv4.ip_unprivileged_port_start): choose a higher one");
	else if (err->code == EMFILE)
		err_hint(err, "raise the limit of open files (ulimit -n), or publish fewer ports");
	return -1;
}

static bool is_loopback(const union inside_address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

static int open_listener(const union inside_address *address, struct azm_err *err)
{
	bool v6 = address->any.sa_family == AF_INET6;
	cleanup_fd int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* Accepted sockets inherit options and buffer sizes from the listening one. */
	if (fd >= 0 && is_loopback(address))
		loopback_tuning(fd);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		(v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ||
		bind(fd, &address->any, v6 ? sizeof address->v6 : sizeof address->v4) < 0 || listen(fd, BACKLOG) < 0)
		return explain_bind(address, err);
	return steal_fd(&fd);
}

/* The rule's addresses at @port. Return: how many, at most two. */
static int rule_addresses(const struct publish_rule *rule, uint16_t port, union inside_address addresses[2])
{
	int count = 0;

	memset(addresses, 0, 2 * sizeof *addresses);
	if (rule->family == AF_INET || rule->family == AF_UNSPEC) {
		struct sockaddr_in *v4 = &addresses[count++].v4;
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = rule->family == AF_INET ? rule->address.v4.s_addr : htonl(INADDR_LOOPBACK);
	}
	if (rule->family == AF_INET6 || rule->family == AF_UNSPEC) {
		struct sockaddr_in6 *v6 = &addresses[count++].v6;
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		v6->sin6_addr = rule->family == AF_INET6 ? rule->address.v6 : in6addr_loopback;
	}
	return count;
}

static void add_socket(struct publish_sockets *sockets, int fd)
{
	sockets->fds = xrealloc(sockets->fds, sockets->count + 1, sizeof *sockets->fds);
	sockets->fds[sockets->count++] = fd;
}

/* All addresses of the rule at one port, or none. */
static int listen_at(struct publish_sockets *sockets, struct publish_rule *rule, uint16_t port, struct azm_err *err)
{
	union inside_address addresses[2];
	int count = rule_addresses(rule, port, addresses);
	cleanup_fd int first = open_listener(&addresses[0], err);
	cleanup_fd int second = -1;

	if (first < 0)
		return -1;
	if (count == 2) {
		second = open_listener(&addresses[1], err);
		/* A host without IPv6 has no [::1] that anybody could take. */
		if (second < 0 && !err_is(err, EAFNOSUPPORT) && !err_is(err, EADDRNOTAVAIL))
			return -1;
	}
	rule->host_port = port;
	rule->both = second >= 0;
	add_socket(sockets, steal_fd(&first));
	if (rule->both)
		add_socket(sockets, steal_fd(&second));
	return 0;
}

/* Any number below @limit; the search's quality does not depend on it being even. */
static unsigned random_below(unsigned limit)
{
	uint32_t value = 0;

	(void)!getrandom(&value, sizeof value, 0);
	return value % limit;
}

static int listen_at_free_port(struct publish_sockets *sockets, struct publish_rule *rule, struct azm_err *err)
{
	unsigned offset = random_below(AUTO_COUNT);
	/* Without a factor in common with AUTO_COUNT (2 and 5), the walk meets every port once. */
	unsigned stride = random_below(AUTO_COUNT / 10) * 10 + 3;

	for (unsigned i = 0; i < AUTO_COUNT; i++, offset = (offset + stride) % AUTO_COUNT) {
		if (listen_at(sockets, rule, (uint16_t)(AUTO_FIRST + offset), err) == 0)
			return 0;
		if (!err_is(err, EADDRINUSE))
			return -1;
	}
	return err_msg(err, EADDRINUSE, "find a free port", NULL, "all from %d to %d are taken", AUTO_FIRST,
		AUTO_FIRST + AUTO_COUNT - 1);
}

static int listen_for(struct publish_sockets *sockets, struct publish_rule *rule, struct azm_err *err)
{
	if (rule->family == AF_UNIX) {
		int fd = unix_listen(rule->unix_path, err);
		if (fd >= 0)
			add_socket(sockets, fd);
		return fd < 0 ? -1 : 0;
	}
	if (rule->host_port == 0)
		return listen_at_free_port(sockets, rule, err);
	return listen_at(sockets, rule, rule->host_port, err);
}

static bool is_checked(const struct publish_rule *rule)
{
	return rule->family != AF_UNIX && !rule->any_user;
}

/* Open the peer check when a rule needs it, and see that it works. */
static int prepare_check(
	const struct publish_rule *rules, size_t count, struct publish_sockets *sockets, struct azm_err *err)
{
	struct peer_check check = { .diag = -1 };

	for (size_t i = 0, used = 0; i < count; used += rules[i].both ? 2 : 1, i++) {
		if (!is_checked(&rules[i]))
			continue;
		if (peer_check_open(&check, err) < 0)
			return -1;
		sockets->diag = check.diag;
		return peer_check_prove(&check, sockets->fds[used], err);
	}
	return 0;
}

int publish_bind(struct publish_rule *rules, size_t count, struct publish_sockets *out, struct azm_err *err)
{
	int result = 0;
	size_t bound = 0;

	*out = (struct publish_sockets){ .diag = -1 };
	for (; bound < count && result == 0; bound += result == 0)
		result = listen_for(out, &rules[bound], err);
	if (result == 0)
		result = prepare_check(rules, count, out, err);
	if (result < 0) {
		publish_sockets_free(out, rules, bound);
		return -1;
	}
	err_clear(err);
	return 0;
}

void publish_sockets_free(struct publish_sockets *sockets, const struct publish_rule *rules, size_t count)
{
	for (size_t i = 0; i < sockets->count; i++)
		close(sockets->fds[i]);
	for (size_t i = 0; rules && i < count; i++)
		if (rules[i].family == AF_UNIX)
			(void)unlink(rules[i].unix_path);
	free(sockets->fds);
	if (sockets->diag >= 0)
		close(sockets->diag);
	*sockets = (struct publish_sockets){ .diag = -1 };
}

/* ---- sockets of another process's making ---------------------------------------------------------------------- */

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof value;

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0 ? -1 : value;
}

static bool is_listening(int fd)
{
	return option(fd, SO_TYPE) == SOCK_STREAM && option(fd, SO_ACCEPTCONN) == 1 && fd_set_nonblock(fd, true) == 0 &&
	       fd_set_cloexec(fd, true) == 0;
}

static bool listens_at(int fd, const union inside_address *expected)
{
	union inside_address actual = { 0 };
	socklen_t size = sizeof actual;

	if (!is_listening(fd) || getsockname(fd, &actual.any, &size) < 0 ||
		actual.any.sa_family != expected->any.sa_family)
		return false;
	if (actual.any.sa_family == AF_INET)
		return actual.v4.sin_port == expected->v4.sin_port &&
		       actual.v4.sin_addr.s_addr == expected->v4.sin_addr.s_addr;
	return actual.v6.sin6_port == expected->v6.sin6_port &&
	       IN6_ARE_ADDR_EQUAL(&actual.v6.sin6_addr, &expected->v6.sin6_addr);
}

static uint16_t port_of(int fd)
{
	union inside_address address = { 0 };
	socklen_t size = sizeof address;

	if (getsockname(fd, &address.any, &size) < 0)
		return 0;
	return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

/* Return: how many of the descriptors are the rule's; 0 when they are not what it asks for. */
static size_t recognise_one(struct publish_rule *rule, const int *fds, size_t left)
{
	union inside_address addresses[2];

	if (left == 0)
		return 0;
	if (rule->family == AF_UNIX)
		return option(fds[0], SO_DOMAIN) == AF_UNIX && is_listening(fds[0]) ? 1 : 0;
	if (rule->free_port)
		rule->host_port = port_of(fds[0]);
	int count = rule_addresses(rule, rule->host_port, addresses);
	if (rule->host_port == 0 || !listens_at(fds[0], &addresses[0]))
		return 0;
	rule->both = count == 2 && left > 1 && listens_at(fds[1], &addresses[1]);
	return rule->both ? 2 : 1;
}

static bool is_sock_diag(int fd)
{
	return option(fd, SO_DOMAIN) == AF_NETLINK && option(fd, SO_PROTOCOL) == NETLINK_SOCK_DIAG &&
	       fd_set_nonblock(fd, true) == 0;
}

int publish_recognise(
	struct publish_rule *rules, size_t count, const struct publish_sockets *sockets, struct azm_err *err)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t own = recognise_one(&rules[i], sockets->fds + used, sockets->count - used);
		if (own == 0)
			return err_msg(
				err, EINVAL, "publish", NULL, "socket %zu is not what rule %zu asks for", used, i);
		if (is_checked(&rules[i]) && !is_sock_diag(sockets->diag))
			return err_msg(err, EINVAL, "publish", NULL, "no sock_diag socket came with the rules");
		used += own;
	}
	if (used != sockets->count)
		return err_msg(err, EINVAL, "publish", NULL, "more sockets than rules");
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_listen.c: the listening sockets of published ports, see publish_listen() in netns.h.
 *
 * A rule without an address holds its port on 127.0.0.1 and on [::1]: whoever holds only one leaves the other to any
 * user of the host, and "localhost" may mean either. A free port is searched in random order, so that two users who
 * start at the same time rarely meet, and it counts as free only when all addresses of the rule can be had.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/un.h>

#include "base/cleanup.h"
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

static void add_listener(struct publisher *publisher, int fd, const struct publish_rule *rule)
{
	struct listener *listener = &publisher->listeners[publisher->count++];

	*listener = (struct listener){
		.publisher = publisher,
		.fd = fd,
		.port = rule->port,
		/* A UNIX socket is guarded by its mode. */
		.checked = rule->family != AF_UNIX && !rule->any_user,
	};
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

/* All addresses of the rule at one port, or none. */
static int listen_at(struct publisher *publisher, struct publish_rule *rule, uint16_t port, struct azm_err *err)
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
	add_listener(publisher, steal_fd(&first), rule);
	if (second >= 0)
		add_listener(publisher, steal_fd(&second), rule);
	return 0;
}

/* Any number below @limit; the search's quality does not depend on it being even. */
static unsigned random_below(unsigned limit)
{
	uint32_t value = 0;

	(void)!getrandom(&value, sizeof value, 0);
	return value % limit;
}

static int listen_at_free_port(struct publisher *publisher, struct publish_rule *rule, struct azm_err *err)
{
	unsigned offset = random_below(AUTO_COUNT);
	/* Without a factor in common with AUTO_COUNT (2 and 5), the walk meets every port once. */
	unsigned stride = random_below(AUTO_COUNT / 10) * 10 + 3;

	for (unsigned i = 0; i < AUTO_COUNT; i++, offset = (offset + stride) % AUTO_COUNT) {
		if (listen_at(publisher, rule, (uint16_t)(AUTO_FIRST + offset), err) == 0)
			return 0;
		if (!err_is(err, EADDRINUSE))
			return -1;
	}
	return err_msg(err, EADDRINUSE, "find a free port", NULL, "all from %d to %d are taken", AUTO_FIRST,
		AUTO_FIRST + AUTO_COUNT - 1);
}

/* A socket nobody listens on any more is a leftover; anything else stays. */
static int remove_dead_socket(const struct sockaddr_un *address, struct azm_err *err)
{
	struct stat existing;
	cleanup_fd int fd = -1;

	if (lstat(address->sun_path, &existing) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "look at", address->sun_path);
	if (!S_ISSOCK(existing.st_mode))
		return err_msg(err, EEXIST, "publish to", address->sun_path, "exists and is not a socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "make a socket for", address->sun_path);
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
		return err_msg(err, EADDRINUSE, "publish to", address->sun_path, "a process is listening there");
	if (errno != ECONNREFUSED)
		return err_sys(err, "publish to", address->sun_path);
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return err_sys(err, "remove the dead socket", address->sun_path);
	return 0;
}

static int listen_at_path(struct publisher *publisher, const struct publish_rule *rule, struct azm_err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(rule->unix_path) >= sizeof address.sun_path)
		return err_code(err, ENAMETOOLONG, "publish to", rule->unix_path);
	memcpy(address.sun_path, rule->unix_path, strlen(rule->unix_path));
	if (remove_dead_socket(&address, err) < 0)
		return -1;

	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of the unbound socket becomes the file's (unix(7)): it is never open to others, not even briefly. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return err_sys(err, "publish to", rule->unix_path);

	add_listener(publisher, steal_fd(&fd), rule);
	struct listener *listener = &publisher->listeners[publisher->count - 1];
	listener->unix_path = xstrdup(rule->unix_path);
	if (lstat(rule->unix_path, &listener->created) < 0 || listen(listener->fd, BACKLOG) < 0)
		return err_sys(err, "publish to", rule->unix_path);
	if ((listener->created.st_mode & 0777) != 0600 || listener->created.st_uid != geteuid())
		return err_msg(err, EPERM, "publish to", rule->unix_path,
			"this filesystem does not keep a socket's mode 0600: choose another directory");
	return 0;
}

static int listen_for(struct publisher *publisher, struct publish_rule *rule, struct azm_err *err)
{
	if (rule->family == AF_UNIX)
		return listen_at_path(publisher, rule, err);
	if (rule->host_port == 0)
		return listen_at_free_port(publisher, rule, err);
	return listen_at(publisher, rule, rule->host_port, err);
}

/* Open the peer check when a listener needs it, and see that it works. */
static int prepare_check(struct publisher *publisher, struct azm_err *err)
{
	for (size_t i = 0; i < publisher->count; i++) {
		if (!publisher->listeners[i].checked)
			continue;
		if (peer_check_open(&publisher->peers, err) < 0)
			return -1;
		return peer_check_prove(&publisher->peers, publisher->listeners[i].fd, err);
	}
	return 0;
}

int publish_listen(struct publish_rule *rules, size_t count, struct publisher **out, struct azm_err *err)
{
	struct publisher *publisher = xcalloc(1, sizeof *publisher);
	int result = 0;

	publisher->spare = -1;
	pthread_mutex_init(&publisher->lock, NULL);
	pthread_cond_init(&publisher->answered, NULL);
	LIST_INIT(&publisher->dialling);
	publisher->listeners = xcalloc(2 * count, sizeof *publisher->listeners);
	publisher->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (publisher->wake < 0)
		result = err_sys(err, "make an eventfd", NULL);
	for (size_t i = 0; i < count && result == 0; i++)
		result = listen_for(publisher, &rules[i], err);
	if (result == 0)
		result = prepare_check(publisher, err);
	if (result < 0) {
		publish_stop(publisher);
		return -1;
	}
	err_clear(err);
	*out = publisher;
	return 0;
}

void publish_close_listeners(struct publisher *publisher)
{
	for (size_t i = 0; i < publisher->count; i++) {
		struct listener *listener = &publisher->listeners[i];
		struct stat now;

		close(listener->fd);
		/* Best effort: a locked-down process may not remove it, and the next start does. */
		if (listener->unix_path && lstat(listener->unix_path, &now) == 0 &&
			now.st_dev == listener->created.st_dev && now.st_ino == listener->created.st_ino)
			(void)unlink(listener->unix_path);
		free(listener->unix_path);
	}
	free(publisher->listeners);
	publisher->listeners = NULL;
	publisher->count = 0;
}

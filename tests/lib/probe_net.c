// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_net.c: the network as seen from inside, and a tiny HTTP server to be reached from outside. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "tests/lib/probe.h"

union any_address {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

/* "1.2.3.4", "::1" with a port, or "unix:PATH" ("unix:@NAME" abstract). Returns the length, 0 if it is none. */
static socklen_t parse_address(const char *text, const char *port, union any_address *out)
{
	memset(out, 0, sizeof *out);
	if (!strncmp(text, "unix:", 5)) {
		size_t length = strlen(text + 5);

		if (length >= sizeof out->un.sun_path)
			return 0;
		out->un.sun_family = AF_UNIX;
		memcpy(out->un.sun_path, text + 5, length);
		if (text[5] != '@')
			return sizeof out->un;
		out->un.sun_path[0] = 0;
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	}
	if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons((uint16_t)number(port));
		return sizeof out->v4;
	}
	if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons((uint16_t)number(port));
		return sizeof out->v6;
	}
	return 0;
}

static const char *address_text(const struct sockaddr *address, char *buffer, size_t size)
{
	const union any_address *any = (const void *)address;

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): getifaddrs() fills it */
	if (address->sa_family == AF_INET)
		return inet_ntop(AF_INET, &any->v4.sin_addr, buffer, (socklen_t)size);
	if (address->sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &any->v6.sin6_addr, buffer, (socklen_t)size);
	return NULL;
}

static void print_file(const char *key, const char *path)
{
	cleanup_free char *text = read_path(path, 1 << 20, NULL);
	char *rest = text;

	for (char *line = text ? strsep(&rest, "\n") : NULL; line; line = strsep(&rest, "\n"))
		if (*line)
			fact(key, "%s", line);
}

static int net(int argc, char **argv)
{
	struct ifaddrs *list;

	(void)argc, (void)argv;
	if (getifaddrs(&list) < 0) {
		fact("net", "%s", result(-1));
		return 1;
	}
	for (const struct ifaddrs *item = list; item; item = item->ifa_next) {
		char text[INET6_ADDRSTRLEN];
		const char *address = item->ifa_addr ? address_text(item->ifa_addr, text, sizeof text) : NULL;

		if (address)
			fact("net.address", "%s %s", item->ifa_name, address);
		else
			fact("net.link", "%s %s", item->ifa_name, item->ifa_flags & IFF_UP ? "up" : "down");
	}
	freeifaddrs(list);
	print_file("net.route4", "/proc/net/route");
	print_file("net.route6", "/proc/net/ipv6_route");
	print_file("net.unix", "/proc/net/unix");
	return 0;
}

static long elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* connect ADDRESS PORT [MILLISECONDS]: how it ended and how long it took. */
static int connect_to(int argc, char **argv)
{
	union any_address address;
	socklen_t length = parse_address(argv[1], argv[2], &address);
	int timeout = argc > 3 ? (int)number(argv[3]) : 3000;
	struct timespec start;
	int error = 0;
	socklen_t size = sizeof error;

	if (!length)
		return 2;
	cleanup_fd int fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (fd < 0)
		error = errno;
	else if (connect(fd, &address.sa, length) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		struct pollfd waiter = { .fd = fd, .events = POLLOUT };

		if (poll(&waiter, 1, timeout) == 0)
			error = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	}
	errno = error;
	fact("connect", "%s", result(error ? -1 : 0));
	fact("connect.ms", "%ld", elapsed_ms(&start));
	return error ? 1 : 0;
}

/* Which families and types of socket can be made; the "+high" rows carry a bit the kernel ignores. */
static int sockets(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long family, type, protocol;
	} table[] = { { "unix", AF_UNIX, SOCK_STREAM, 0 }, { "inet", AF_INET, SOCK_STREAM, 0 },
		{ "inet6", AF_INET6, SOCK_STREAM, 0 }, { "raw", AF_INET, SOCK_RAW, 1 },
		{ "netlink-route", AF_NETLINK, SOCK_RAW, 0 }, { "netlink-netfilter", AF_NETLINK, SOCK_RAW, 12 },
		{ "netlink-netfilter+high", AF_NETLINK, SOCK_RAW, 12 | 1UL << 32 },
		{ "netlink-audit", AF_NETLINK, SOCK_RAW, 9 }, { "netlink-xfrm", AF_NETLINK, SOCK_RAW, 6 },
		{ "packet", AF_PACKET, SOCK_RAW, 0 }, { "alg", 38, SOCK_SEQPACKET, 0 },
		{ "alg+high", 38 | 1UL << 32, SOCK_SEQPACKET, 0 }, { "vsock", AF_VSOCK, SOCK_STREAM, 0 },
		{ "vsock+high", AF_VSOCK | 1UL << 32, SOCK_STREAM, 0 }, { "bluetooth", 31, SOCK_RAW, 0 },
		{ "can", 29, SOCK_RAW, 1 }, { "tipc", 30, SOCK_RDM, 0 }, { "rds", 21, SOCK_SEQPACKET, 0 },
		{ "x25", 9, SOCK_SEQPACKET, 0 } };

	(void)argc, (void)argv;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char key[64];
		long fd = syscall(SYS_socket, table[i].family, table[i].type, table[i].protocol);

		snprintf(key, sizeof key, "socket.%s", table[i].name);
		fact(key, "%s", result(fd));
		if (fd >= 0)
			close((int)fd);
	}
	return 0;
}

/* ask PATH TEXT: the answer of a control socket; nothing when it hangs up. */
static int ask(int argc, char **argv)
{
	char unix_path[sizeof(struct sockaddr_un)], answer[4096];
	union any_address address;

	(void)argc;
	snprintf(unix_path, sizeof unix_path, "unix:%s", argv[1]);
	socklen_t length = parse_address(unix_path, "0", &address);
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (!length || fd < 0 || connect(fd, &address.sa, length) < 0) {
		fact("ask.connect", "%s", result(-1));
		return 1;
	}
	(void)!send(fd, argv[2], strlen(argv[2]), MSG_NOSIGNAL);
	ssize_t size = recv(fd, answer, sizeof answer, 0);
	fact("ask", "%.*s", size > 0 ? (int)size : 0, answer);
	return 0;
}

/* An inherited socket that can be disconnected and re-connected reaches whatever its home namespace reaches. */
static int reconnect_stdio(int argc, char **argv)
{
	union any_address address;
	socklen_t length = parse_address(argv[1], argv[2], &address);
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)argc;
	if (!length)
		return 2;
	for (int fd = 0; fd < 1024; fd++) {
		int type;
		socklen_t size = sizeof type;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
			continue;
		(void)!connect(fd, &nowhere, sizeof nowhere);
		fact("reconnect", "%d %s", fd, result(connect(fd, &address.sa, length)));
	}
	fact("reconnect.done", "ok");
	return 0;
}

/* Answer one connection: 200 with the peer's address as the body, 404 for other paths than /alive and /. */
static void answer(int fd)
{
	char request[4096], reply[256], peer_text[INET6_ADDRSTRLEN] = "?";
	union any_address peer;
	socklen_t length = sizeof peer;
	ssize_t got = recv(fd, request, sizeof request - 1, 0);

	if (got <= 0)
		return;
	request[got] = 0;
	if (!getpeername(fd, &peer.sa, &length))
		address_text(&peer.sa, peer_text, sizeof peer_text);
	int found = !strncmp(request, "GET /alive ", 11) || !strncmp(request, "GET / ", 6);
	int size = snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
		found ? "200 OK" : "404 Not Found", strlen(peer_text) + 1, peer_text);
	(void)!write_full(fd, reply, (size_t)size);
}

/* fake-server PORT [ADDRESS]: what a runtime server looks like to a readiness check. */
static int fake_server(int argc, char **argv)
{
	union any_address address;
	socklen_t length = parse_address(argc > 2 ? argv[2] : "0.0.0.0", argv[1], &address);
	const int on = 1;

	if (!length)
		return 2;
	cleanup_fd int listener = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(listener, &address.sa, length) < 0 || listen(listener, 128) < 0) {
		fact("server", "%s", result(-1));
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	fact("server", "ready");
	for (;;) {
		cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			answer(fd);
	}
}

const struct probe_row probe_net[] = {
	{ "net", net, 0, 0, "links, addresses, routes, UNIX sockets" },
	{ "sockets", sockets, 0, 0, "which socket families can be made" },
	{ "connect", connect_to, 2, 1, "ADDRESS PORT [MS]: connect; ADDRESS may be unix:PATH" },
	{ "ask", ask, 2, 1, "PATH TEXT: send one message to a control socket" },
	{ "reconnect", reconnect_stdio, 2, 1, "ADDRESS PORT: re-connect every inherited socket" },
	{ "fake-server", fake_server, 1, 1, "PORT [ADDRESS]: answer 200 on /alive, body is the peer's address" },
	{ 0 },
};

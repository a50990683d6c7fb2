// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/bench_publish.c: both ends of a published port, for publish.py, which puts something in between.
 *
 *     bench_publish serve BASE: BASE takes bytes, +1 gives bytes, +2 answers 100-byte requests with 400 bytes, +3 HTTP
 *     bench_publish relay BASE TARGET: the same ports as TARGET and the next ones, through the simplest of relays
 *     bench_publish upload PORT SECONDS: bytes a second over one connection; download likewise
 *     bench_publish requests PORT SECONDS COUNT: requests a second over COUNT connections
 *     bench_publish idle PORT COUNT: open COUNT connections, say so, hold them until end of input
 *
 * Client and server do nothing but the exchange, so what is in between shows more than with a real server. Static: the
 * server runs in any root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { REQUEST = 100, ANSWER = 400, CHUNK = 128 * 1024, EVENTS = 64, SERVICES = 5, RELAYED = 1024 };

static char scratch[CHUNK];
static const int on = 1;

static void check(bool good, const char *step)
{
	if (good)
		return;
	perror(step);
	exit(1);
}

/* ---- server --------------------------------------------------------------------------------------------------- */

static int listen_on(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4096) == 0, "listen");
	return fd;
}

static void serve_sink(int listener)
{
	for (;;) {
		cleanup_fd int fd = accept(listener, NULL, NULL);
		while (read(fd, scratch, sizeof scratch) > 0)
			;
	}
}

static void serve_source(int listener)
{
	for (;;) {
		cleanup_fd int fd = accept(listener, NULL, NULL);
		while (send(fd, scratch, sizeof scratch, MSG_NOSIGNAL) > 0)
			;
	}
}

static bool answer_request(int fd)
{
	return read(fd, scratch, REQUEST) == REQUEST && send(fd, scratch, ANSWER, MSG_NOSIGNAL) == ANSWER;
}

/* Requests of wrk and curl fit into one read. */
static bool answer_http(int fd)
{
	static char answer[ANSWER];
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n";
	char request[4096];

	if (!*answer) {
		memset(answer, 'x', sizeof answer);
		memcpy(answer, head, sizeof head - 1);
	}
	return read(fd, request, sizeof request) > 0 &&
	       send(fd, answer, sizeof head - 1 + 300, MSG_NOSIGNAL) == sizeof head - 1 + 300;
}

static void serve_events(int listener, bool (*answer)(int fd))
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[EVENTS];

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
			} else if (!answer(fd)) {
				close(fd);
			}
		}
	}
}

static void serve_requests(int listener)
{
	serve_events(listener, answer_request);
}

static void serve_http(int listener)
{
	serve_events(listener, answer_http);
}

static void all_files(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int serve(uint16_t base)
{
	static void (*const services[])(int listener) = { serve_sink, serve_source, serve_requests, serve_http };

	all_files();
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		int listener = listen_on((uint16_t)(base + i));
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			services[i](listener);
		}
		close(listener);
	}
	puts("serving");
	fflush(stdout);
	pause();
	return 0;
}

/* ---- relay ---------------------------------------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

/* What has come to @fd goes to its peer; the end of one is the end of both. */
static void relay_bytes(int fd, int *peers)
{
	int peer = peers[fd];
	ssize_t size;

	if (peer < 0) /* an event of the same batch ended it */
		return;
	do {
		size = recv(fd, scratch, sizeof scratch, MSG_DONTWAIT);
		if (size > 0 && send(peer, scratch, (size_t)size, MSG_NOSIGNAL) != size)
			size = 0;
	} while (size == sizeof scratch);
	if (size == 0 || (size < 0 && errno != EAGAIN)) {
		peers[fd] = peers[peer] = -1;
		close(fd);
		close(peer);
	}
}

/* The least a relay can do, two system calls a message, without what makes ours safe to use (back-pressure on one is on
 * all): what it does not reach on this machine nobody can. */
static void relay(uint16_t base, uint16_t target)
{
	static const struct timeval patience = { .tv_sec = 1 };
	int epoll = epoll_create1(EPOLL_CLOEXEC), first = -1, peers[RELAYED];
	struct epoll_event events[EVENTS];

	for (int i = 0; i < SERVICES; i++) {
		int listener = listen_on((uint16_t)(base + i));
		first = i == 0 ? listener : first;
		watch(epoll, listener, EPOLLIN);
	}
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd >= first + SERVICES) {
				relay_bytes(fd, peers);
				continue;
			}
			int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
			int server = connect_to((uint16_t)(target + fd - first));
			check(client >= 0 && client < RELAYED && server < RELAYED, "accept");
			/* Whoever does not read must not hold up everybody for ever. */
			setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
			setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
			setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
			peers[client] = server;
			peers[server] = client;
			watch(epoll, client, EPOLLIN | EPOLLET);
			watch(epoll, server, EPOLLIN | EPOLLET);
		}
	}
}

/* ---- client --------------------------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double measure_bulk(uint16_t port, bool send_side, double seconds)
{
	cleanup_fd int fd = connect_to(port);
	double start = now(), bytes = 0;

	while (now() - start < seconds) {
		ssize_t size = send_side ? send(fd, scratch, sizeof scratch, 0) : recv(fd, scratch, sizeof scratch, 0);
		check(size > 0, "bulk");
		bytes += (double)size;
	}
	return bytes / (now() - start);
}

/* Bytes of a message may come in pieces. */
static bool read_answer(int fd)
{
	for (ssize_t have = 0, size; have < ANSWER; have += size) {
		size = read(fd, scratch, (size_t)(ANSWER - have));
		if (size <= 0)
			return false;
	}
	return true;
}

static double measure_requests(uint16_t port, int connections, double seconds)
{
	cleanup_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];
	double start = now(), requests = 0;

	for (int i = 0; i < connections; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = connect_to(port) };
		epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
		check(send(event.data.fd, scratch, REQUEST, 0) == REQUEST, "request");
	}
	while (now() - start < seconds) {
		int count = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < count; i++) {
			check(read_answer(events[i].data.fd), "answer");
			requests++;
			check(send(events[i].data.fd, scratch, REQUEST, 0) == REQUEST, "request");
		}
	}
	return requests / (now() - start);
}

static int hold_idle(uint16_t port, int count)
{
	all_files();
	for (int i = 0; i < count; i++)
		connect_to(port);
	puts("open");
	fflush(stdout);
	return read(STDIN_FILENO, scratch, 1) < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	uint16_t port = argc > 2 ? (uint16_t)atoi(argv[2]) : 0;
	double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;

	if (strcmp(what, "serve") == 0)
		return serve(port);
	if (strcmp(what, "relay") == 0 && argc > 3)
		relay(port, (uint16_t)atoi(argv[3]));
	if (strcmp(what, "idle") == 0 && argc > 3)
		return hold_idle(port, atoi(argv[3]));
	if (strcmp(what, "upload") == 0 || strcmp(what, "download") == 0)
		return printf("%.4g\n", measure_bulk(port, *what == 'u', seconds)) < 0;
	if (strcmp(what, "requests") == 0 && argc > 4)
		return printf("%.4g\n", measure_requests(port, atoi(argv[4]), seconds)) < 0;
	fputs("usage: bench_publish serve|relay|upload|download|requests|idle PORT [...]\n", stderr);
	return 2;
}

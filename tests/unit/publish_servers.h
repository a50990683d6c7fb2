// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/publish_servers.h: servers of every temper for the sandbox of publish_world.h, and clients for them. */
#pragma once
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/publish_world.h"

/* Ports inside, and what their server does with a connection. */
enum {
	ECHO = 7001, /* writes back what it reads, then ends */
	PEER,	     /* tells the address of its peer */
	PEER_LO4,    /* the same, listening on 127.0.0.1 only */
	PEER_LO6,    /* the same, listening on [::1] only */
	HOLD,	     /* accepts and never reads */
	COUNT,	     /* reads to the end, then answers how many bytes */
	BYE,	     /* says "bye", ends its half, then counts what comes into shared->counted */
	RESET,	     /* answers one byte with 1000 and resets */
	WATCH,	     /* says "w" and reads; what ends the connection goes to shared->watched */
	HTTP,	     /* answers 503 twice, then 200 */
	NOBODY
};

/* Between the sandbox and the test. */
static struct {
	atomic_long counted;
	atomic_long held;   /* connections that HOLD has accepted */
	atomic_int watched; /* errno, -1 for an orderly end */
	atomic_int asked;   /* HTTP requests so far */
} * shared;

enum { DEADLINE_S = 20, BULK_BYTES = 32 << 20 };

static inline bool wait_for(const atomic_long *value, long expected)
{
	for (int i = 0; i < DEADLINE_S * 1000; i++) {
		if (atomic_load(value) == expected)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* ---- the servers ---------------------------------------------------------------------------------------------- */

static inline long drain(int fd)
{
	char buffer[65536];
	long total = 0;
	ssize_t size;

	while ((size = read(fd, buffer, sizeof buffer)) > 0)
		total += size;
	return size < 0 ? -1 : total;
}

static inline void reset(int fd)
{
	static const struct linger at_once = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

static inline void serve_echo(int fd)
{
	char buffer[65536];
	ssize_t size;

	while ((size = read(fd, buffer, sizeof buffer)) > 0 && write_full(fd, buffer, (size_t)size) == 0)
		;
}

static inline void serve_peer(int fd)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof peer;
	char text[INET6_ADDRSTRLEN] = "?";

	if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
		inet_ntop(peer.ss_family,
			peer.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&peer)->sin_addr
						  : (void *)&((struct sockaddr_in6 *)&peer)->sin6_addr,
			text, sizeof text);
	(void)write_full(fd, text, strlen(text));
}

static inline void serve_count(int fd)
{
	cleanup_free char *text = xasprintf("%ld", drain(fd));

	(void)write_full(fd, text, strlen(text));
}

static inline void serve_bye(int fd)
{
	(void)write_full(fd, "bye", 3);
	shutdown(fd, SHUT_WR);
	atomic_store(&shared->counted, drain(fd));
}

static inline void serve_reset(int fd)
{
	char buffer[1000] = "";

	if (read(fd, buffer, 1) == 1)
		(void)write_full(fd, buffer, sizeof buffer);
	reset(fd);
}

static inline void serve_watch(int fd)
{
	(void)write_full(fd, "w", 1);
	atomic_store(&shared->watched, drain(fd) < 0 ? errno : -1);
}

static inline void serve_http(int fd)
{
	static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
	static const char fine[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	char request[1000];

	if (read(fd, request, sizeof request) <= 0 || memcmp(request, "GET /alive HTTP/1.1\r\n", 21) != 0)
		return;
	bool good = atomic_fetch_add(&shared->asked, 1) >= 2;
	(void)write_full(fd, good ? fine : busy, good ? sizeof fine - 1 : sizeof busy - 1);
}

static const struct server {
	uint16_t port;
	int family;
	bool loopback;
	void (*serve)(int fd); /* in a process of its own; NULL keeps the connection */
} servers[] = {
	{ ECHO, AF_INET, false, serve_echo },
	{ PEER, AF_INET, false, serve_peer },
	{ PEER_LO4, AF_INET, true, serve_peer },
	{ PEER_LO6, AF_INET6, true, serve_peer },
	{ HOLD, AF_INET, false, NULL },
	{ COUNT, AF_INET, false, serve_count },
	{ BYE, AF_INET, false, serve_bye },
	{ RESET, AF_INET, false, serve_reset },
	{ WATCH, AF_INET, false, serve_watch },
	{ HTTP, AF_INET, false, serve_http },
};
enum { SERVERS = sizeof servers / sizeof *servers };

static inline int listen_as(const struct server *server)
{
	static const int on = 1;
	struct sockaddr_in v4 = { .sin_family = AF_INET,
		.sin_port = htons(server->port),
		.sin_addr.s_addr = htonl(server->loopback ? INADDR_LOOPBACK : INADDR_ANY) };
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(server->port), .sin6_addr = IN6ADDR_LOOPBACK_INIT
	};
	bool four = server->family == AF_INET;
	int fd = socket(server->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	world_check(bind(fd, four ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, four ? sizeof v4 : sizeof v6) == 0,
		"bind inside");
	world_check(listen(fd, 4096) == 0, "listen inside");
	return fd;
}

static inline void accept_one(const struct server *server, int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd >= 0 && !server->serve)
		atomic_fetch_add(&shared->held, 1); /* kept until the end of the world */
	if (fd < 0 || !server->serve)
		return;
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		server->serve(fd);
		_exit(0);
	}
	close(fd);
}

static inline void serve_all(void *context)
{
	struct pollfd listeners[SERVERS];
	struct rlimit files;

	(void)context;
	signal(SIGCHLD, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < SERVERS; i++)
		listeners[i] = (struct pollfd){ .fd = listen_as(&servers[i]), .events = POLLIN };
	(void)!write(WORLD_READY_FD, "", 1);
	for (;;) {
		poll(listeners, SERVERS, -1);
		for (size_t i = 0; i < SERVERS; i++)
			if (listeners[i].revents)
				accept_one(&servers[i], listeners[i].fd);
	}
}

/* ---- the client ----------------------------------------------------------------------------------------------- */

/* Rules are in the order of the servers, from ECHO on. */
#define ALL_PORTS "7001-7011"

static inline uint16_t host_port(const struct world *world, int port)
{
	return world->ports[port - ECHO];
}

static inline int patient(int fd)
{
	static const struct timeval deadline = { .tv_sec = DEADLINE_S };

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
	return fd;
}

static inline int reach(const struct world *world, int port)
{
	return patient(world_connect(AF_INET, host_port(world, port)));
}

static inline void expect_text(int fd, const char *expected)
{
	char text[256] = "";

	assert_int_equal(read_full(fd, text, sizeof text - 1), strlen(expected));
	assert_string_equal(text, expected);
}

static inline void expect_echo(int fd)
{
	char answer[4] = "";

	assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(read_full(fd, answer, 4), 4);
	assert_memory_equal(answer, "ping", 4);
}

static inline void expect_reset(int fd)
{
	char byte;
	ssize_t size;

	do {
		size = TEMP_FAILURE_RETRY(recv(fd, &byte, 1, 0));
	} while (size > 0);
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Nobody listens inside: a quick reset may come before connect() has returned. */
static inline void expect_refusal(const struct world *world)
{
	cleanup_fd int fd = world_connect(AF_INET, host_port(world, NOBODY));

	if (fd < 0)
		assert_int_equal(errno, ECONNRESET);
	else
		expect_reset(patient(fd));
}

static inline int start(void **state)
{
	static const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all };
	struct world *world = xcalloc(1, sizeof *world);

	*state = world;
	atomic_store(&shared->counted, -1);
	atomic_store(&shared->held, 0);
	atomic_store(&shared->watched, 0);
	atomic_store(&shared->asked, 0);
	return world_start(world, &options);
}

static inline int stop(void **state)
{
	struct world *world = *state;
	int status = world_stop(world);

	free(world);
	return status;
}

/* ---- users ---------------------------------------------------------------------------------------------------- */

enum { OWNER = 61234, STRANGER = 61235 };
static int stranger = -1; /* a process of another user that connects on demand; -1 when we were not started by root */

[[gnu::noreturn]] static inline void be_stranger(int orders)
{
	uint16_t port;

	world_check(setresgid(STRANGER, STRANGER, STRANGER) == 0, "setresgid");
	world_check(setresuid(STRANGER, STRANGER, STRANGER) == 0, "setresuid");
	while (read(orders, &port, sizeof port) == sizeof port) {
		char answer[4] = "";
		cleanup_fd int fd = world_connect(AF_INET, port);
		bool echoed = fd >= 0 && send(fd, "ping", 4, MSG_NOSIGNAL) == 4 && read_full(fd, answer, 4) == 4;
		world_check(write(orders, &echoed, 1) == 1, "report");
	}
	_exit(0);
}

/* Started by root, become an ordinary user, and leave a helper that is another one. */
static inline void leave_root(void)
{
	int orders[2];

	if (geteuid() != 0)
		return;
	world_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders) == 0, "socketpair");
	if (fork() == 0) {
		close(orders[0]);
		be_stranger(orders[1]);
	}
	close(orders[1]);
	stranger = orders[0];
	world_check(setresgid(OWNER, OWNER, OWNER) == 0, "setresgid");
	world_check(setresuid(OWNER, OWNER, OWNER) == 0, "setresuid");
	/* Else /proc/self would belong to root. */
	prctl(PR_SET_DUMPABLE, 1);
}

/* Before the first test: an ordinary user, all the descriptors one may have, memory for the servers to report in. */
static inline void prepare_group(void)
{
	struct rlimit files;

	leave_root();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_check(shared != MAP_FAILED, "mmap");
}

#define in_a_world(name) cmocka_unit_test_setup_teardown(name, start, stop)

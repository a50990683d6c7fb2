// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_relay.c: what a connection through a published port is like, end to end: a client in the
 * host's network, a supervisor, a server in the sandbox's. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>

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
	atomic_int watched; /* errno, -1 for an orderly end */
	atomic_int asked;   /* HTTP requests so far */
} * shared;

enum { DEADLINE_S = 20, BULK_BYTES = 32 << 20 };

static bool wait_for(const atomic_long *value, long expected)
{
	for (int i = 0; i < DEADLINE_S * 1000; i++) {
		if (atomic_load(value) == expected)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* ---- the servers ---------------------------------------------------------------------------------------------- */

static long drain(int fd)
{
	char buffer[65536];
	long total = 0;
	ssize_t size;

	while ((size = read(fd, buffer, sizeof buffer)) > 0)
		total += size;
	return size < 0 ? -1 : total;
}

static void reset(int fd)
{
	static const struct linger at_once = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

static void serve_echo(int fd)
{
	char buffer[65536];
	ssize_t size;

	while ((size = read(fd, buffer, sizeof buffer)) > 0 && write_full(fd, buffer, (size_t)size) == 0)
		;
}

static void serve_peer(int fd)
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

static void serve_count(int fd)
{
	cleanup_free char *text = xasprintf("%ld", drain(fd));

	(void)write_full(fd, text, strlen(text));
}

static void serve_bye(int fd)
{
	(void)write_full(fd, "bye", 3);
	shutdown(fd, SHUT_WR);
	atomic_store(&shared->counted, drain(fd));
}

static void serve_reset(int fd)
{
	char buffer[1000] = "";

	if (read(fd, buffer, 1) == 1)
		(void)write_full(fd, buffer, sizeof buffer);
	reset(fd);
}

static void serve_watch(int fd)
{
	(void)write_full(fd, "w", 1);
	atomic_store(&shared->watched, drain(fd) < 0 ? errno : -1);
}

static void serve_http(int fd)
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

static int listen_as(const struct server *server)
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

static void accept_one(const struct server *server, int listener)
{
	int fd = accept(listener, NULL, NULL);

	if (fd < 0 || !server->serve)
		return; /* kept until the end of the world */
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		server->serve(fd);
		_exit(0);
	}
	close(fd);
}

static void serve_all(void *context)
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

static uint16_t host_port(const struct world *world, int port)
{
	return world->ports[port - ECHO];
}

static int patient(int fd)
{
	static const struct timeval deadline = { .tv_sec = DEADLINE_S };

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
	return fd;
}

static int reach(const struct world *world, int port)
{
	return patient(world_connect(AF_INET, host_port(world, port)));
}

static void expect_text(int fd, const char *expected)
{
	char text[256] = "";

	assert_int_equal(read_full(fd, text, sizeof text - 1), strlen(expected));
	assert_string_equal(text, expected);
}

static void expect_echo(int fd)
{
	char answer[4] = "";

	assert_int_equal(send(fd, "ping", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(read_full(fd, answer, 4), 4);
	assert_memory_equal(answer, "ping", 4);
}

static void expect_reset(int fd)
{
	char byte;
	ssize_t size;

	do {
		size = recv(fd, &byte, 1, 0);
	} while (size > 0);
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
}

static int start(void **state)
{
	static const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all };
	struct world *world = xcalloc(1, sizeof *world);

	*state = world;
	atomic_store(&shared->counted, -1);
	atomic_store(&shared->watched, 0);
	atomic_store(&shared->asked, 0);
	return world_start(world, &options);
}

static int stop(void **state)
{
	struct world *world = *state;
	int status = world_stop(world);

	free(world);
	return status;
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

static void messages_come_back_over_both_loopbacks(void **state)
{
	struct world *world = *state;
	cleanup_fd int v4 = reach(world, ECHO);
	cleanup_fd int v6 = patient(world_connect(AF_INET6, host_port(world, ECHO)));

	for (int i = 0; i < 100; i++) {
		expect_echo(v4);
		expect_echo(v6);
	}
}

/* A stream that shows any loss, doubling or swap. */
static uint64_t next_word(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Pieces of many sizes, so that copying and splicing take turns. */
static size_t piece_size(size_t index)
{
	static const size_t sizes[] = { 8, 65536, 65536, 4096, 131072, 131072, 131072, 1024, 65528, 262144 };

	return sizes[index % (sizeof sizes / sizeof *sizes)];
}

static void write_stream(int fd)
{
	static uint64_t words[262144 / 8];
	uint64_t seed = 88172645463325252;
	size_t left = BULK_BYTES;

	for (size_t i = 0; left; i++) {
		size_t size = piece_size(i) < left ? piece_size(i) : left;
		for (size_t j = 0; j < size / 8; j++)
			words[j] = next_word(&seed);
		world_check(write_full(fd, words, size) == 0, "write the stream");
		left -= size;
	}
	shutdown(fd, SHUT_WR);
}

static void expect_stream(int fd)
{
	static uint64_t words[65536 / 8];
	uint64_t seed = 88172645463325252;

	for (size_t done = 0; done < BULK_BYTES; done += sizeof words) {
		assert_int_equal(read_full(fd, words, sizeof words), sizeof words);
		for (size_t i = 0; i < sizeof words / 8; i++)
			if (words[i] != next_word(&seed))
				fail_msg("the stream differs after %zu bytes", done + i * 8);
	}
	assert_int_equal(read(fd, words, 1), 0);
}

static void move_bulk(int fd)
{
	pid_t writer = fork();
	int status;

	if (writer == 0) {
		write_stream(fd);
		_exit(0);
	}
	expect_stream(fd);
	assert_int_equal(waitpid(writer, &status, 0), writer);
	assert_int_equal(status, 0);
}

static void bulk_goes_both_ways_at_once_unchanged(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, ECHO);

	move_bulk(fd);
	/* Pipes were lent and came back: a few spare ones at most. */
	cleanup_fd int again = reach(world, ECHO);
	expect_echo(again);
	assert_true(world_ask(world, 'f') < 64);
}

static void urgent_data_does_not_stall_the_stream(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, COUNT);

	for (int i = 0; i < 20; i++) {
		assert_int_equal(send(fd, "before", 6, 0), 6);
		assert_int_equal(send(fd, "!", 1, MSG_OOB), 1);
		assert_int_equal(send(fd, "after", 5, 0), 5);
	}
	shutdown(fd, SHUT_WR);
	/* The last urgent byte is out of band; how many of the others are is a matter of timing, here as without us. */
	char text[16] = "";
	assert_true(read_full(fd, text, sizeof text - 1) > 0);
	assert_in_range(strtol(text, NULL, 10), 220, 240);
}

/* ---- ends ----------------------------------------------------------------------------------------------------- */

static void the_clients_end_is_carried_through_and_the_answer_comes_back(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, COUNT);
	char data[100000] = "";

	assert_int_equal(write_full(fd, data, sizeof data), 0);
	shutdown(fd, SHUT_WR);
	expect_text(fd, "100000");
}

static void the_servers_end_is_carried_through_and_it_still_reads(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, BYE);
	static char data[1 << 20];

	expect_text(fd, "bye");
	assert_int_equal(write_full(fd, data, sizeof data), 0);
	shutdown(fd, SHUT_WR);
	assert_true(wait_for(&shared->counted, sizeof data));
}

static void a_reset_of_the_server_reaches_the_client_after_its_answer(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, RESET);
	char answer[1000];

	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(read_full(fd, answer, sizeof answer), sizeof answer);
	expect_reset(fd);
}

static void a_reset_of_the_client_reaches_the_server(void **state)
{
	struct world *world = *state;
	int fd = reach(world, WATCH);
	char byte;

	assert_int_equal(read(fd, &byte, 1), 1);
	reset(fd);
	for (int i = 0; i < DEADLINE_S * 1000 && atomic_load(&shared->watched) == 0; i++)
		poll(NULL, 0, 1);
	assert_int_equal(atomic_load(&shared->watched), ECONNRESET);
}

static void a_port_nobody_listens_on_resets_at_once(void **state)
{
	struct world *world = *state;
	cleanup_fd int fd = reach(world, NOBODY);

	expect_reset(fd);
}

static void stopping_resets_what_is_connected(void **state)
{
	struct world world;
	const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all };

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	cleanup_fd int idle = reach(&world, HOLD);
	cleanup_fd int used = reach(&world, ECHO);
	expect_echo(used);
	assert_int_equal(world_stop(&world), 0);
	expect_reset(used);
	expect_reset(idle);
}

/* ---- who the server sees -------------------------------------------------------------------------------------- */

static void a_server_sees_the_sandbox_and_loopback_only_when_it_listens_nowhere_else(void **state)
{
	static const struct {
		int port;
		const char *peer;
	} rows[] = { { PEER, "10.111.0.2" }, { PEER_LO4, "127.0.0.1" }, { PEER_LO6, "::1" } };
	struct world *world = *state;

	for (int i = 0; i < 3; i++) {
		cleanup_fd int v4 = reach(world, rows[i].port);
		cleanup_fd int v6 = patient(world_connect(AF_INET6, host_port(world, rows[i].port)));
		expect_text(v4, rows[i].peer);
		expect_text(v6, rows[i].peer);
	}
}

static void without_a_network_loopback_is_dialled(void **state)
{
	const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all, .no_address = true };
	struct world world;

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	cleanup_fd int fd = reach(&world, PEER);
	expect_text(fd, "127.0.0.1");
	cleanup_fd int six = reach(&world, PEER_LO6);
	expect_text(six, "::1");
	cleanup_fd int none = reach(&world, NOBODY);
	expect_reset(none);
	assert_int_equal(world_stop(&world), 0);
}

static void a_unix_socket_reaches_the_server(void **state)
{
	char dir[] = "/tmp/publish-XXXXXX";
	assert_non_null(mkdtemp(dir));
	cleanup_free char *rule = xasprintf("unix:%s/sock:%d", dir, ECHO);
	const struct world_options options = { .publish = { rule }, .serve = serve_all };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct world world;

	(void)state;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", dir);
	assert_int_equal(world_start(&world, &options), 0);
	cleanup_fd int fd = patient(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	expect_echo(fd);
	move_bulk(fd);
	assert_int_equal(world_stop(&world), 0);
	assert_int_equal(access(address.sun_path, F_OK), -1);
	assert_int_equal(rmdir(dir), 0);
}

/* ---- many ----------------------------------------------------------------------------------------------------- */

static void a_receiver_that_stalls_stops_the_sender_and_nobody_else(void **state)
{
	struct world *world = *state;
	cleanup_fd int stalled = reach(world, HOLD);
	cleanup_fd int other = reach(world, ECHO);
	static char data[1 << 20];
	size_t taken = 0;
	uint32_t before = world_ask(world, 'm');
	struct pollfd writable = { .fd = stalled, .events = POLLOUT };

	/* Full for a while means full: the kernel's buffers on the way are a few dozen MiB at most. */
	while (taken < (size_t)1 << 30 && poll(&writable, 1, 300) == 1) {
		ssize_t size = send(stalled, data, sizeof data, MSG_DONTWAIT);
		taken += size > 0 ? (size_t)size : 0;
	}
	assert_true(taken < (size_t)256 << 20);
	assert_true(world_ask(world, 'm') < before + 1024);
	for (int i = 0; i < 100; i++)
		expect_echo(other);
}

static void thousands_of_idle_connections_cost_little(void **state)
{
	enum { CONNECTIONS = 2000, PER_CONNECTION = 512 };
	struct world *world = *state;
	struct rlimit files;
	static int fds[CONNECTIONS];

	getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_max < 3 * CONNECTIONS) {
		print_message("skipped: the hard limit of open files is %lu\n", (unsigned long)files.rlim_max);
		skip();
	}
	uint32_t before = world_ask(world, 'm');
	for (int i = 0; i < CONNECTIONS; i++)
		fds[i] = reach(world, HOLD);
	for (int i = 0; i < DEADLINE_S * 1000 && world_ask(world, 'f') < 2 * CONNECTIONS; i++)
		poll(NULL, 0, 1);
	assert_true(world_ask(world, 'f') > 2 * CONNECTIONS);
	cleanup_fd int used = reach(world, ECHO);
	expect_echo(used);
	uint32_t grown = world_ask(world, 'm') - before;
	print_message("%d idle connections: %u KiB\n", CONNECTIONS, grown);
#ifndef __SANITIZE_ADDRESS__
	assert_true(grown <= CONNECTIONS * PER_CONNECTION / 1024);
#endif
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
}

static void connections_leave_nothing_behind(void **state)
{
	struct world *world = *state;
	cleanup_fd int first = reach(world, ECHO);

	expect_echo(first);
	uint32_t files = world_ask(world, 'f'), memory = 0;
	for (int i = 0; i < 600; i++) {
		cleanup_fd int fd = reach(world, i % 3 ? ECHO : NOBODY);
		if (i % 3 == 0)
			expect_reset(fd);
		else
			expect_echo(fd);
		if (i % 3 == 1)
			reset(steal_fd(&fd));
		if (i == 300)
			memory = world_ask(world, 'm');
	}
	expect_echo(first);
	for (int i = 0; i < DEADLINE_S * 1000 && world_ask(world, 'f') > files; i++)
		poll(NULL, 0, 1);
	assert_int_equal(world_ask(world, 'f'), files);
	assert_true(world_ask(world, 'm') <= memory + 256);
}

static void more_clients_than_descriptors_wait_their_turn(void **state)
{
	enum { CLIENTS = 100 };
	const struct world_options options = { .publish = { "7001" }, .serve = serve_all, .supervisor_files = 64 };
	struct world world;
	int fds[CLIENTS];

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = reach(&world, ECHO);
		assert_int_equal(send(fds[i], "ping", 4, 0), 4);
	}
	for (int i = 0; i < CLIENTS; i++) {
		char answer[4];
		assert_int_equal(read_full(fds[i], answer, 4), 4);
		close(fds[i]);
	}
	assert_int_equal(world_stop(&world), 0);
}

/* ---- readiness ------------------------------------------------------------------------------------------------ */

static void ready_means_an_answer_of_success(void **state)
{
	struct world *world = *state;

	assert_int_equal(world_wait_ready(world, HTTP, false), 0);
	assert_int_equal(atomic_load(&shared->asked), 3);
	/* Nobody there, somebody who does not speak HTTP, and a wait that was called off. */
	assert_int_equal(world_wait_ready(world, NOBODY, false), -1);
	assert_int_equal(world_wait_ready(world, PEER, false), -1);
	assert_int_equal(world_wait_ready(world, HOLD, true), 1);
}

/* ---- other users ---------------------------------------------------------------------------------------------- */

enum { OWNER = 61234, STRANGER = 61235 };
static int stranger = -1; /* a process of another user that connects on demand; -1 when we were not started by root */

[[gnu::noreturn]] static void be_stranger(int orders)
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
static void leave_root(void)
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

static bool stranger_is_served(const struct world *world)
{
	uint16_t port = host_port(world, ECHO);
	bool served = false;

	world_check(write(stranger, &port, sizeof port) == sizeof port, "order");
	world_check(read(stranger, &served, 1) == 1, "report");
	return served;
}

static void another_users_connection_is_refused_unless_any_user(void **state)
{
	const struct world_options open = { .publish = { ALL_PORTS }, .serve = serve_all, .any_user = true };
	struct world *world = *state, public;

	if (stranger < 0) {
		print_message("skipped: only root can be two users (peers are told apart in test_publish, too)\n");
		skip();
	}
	assert_false(stranger_is_served(world));
	cleanup_fd int own = reach(world, ECHO);
	expect_echo(own);
	assert_int_equal(world_start(&public, &open), 0);
	assert_true(stranger_is_served(&public));
	assert_int_equal(world_stop(&public), 0);
}

#define in_a_world(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(messages_come_back_over_both_loopbacks),
		in_a_world(bulk_goes_both_ways_at_once_unchanged),
		in_a_world(urgent_data_does_not_stall_the_stream),
		in_a_world(the_clients_end_is_carried_through_and_the_answer_comes_back),
		in_a_world(the_servers_end_is_carried_through_and_it_still_reads),
		in_a_world(a_reset_of_the_server_reaches_the_client_after_its_answer),
		in_a_world(a_reset_of_the_client_reaches_the_server),
		in_a_world(a_port_nobody_listens_on_resets_at_once),
		cmocka_unit_test(stopping_resets_what_is_connected),
		in_a_world(a_server_sees_the_sandbox_and_loopback_only_when_it_listens_nowhere_else),
		cmocka_unit_test(without_a_network_loopback_is_dialled),
		cmocka_unit_test(a_unix_socket_reaches_the_server),
		in_a_world(a_receiver_that_stalls_stops_the_sender_and_nobody_else),
		in_a_world(thousands_of_idle_connections_cost_little),
		in_a_world(connections_leave_nothing_behind),
		cmocka_unit_test(more_clients_than_descriptors_wait_their_turn),
		in_a_world(ready_means_an_answer_of_success),
		in_a_world(another_users_connection_is_refused_unless_any_user),
	};
	struct rlimit files;

	leave_root();
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	world_check(shared != MAP_FAILED, "mmap");
	return cmocka_run_group_tests_name("publish_relay", tests, NULL, NULL);
}

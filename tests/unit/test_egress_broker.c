// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_broker.c: the broker behind a real packet filter: load, exhaustion, changes, a site's proxy
 * that is good, wants a password, talks nonsense or hangs up. A child of the test is the supervisor; it connects as the
 * sandbox would, through sockets of the sandbox's namespace. The servers are another child, on the host's loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include "network_fixture.h"
#include "netns/egress.h"
#include "netns/egress_log.h"
#include "netns/inside.h"

/* ---- servers of the host -------------------------------------------------------------------------------------- */

static int listen_here(uint16_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4096) < 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	*port = ntohs(address.sin_port);
	return fd;
}

static void echo(int fd)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		if (write_full(fd, buffer, (size_t)n) < 0)
			return;
}

/* What this proxy does is in the name it is asked for. */
static void proxy(int fd)
{
	char request[4096] = "";
	size_t have = 0;

	while (have < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
		ssize_t n = read(fd, request + have, sizeof request - 1 - have);
		if (n <= 0)
			return;
		have += (size_t)n;
	}
	if (str_starts(request, "CONNECT secret.example:80 ") &&
		!strstr(request, "\r\nProxy-Authorization: Basic dTpw\r\n"))
		dprintf(fd, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
	else if (str_starts(request, "CONNECT nonsense.example:80 "))
		dprintf(fd, "220 smtp.example ESMTP\r\n");
	else if (str_starts(request, "CONNECT half.example:80 "))
		dprintf(fd, "HTTP/1.1 200 O");
	else if (str_starts(request, "CONNECT denied.example:80 "))
		dprintf(fd, "HTTP/1.1 403 Forbidden\r\n\r\n");
	else if (str_starts(request, "CONNECT chatty.example:80 ")) {
		dprintf(fd, "HTTP/1.1 200 OK\r\nVia: ");
		usleep(50000);
		dprintf(fd, "x\r\n\r\nfirst words\n");
		echo(fd);
	} else if (str_starts(request, "CONNECT ")) {
		dprintf(fd, "HTTP/1.1 200 OK\r\n\r\n");
		echo(fd);
	}
}

static void serve_each(int listener, void (*serve)(int))
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
}

/* Accepts and never says a word: only connections are counted here. */
static void serve_silently(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		char byte;
		if (fd < 0)
			continue;
		while (recv(fd, &byte, 1, 0) > 0)
			;
		close(fd);
	}
}

struct servers {
	uint16_t echo, proxy, sink;
};

static void server(uint16_t *port, void (*serve)(int))
{
	cleanup_fd int listener = listen_here(port);

	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (serve)
			serve_each(listener, serve);
		serve_silently(listener);
	}
}

/* ---- the supervisor in small ---------------------------------------------------------------------------------- */

struct site {
	struct member member;
	struct broker *broker;
	struct servers *servers;
	int log_dir;
	int open_before; /* descriptors */
};

static int open_descriptors(void)
{
	cleanup_dir DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir && readdir(dir))
		count++;
	return count;
}

static int start(struct world *world, struct site *site, const char *list, const char *proxy_url)
{
	struct network *network = &site->member.network;
	struct network_service ports = { 0 };
	struct egress_rules *rules;
	struct azm_err err = { 0 };

	CHECK(become_member(world, &site->member) == 0);
	mkdirat(world->live, "log", 0700);
	site->log_dir = openat(world->live, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(site->log_dir >= 0);
	struct broker_options options = { .client = network->address,
		.subnet = network->subnet,
		.prefix = network->prefix,
		.log_dir = site->log_dir,
		.resolver = -1,
		.proxy = proxy_url };
	CHECK_OK(options.tcp = network_listen(network, SOCK_STREAM, &ports.tcp, &err), &err);
	CHECK_OK(options.dns_udp = network_listen(network, SOCK_DGRAM, &ports.dns_udp, &err), &err);
	CHECK_OK(options.dns_tcp = network_listen(network, SOCK_STREAM, &ports.dns_tcp, &err), &err);
	CHECK_OK(egress_rules_parse(list, &rules, &err), &err);
	options.tcp_port = ports.tcp;
	site->broker = broker_start(&options, rules, &err);
	CHECK_OK(site->broker ? 0 : -1, &err);
	CHECK_OK(network_serve(network, &ports, &err), &err);
	CHECK_OK(network_route(network, site->member.sandbox.netns, &err), &err);
	site->open_before = open_descriptors();
	return 0;
}

static void stop(struct site *site)
{
	broker_stop(site->broker);
	sandbox_stop(&site->member.sandbox);
}

static int sandbox_socket(struct site *site, int type)
{
	static const struct timeval patience = { .tv_sec = 10 };
	struct azm_err err = { 0 };
	int fd = netns_socket(site->member.sandbox.netns, AF_INET, type, 0, &err);

	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	}
	return fd;
}

/* The A record of a name; 0: it has none. */
static uint32_t look_up(struct site *site, const char *name)
{
	uint8_t query[512] = { 0x12, 0x34, 1, 0, 0, 1 }, answer[512];
	size_t size = 12;
	cleanup_fd int fd = sandbox_socket(site, SOCK_DGRAM);
	struct sockaddr_in server = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(site->member.network.gateway)
	};

	for (const char *label = name; *label;) {
		size_t length = strcspn(label, ".");
		query[size++] = (uint8_t)length;
		memcpy(query + size, label, length);
		size += length;
		label += length + (label[length] == '.');
	}
	memcpy(query + size, "\0\0\1\0\1", 5);
	size += 5;
	if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 || send(fd, query, size, 0) < 0)
		return 0;
	ssize_t n = recv(fd, answer, sizeof answer, 0);
	if (n < (ssize_t)size + 16 || answer[7] == 0)
		return 0;
	return (uint32_t)answer[n - 4] << 24 | (uint32_t)answer[n - 3] << 16 | (uint32_t)answer[n - 2] << 8 |
	       answer[n - 1];
}

static int dial(struct site *site, uint32_t address, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address) };
	cleanup_fd int fd = sandbox_socket(site, SOCK_STREAM);

	return fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? -1 : steal_fd(&fd);
}

static bool says(int fd, const char *text)
{
	char answer[64] = "";

	return read_full(fd, answer, strlen(text)) == (ssize_t)strlen(text) && strcmp(answer, text) == 0;
}

static bool echoes(int fd)
{
	return fd >= 0 && write_full(fd, "hello\n", 6) == 0 && says(fd, "hello\n");
}

static bool closed_without_a_byte(int fd)
{
	char byte;

	return fd < 0 || recv(fd, &byte, 1, 0) <= 0;
}

static bool log_has(struct site *site, const char *text)
{
	cleanup_fd int fd = openat(site->log_dir, EGRESS_LOG, O_RDONLY | O_CLOEXEC);
	cleanup_free char *log = fd < 0 ? NULL : read_file(fd, 16 << 20, NULL);

	return log && strstr(log, text);
}

static bool settles(struct site *site)
{
	int64_t deadline = clock_ms() + DEADLINE_MS;

	/* The loop keeps a few pipes and one socket ready. */
	while (open_descriptors() > site->open_before + 40 && clock_ms() < deadline)
		usleep(10000);
	return open_descriptors() <= site->open_before + 40;
}

static char *host_rule(const struct servers *servers)
{
	return xasprintf("host:%u,host:%u", servers->echo, servers->sink);
}

/* ---- bodies, run as the supervisor ---------------------------------------------------------------------------- */

static int service_of_the_host(struct world *world, void *argument)
{
	struct site site = { .servers = argument };
	cleanup_free char *rules = host_rule(site.servers);

	CHECK(start(world, &site, rules, NULL) == 0);
	uint32_t address = look_up(&site, "host.azm.internal");
	CHECK(address >> 17 == 0xc6120000u >> 17);
	cleanup_fd int fd = dial(&site, address, site.servers->echo);
	CHECK(echoes(fd));
	cleanup_fd int other = dial(&site, address, 1);
	CHECK(closed_without_a_byte(other));
	/* an address that stands for nothing, the gateway, another member's place */
	cleanup_fd int unknown = dial(&site, address + 1000, site.servers->echo);
	CHECK(closed_without_a_byte(unknown));
	cleanup_fd int gateway = dial(&site, site.member.network.gateway, site.servers->echo);
	CHECK(closed_without_a_byte(gateway));
	CHECK(look_up(&site, "a.example") == 0);
	CHECK(log_has(&site, "stands for no name") && log_has(&site, "own network"));
	CHECK(log_has(&site, "\"verdict\":\"denied\",\"name\":\"a.example\""));
	stop(&site);
	return 0;
}

static int ten_thousand_abandoned(struct world *world, void *argument)
{
	enum { ALL = 10000, AT_ONCE = 200 };
	struct site site = { .servers = argument };
	cleanup_free char *rules = host_rule(site.servers);
	int fds[AT_ONCE];

	CHECK(start(world, &site, rules, NULL) == 0);
	uint32_t address = look_up(&site, "host.azm.internal");
	for (int done = 0; done < ALL; done += AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++)
			fds[i] = dial(&site, address, i % 2 ? site.servers->sink : 1);
		for (int i = 0; i < AT_ONCE; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
	CHECK(settles(&site));
	cleanup_fd int fd = dial(&site, address, site.servers->echo);
	CHECK(echoes(fd));
	struct stat st;
	CHECK(fstatat(site.log_dir, EGRESS_LOG, &st, 0) == 0 && st.st_size <= EGRESS_LOG_BYTES);
	stop(&site);
	return 0;
}

static int descriptors_run_out(struct world *world, void *argument)
{
	enum { MANY = 60 };
	struct rlimit limit = { 120, 120 };
	struct site site = { .servers = argument };
	cleanup_free char *rules = host_rule(site.servers);
	int fds[MANY];

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(start(world, &site, rules, NULL) == 0);
	uint32_t address = look_up(&site, "host.azm.internal");
	/* Our own sockets take their share, too: some of these do not even come to be. */
	for (int i = 0; i < MANY; i++)
		fds[i] = dial(&site, address, site.servers->echo);
	CHECK(echoes(fds[0]));
	for (int i = 0; i < MANY; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	int64_t deadline = clock_ms() + DEADLINE_MS;
	bool back = false;
	while (!back && clock_ms() < deadline) {
		cleanup_fd int fd = dial(&site, address, site.servers->echo);
		back = echoes(fd);
	}
	CHECK(back);
	stop(&site);
	return 0;
}

static int rules_change(struct world *world, void *argument)
{
	struct site site = { .servers = argument };
	cleanup_free char *list = host_rule(site.servers), *narrow = xasprintf("host:%u", site.servers->sink);
	struct egress_rules *rules;
	struct azm_err err = { 0 };

	CHECK(start(world, &site, list, NULL) == 0);
	uint32_t address = look_up(&site, "host.azm.internal");
	cleanup_fd int ends = dial(&site, address, site.servers->echo);
	cleanup_fd int stays = dial(&site, address, site.servers->sink);
	CHECK(echoes(ends));
	CHECK(write_full(stays, "x", 1) == 0);
	CHECK_OK(egress_rules_parse(narrow, &rules, &err), &err);
	broker_change(site.broker, rules, -1);
	CHECK(closed_without_a_byte(ends));
	struct pollfd polled = { .fd = stays, .events = POLLRDHUP };
	CHECK(poll(&polled, 1, 100) == 0);
	cleanup_fd int late = dial(&site, address, site.servers->echo);
	CHECK(closed_without_a_byte(late));
	CHECK(log_has(&site, "the rules have changed"));
	stop(&site);
	return 0;
}

/* Connect to a name through the proxy. */
static int tunnel(struct site *site, const char *name)
{
	uint32_t address = look_up(site, name);

	return address ? dial(site, address, 80) : -1;
}

static int through_a_proxy(struct world *world, void *argument)
{
	struct site site = { .servers = argument };
	cleanup_free char *url = xasprintf("http://u:p@127.0.0.1:%u", site.servers->proxy);

	CHECK(start(world, &site, "*.example:80,192.0.2.1", url) == 0);
	cleanup_fd int good = tunnel(&site, "good.example");
	CHECK(echoes(good));
	cleanup_fd int secret = tunnel(&site, "secret.example");
	CHECK(echoes(secret));
	/* an address goes through it, too */
	cleanup_fd int literal = dial(&site, 0xc0000201, 80);
	CHECK(echoes(literal));
	/* what the server says at once comes with the proxy's answer */
	cleanup_fd int chatty = tunnel(&site, "chatty.example");
	CHECK(chatty >= 0 && says(chatty, "first words\n") && echoes(chatty));
	static const struct {
		const char *name, *why;
	} bad[] = { { "nonsense.example", "is not one" }, { "half.example", "hung up" },
		{ "denied.example", "does not allow it" } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cleanup_fd int fd = tunnel(&site, bad[i].name);
		CHECK(closed_without_a_byte(fd));
		CHECK(log_has(&site, bad[i].why));
	}
	/* rules come first, and the first bytes are looked at as ever */
	CHECK(tunnel(&site, "other.test") < 0);
	cleanup_fd int asks = tunnel(&site, "good.example");
	CHECK(asks >= 0 && dprintf(asks, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n") > 0);
	CHECK(says(asks, "HTTP/1.1 403 "));
	CHECK(!log_has(&site, "u:p"));
	stop(&site);
	return 0;
}

static int a_proxy_wants_a_password(struct world *world, void *argument)
{
	struct site site = { .servers = argument };
	cleanup_free char *url = xasprintf("http://127.0.0.1:%u", site.servers->proxy);

	CHECK(start(world, &site, "*.example:80", url) == 0);
	cleanup_fd int fd = tunnel(&site, "secret.example");
	CHECK(closed_without_a_byte(fd));
	CHECK(log_has(&site, "wants a user and a password"));
	stop(&site);
	return 0;
}

static int no_resolver(struct world *world, void *argument)
{
	struct site site = { .servers = argument };

	CHECK(start(world, &site, "a.example", NULL) == 0);
	CHECK(!broker_resolves(site.broker));
	cleanup_fd int fd = tunnel(&site, "a.example");
	CHECK(closed_without_a_byte(fd));
	CHECK(log_has(&site, "there is no resolver"));
	stop(&site);
	return 0;
}

/* ---- the tests ------------------------------------------------------------------------------------------------ */

static struct servers servers;

#define TEST(body)                                                                                                     \
	static void test_##body(void **state)                                                                          \
	{                                                                                                              \
		assert_int_equal(in_child(body, *state, &servers), 0);                                                 \
	}

TEST(service_of_the_host)
TEST(ten_thousand_abandoned)
TEST(descriptors_run_out)
TEST(rules_change)
TEST(through_a_proxy)
TEST(a_proxy_wants_a_password)
TEST(no_resolver)

/* The world's teardown ends every child, the servers, too. */
static int set_up(void **state)
{
	server(&servers.echo, echo);
	server(&servers.proxy, proxy);
	server(&servers.sink, NULL);
	return world_setup(state);
}

int main(void)
{
#define HERE(body) cmocka_unit_test_setup_teardown(test_##body, set_up, world_teardown)
	static const struct CMUnitTest tests[] = {
		HERE(service_of_the_host),
		HERE(ten_thousand_abandoned),
		HERE(descriptors_run_out),
		HERE(rules_change),
		HERE(through_a_proxy),
		HERE(a_proxy_wants_a_password),
		HERE(no_resolver),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

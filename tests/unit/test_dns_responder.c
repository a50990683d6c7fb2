// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_dns_responder.c: the name server on 127.0.0.1 port 53 of a network namespace of its own, asked by
 * real resolvers (glibc's, musl's, busybox's) and by hostile hands.
 *
 * main() moves into namespaces where the test is root and puts its own resolv.conf over the host's. The server is a
 * child, new for every test; the test asks.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/dns.h"
#include "netns/dns_message.h"
#include "netns/egress_rules.h"
#include "network_fixture.h"

enum { PORT = 53, ANSWER_MS = 5000, SILENCE_MS = 200, SERVER_FILES = 64 };

static const char rules_text[] = "example.org,*.example.com:443,!bad.example.com,host:5432,b\xc3\xbc"
				 "cher.example";

/* ---- the server ----------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t address;
} members[] = { { "web", 0x0a6f0007 }, { "my.box", 0x0a6f0008 } };

static bool answerable(void *context, const char *name)
{
	return egress_name_answerable(context, name);
}

static bool member_find(void *context, const char *name, uint32_t *address)
{
	(void)context;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (strcmp(members[i].name, name) == 0) {
			*address = members[i].address;
			return true;
		}
	return false;
}

static bool member_name(void *context, uint32_t address, char *name, size_t size)
{
	(void)context;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (members[i].address == address) {
			(void)snprintf(name, size, "%s", members[i].name);
			return true;
		}
	return false;
}

static int bound(int type, const char *address, uint16_t port)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &where.sin_addr) != 1 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&where, sizeof where) < 0)
		abort();
	return fd;
}

struct server_options {
	size_t names;
	rlim_t files;
};

[[gnu::noreturn]] static void serve(int udp, int tcp, const struct server_options *options)
{
	struct rlimit files = { options->files, options->files };
	struct azm_err err = { 0 };
	struct egress_rules *rules = NULL;
	struct relay *loop = relay_new(&err);
	struct dns_config config = {
		.loop = loop,
		.udp = udp,
		.tcp = tcp,
		.client = INADDR_LOOPBACK,
		.names = synthetic_new(options->names, &err),
		.answerable = answerable,
		.member_find = member_find,
		.member_name = member_name,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!loop || !config.names || egress_rules_parse(rules_text, &rules, &err) < 0)
		abort();
	config.context = rules;
	struct dns_responder *dns = dns_start(&config, &err);
	if (!dns || setrlimit(RLIMIT_NOFILE, &files) < 0)
		abort();
	while (getppid() != 1 && relay_turn(loop, 1000) == 0)
		;
	abort();
}

static pid_t start(const struct server_options *options)
{
	cleanup_fd int udp = bound(SOCK_DGRAM, "127.0.0.1", PORT), tcp = bound(SOCK_STREAM, "127.0.0.1", PORT);

	assert_int_equal(listen(tcp, SOMAXCONN), 0);
	assert_int_equal(fd_set_nonblock(udp, true), 0);
	assert_int_equal(fd_set_nonblock(tcp, true), 0);
	pid_t server = fork();
	if (server == 0)
		serve(udp, tcp, options);
	assert_true(server > 0);
	return server;
}

static int setup(void **state)
{
	static const struct server_options usual = { SYNTHETIC_NAMES, SERVER_FILES };

	*state = calloc(1, sizeof(pid_t));
	*(pid_t *)*state = start(&usual);
	return 0;
}

static int teardown(void **state)
{
	pid_t server = *(pid_t *)*state;
	int status;

	kill(server, SIGKILL);
	waitpid(server, &status, 0);
	free(*state);
	/* It was alive until now: no crash, no sanitizer report. */
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

/* A server of another kind than setup() started. */
static void restart(void **state, const struct server_options *options)
{
	assert_int_equal(teardown(state), 0);
	*state = calloc(1, sizeof(pid_t));
	*(pid_t *)*state = start(options);
}

/* ---- a client by hand ----------------------------------------------------------------------------------------- */

static int client(int type, const char *source)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct timeval limit = { .tv_sec = ANSWER_MS / 1000 };
	/* Bound only where it matters: bind(2) may choose a port whose last connection the server still remembers. */
	bool usual = strcmp(source, "127.0.0.1") == 0;
	int fd = usual ? socket(AF_INET, type | SOCK_CLOEXEC, 0) : bound(type, source, 0);

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
	if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
		fail_msg("connect: %s", strerror(errno));
	return fd;
}

/* A question for the A record of @name. Return: its size. */
static size_t question(const char *name, uint16_t id, uint8_t packet[static NS_PACKETSZ])
{
	static const uint8_t rest[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 }, a_in[] = { 0, 1, 0, 1 };
	uint8_t *at = packet + NS_HFIXEDSZ;

	packet[0] = (uint8_t)(id >> 8);
	packet[1] = (uint8_t)id;
	memcpy(packet + 2, rest, sizeof rest);
	while (*name) {
		size_t label = strcspn(name, ".");
		*at++ = (uint8_t)label;
		memcpy(at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	*at++ = 0;
	memcpy(at, a_in, sizeof a_in);
	return (size_t)(at + sizeof a_in - packet);
}

static int rcode_of(const uint8_t *packet)
{
	return packet[3] & 0xf;
}

/* One question over UDP, asked again as resolvers do: packets get lost in a full buffer. Return: the code of the
 * answer; -1: none came. */
static int ask(int fd, const char *name, uint16_t id)
{
	uint8_t packet[NS_PACKETSZ];
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < ANSWER_MS / SILENCE_MS; i++) {
		size_t size = question(name, id, packet);
		assert_int_equal(send(fd, packet, size, 0), size);
		while (poll(&wait, 1, SILENCE_MS) == 1)
			if (recv(fd, packet, sizeof packet, 0) >= NS_HFIXEDSZ && packet[0] == id >> 8 &&
				packet[1] == (id & 0xff))
				return rcode_of(packet);
	}
	return -1;
}

static void still_answers(void)
{
	cleanup_fd int fd = client(SOCK_DGRAM, "127.0.0.1");

	assert_int_equal(ask(fd, "example.org", 4711), ns_r_noerror);
}

/* Whether nothing arrives for a while, or the connection has ended (@ended). */
static bool is_silent(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	return poll(&wait, 1, SILENCE_MS) == 0;
}

static bool has_ended(int fd)
{
	uint8_t byte;
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	if (poll(&wait, 1, DEADLINE_MS) != 1)
		return false;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);
	return got == 0 || (got < 0 && errno == ECONNRESET);
}

static size_t framed(const char *name, uint16_t id, uint8_t *packet)
{
	size_t size = question(name, id, packet + 2);

	packet[0] = (uint8_t)(size >> 8);
	packet[1] = (uint8_t)size;
	return size + 2;
}

/* The next answer on a connection. Return: its code, and *id. */
static int next_answer(int fd, uint16_t *id)
{
	uint8_t length[2], packet[NS_PACKETSZ];

	assert_int_equal(recv(fd, length, sizeof length, MSG_WAITALL), sizeof length);
	size_t size = (size_t)length[0] << 8 | length[1];
	assert_true(size >= NS_HFIXEDSZ && size <= sizeof packet);
	assert_int_equal(recv(fd, packet, size, MSG_WAITALL), size);
	*id = (uint16_t)(packet[0] << 8 | packet[1]);
	return rcode_of(packet);
}

/* ---- real resolvers ------------------------------------------------------------------------------------------- */

static char directory[64]; /* for resolv.conf; set by main() */
static char programs[4096];

static void write_resolv_conf(const char *text)
{
	char path[sizeof directory + 16];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof path, "%s/resolv.conf", directory);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

/* Run a program and return what it printed; owned by the caller. */
static char *output_of(char *const argv[])
{
	int ends[2];
	struct azm_err err = { 0 };

	assert_int_equal(pipe_pair(ends, &err), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	char *text = read_file(ends[0], 1 << 16, NULL);
	close(ends[0]);
	waitpid(child, NULL, 0);
	assert_non_null(text);
	return text;
}

/* @program resolves @name (or an address, back). Return: what it found; owned by the caller. */
static char *lookup(const char *program, const char *name)
{
	char path[sizeof programs + 32], copy[300];

	(void)snprintf(path, sizeof path, "%s/%s", programs, program);
	(void)snprintf(copy, sizeof copy, "%s", name);
	char *argv[] = { path, copy, NULL };
	char *text = output_of(argv), *newline = strchr(text, '\n');
	assert_non_null(newline);
	*newline = '\0';
	assert_true(str_starts(text, name));
	memmove(text, text + strlen(name) + 1, strlen(text + strlen(name)));
	return text;
}

struct lookup_case {
	const char *name;
	const char *answer;  /* NULL: some synthetic address; "-": none */
	const char *reverse; /* what the address is called; NULL: @name */
};

static const struct lookup_case lookups[] = {
	{ "example.org", NULL, NULL },
	{ "EXAMPLE.org", NULL, "example.org" },
	{ "example.org.", NULL, "example.org" },
	{ "a.example.com", NULL, NULL },
	{ "a.b.c.example.com", NULL, NULL },
	{ "xn--bcher-kva.example", NULL, NULL },
	{ "host.azm.internal", NULL, NULL },
	{ "host.docker.internal", NULL, NULL },
	{ "web", "10.111.0.7", "web.azm" },
	{ "WEB", "10.111.0.7", "web.azm" },
	{ "web.azm", "10.111.0.7", NULL },
	{ "my.box", "10.111.0.8", "my.box.azm" },
	{ "my.box.azm", "10.111.0.8", NULL },
	{ "example.com", "-", NULL },
	{ "bad.example.com", "-", NULL },
	{ "www.example.org", "-", NULL },
	{ "evilexample.org", "-", NULL },
	{ "example.org.evil.com", "-", NULL },
	{ "example.org.azm", "-", NULL },
	{ "nobody", "-", NULL },
	{ "nobody.azm", "-", NULL },
	{ "localhost.example.net", "-", NULL },
};

static void check_lookup(const char *program, const struct lookup_case *row)
{
	cleanup_free char *answer = lookup(program, row->name);
	struct in_addr address;

	if (row->answer && strcmp(answer, row->answer) != 0)
		fail_msg("%s: %s is %s", program, row->name, answer);
	if (row->answer && strcmp(row->answer, "-") == 0)
		return;
	if (inet_pton(AF_INET, answer, &address) != 1 || (!row->answer && !synthetic_contains(ntohl(address.s_addr))))
		fail_msg("%s: %s is %s", program, row->name, answer);
	cleanup_free char *back = lookup(program, answer);
	if (strcmp(back, row->reverse ? row->reverse : row->name) != 0)
		fail_msg("%s: %s (%s) is called %s", program, answer, row->name, back);
}

static void check_lookups(const char *program)
{
	for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++)
		check_lookup(program, &lookups[i]);
}

static void glibc_asks_over_udp(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	check_lookups("lookup-glibc");
}

static void glibc_asks_over_tcp_with_edns(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1 use-vc edns0 single-request\n");
	check_lookups("lookup-glibc");
}

static void glibc_asks_with_a_search_domain(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\nsearch azm\noptions timeout:3 attempts:1 ndots:2\n");
	check_lookups("lookup-glibc");
}

static void musl_asks(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	check_lookups("lookup-musl");
	write_resolv_conf("nameserver 127.0.0.1\nsearch azm\noptions timeout:3 attempts:1 ndots:2\n");
	check_lookups("lookup-musl");
}

static void all_resolvers_get_the_same_address(void **state)
{
	char busybox[] = "/bin/busybox", nslookup[] = "nslookup", name[] = "a.example.com", server[] = "127.0.0.1",
	     nobody[] = "nobody.example";
	char *asks[] = { busybox, nslookup, name, server, NULL },
	     *asks_nobody[] = { busybox, nslookup, nobody, server, NULL };

	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	cleanup_free char *glibc = lookup("lookup-glibc", name), *musl = lookup("lookup-musl", name);
	cleanup_free char *answer = output_of(asks), *none = output_of(asks_nobody);
	assert_string_equal(glibc, musl);
	if (!strstr(answer, glibc))
		fail_msg("%s is not in %s", glibc, answer);
	if (!strstr(none, "NXDOMAIN"))
		fail_msg("%s", none);
}

/* ---- hostile hands -------------------------------------------------------------------------------------------- */

static void other_addresses_get_no_answer(void **state)
{
	cleanup_fd int udp = client(SOCK_DGRAM, "127.0.0.2"), tcp = client(SOCK_STREAM, "127.0.0.2");
	uint8_t packet[NS_PACKETSZ];
	size_t size = question("example.org", 1, packet);

	(void)state;
	assert_int_equal(send(udp, packet, size, 0), size);
	still_answers();
	assert_true(is_silent(udp));
	assert_true(has_ended(tcp));
}

static void garbage_is_survived(void **state)
{
	cleanup_fd int udp = client(SOCK_DGRAM, "127.0.0.1");
	uint8_t packet[2048];
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		size_t size = (size_t)rand_r(&seed) % sizeof packet;
		for (size_t j = 0; j < size; j++)
			packet[j] = (uint8_t)rand_r(&seed);
		(void)send(udp, packet, size, MSG_DONTWAIT);
		if (i % 100 == 0) {
			cleanup_fd int tcp = client(SOCK_STREAM, "127.0.0.1");
			(void)send(tcp, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	still_answers();
}

static void oversized_datagrams_are_format_errors(void **state)
{
	cleanup_fd int udp = client(SOCK_DGRAM, "127.0.0.1");
	static uint8_t packet[60000];

	(void)state;
	question("example.org", 7, packet);
	assert_int_equal(send(udp, packet, sizeof packet, 0), sizeof packet);
	assert_true(recv(udp, packet, sizeof packet, 0) >= NS_HFIXEDSZ);
	assert_int_equal(rcode_of(packet), ns_r_formerr);
}

/* More than the ration: the rest is not answered, and a second later all is well. */
static void a_flood_is_rationed(void **state)
{
	enum { FLOOD = 30000, RATION = 4000 };
	cleanup_fd int udp = client(SOCK_DGRAM, "127.0.0.1");
	uint8_t packet[NS_PACKETSZ], answer[NS_PACKETSZ];
	size_t size = question("example.org", 1, packet);
	struct timespec from, to;
	int answers = 0;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < FLOOD; i++) {
		(void)send(udp, packet, size, 0);
		while (recv(udp, answer, sizeof answer, MSG_DONTWAIT) > 0)
			answers++;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	assert_true(answers > 0);
	if (answers > RATION * (seconds + 1) + 64)
		fail_msg("%d answers in %.3f s", answers, seconds);
	still_answers();
}

static void names_run_out_with_a_server_failure(void **state)
{
	static const struct server_options two_names = { 2, SERVER_FILES };

	restart(state, &two_names);
	cleanup_fd int udp = client(SOCK_DGRAM, "127.0.0.1");
	assert_int_equal(ask(udp, "a.example.com", 1), ns_r_noerror);
	assert_int_equal(ask(udp, "b.example.com", 2), ns_r_noerror);
	assert_int_equal(ask(udp, "c.example.com", 3), ns_r_servfail);
	assert_int_equal(ask(udp, "a.example.com", 4), ns_r_noerror);
	assert_int_equal(ask(udp, "web", 5), ns_r_noerror);
	assert_int_equal(ask(udp, "example.net", 6), ns_r_nxdomain);
}

/* ---- TCP ------------------------------------------------------------------------------------------------------ */

static void pipelined_questions_are_answered_in_order(void **state)
{
	enum { COUNT = 500 };
	cleanup_fd int fd = client(SOCK_STREAM, "127.0.0.1");
	static uint8_t stream[COUNT * 64];
	size_t size = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		size += framed(i % 2 ? "example.org" : "example.net", (uint16_t)i, stream + size);
	assert_int_equal(write_full(fd, stream, size), 0);
	shutdown(fd, SHUT_WR); /* what was asked before is answered */
	for (int i = 0; i < COUNT; i++) {
		uint16_t id;
		assert_int_equal(next_answer(fd, &id), i % 2 ? ns_r_noerror : ns_r_nxdomain);
		assert_int_equal(id, i);
	}
	assert_true(has_ended(fd));
}

static void a_question_may_arrive_in_bytes(void **state)
{
	cleanup_fd int fd = client(SOCK_STREAM, "127.0.0.1");
	uint8_t packet[NS_PACKETSZ + 2];
	uint16_t id;

	(void)state;
	size_t size = framed("example.org", 99, packet);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(send(fd, packet + i, 1, 0), 1);
	assert_int_equal(next_answer(fd, &id), ns_r_noerror);
	assert_int_equal(id, 99);
}

static void impossible_lengths_end_the_connection(void **state)
{
	static const uint8_t lengths[][2] = { { 0, 0 }, { 0, 11 }, { 0xff, 0xff }, { 0x40, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		cleanup_fd int fd = client(SOCK_STREAM, "127.0.0.1");
		uint8_t packet[16] = { lengths[i][0], lengths[i][1] };
		assert_int_equal(send(fd, packet, sizeof packet, 0), sizeof packet);
		assert_true(has_ended(fd));
	}
	still_answers();
}

/* One says nothing, one drips, one never takes its answers: all of them are let go. */
static void slow_clients_are_let_go(void **state)
{
	cleanup_fd int idle = client(SOCK_STREAM, "127.0.0.1"), drips = client(SOCK_STREAM, "127.0.0.1"),
		       deaf = client(SOCK_STREAM, "127.0.0.1");
	uint8_t packet[NS_PACKETSZ + 2];
	size_t size = framed("example.org", 1, packet);
	struct pollfd wait = { .fd = drips, .events = POLLIN };
	int small = 1;

	(void)state;
	assert_int_equal(setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	while (send(deaf, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	for (int i = 0; i < 20 && poll(&wait, 1, SILENCE_MS) == 0; i++)
		(void)send(drips, packet + i, 1, MSG_NOSIGNAL);
	assert_true(wait.revents != 0);
	assert_true(has_ended(drips));
	assert_true(has_ended(idle));
	still_answers();
	struct pollfd gone = { .fd = deaf, .events = 0 };
	assert_int_equal(poll(&gone, 1, DEADLINE_MS), 1);
	assert_true(gone.revents & (POLLHUP | POLLERR));
}

static void the_newest_connections_are_served(void **state)
{
	enum { COUNT = 200 };
	int fds[COUNT], alive = 0;
	uint8_t packet[NS_PACKETSZ + 2];
	size_t size = framed("example.org", 1, packet);
	uint16_t id;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		fds[i] = client(SOCK_STREAM, "127.0.0.1");
	assert_int_equal(send(fds[COUNT - 1], packet, size, 0), size);
	assert_int_equal(next_answer(fds[COUNT - 1], &id), ns_r_noerror);
	still_answers();
	for (int i = 0; i < COUNT; i++) {
		struct pollfd wait = { .fd = fds[i], .events = POLLIN };
		alive += poll(&wait, 1, 0) == 0;
		close(fds[i]);
	}
	assert_in_range(alive, 1, 32);
}

static void thousands_of_abandoned_connections_leave_nothing(void **state)
{
	cleanup_free char *path = xasprintf("/proc/%d/fd", *(pid_t *)*state);
	int open_files = 0;

	for (int i = 0; i < 3000; i++) {
		cleanup_fd int fd = client(SOCK_STREAM, "127.0.0.1");
		if (i % 2)
			socket_reset(steal_fd(&fd));
	}
	still_answers();
	cleanup_dir DIR *dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		open_files++;
	assert_in_range(open_files, 1, SERVER_FILES);
}

static int64_t processor_ms(pid_t pid)
{
	clockid_t clock;
	struct timespec used;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &used), 0);
	return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* As many as its usual files and two connections. */
static void running_out_of_descriptors_is_survived(void **state)
{
	enum { COUNT = 8, USUAL_FILES = 7 };
	static const struct server_options few_files = { SYNTHETIC_NAMES, USUAL_FILES + 2 };
	int fds[COUNT];

	restart(state, &few_files);
	for (int i = 0; i < COUNT; i++)
		fds[i] = client(SOCK_STREAM, "127.0.0.1");
	still_answers();
	int64_t before = processor_ms(*(pid_t *)*state);
	assert_true(is_silent(fds[COUNT - 1]));
	assert_true(processor_ms(*(pid_t *)*state) - before < SILENCE_MS / 2);
	for (int i = 0; i < COUNT - 1; i++)
		close(fds[i]);
	uint8_t packet[NS_PACKETSZ + 2];
	size_t size = framed("example.org", 1, packet);
	uint16_t id;
	assert_int_equal(send(fds[COUNT - 1], packet, size, 0), size);
	assert_int_equal(next_answer(fds[COUNT - 1], &id), ns_r_noerror);
	close(fds[COUNT - 1]);
}

/* ---- the world ------------------------------------------------------------------------------------------------ */

static void must(bool good, const char *step)
{
	if (good)
		return;
	perror(step);
	exit(1);
}

static void cover(const char *path, const char *text)
{
	char own[sizeof directory + 16];

	(void)snprintf(own, sizeof own, "%s%s", directory, strrchr(path, '/'));
	int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write_full(fd, text, strlen(text)) == 0, own);
	close(fd);
	must(mount(own, path, NULL, MS_BIND, NULL) == 0, path);
}

/* Root of a user, mount and network namespace with lo up, and our own files over the resolver's. */
static void enter_world(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	cleanup_fd int fd = -1;

	char uid_map[32], gid_map[32];
	(void)snprintf(uid_map, sizeof uid_map, "0 %u 1", getuid());
	(void)snprintf(gid_map, sizeof gid_map, "0 %u 1", getgid());
	must(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare");
	must(write_path("/proc/self/setgroups", "deny") == 0 && write_path("/proc/self/uid_map", uid_map) == 0 &&
			write_path("/proc/self/gid_map", gid_map) == 0,
		"id maps");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0, "lo up");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mounts");
	strcpy(directory, "/tmp/azm-test-dns-XXXXXX");
	must(mkdtemp(directory) != NULL, directory);
	must(mount("test", directory, "tmpfs", 0, NULL) == 0, directory);
	cover("/etc/resolv.conf", "");
	cover("/etc/nsswitch.conf", "hosts: dns\n");
	cover("/etc/hosts", "");
}

static void find_programs(void)
{
	ssize_t size = readlink("/proc/self/exe", programs, sizeof programs - 1);

	must(size > 0, "/proc/self/exe");
	programs[size] = '\0';
	*strrchr(programs, '/') = '\0';
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test(glibc_asks_over_udp),
		test(glibc_asks_over_tcp_with_edns),
		test(glibc_asks_with_a_search_domain),
		test(musl_asks),
		test(all_resolvers_get_the_same_address),
		test(other_addresses_get_no_answer),
		test(garbage_is_survived),
		test(oversized_datagrams_are_format_errors),
		test(a_flood_is_rationed),
		test(names_run_out_with_a_server_failure),
		test(pipelined_questions_are_answered_in_order),
		test(a_question_may_arrive_in_bytes),
		test(impossible_lengths_end_the_connection),
		test(slow_clients_are_let_go),
		test(the_newest_connections_are_served),
		test(thousands_of_abandoned_connections_leave_nothing),
		test(running_out_of_descriptors_is_survived),
	};

	become_user();
	find_programs();
	enter_world();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)umount2(directory, MNT_DETACH);
	(void)rmdir(directory);
	return failed;
}

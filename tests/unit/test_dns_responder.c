// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_dns_responder.c: the name server asked by hand: garbage, floods, slow and greedy clients. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/dns.h"
#include "network_fixture.h"
#include "tests/unit/dns_fixture.h"

enum { ANSWER_MS = 5000, SILENCE_MS = 200 };

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

/* Whether nothing arrives for a while. */
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

	dns_restart(state, &two_names);
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

	dns_restart(state, &few_files);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		DNS_TEST(other_addresses_get_no_answer),
		DNS_TEST(garbage_is_survived),
		DNS_TEST(oversized_datagrams_are_format_errors),
		DNS_TEST(a_flood_is_rationed),
		DNS_TEST(names_run_out_with_a_server_failure),
		DNS_TEST(pipelined_questions_are_answered_in_order),
		DNS_TEST(a_question_may_arrive_in_bytes),
		DNS_TEST(impossible_lengths_end_the_connection),
		DNS_TEST(slow_clients_are_let_go),
		DNS_TEST(the_newest_connections_are_served),
		DNS_TEST(thousands_of_abandoned_connections_leave_nothing),
		DNS_TEST(running_out_of_descriptors_is_survived),
	};

	become_user();
	dns_enter_world();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

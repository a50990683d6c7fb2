// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_load.c: many connections through published ports, other users', and none yet. */
#include "tests/unit/publish_servers.h"

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
	enum { MOST = 10000, LEAST = 2000, PER_CONNECTION = 512, BAR_KIB = 40 << 10 };
	struct world *world = *state;
	struct rlimit files;
	static int fds[MOST];

	/* The supervisor needs two for each where it has no second process. */
	getrlimit(RLIMIT_NOFILE, &files);
	uint32_t count = files.rlim_max < 2 * MOST + 100 ? (uint32_t)(files.rlim_max - 100) / 2 : MOST;
	if (count < LEAST) {
		print_message("skipped: the hard limit of open files is %lu\n", (unsigned long)files.rlim_max);
		skip();
	}
	uint32_t before = world_ask(world, 'm');
	for (uint32_t i = 0; i < count; i++)
		fds[i] = reach(world, HOLD);
	assert_true(wait_for(&shared->held, count));
	cleanup_fd int used = reach(world, ECHO);
	expect_echo(used);
	uint32_t grown = world_ask(world, 'm') - before;
	print_message("%u idle connections: %u KiB of %u KiB\n", count, grown, before + grown);
#ifndef __SANITIZE_ADDRESS__
	assert_true(grown <= count * PER_CONNECTION / 1024 && before + grown < BAR_KIB);
#endif
	for (uint32_t i = 0; i < count; i++)
		close(fds[i]);
}

/* What was abandoned before it was accepted comes and goes long after, one descriptor at a time: being back for a
 * moment is not the end of it, nor is being above for a moment a leak. And a turn that accepted as many as one may has
 * yet to make the socket for the next. So another connection is served first, and all is asked with one look, again and
 * again. Where there have been many at a time, the channel to a second process may have stayed.
 */
static bool comes_back_to(const struct world *world, uint32_t files, uint32_t channels)
{
	uint32_t now = 0;

	for (int i = 0; i < DEADLINE_S * 100; i++) {
		cleanup_fd int fd = reach(world, ECHO);
		expect_echo(fd);
		now = world_ask(world, 'f');
		if (now >= files + 2 && now <= files + 2 + channels)
			return true;
		poll(NULL, 0, 10);
	}
	print_message("%u descriptors, and two of a connection, became %u\n", files, now);
	return false;
}

static void connections_leave_nothing_behind(void **state)
{
	struct world *world = *state;
	cleanup_fd int first = reach(world, ECHO);

	expect_echo(first);
	uint32_t files = world_ask(world, 'f'), memory = 0;
	for (int i = 0; i < 600; i++) {
		if (i % 3 == 0) {
			expect_refusal(world);
			continue;
		}
		cleanup_fd int fd = reach(world, ECHO);
		expect_echo(fd);
		if (i % 3 == 1)
			reset(steal_fd(&fd));
		if (i == 301)
			memory = world_ask(world, 'm');
	}
	expect_echo(first);
	assert_true(comes_back_to(world, files, 0));
	assert_true(world_ask(world, 'm') <= memory + 256);
}

#ifdef __SANITIZE_ADDRESS__
enum { ROOM_KIB = 64 << 10 }; /* freed memory is kept aside */
#else
enum { ROOM_KIB = 1024 };
#endif

/* Opened and dropped at once, in every way a client can: some before they are accepted, some with bytes under way. */
static void ten_thousand_connections_opened_and_abandoned_leave_nothing(void **state)
{
	enum { CONNECTIONS = 10000, AT_ONCE = 200 };
	struct world *world = *state;
	cleanup_fd int first = reach(world, ECHO);
	int fds[AT_ONCE];

	expect_echo(first);
	uint32_t files = world_ask(world, 'f'), memory = world_ask(world, 'm');
	for (int i = 0; i < CONNECTIONS; i++) {
		int *fd = &fds[i % AT_ONCE];
		*fd = reach(world, i % 7 ? HOLD : ECHO);
		if (i % 3 == 0)
			(void)!send(*fd, "ping", 4, MSG_NOSIGNAL);
		if (i % 5 == 0)
			shutdown(*fd, SHUT_WR);
		for (int j = 0; i % AT_ONCE == AT_ONCE - 1 && j < AT_ONCE; j++)
			reset(fds[j]);
	}
	expect_echo(first);
	assert_true(comes_back_to(world, files, 1));
	assert_true(world_ask(world, 'm') <= memory + ROOM_KIB);
}

static void more_clients_than_descriptors_wait_their_turn(void **state)
{
	enum { CLIENTS = 100 };
	const struct world_options options = { .publish = { "7001" }, .serve = serve_all, .supervisor_files = 64 };
	struct world world = { 0 };
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

static void readiness_needs_no_published_port(void **state)
{
	const struct world_options options = { .serve = serve_all };
	struct world world = { 0 };

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	assert_int_equal(world_wait_ready(&world, HTTP, false), 0);
	assert_int_equal(world_stop(&world), 0);
}

/* ---- other users ---------------------------------------------------------------------------------------------- */

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
	struct world *world = *state, public = { 0 };

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(a_receiver_that_stalls_stops_the_sender_and_nobody_else),
		in_a_world(thousands_of_idle_connections_cost_little),
		in_a_world(connections_leave_nothing_behind),
		in_a_world(ten_thousand_connections_opened_and_abandoned_leave_nothing),
		cmocka_unit_test(more_clients_than_descriptors_wait_their_turn),
		in_a_world(ready_means_an_answer_of_success),
		cmocka_unit_test(readiness_needs_no_published_port),
		in_a_world(another_users_connection_is_refused_unless_any_user),
	};

	prepare_group();
	return cmocka_run_group_tests_name("publish_load", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_relay.c: what one connection through a published port is like, end to end: a client in the
 * host's network, a supervisor, a server in the sandbox's. */
#include <sys/un.h>

#include "tests/unit/publish_servers.h"

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
	expect_refusal(*state);
}

static void stopping_resets_what_is_connected(void **state)
{
	struct world world = { 0 };
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
	struct world world = { 0 };

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	cleanup_fd int fd = reach(&world, PEER);
	expect_text(fd, "127.0.0.1");
	cleanup_fd int six = reach(&world, PEER_LO6);
	expect_text(six, "::1");
	expect_refusal(&world);
	assert_int_equal(world_stop(&world), 0);
}

static void a_unix_socket_reaches_the_server(void **state)
{
	char dir[] = "/tmp/publish-XXXXXX";
	assert_non_null(mkdtemp(dir));
	cleanup_free char *rule = xasprintf("unix:%s/sock:%d", dir, ECHO);
	const struct world_options options = { .publish = { rule }, .serve = serve_all };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct world world = { 0 };

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
	};

	prepare_group();
	return cmocka_run_group_tests_name("publish_relay", tests, NULL, NULL);
}

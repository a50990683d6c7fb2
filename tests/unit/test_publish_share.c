// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_share.c: many connections through a published port, and the second process they get. */
#include "tests/unit/publish_servers.h"

enum { CROWD = 100, FEW = 24 };

struct crowd {
	int fds[CROWD];
};

static void gather(const struct world *world, struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++) {
		crowd->fds[i] = reach(world, ECHO);
		expect_echo(crowd->fds[i]);
	}
}

static void disperse(struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++)
		close(crowd->fds[i]);
}

/* Return: its parent, 0 when it is no second process that is alive */
static pid_t parent_of_second(const char *pid)
{
	cleanup_free char *path = xasprintf("/proc/%s/stat", pid);
	cleanup_free char *stat = read_path(path, 4096, NULL);
	const char *name = stat ? strstr(stat, " (azm-publish-2) ") : NULL;
	int parent = 0;
	char state = 'Z';

	if (name)
		(void)!sscanf(name, " (azm-publish-2) %c %d", &state, &parent);
	return state == 'Z' ? 0 : parent;
}

/* Return: the supervisor's second process, 0 for none; -1 when there are more */
static pid_t second_of(const struct world *world)
{
	cleanup_dir DIR *proc = opendir("/proc");
	pid_t found = 0;

	for (const struct dirent *entry; (entry = readdir(proc));)
		if (*entry->d_name >= '1' && *entry->d_name <= '9' &&
			parent_of_second(entry->d_name) == world->supervisor)
			found = found ? -1 : (pid_t)strtol(entry->d_name, NULL, 10);
	return found;
}

static bool has_ended(pid_t second)
{
	cleanup_free char *pid = xasprintf("%d", second);

	for (int i = 0; i < DEADLINE_S * 1000 && parent_of_second(pid) != 0; i++)
		poll(NULL, 0, 1);
	return parent_of_second(pid) == 0;
}

/* Skips the test where there is one processor. */
static pid_t expect_second(const struct world *world)
{
	cpu_set_t cpus;

	assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	pid_t second = second_of(world);
	if (CPU_COUNT(&cpus) == 1) {
		assert_int_equal(second, 0);
		print_message("skipped: there is one processor, and no second process\n");
		skip();
	}
	assert_true(second > 0);
	return second;
}

/* ---- when it is there ----------------------------------------------------------------------------------------- */

static void a_few_connections_are_one_process_s_business(void **state)
{
	struct world *world = *state;
	int fds[FEW];

	for (int i = 0; i < FEW; i++) {
		fds[i] = reach(world, ECHO);
		expect_echo(fds[i]);
	}
	assert_int_equal(second_of(world), 0);
	for (int i = 0; i < FEW; i++)
		close(fds[i]);
}

static void many_connections_get_one_second_process(void **state)
{
	struct world *world = *state;
	struct crowd crowd;

	for (int round = 0; round < 3; round++) {
		gather(world, &crowd);
		for (int i = 0; i < CROWD; i++)
			expect_echo(crowd.fds[i]);
		assert_true(second_of(world) >= 0);
		disperse(&crowd);
	}
	(void)expect_second(world);
}

static void ends_are_carried_through_it(void **state)
{
	struct world *world = *state;
	struct crowd crowd;
	char byte;

	gather(world, &crowd);
	for (int i = 0; i < CROWD; i++) {
		shutdown(crowd.fds[i], SHUT_WR);
		assert_int_equal(read_full(crowd.fds[i], &byte, 1), 0);
	}
	disperse(&crowd);
}

/* The sandbox is as unprotected by it as by the supervisor: it has no capability, and no descriptor but its own. */
static void it_may_do_no_more_than_the_supervisor(void **state)
{
	struct world *world = *state;
	struct crowd crowd;

	gather(world, &crowd);
	cleanup_free char *path = xasprintf("/proc/%d/status", expect_second(world));
	cleanup_free char *status = read_path(path, 65536, NULL);
	assert_non_null(status);
	assert_non_null(strstr(status, "CapEff:\t0000000000000000\n"));
	assert_non_null(strstr(status, "CapPrm:\t0000000000000000\n"));
	disperse(&crowd);
}

/* ---- how it ends ---------------------------------------------------------------------------------------------- */

static bool still_echoes(int fd)
{
	char answer[4];

	return send(fd, "ping", 4, MSG_NOSIGNAL) == 4 && read_full(fd, answer, 4) == 4;
}

static void what_it_does_not_survive_the_others_do(void **state)
{
	struct world *world = *state;
	struct crowd crowd, more;
	int alive = 0;

	gather(world, &crowd);
	pid_t second = expect_second(world);
	assert_int_equal(kill(second, SIGKILL), 0);
	assert_true(has_ended(second));
	for (int i = 0; i < CROWD; i++)
		alive += still_echoes(crowd.fds[i]);
	assert_in_range(alive, FEW, CROWD - 1);
	/* From now on without it. */
	gather(world, &more);
	assert_int_equal(second_of(world), 0);
	disperse(&more);
	disperse(&crowd);
}

static void stopping_ends_it_and_resets_its_connections(void **state)
{
	const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all };
	struct world world = { 0 };
	struct crowd crowd;

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	gather(&world, &crowd);
	pid_t second = second_of(&world);
	assert_int_equal(world_stop(&world), 0);
	for (int i = 0; i < CROWD; i++)
		expect_reset(crowd.fds[i]);
	disperse(&crowd);
	if (second > 0)
		assert_true(has_ended(second));
}

static void it_dies_with_the_supervisor(void **state)
{
	const struct world_options options = { .publish = { ALL_PORTS }, .serve = serve_all };
	struct world world = { 0 };
	struct crowd crowd;
	char byte;

	(void)state;
	assert_int_equal(world_start(&world, &options), 0);
	gather(&world, &crowd);
	pid_t second = second_of(&world);
	assert_int_equal(kill(world.supervisor, SIGKILL), 0);
	for (int i = 0; i < CROWD; i++)
		assert_true(read_full(crowd.fds[i], &byte, 1) <= 0);
	disperse(&crowd);
	if (second > 0)
		assert_true(has_ended(second));
	assert_int_not_equal(world_stop(&world), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_world(a_few_connections_are_one_process_s_business),
		in_a_world(many_connections_get_one_second_process),
		in_a_world(ends_are_carried_through_it),
		in_a_world(it_may_do_no_more_than_the_supervisor),
		in_a_world(what_it_does_not_survive_the_others_do),
		cmocka_unit_test(stopping_ends_it_and_resets_its_connections),
		cmocka_unit_test(it_dies_with_the_supervisor),
	};

	prepare_group();
	return cmocka_run_group_tests_name("publish_share", tests, NULL, NULL);
}

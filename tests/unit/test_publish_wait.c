// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_wait.c: when a relay looks on before it sleeps, over made-up times, and where it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/relay_wait.h"

enum { US = 1000, MS = 1000 * US, MOST = 50 * US };

/* Two peers, in an exchange; of the first something came last. */
static const char client, server, other;

static struct relay_wait exchange(int64_t patience)
{
	return (struct relay_wait){
		.most = MOST,
		.exchange = true,
		.peer = { { &client, patience }, { &server, patience } },
	};
}

/* ---- when ----------------------------------------------------------------------------------------------------- */

static void quick_answers_make_patient_and_slow_ones_end_it(void **state)
{
	struct relay_wait wait = exchange(0);

	(void)state;
	assert_int_equal(patience_at(&wait, 0), 0);
	for (int64_t last = 0, i = 0; i < 3; i++, last = patience_at(&wait, 0)) {
		patience_learn(&wait, 20 * US);
		assert_true(patience_at(&wait, 0) > last && patience_at(&wait, 0) <= MOST);
	}
	patience_learn(&wait, 20 * US);
	assert_int_equal(patience_at(&wait, 0), MOST);
	for (int i = 0; i < 4; i++)
		patience_learn(&wait, 200 * US);
	assert_int_equal(patience_at(&wait, 0), 0);
}

static void a_client_that_thinks_is_slept_for_and_its_server_is_not(void **state)
{
	struct relay_wait wait = exchange(0);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_true(patience_whose(&wait, &client));
		patience_learn(&wait, 15 * US); /* the server's answer */
		assert_true(patience_whose(&wait, &server));
		assert_int_equal(patience_at(&wait, 0), 0);
		patience_learn(&wait, MS); /* the next request */
	}
	assert_true(patience_whose(&wait, &client));
	assert_int_equal(patience_at(&wait, 0), MOST);
}

static void a_third_peer_ends_an_exchange(void **state)
{
	struct relay_wait wait = exchange(MOST);

	(void)state;
	assert_false(patience_whose(&wait, &other));
	assert_true(patience_whose(&wait, &client));
	assert_false(patience_whose(&wait, &server));
	assert_true(patience_whose(&wait, &client));
	assert_true(patience_whose(&wait, &server));
}

static void idle_connections_are_slept_for(void **state)
{
	struct relay_wait wait = exchange(0);

	(void)state;
	for (int i = 0; i < 100; i++) {
		patience_learn(&wait, 100 * (int64_t)MS);
		assert_int_equal(patience_at(&wait, i * 100 * (int64_t)MS), 0);
	}
}

static void one_processor_is_not_looked_on_from(void **state)
{
	struct relay_wait wait = exchange(0);

	(void)state;
	wait.most = 0;
	for (int i = 0; i < 10; i++)
		patience_learn(&wait, US);
	assert_int_equal(patience_at(&wait, 0), 0);
}

static void the_answering_process_may_have_the_processor(void **state)
{
	struct relay_wait wait = exchange(MOST);
	int64_t now = 0;

	(void)state;
	for (int i = 0; i < 10000; i++, now += 15 * US)
		patience_gave(&wait, now, 12 * US);
	assert_int_equal(patience_at(&wait, now), MOST);
}

/* Somebody takes the processor for @turn every @every, if we look on then; else nothing is lost.
 * Return: the milliseconds of ten seconds in which it looked on */
static int64_t looked_on(int64_t every, int64_t turn)
{
	struct relay_wait wait = exchange(MOST);
	int64_t on = 0, slice = 20 * US;

	for (int64_t now = 0, next = every; now < 10000 * (int64_t)MS; now += slice) {
		if (patience_at(&wait, now) > 0) {
			on += slice;
			if (now >= next)
				patience_gave(&wait, now, turn);
		}
		if (now >= next)
			next += every;
	}
	return on / MS;
}

static void a_disturbance_ends_little(void **state)
{
	(void)state;
	assert_true(looked_on(1000 * MS, 3 * MS) >= 7500);
	assert_true(looked_on(300 * MS, 200 * US) >= 9000);
}

static void busy_neighbours_end_it_for_long(void **state)
{
	static const int64_t turns[] = { 100 * US, MS, 3 * MS, 10 * MS, 30 * MS };

	(void)state;
	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
		assert_true(looked_on(2 * MS, turns[i]) > 0);
		assert_true(looked_on(2 * MS, turns[i]) <= 100);
	}
}

static void what_neighbours_ended_comes_back(void **state)
{
	struct relay_wait wait = exchange(MOST);

	(void)state;
	for (int64_t now = 0; now < 1000 * (int64_t)MS; now += 30 * MS)
		patience_gave(&wait, now, 30 * MS);
	assert_int_equal(patience_at(&wait, 1000 * (int64_t)MS), 0);
	assert_int_equal(patience_at(&wait, 5000 * (int64_t)MS), MOST);
}

static void with_many_connections_a_taken_processor_is_left_alone_for_a_while(void **state)
{
	struct relay_wait wait = { .most = MOST, .patience = MOST, .crowded = 100 };
	int waits = 0;

	(void)state;
	for (; patience_at(&wait, 0) == 0; waits++)
		patience_learn(&wait, 10 * US);
	assert_int_equal(waits, 100);
}

/* ---- where ---------------------------------------------------------------------------------------------------- */

/* A connection whose last packets were sent on this processor, both ways. */
static void talk(int ends[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	cleanup_fd int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ends[0], (struct sockaddr *)&address, size), 0);
	ends[1] = accept(listener, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send(ends[i], "x", 1, 0), 1);
		assert_int_equal(recv(ends[!i], &byte, 1, 0), 1);
	}
}

static cpu_set_t affinity(void)
{
	cpu_set_t now;

	assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
	return now;
}

static void run_on(size_t cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
}

/* Return: one of @set that is not @but; CPU_SETSIZE where there is none */
static size_t processor(const cpu_set_t *set, size_t but)
{
	size_t cpu = 0;

	while (cpu < CPU_SETSIZE && (cpu == but || !CPU_ISSET(cpu, set)))
		cpu++;
	return cpu;
}

/* Talk on one processor, go to another with @then allowed, and look what being near changes. */
static void where_it_may_run_stays(const cpu_set_t *then, size_t there, size_t here)
{
	struct relay_wait wait = { 0 };
	int ends[2];

	run_on(there);
	talk(ends);
	run_on(here);
	if (then)
		assert_int_equal(sched_setaffinity(0, sizeof *then, then), 0);
	cpu_set_t before = affinity();
	for (int i = 0; i < 3; i++) {
		relay_stay_near(&wait, ends[0], ends[1]);
		cpu_set_t after = affinity();
		assert_true(CPU_EQUAL(&before, &after));
	}
	close(ends[0]);
	close(ends[1]);
}

static void being_near_changes_nothing_about_where_it_may_run(void **state)
{
	cpu_set_t given = affinity();
	size_t there = processor(&given, CPU_SETSIZE), here = processor(&given, there);

	(void)state;
	if (here == CPU_SETSIZE) {
		print_message("skipped: there is one processor\n");
		skip();
	}
	where_it_may_run_stays(&given, there, here);
	/* Bound to one: not even the peers' processor is allowed. */
	where_it_may_run_stays(NULL, there, here);
	assert_int_equal(sched_getcpu(), here);
	assert_int_equal(sched_setaffinity(0, sizeof given, &given), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_answers_make_patient_and_slow_ones_end_it),
		cmocka_unit_test(a_client_that_thinks_is_slept_for_and_its_server_is_not),
		cmocka_unit_test(a_third_peer_ends_an_exchange),
		cmocka_unit_test(idle_connections_are_slept_for),
		cmocka_unit_test(one_processor_is_not_looked_on_from),
		cmocka_unit_test(the_answering_process_may_have_the_processor),
		cmocka_unit_test(a_disturbance_ends_little),
		cmocka_unit_test(busy_neighbours_end_it_for_long),
		cmocka_unit_test(what_neighbours_ended_comes_back),
		cmocka_unit_test(with_many_connections_a_taken_processor_is_left_alone_for_a_while),
		cmocka_unit_test(being_near_changes_nothing_about_where_it_may_run),
	};

	return cmocka_run_group_tests_name("publish_wait", tests, NULL, NULL);
}

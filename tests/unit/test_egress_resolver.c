// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_resolver.c: the asking side against a helper that the test plays, and the real helper. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/resolver_wire.h"

enum { DEADLINE_MS = 15000 };

struct asker {
	struct resolver_waiter waiter;
	int called;
	size_t count;
	struct in6_addr first;
	const char *why;
};

struct scene {
	struct relay *relay;
	struct resolver *resolver;
	int helper; /* the helper's end; -1: the real one has it */
};

static void resolved(struct resolver_waiter *waiter, const struct in6_addr *addresses, size_t count, const char *why)
{
	struct asker *asker = (struct asker *)((char *)waiter - offsetof(struct asker, waiter));

	asker->called++;
	asker->count = count;
	asker->why = why;
	if (count)
		asker->first = addresses[0];
	assert_true((count == 0) == (why != NULL));
}

static struct asker new_asker(void)
{
	return (struct asker){ .waiter = { .resolved = resolved } };
}

static void begin(struct scene *scene, int fd)
{
	struct azm_err err = { 0 };

	scene->relay = relay_new(&err);
	assert_non_null(scene->relay);
	scene->resolver = resolver_new(scene->relay, fd, &err);
	assert_non_null(scene->resolver);
}

static int set_up_played(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	int ends[2];

	assert_non_null(scene);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	scene->helper = ends[1];
	begin(scene, ends[0]);
	*state = scene;
	return 0;
}

static int set_up_real(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);
	struct azm_err err = { 0 };

	assert_non_null(scene);
	scene->helper = -1;
	int fd = resolver_start(&err);
	assert_true(fd >= 0);
	begin(scene, fd);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	if (scene->helper >= 0)
		close(scene->helper);
	resolver_free(scene->resolver);
	relay_free(scene->relay);
	free(scene);
	/* A helper that does not end hangs the test, which the alarm ends. */
	alarm(DEADLINE_MS / 1000);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	alarm(0);
	return 0;
}

static void ask(struct scene *scene, const char *name, struct asker *asker)
{
	resolver_ask(scene->resolver, name, &asker->waiter, clock_ms());
}

/* The next question, which has to be there. */
static struct resolver_question question(const struct scene *scene)
{
	struct resolver_question question;

	assert_int_equal(recv(scene->helper, &question, sizeof question, MSG_DONTWAIT), sizeof question);
	return question;
}

static bool is_asked(const struct scene *scene)
{
	char byte;

	return recv(scene->helper, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
}

static void answer(struct scene *scene, const void *bytes, size_t size)
{
	assert_int_equal(send(scene->helper, bytes, size, 0), size);
	assert_int_equal(relay_turn(scene->relay, 1000), 0);
}

static void answer_with(struct scene *scene, uint32_t id, uint32_t address)
{
	struct resolver_answer good = { .id = id, .count = 1, .addresses = { address_from_v4(address) } };

	answer(scene, &good, sizeof good);
}

static void one_question_for_all_who_ask(void **state)
{
	struct scene *scene = *state;
	struct asker askers[100];

	for (size_t i = 0; i < 100; i++) {
		askers[i] = new_asker();
		ask(scene, "a.example", &askers[i]);
	}
	struct resolver_question asked = question(scene);
	assert_string_equal(asked.name, "a.example");
	assert_false(is_asked(scene));
	answer_with(scene, asked.id, 0xc0000201);
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(askers[i].called, 1);
		assert_int_equal(askers[i].count, 1);
	}
	/* and for those who ask a little later */
	struct asker later = new_asker();
	ask(scene, "a.example", &later);
	assert_int_equal(later.called, 1);
	assert_false(is_asked(scene));
}

static void an_answer_is_not_kept_for_ever(void **state)
{
	struct scene *scene = *state;
	struct asker first = new_asker(), second = new_asker();

	ask(scene, "a.example", &first);
	answer_with(scene, question(scene).id, 0xc0000201);
	resolver_ask(scene->resolver, "a.example", &second.waiter, clock_ms() + RESOLVER_KEEP_MS + 1000);
	assert_int_equal(second.called, 0);
	answer_with(scene, question(scene).id, 0xc0000202);
	struct in6_addr expected = address_from_v4(0xc0000202);
	assert_memory_equal(&second.first, &expected, sizeof expected);
}

static void failures_are_told(void **state)
{
	struct scene *scene = *state;
	static const int errors[] = { EAI_NONAME, EAI_AGAIN, EAI_FAIL };

	for (size_t i = 0; i < 3; i++) {
		struct asker asker = new_asker();
		cleanup_free char *name = xasprintf("n%zu.example", i);
		ask(scene, name, &asker);
		struct resolver_answer bad = { .id = question(scene).id, .error = errors[i] };
		answer(scene, &bad, sizeof bad);
		assert_int_equal(asker.called, 1);
		assert_non_null(asker.why);
	}
}

static void a_silent_helper_is_given_up(void **state)
{
	struct scene *scene = *state;
	struct asker asker = new_asker();

	ask(scene, "a.example", &asker);
	uint32_t id = question(scene).id;
	resolver_tick(scene->resolver, clock_ms() + RESOLVER_TIMEOUT_MS - 1000);
	assert_int_equal(asker.called, 0);
	resolver_tick(scene->resolver, clock_ms() + RESOLVER_TIMEOUT_MS + 1000);
	assert_int_equal(asker.called, 1);
	assert_non_null(asker.why);
	/* what comes too late concerns nobody */
	answer_with(scene, id, 0xc0000201);
	assert_int_equal(asker.called, 1);
}

static void answers_nobody_can_use(void **state)
{
	struct scene *scene = *state;
	struct asker asker = new_asker();

	ask(scene, "a.example", &asker);
	uint32_t id = question(scene).id;
	struct resolver_answer bad = { .id = id, .count = RESOLVER_ADDRESSES + 1 };
	answer(scene, &bad, sizeof bad);
	bad.count = 0; /* neither an error nor an address */
	answer(scene, &bad, sizeof bad);
	bad = (struct resolver_answer){ .id = id, .count = 1, .error = EAI_NONAME };
	answer(scene, &bad, sizeof bad);
	bad = (struct resolver_answer){ .id = id + 1, .count = 1 };
	answer(scene, &bad, sizeof bad);
	answer(scene, &bad, 7);
	assert_int_equal(asker.called, 0);
	answer_with(scene, id, 0xc0000201);
	assert_int_equal(asker.called, 1);
}

static void a_flood_of_names_is_bounded(void **state)
{
	struct scene *scene = *state;
	static struct asker askers[2 * RESOLVER_NAMES];
	size_t refused = 0;

	for (size_t i = 0; i < 2 * RESOLVER_NAMES; i++) {
		cleanup_free char *name = xasprintf("n%zu.example", i);
		askers[i] = new_asker();
		ask(scene, name, &askers[i]);
		refused += askers[i].why != NULL;
	}
	assert_true(refused >= RESOLVER_NAMES);
	/* when the helper has kept up, there is room again */
	while (is_asked(scene))
		answer_with(scene, question(scene).id, 0xc0000201);
	struct asker another = new_asker();
	ask(scene, "another.example", &another);
	assert_int_equal(another.called, 0);
	resolver_tick(scene->resolver, clock_ms() + RESOLVER_TIMEOUT_MS + 1000);
	for (size_t i = 0; i < 2 * RESOLVER_NAMES; i++)
		assert_int_equal(askers[i].called, 1);
	assert_int_equal(another.called, 1);
}

static void who_forgets_is_not_called(void **state)
{
	struct scene *scene = *state;
	struct asker stays = new_asker(), goes = new_asker();

	ask(scene, "a.example", &stays);
	ask(scene, "a.example", &goes);
	resolver_forget(&goes.waiter);
	answer_with(scene, question(scene).id, 0xc0000201);
	assert_int_equal(stays.called, 1);
	assert_int_equal(goes.called, 0);
}

static void what_may_be_lost_is_asked_again(void **state)
{
	static const struct resolver_answer again = { .id = RESOLVER_ASK_AGAIN };
	struct scene *scene = *state;
	struct asker waits = new_asker(), knows = new_asker();

	ask(scene, "known.example", &knows);
	answer_with(scene, question(scene).id, 0xc0000201);
	ask(scene, "lost.example", &waits);
	uint32_t id = question(scene).id;
	answer(scene, &again, sizeof again);
	assert_int_equal(waits.called, 0);
	struct resolver_question anew = question(scene);
	assert_int_equal(anew.id, id);
	assert_string_equal(anew.name, "lost.example");
	assert_false(is_asked(scene)); /* what is known is not */
	answer_with(scene, id, 0xc0000202);
	assert_int_equal(waits.called, 1);
	assert_null(waits.why);
	assert_int_equal(knows.called, 1);
}

static void a_dead_helper_is_noticed(void **state)
{
	struct scene *scene = *state;
	struct asker waits = new_asker(), late = new_asker();

	ask(scene, "a.example", &waits);
	close(steal_fd(&scene->helper));
	assert_int_equal(relay_turn(scene->relay, 1000), 0);
	assert_int_equal(waits.called, 1);
	assert_non_null(waits.why);
	assert_false(resolver_alive(scene->resolver));
	ask(scene, "b.example", &late);
	assert_int_equal(late.called, 1);
	assert_non_null(late.why);
}

/* ---- the real one --------------------------------------------------------------------------------------------- */

static void wait_for(struct scene *scene, const struct asker *asker)
{
	int64_t deadline = clock_ms() + DEADLINE_MS;

	while (!asker->called && clock_ms() < deadline)
		assert_int_equal(relay_turn(scene->relay, 100), 0);
	assert_int_equal(asker->called, 1);
}

static void localhost_is_found(void **state)
{
	struct asker asker = new_asker();

	ask(*state, "localhost", &asker);
	wait_for(*state, &asker);
	if (asker.why)
		fail_msg("%s", asker.why);
	assert_true(IN6_IS_ADDR_LOOPBACK(&asker.first) || asker.first.s6_addr[12] == 127);
}

/* Processes named azm-resolver whose session's leader is one of our children. */
static size_t helpers(pid_t *pids, size_t room)
{
	size_t count = 0;
	char command[64];
	FILE *stream = NULL;

	snprintf(command, sizeof command, "ps -o pid= -o ppid= -o comm= -o stat= -u %u", (unsigned)geteuid());
	stream = popen(command, "r");
	assert_non_null(stream);
	int pid, parent;
	char name[32], status[16];
	while (fscanf(stream, "%d %d %31s %15s", &pid, &parent, name, status) == 4)
		if (strcmp(name, "azm-resolver") == 0 && status[0] != 'Z' && count < room)
			pids[count++] = pid;
	pclose(stream);
	return count;
}

static pid_t helper_of(pid_t parent)
{
	pid_t pids[64];
	size_t count = helpers(pids, 64);

	for (size_t i = 0; i < count; i++) {
		cleanup_free char *path = xasprintf("/proc/%d/stat", pids[i]);
		cleanup_free char *text = read_path(path, 4096, NULL);
		int ppid = 0;
		if (text && sscanf(strrchr(text, ')') + 2, "%*c %d", &ppid) == 1 && ppid == parent)
			return pids[i];
	}
	return 0;
}

static pid_t wait_for_helper(pid_t parent, pid_t other_than)
{
	int64_t deadline = clock_ms() + DEADLINE_MS;

	while (clock_ms() < deadline) {
		pid_t found = helper_of(parent);
		if (found && found != other_than)
			return found;
		usleep(20000);
	}
	fail_msg("no helper below process %d", parent);
	return 0;
}

static void a_killed_worker_is_replaced(void **state)
{
	static const int ends[] = { SIGKILL, SIGSEGV };
	pid_t watcher = wait_for_helper(getpid(), 0), worker = wait_for_helper(watcher, 0);

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct asker asker = new_asker();
		assert_int_equal(kill(worker, ends[i]), 0);
		worker = wait_for_helper(watcher, worker);
		resolver_tick(((struct scene *)*state)->resolver, clock_ms() + 2 * RESOLVER_KEEP_MS);
		ask(*state, "localhost", &asker);
		wait_for(*state, &asker);
		assert_null(asker.why);
	}
}

static void it_may_do_nothing_but_resolve(void **state)
{
	pid_t watcher = wait_for_helper(getpid(), 0), worker = wait_for_helper(watcher, 0);
	cleanup_free char *path = xasprintf("/proc/%d/status", worker);
	cleanup_free char *status = read_path(path, 16384, NULL);

	(void)state;
	assert_non_null(status);
	assert_non_null(strstr(status, "CapPrm:\t0000000000000000"));
	assert_non_null(strstr(status, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1"));
}

static void it_ends_with_its_socket(void **state)
{
	struct scene *scene = *state;
	pid_t watcher = wait_for_helper(getpid(), 0);

	resolver_free(steal_ptr(&scene->resolver));
	alarm(DEADLINE_MS / 1000);
	assert_int_equal(waitpid(watcher, NULL, 0), watcher);
	alarm(0);
	assert_int_equal(helper_of(watcher), 0);
}

int main(void)
{
#define PLAYED(test) cmocka_unit_test_setup_teardown(test, set_up_played, tear_down)
#define REAL(test)   cmocka_unit_test_setup_teardown(test, set_up_real, tear_down)
	static const struct CMUnitTest tests[] = {
		PLAYED(one_question_for_all_who_ask),
		PLAYED(an_answer_is_not_kept_for_ever),
		PLAYED(failures_are_told),
		PLAYED(a_silent_helper_is_given_up),
		PLAYED(answers_nobody_can_use),
		PLAYED(a_flood_of_names_is_bounded),
		PLAYED(who_forgets_is_not_called),
		PLAYED(what_may_be_lost_is_asked_again),
		PLAYED(a_dead_helper_is_noticed),
		REAL(localhost_is_found),
		REAL(a_killed_worker_is_replaced),
		REAL(it_may_do_nothing_but_resolve),
		REAL(it_ends_with_its_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Joining networks: the keeper's life, and what it withstands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd_passing.h"
#include "base/id_map.h"
#include "base/io.h"
#include "network_fixture.h"
#include "netns/keeper.h"
#include "netns/keeper_wire.h"

static void join(const struct world *world, struct network *network)
{
	struct azm_err err = { 0 };

	if (network_join(&world->options, network, &err) < 0)
		fail_msg("join: %s: %s (%s)", err.text, err.reason[0] ? err.reason : strerror(err.code), err.hint);
}

static pid_t only_keeper(void)
{
	pid_t pid = 0;

	assert_int_equal(keepers(&pid, 1), 1);
	return pid;
}

static void members_share_one_network(void **state)
{
	struct world *world = *state;
	struct network a, b;

	join(world, &a);
	join(world, &b);
	only_keeper();
	assert_int_equal(inode(a.userns), inode(b.userns));
	assert_int_equal(inode(a.netns), inode(b.netns));
	assert_int_equal(a.subnet, b.subnet);
	assert_int_equal(a.gateway, a.subnet + 1);
	assert_int_equal(a.kept_fd, -1);
	assert_int_equal(a.address, 0);
	network_leave(&a);
	network_leave(&b);
	network_leave(&b); /* twice is no harm */
}

static void a_knock_is_answered_by_join(void **state)
{
	struct world *world = *state;
	struct network a, b;

	assert_int_equal(network_knock(world->live, "test", 0), 0); /* nobody there yet */
	assert_int_equal(network_knock(world->live, "../test", 0), 0);
	join(world, &a);
	world->options.knocked = network_knock(world->live, "test", 0);
	assert_true(world->options.knocked > 0);
	join(world, &b);
	assert_int_equal(b.keeper, world->options.knocked);
	assert_int_equal(inode(a.netns), inode(b.netns));

	/* A keeper that dies between the knock and the answer is replaced as always. */
	network_leave(&b);
	pid_t keeper = only_keeper();
	kill(keeper, SIGSTOP);
	world->options.knocked = network_knock(world->live, "test", 0);
	assert_true(world->options.knocked > 0);
	kill(keeper, SIGKILL);
	assert_true(gone(keeper));
	join(world, &b);
	assert_int_not_equal(inode(a.netns), inode(b.netns));
	network_leave(&a);
	network_leave(&b);
}

static void names_of_networks(void **state)
{
	static const char *const bad[] = { "", "a/b", "../x", "a b", "n\xc3\xa4he", "x\n",
		"12345678901234567890123456789012345678901234567890123456789012345678901234" };
	struct world *world = *state;
	struct network network;
	struct azm_err err = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		world->options.name = bad[i];
		assert_int_equal(network_join(&world->options, &network, &err), -1);
		assert_true(err_is(&err, EINVAL));
		network_leave(&network);
	}
	world->options.name = "1234567890123456789012345678901234567890123456789012345678901234567890123";
	join(world, &network);
	network_leave(&network);
}

static void networks_with_two_names_are_two(void **state)
{
	struct world *world = *state;
	struct network a, b;

	join(world, &a);
	world->options.name = "other";
	join(world, &b);
	assert_int_equal(keepers(NULL, 0), 2);
	assert_int_not_equal(inode(a.netns), inode(b.netns));
	network_leave(&a);
	network_leave(&b);
}

static void a_long_path_of_the_live_directory(void **state)
{
	struct world *world = *state;
	struct network network;
	cleanup_fd int below = world->live;
	char name[201];

	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (int depth = 0; depth < 3; depth++) {
		assert_int_equal(mkdirat(below, name, 0700), 0);
		int next = openat(below, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		if (below != world->live)
			close(below);
		below = next;
	}
	world->options.live_dirfd = below;
	join(world, &network);
	network_leave(&network);
}

static int new_memfd(const char *text)
{
	int fd = memfd_create("kept", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
	return fd;
}

static void the_kept_descriptor_reaches_every_member(void **state)
{
	struct world *world = *state;
	struct network a, b;
	cleanup_fd int kept = new_memfd("program");
	cleanup_fd int unused = new_memfd("the same program, other copy");
	char text[16] = "";

	world->options.keep_fd = kept;
	world->options.keep_tag = 42;
	join(world, &a);
	world->options.keep_fd = unused;
	join(world, &b);
	assert_int_equal(inode(a.kept_fd), inode(kept));
	assert_int_equal(inode(b.kept_fd), inode(kept));
	assert_int_equal(pread(b.kept_fd, text, sizeof text, 0), 7);
	assert_string_equal(text, "program");
	network_leave(&a);
	network_leave(&b);
}

static void another_tag_retires_the_keeper(void **state)
{
	struct world *world = *state;
	struct network old, new, newer;

	world->options.keep_tag = 1;
	join(world, &old);
	pid_t old_keeper = only_keeper();
	world->options.keep_tag = 2;
	join(world, &new);
	join(world, &newer);
	assert_int_not_equal(inode(old.netns), inode(new.netns));
	assert_int_equal(inode(new.netns), inode(newer.netns));
	assert_int_equal(keepers(NULL, 0), 2); /* the old one serves its member */
	network_leave(&old);
	assert_true(gone(old_keeper)); /* at once, not after its grace */
	assert_true(exists(world, "net-test.sock"));
	network_leave(&new);
	network_leave(&newer);
}

static void a_killed_keeper_is_replaced(void **state)
{
	struct world *world = *state;
	struct network before, after;

	join(world, &before);
	pid_t keeper = only_keeper();
	kill(keeper, SIGKILL);
	assert_true(gone(keeper));
	assert_true(exists(world, "net-test.sock")); /* stale */
	join(world, &after);
	assert_int_not_equal(inode(before.netns), inode(after.netns));
	network_leave(&before);
	network_leave(&after);
}

static void the_keeper_leaves_after_its_grace(void **state)
{
	struct world *world = *state;
	struct network network;

	for (unsigned grace = 0; grace < 2; grace++) {
		world->options.grace_seconds = grace;
		join(world, &network);
		pid_t keeper = only_keeper();
		network_leave(&network);
		assert_true(gone(keeper));
		assert_false(exists(world, "net-test.sock"));
	}
}

static void the_keeper_stays_for_its_grace(void **state)
{
	struct world *world = *state;
	struct network first, second;

	join(world, &first);
	ino_t netns = inode(first.netns);
	network_leave(&first);
	join(world, &second);
	assert_int_equal(inode(second.netns), netns);
	only_keeper();
	network_leave(&second);
}

static int join_and_report(struct world *world, void *argument)
{
	const int *report = argument;
	struct azm_err err = { 0 };
	struct network network;

	CHECK_OK(network_join(&world->options, &network, &err), &err);
	ino_t netns = inode(network.netns);
	CHECK(write(*report, &netns, sizeof netns) == sizeof netns);
	pause();
	return 0;
}

static void thirty_at_once_make_one_network(void **state)
{
	enum { MANY = 30 };
	struct world *world = *state;
	pid_t members[MANY];
	ino_t first = 0, netns;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < MANY; i++)
		members[i] = spawn(join_and_report, world, &ends[1]);
	close(ends[1]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(read_full(ends[0], &netns, sizeof netns), sizeof netns);
		first = i == 0 ? netns : first;
		assert_int_equal(netns, first);
	}
	only_keeper();
	for (int i = 0; i < MANY; i++) {
		kill(members[i], SIGKILL);
		assert_int_equal(finish(members[i]), 128 + SIGKILL);
	}
	close(ends[0]);
}

static int join_and_leave_often(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct network network;

	(void)argument;
	for (int i = 0; i < 20; i++) {
		CHECK_OK(network_join(&world->options, &network, &err), &err);
		CHECK(fcntl(network.netns, F_GETFD) == FD_CLOEXEC);
		network_leave(&network);
	}
	return 0;
}

static void joining_while_keepers_leave(void **state)
{
	enum { RIVALS = 4 };
	struct world *world = *state;
	pid_t rivals[RIVALS];

	world->options.grace_seconds = 0; /* a keeper leaves whenever nobody happens to be a member */
	for (int i = 0; i < RIVALS; i++)
		rivals[i] = spawn(join_and_leave_often, world, NULL);
	for (int i = 0; i < RIVALS; i++)
		assert_int_equal(finish(rivals[i]), 0);
}

static int connect_raw(const struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/net-test.sock", world->directory);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void garbage_does_not_hurt_the_keeper(void **state)
{
	struct world *world = *state;
	struct network a, b;
	char large[4096];
	struct keeper_hello hello = { .magic = KEEPER_MAGIC + 1 };
	const struct {
		const void *data;
		size_t size;
	} messages[] = { { "", 0 }, { "x", 1 }, { large, sizeof large }, { &hello, sizeof hello }, { &hello, 15 } };

	memset(large, 0xa5, sizeof large);
	join(world, &a);
	pid_t keeper = only_keeper();
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		cleanup_fd int fd = connect_raw(world);
		assert_int_equal(send(fd, messages[i].data, messages[i].size, MSG_NOSIGNAL), messages[i].size);
		assert_true(recv(fd, large, sizeof large, 0) <= 0); /* hung up */
	}
	[[gnu::unused]] cleanup_fd int silent = connect_raw(world);
	join(world, &b);
	assert_int_equal(only_keeper(), keeper);
	assert_int_equal(inode(a.netns), inode(b.netns));
	network_leave(&a);
	network_leave(&b);
}

static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* One more than there is a place for was written behind it, and stayed open. */
static void an_answer_with_too_many_descriptors_leaves_none(void **state)
{
	struct keeper_answer answer = { .magic = KEEPER_MAGIC, .status = KEEPER_WELCOME };
	const int zeros[2 * KEEPER_FDS_MAX] = { 0 };
	struct keeper_stock stock;

	(void)state;
	for (size_t count = 1; count <= 2 * KEEPER_FDS_MAX; count++) {
		int ends[2], before = open_descriptors();
		assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), errno);
		assert_int_equal(fds_send(ends[0], &answer, sizeof answer, zeros, count, 0), sizeof answer);
		assert_int_equal(keeper_hear(ends[1], &stock), KEEPER_ABSENT);
		close(ends[0]);
		close(ends[1]);
		assert_int_equal(open_descriptors(), before);
	}
}

static int join_in_pid_namespace(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct network network;

	(void)argument;
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		int status = network_join(&world->options, &network, &err) < 0 && err_is(&err, EPERM) ? 0 : 1;
		_exit(status);
	}
	CHECK(child > 0);
	return finish(child);
}

static void a_process_of_a_sandbox_is_refused(void **state)
{
	struct world *world = *state;
	struct network network;

	join(world, &network);
	pid_t keeper = only_keeper();
	assert_int_equal(in_child(join_in_pid_namespace, world, NULL), 0);
	assert_int_equal(only_keeper(), keeper);
	network_leave(&network);
}

static int join_once(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct network network;

	(void)argument;
	CHECK_OK(network_join(&world->options, &network, &err), &err);
	return 0;
}

static void the_keeper_keeps_nothing_of_its_maker(void **state)
{
	struct world *world = *state;
	char path[64], byte;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	pid_t child = spawn(join_once, world, NULL);
	close(ends[1]);
	assert_int_equal(finish(child), 0);
	/* The keeper runs on; our pipe, which its maker had open, ends all the same. */
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	pid_t keeper = only_keeper();
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)keeper);
	cleanup_free char *line = read_path(path, 65536, NULL);
	assert_string_equal(line, "azm-keeper");
	snprintf(path, sizeof path, "/proc/%d/status", (int)keeper);
	cleanup_free char *status = read_path(path, 65536, NULL);
	assert_non_null(strstr(status, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1"));
	assert_int_not_equal(getsid(keeper), getsid(0));
}

static int refuse_maps(pid_t pid, void *context, struct azm_err *err)
{
	(void)pid;
	++*(int *)context;
	return err_msg(err, EPERM, "write the id maps", NULL, "refused by the test");
}

static void a_failure_to_make_leaves_nothing(void **state)
{
	struct world *world = *state;
	struct network network;
	struct azm_err err = { 0 };
	int calls = 0;

	world->options.write_maps = refuse_maps;
	world->options.context = &calls;
	assert_int_equal(network_join(&world->options, &network, &err), -1);
	assert_int_equal(calls, 1);
	assert_string_equal(err.reason, "refused by the test");
	assert_false(exists(world, "net-test.sock"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	world->options.write_maps = NULL;
	join(world, &network);
	network_leave(&network);
}

/* In a user namespace of its own, where a limit of namespaces can be set without being root. */
static int join_with_limit(struct world *world, void *argument)
{
	const char *setting = argument;
	struct azm_err err = { 0 };
	struct network network;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char path[128];

	CHECK(unshare(CLONE_NEWUSER) == 0);
	prctl(PR_SET_DUMPABLE, 1);
	CHECK(id_map_single(0, 0, uid, 0, gid, &err) == 0);
	snprintf(path, sizeof path, "/proc/sys/user/%s", setting);
	CHECK(write_path(path, "0") == 0);
	CHECK(network_join(&world->options, &network, &err) < 0);
	CHECK(err_is(&err, ENOSPC));
	CHECK(strstr(err.hint, setting));
	CHECK(!exists(world, "net-test.sock"));
	return 0;
}

static void limits_of_namespaces_are_explained(void **state)
{
	assert_int_equal(in_child(join_with_limit, *state, "max_user_namespaces"), 0);
	assert_int_equal(in_child(join_with_limit, *state, "max_net_namespaces"), 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(members_share_one_network),
		WORLD_TEST(a_knock_is_answered_by_join),
		WORLD_TEST(names_of_networks),
		WORLD_TEST(networks_with_two_names_are_two),
		WORLD_TEST(a_long_path_of_the_live_directory),
		WORLD_TEST(the_kept_descriptor_reaches_every_member),
		WORLD_TEST(another_tag_retires_the_keeper),
		WORLD_TEST(a_killed_keeper_is_replaced),
		WORLD_TEST(the_keeper_leaves_after_its_grace),
		WORLD_TEST(the_keeper_stays_for_its_grace),
		WORLD_TEST(thirty_at_once_make_one_network),
		WORLD_TEST(joining_while_keepers_leave),
		WORLD_TEST(garbage_does_not_hurt_the_keeper),
		cmocka_unit_test(an_answer_with_too_many_descriptors_leaves_none),
		WORLD_TEST(a_process_of_a_sandbox_is_refused),
		WORLD_TEST(the_keeper_keeps_nothing_of_its_maker),
		WORLD_TEST(a_failure_to_make_leaves_nothing),
		WORLD_TEST(limits_of_namespaces_are_explained),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

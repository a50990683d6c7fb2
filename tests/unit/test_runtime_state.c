// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_state.c: directories on disk, names and locks, also with many runs at once (state.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/unit/runtime_fixture.h"

enum { MANY = 50 };

static void names_are_dockers(void **state)
{
	static const char *const good[] = { "a", "A9", "0", "a.b-c_d", "1-2-3",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" /* 64 */ };
	static const char *const bad[] = { "", ".", "..", ".new-1", "-rf", "_x", "a/b", "/", "a b", "a\n", "a\x1b[m",
		"caf\xc3\xa9", "\xe9t\xe9", "a:b", "a*",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a\\b", "a$", "~" };
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_ok(name_check(good[i], &err), &err);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (name_check(bad[i], &err) == 0)
			fail_msg("\"%s\"", bad[i]);
		assert_int_equal(err.code, EINVAL);
	}
	for (size_t i = 0; i < 200; i++) {
		cleanup_free char *name = name_generate();
		assert_ok(name_check(name, &err), &err);
	}
}

/* ---- the directories -------------------------------------------------------------------------------------------- */

static int try_state(struct azm_err *err)
{
	struct state store;
	int result = state_open(&store, err);

	if (result == 0)
		state_close(&store);
	return result < 0 ? -1 : 0;
}

static void set_state(const char *name)
{
	cleanup_free char *path = here(name);

	assert_int_equal(setenv("AZM_STATE_DIR", path, 1), 0);
}

static void directories_are_made_for_the_user_alone(void **state)
{
	struct state store;
	struct stat st;

	(void)state;
	umask(0);
	set_state("not/yet/there");
	open_state(&store);
	const int fds[] = { store.live, store.dir, store.sandboxes };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		assert_int_equal(fstat(fds[i], &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	}
	state_close(&store);
	umask(022);
}

static void a_directory_others_could_have_prepared_is_refused(void **state)
{
	static const mode_t modes[] = { 0755, 0750, 0770, 0701, 0777, 0500 };
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		rmdir("wrong");
		assert_int_equal(mkdir("wrong", 0700), 0);
		assert_int_equal(chmod("wrong", modes[i]), 0);
		set_state("wrong");
		if (try_state(&err) == 0)
			fail_msg("mode %03o was accepted", (unsigned)modes[i]);
		err_clear(&err);
	}
	assert_int_equal(mkdir("real", 0700), 0);
	assert_int_equal(symlink("real", "link"), 0);
	set_state("link");
	assert_int_equal(try_state(&err), -1);
	set_state("link//");
	assert_int_equal(try_state(&err), -1);
	put_text("file", "");
	set_state("file");
	assert_int_equal(try_state(&err), -1);
	assert_int_equal(setenv("AZM_STATE_DIR", "relative", 1), 0);
	assert_refused(try_state(&err), &err, EINVAL);
}

static void a_directory_of_somebody_else_is_refused(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(mkdir("theirs", 0700), 0);
	if (chown("theirs", 12345, (gid_t)-1) < 0) {
		/* Without privilege: one of root's, which is not ours either. */
		assert_int_equal(setenv("AZM_STATE_DIR", "/usr", 1), 0);
	} else {
		set_state("theirs");
	}
	assert_refused(try_state(&err), &err, EPERM);
}

static void a_parent_that_everybody_may_write_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		bool good;
	} rows[] = { { 0777, false }, { 0707, false }, { 01777, true }, { 0755, true } };
	static const char *const paths[] = { "open/state", "open/deeper/state", "link/state", "linked-deeper/state" };
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(mkdir("open", 0755), 0);
	assert_int_equal(mkdir("open/deeper", 0755), 0);
	assert_int_equal(symlink("open", "link"), 0);
	assert_int_equal(symlink("open/deeper", "linked-deeper"), 0); /* its own parents look harmless */
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(chmod("open", rows[i].mode), 0);
		for (size_t p = 0; p < sizeof paths / sizeof *paths; p++) {
			set_state(paths[p]);
			if ((try_state(&err) == 0) != rows[i].good)
				fail_msg("%s below mode %04o: %s", paths[p], (unsigned)rows[i].mode, err.reason);
			err_clear(&err);
		}
	}
}

static void a_planted_subdirectory_is_refused(void **state)
{
	struct state store;
	struct azm_err err = { 0 };

	(void)state;
	open_state(&store);
	state_close(&store);
	assert_int_equal(rename("state/sandboxes", "state/moved"), 0);
	assert_int_equal(symlink("moved", "state/sandboxes"), 0);
	assert_int_equal(try_state(&err), -1);
	assert_int_equal(unlink("state/sandboxes"), 0);
	assert_int_equal(mkdir("state/sandboxes", 0700), 0);
	assert_int_equal(chmod("state/sandboxes", 0755), 0);
	assert_int_equal(try_state(&err), -1);
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

/* Run @work in MANY processes that begin together. Return: how many ended with 0; any status but 0 and 1 fails. */
static unsigned all_at_once(int (*work)(int number))
{
	int gate[2], status;
	pid_t children[MANY];
	unsigned won = 0;

	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	for (int i = 0; i < MANY; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			char byte;
			close(gate[1]);
			(void)!read(gate[0], &byte, 1); /* end of file opens the gate */
			alarm(60);
			_exit(work(i));
		}
		assert_true(children[i] > 0);
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
			fail_msg("process %d: wait status %#x", i, (unsigned)status);
		won += WEXITSTATUS(status) == 0;
	}
	return won;
}

static int open_first_time(int number)
{
	struct state store;
	struct azm_err err = { 0 };

	(void)number;
	if (state_open(&store, &err) == 0)
		return 0;
	err_print(&err, "test");
	return 2;
}

static void first_runs_of_a_user_do_not_meet(void **state)
{
	(void)state;
	set_state("none/of/these/is/there");
	assert_int_equal(all_at_once(open_first_time), MANY);
}

/* What `run --name one` does up to the moment the name is its own, with the reclaiming that every command does. */
static int take_name(int number)
{
	struct state store;
	struct azm_err err = { 0 };
	cleanup_free char *temporary = NULL;
	cleanup_free char *mark = xasprintf("%d", number);
	int lock;

	if (state_open(&store, &err) < 0)
		return 2;
	state_reclaim(&store);
	cleanup_fd int dir = sandbox_create(&store, &temporary, &lock, &err);
	if (dir < 0)
		return 3;
	/* With a status it counts as one that ran, so nobody reclaims it when we end. */
	if (write_file_at(dir, "winner", mark, strlen(mark), 0600) < 0 ||
		write_file_at(dir, "status.json", "{}", 2, 0600) < 0)
		return 4;
	if (sandbox_publish_name(&store, temporary, "one", &err) == 0)
		return 0; /* the lock goes with the process */
	return err_is(&err, EEXIST) && sandbox_remove(&store, temporary, &err) == 0 ? 1 : 5;
}

static void of_fifty_runs_with_one_name_one_wins(void **state)
{
	struct state store;
	struct azm_err err = { 0 };
	cleanup_str_list struct str_list names = { 0 };

	(void)state;
	open_state(&store);
	assert_int_equal(all_at_once(take_name), 1);
	assert_int_equal(sandbox_names(&store, &names, &err), 0);
	assert_int_equal(names.count, 1);
	assert_string_equal(names.items[0], "one");
	assert_int_equal(access("state/sandboxes/one/winner", F_OK), 0);
	assert_int_equal(access("state/sandboxes/one/upper", F_OK), 0);
	state_close(&store);
}

static int take_own_name(int number)
{
	struct state store;
	struct azm_err err = { 0 };
	cleanup_free char *temporary = NULL;
	cleanup_free char *name = xasprintf("box-%d", number);
	int lock;

	if (state_open(&store, &err) < 0)
		return 2;
	for (int round = 0; round < 10; round++) {
		state_reclaim(&store);
		cleanup_fd int dir = sandbox_create(&store, &temporary, &lock, &err);
		[[gnu::unused]] cleanup_fd int held = lock;
		if (dir < 0 || write_file_at(dir, "config.json", "{}", 2, 0600) < 0 ||
			sandbox_publish_name(&store, temporary, name, &err) < 0) {
			err_print(&err, "test");
			return 3;
		}
		free(steal_ptr(&temporary));
		cleanup_fd int again = sandbox_open(&store, name, &err);
		if (again < 0 || !sandbox_running(again) || faccessat(again, "upper", F_OK, 0) < 0)
			return 4;
		if (sandbox_remove(&store, name, &err) < 0)
			return 5;
	}
	return 0;
}

static void reclaiming_takes_nothing_from_a_run_that_begins(void **state)
{
	struct state store;
	struct azm_err err = { 0 };
	cleanup_str_list struct str_list names = { 0 };

	(void)state;
	open_state(&store);
	assert_int_equal(all_at_once(take_own_name), MANY);
	state_reclaim(&store);
	assert_int_equal(sandbox_names(&store, &names, &err), 0);
	assert_int_equal(names.count, 0);
	state_close(&store);
}

/* ---- locks and reclaiming --------------------------------------------------------------------------------------- */

/* A finished sandbox: published, its lock free. */
static void make_box(const struct state *store, const char *name)
{
	struct azm_err err = { 0 };
	cleanup_free char *temporary = NULL;
	int lock;
	cleanup_fd int dir = sandbox_create(store, &temporary, &lock, &err);

	assert_true(dir >= 0);
	assert_int_equal(write_file_at(dir, "config.json", "{}", 2, 0600), 0);
	assert_int_equal(write_file_at(dir, "status.json", "{}", 2, 0600), 0);
	assert_ok(sandbox_publish_name(store, temporary, name, &err), &err);
	close(lock);
}

static void a_lock_is_held_by_one_and_ends_with_its_process(void **state)
{
	struct state store;
	struct azm_err err = { 0 };
	int status, ready[2];

	(void)state;
	open_state(&store);
	make_box(&store, "box");
	cleanup_fd int dir = sandbox_open(&store, "box", &err);
	assert_true(dir >= 0);
	assert_false(sandbox_running(dir));
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		if (sandbox_lock(dir, NULL, &err) < 0)
			_exit(1);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	char byte;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(sandbox_running(dir));
	assert_refused(sandbox_lock(dir, NULL, &err), &err, EWOULDBLOCK);
	state_reclaim(&store);
	assert_int_equal(access("state/sandboxes/box", F_OK), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(sandbox_running(dir));
	int lock = sandbox_lock(dir, NULL, &err);
	assert_true(lock >= 0);
	close(lock);
	close(ready[0]);
	close(ready[1]);
	state_close(&store);
}

static void what_crashed_runs_left_is_reclaimed_and_nothing_else(void **state)
{
	struct state store;
	struct azm_err err = { 0 };
	cleanup_free char *half_made = NULL;
	cleanup_free char *in_use = NULL;
	int lock, used_lock;

	(void)state;
	open_state(&store);
	make_box(&store, "kept");
	make_box(&store, "killed-at-its-start");
	(void)unlink("state/sandboxes/killed-at-its-start/status.json");
	make_box(&store, "to-go");
	put_text("state/sandboxes/to-go/remove-me", "");
	make_box(&store, "to-go-later");
	put_text("state/sandboxes/to-go-later/remove-me", "");
	cleanup_fd int running = sandbox_open(&store, "to-go-later", &err);
	cleanup_fd int held = sandbox_lock(running, NULL, &err);
	assert_true(held >= 0);
	cleanup_fd int half = sandbox_create(&store, &half_made, &lock, &err);
	assert_true(half >= 0);
	close(lock);
	assert_int_equal(mkdirat(half, "work/work", 0), 0); /* as overlay leaves it */
	cleanup_fd int used = sandbox_create(&store, &in_use, &used_lock, &err);
	assert_true(used >= 0);
	assert_int_equal(mkdir("state/sandboxes/.new-empty", 0700), 0);
	assert_int_equal(mkdir("outside", 0700), 0);
	put_text("outside/remove-me", "");
	assert_int_equal(symlink("../../outside", "state/sandboxes/link"), 0);
	assert_int_equal(symlink("../../outside", "state/sandboxes/.link"), 0);

	state_reclaim(&store);
	cleanup_free char *half_path = xasprintf("state/sandboxes/%s", half_made);
	cleanup_free char *used_path = xasprintf("state/sandboxes/%s", in_use);
	assert_int_equal(access("state/sandboxes/kept/config.json", F_OK), 0);
	assert_int_equal(access("state/sandboxes/to-go", F_OK), -1);
	assert_int_equal(access("state/sandboxes/killed-at-its-start", F_OK), -1);
	assert_int_equal(access("state/sandboxes/to-go-later", F_OK), 0);
	assert_int_equal(access(half_path, F_OK), -1);
	assert_int_equal(access(used_path, F_OK), 0);
	assert_int_equal(access("state/sandboxes/.new-empty", F_OK), -1);
	assert_int_equal(access("outside/remove-me", F_OK), 0);
	close(used_lock);
	state_close(&store);
}

static void only_directories_are_sandboxes(void **state)
{
	struct state store;
	struct azm_err err = { 0 };

	(void)state;
	open_state(&store);
	put_text("state/sandboxes/file", "");
	assert_int_equal(mkdir("elsewhere", 0700), 0);
	assert_int_equal(symlink("../../elsewhere", "state/sandboxes/link"), 0);
	assert_refused(sandbox_open(&store, "file", &err), &err, ENOTDIR);
	assert_int_equal(sandbox_open(&store, "link", &err), -1);
	assert_refused(sandbox_open(&store, "nothing", &err), &err, ENOENT);
	assert_refused(sandbox_open(&store, "../sandboxes", &err), &err, EINVAL);
	assert_refused(sandbox_publish_name(&store, ".not-there", "x", &err), &err, ENOENT);
	state_close(&store);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_dockers),
		IN_DIRECTORY(directories_are_made_for_the_user_alone),
		IN_DIRECTORY(a_directory_others_could_have_prepared_is_refused),
		IN_DIRECTORY(a_directory_of_somebody_else_is_refused),
		IN_DIRECTORY(a_parent_that_everybody_may_write_is_refused),
		IN_DIRECTORY(a_planted_subdirectory_is_refused),
		IN_DIRECTORY(first_runs_of_a_user_do_not_meet),
		IN_DIRECTORY(of_fifty_runs_with_one_name_one_wins),
		IN_DIRECTORY(reclaiming_takes_nothing_from_a_run_that_begins),
		IN_DIRECTORY(a_lock_is_held_by_one_and_ends_with_its_process),
		IN_DIRECTORY(what_crashed_runs_left_is_reclaimed_and_nothing_else),
		IN_DIRECTORY(only_directories_are_sandboxes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

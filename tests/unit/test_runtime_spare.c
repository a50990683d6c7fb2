// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_spare.c: directories of removed sandboxes that the next ones get (spare.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "spare.h"
#include "tests/unit/runtime_fixture.h"

/* A sandbox that was made and has ended: its directory, still locked, under the name it has for its remover. */
static int ended_sandbox(const struct state *store, char **name, int *lock)
{
	struct azm_err err = { 0 };
	int dir = sandbox_create(store, name, lock, &err);

	assert_true(dir >= 0);
	return dir;
}

static ino_t inode_of(int dir, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void a_spare_directory_is_as_good_as_a_new_one(void **state)
{
	static const char *const rests[] = { "config.json", "status.json", "log.1" };
	struct state store;
	cleanup_free char *first = NULL;
	cleanup_free char *second = NULL;
	struct stat st;
	int lock;

	(void)state;
	open_state(&store);
	int dir = ended_sandbox(&store, &first, &lock);
	ino_t inode = inode_of(dir, ".");
	for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
		write_file_at(dir, rests[i], "x", 1, 0600);
	write_file_at(dir, "log", "secret", 6, 0600);
	write_file_at(dir, "log.times", "when it was said", 16, 0600);
	assert_int_equal(mkdirat(dir, "work/work", 0), 0);
	assert_int_equal(mkdirat(dir, "upper/etc", 0755), 0);
	assert_int_equal(fchmodat(dir, "upper", 0777, 0), 0);
	close(dir);
	assert_int_equal(spare_give(store.sandboxes, first), 0);
	close(lock);
	state_reclaim(&store);
	dir = ended_sandbox(&store, &second, &lock);
	assert_int_equal(inode_of(dir, "."), inode);
	for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
		assert_int_equal(faccessat(dir, rests[i], F_OK, 0), -1);
	assert_int_equal(faccessat(dir, "log", F_OK, 0), -1);
	assert_int_equal(faccessat(dir, "log.times", F_OK, 0), -1);
	assert_int_equal(unlinkat(dir, "work", AT_REMOVEDIR), 0); /* it was empty */
	assert_int_equal(fstatat(dir, "upper", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(unlinkat(dir, "upper", AT_REMOVEDIR), 0);
	close(dir);
	close(lock);
	state_close(&store);
}

/* Before the kernel's clock has ticked, so that its times are those of an upper nobody has touched. */
static void what_is_done_to_an_upper_at_once_is_seen(void **state)
{
	struct state store;
	struct stat st;
	int lock;

	(void)state;
	open_state(&store);
	for (int change = 0; change < 3; change++) {
		cleanup_free char *name = NULL;
		cleanup_free char *next = NULL;
		int dir = ended_sandbox(&store, &name, &lock);
		cleanup_fd int upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (change == 0)
			write_file_at(upper, "left", "secret", 6, 0600);
		else if (change == 1)
			assert_int_equal(fchmod(upper, 0700), 0);
		else if (fsetxattr(upper, "user.left", "secret", 6, 0) < 0) /* not every file system has them */
			assert_int_equal(errno, EOPNOTSUPP);
		close(dir);
		assert_int_equal(spare_give(store.sandboxes, name), 0);
		close(lock);

		dir = ended_sandbox(&store, &next, &lock);
		cleanup_fd int again = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(dir_is_empty(dir, "upper"));
		assert_int_equal(fstat(again, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		assert_int_equal(fgetxattr(again, "user.left", NULL, 0), -1);
		close(dir);
		close(lock);
	}
	state_close(&store);
}

/* Until the clock that files are stamped with has moved on from the last change of @fd. */
static void wait_for_a_tick(int fd)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct timespec now;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	while (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 &&
		(now.tv_sec < st.st_ctim.tv_sec ||
			(now.tv_sec == st.st_ctim.tv_sec && now.tv_nsec <= st.st_ctim.tv_nsec)))
		nanosleep(&pause, NULL);
}

static void an_upper_whose_attributes_were_changed_is_not_used_again(void **state)
{
	struct state store;
	char *names[3] = { NULL };
	int lock;

	(void)state;
	open_state(&store);
	for (int i = 0; i < 2; i++) { /* the first round makes an upper nobody has touched */
		int dir = ended_sandbox(&store, &names[i], &lock);
		close(dir);
		assert_int_equal(spare_give(store.sandboxes, names[i]), 0);
		close(lock);
	}
	int dir = ended_sandbox(&store, &names[2], &lock);
	cleanup_fd int upper = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* keeps its inode number */
	ino_t before = inode_of(dir, "upper");
	wait_for_a_tick(upper); /* a change and its undoing within one leave nothing that could be seen, or do harm */
	assert_int_equal(fchmod(upper, 0700), 0);
	assert_int_equal(fchmod(upper, 0755), 0);
	close(dir);
	assert_int_equal(spare_give(store.sandboxes, names[2]), 0);
	cleanup_fd int spare = openat(store.sandboxes, ".spare-0", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_not_equal(inode_of(spare, "upper"), before);
	close(lock);
	for (size_t i = 0; i < 3; i++)
		free(names[i]);
	state_close(&store);
}

static void a_spare_that_is_still_locked_is_left_alone(void **state)
{
	struct state store;
	cleanup_free char *first = NULL;
	cleanup_free char *second = NULL;
	int held, lock;

	(void)state;
	open_state(&store);
	int dir = ended_sandbox(&store, &first, &held);
	ino_t inode = inode_of(dir, ".");
	close(dir);
	assert_int_equal(spare_give(store.sandboxes, first), 0);
	dir = ended_sandbox(&store, &second, &lock);
	assert_int_not_equal(inode_of(dir, "."), inode);
	close(dir);
	close(lock);
	close(held);
	state_close(&store);
}

static void few_spares_are_kept_and_gc_removes_them(void **state)
{
	struct state store;
	char *names[6] = { NULL };
	int locks[6], given = 0;

	(void)state;
	open_state(&store);
	for (size_t i = 0; i < 6; i++)
		close(ended_sandbox(&store, &names[i], &locks[i]));
	for (size_t i = 0; i < 6; i++)
		given += spare_give(store.sandboxes, names[i]) == 0;
	for (size_t i = 0; i < 6; i++) {
		close(locks[i]);
		free(names[i]);
	}
	assert_int_equal(given, 4);
	assert_int_equal(access("state/sandboxes/.spare-3", F_OK), 0);
	assert_int_equal(access("state/sandboxes/.spare-4", F_OK), -1);
	spare_retire(store.sandboxes);
	state_reclaim(&store);
	size_t count = 0;
	cleanup_dir DIR *left = opendir("state/sandboxes");
	for (const struct dirent *entry; (entry = readdir(left));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	assert_int_equal(count, 0);
	state_close(&store);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(a_spare_directory_is_as_good_as_a_new_one),
		IN_DIRECTORY(what_is_done_to_an_upper_at_once_is_seen),
		IN_DIRECTORY(an_upper_whose_attributes_were_changed_is_not_used_again),
		IN_DIRECTORY(a_spare_that_is_still_locked_is_left_alone),
		IN_DIRECTORY(few_spares_are_kept_and_gc_removes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

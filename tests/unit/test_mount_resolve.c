// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_resolve.c: paths of images never lead out of their root.
 *
 * Every test runs twice: with the kernel's openat2(2), then with it answering ENOSYS, as before Linux 5.6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "tests/unit/mount_fixture.h"

enum { RACE_MILLISECONDS = 700 };

/* A root full of links: what the path names, seen from inside, is the text of the file found. */
static const char *const files[] = { "root/etc/passwd", "root/a/b/file", "root/top" };

static const struct {
	const char *target, *path;
} links[] = {
	{ "/etc", "root/abs" },
	{ "../../../../etc", "root/a/up" },
	{ "../../canary", "root/a/out" },
	{ "/../../canary/file", "root/a/out_abs" },
	{ "loop2", "root/loop1" },
	{ "loop1", "root/loop2" },
	{ "nowhere/x", "root/dangling" },
	{ "a/b/", "root/slash" },
	{ "abs/passwd", "root/chain" },
	{ ".", "root/self" },
	{ "/", "root/slashroot" },
};

static int setup(void **state)
{
	static const char *const directories[] = { "root", "root/etc", "root/a", "root/a/b", "root/canary" };
	struct fixture *f = calloc(1, sizeof *f);

	fixture_make(f);
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		make_dir(directories[i]);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		put(files[i], files[i]);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		make_link(links[i].target, links[i].path);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

static int open_root(void)
{
	int fd = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_return_code(fd, errno);
	return fd;
}

static void test_a_path_means_what_it_means_inside(void **state)
{
	static const struct {
		const char *path;
		const char *found; /* path of the same object seen from outside; NULL: fails with @code */
		int flags, code;
	} rows[] = {
		{ "/etc/passwd", "root/etc/passwd", O_PATH, 0 },
		{ "etc/passwd", "root/etc/passwd", O_RDONLY, 0 },
		{ "//etc//./passwd", "root/etc/passwd", O_RDONLY, 0 },
		{ "/", "root", O_PATH, 0 },
		{ "..", "root", O_PATH, 0 },
		{ "../../..", "root", O_PATH | O_DIRECTORY, 0 },
		{ "a/b/../../../top", "root/top", O_RDONLY, 0 },
		{ "a/b/..", "root/a", O_PATH, 0 },
		{ "abs/passwd", "root/etc/passwd", O_RDONLY, 0 },
		{ "a/up/passwd", "root/etc/passwd", O_RDONLY, 0 },
		{ "a/out", "root/canary", O_PATH, 0 },
		{ "a/out/file", NULL, O_RDONLY, ENOENT },
		{ "a/out_abs", NULL, O_RDONLY, ENOENT },
		{ "chain", "root/etc/passwd", O_RDONLY, 0 },
		{ "slash", "root/a/b", O_PATH, 0 },
		{ "self/self/self/top", "root/top", O_RDONLY, 0 },
		{ "slashroot/../../top", "root/top", O_RDONLY, 0 },
		{ "loop1", NULL, O_PATH, ELOOP },
		{ "loop1/x", NULL, O_PATH, ELOOP },
		{ "loop1", "root/loop1", O_PATH | O_NOFOLLOW, 0 },
		{ "dangling", NULL, O_PATH, ENOENT },
		{ "dangling", "root/dangling", O_PATH | O_NOFOLLOW, 0 },
		{ "dangling", NULL, O_RDONLY | O_NOFOLLOW, ELOOP },
		{ "abs", "root/abs", O_PATH | O_NOFOLLOW, 0 },
		{ "abs/", "root/etc", O_PATH | O_NOFOLLOW, 0 },
		{ "top/", NULL, O_PATH, ENOTDIR },
		{ "top/x", NULL, O_PATH, ENOTDIR },
		{ "top", NULL, O_PATH | O_DIRECTORY, ENOTDIR },
		{ "a", NULL, O_WRONLY, EISDIR },
		{ "missing", NULL, O_PATH, ENOENT },
		{ "", NULL, O_PATH, ENOENT },
	};
	cleanup_fd int root = open_root();

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct stat expected, found;
		cleanup_fd int fd = resolve_in_root(root, rows[i].path, rows[i].flags);
		if (!rows[i].found) {
			if (fd >= 0 || errno != rows[i].code)
				fail_msg("%s: fd %d, %s", rows[i].path, fd, strerror(errno));
			continue;
		}
		if (fd < 0)
			fail_msg("%s: %s", rows[i].path, strerror(errno));
		assert_return_code(lstat(rows[i].found, &expected), errno);
		assert_return_code(fstat(fd, &found), errno);
		if (expected.st_ino != found.st_ino)
			fail_msg("%s is not %s", rows[i].path, rows[i].found);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	}
}

static void test_links_of_proc_are_not_doors(void **state)
{
	static const char *const doors[] = { "proc/self/root", "proc/self/root/etc", "proc/self/exe", "proc/self/cwd/.",
		"proc/self/fd/0", "proc/thread-self/root" };
	cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	for (size_t i = 0; i < sizeof doors / sizeof *doors; i++) {
		int fd = resolve_in_root(root, doors[i], O_PATH);
		if (fd >= 0 || errno != ELOOP)
			fail_msg("%s: fd %d, %s", doors[i], fd, strerror(errno));
	}
	/* These are ordinary links. */
	cleanup_fd int mounts = resolve_in_root(root, "proc/mounts", O_RDONLY);
	assert_return_code(mounts, errno);
}

static void test_hostile_lengths_end_in_an_error(void **state)
{
	cleanup_fd int root = open_root();
	char path[3 * 2000 + 16];
	char name[600];

	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(resolve_in_root(root, name, O_PATH), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	for (size_t i = 0; i < 2000; i++)
		memcpy(path + 3 * i, "../", 4);
	assert_int_equal(resolve_in_root(root, path, O_PATH), -1);
	assert_int_equal(errno, ENAMETOOLONG);

	/* Links that multiply: each names the one before many times over. */
	for (int i = 0; i < 30; i++) {
		char link[32], target[32 * 12] = "";
		snprintf(link, sizeof link, "root/m%d", i);
		for (int k = 0; k < 12; k++) {
			size_t used = strlen(target);
			snprintf(target + used, sizeof target - used, i ? "m%d/" : "a/b/../../", i - 1);
		}
		make_link(target, link);
	}
	assert_int_equal(resolve_in_root(root, "m29", O_PATH), -1);
	assert_true(errno == ELOOP || errno == ENAMETOOLONG);
}

static void test_missing_mount_points_are_made_inside(void **state)
{
	cleanup_fd int root = open_root();
	struct stat st;

	(void)state;
	umask(0);
	cleanup_fd int directory = resolve_make(root, "/new/deep/dir", true);
	assert_return_code(directory, errno);
	assert_return_code(stat("root/new/deep/dir", &st), errno);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	cleanup_fd int file = resolve_make(root, "a/up/new/file", false);
	assert_return_code(file, errno);
	assert_return_code(stat("root/etc/new/file", &st), errno);
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_size, 0);
	cleanup_fd int again = resolve_make(root, "/new/deep/./dir/", true);
	assert_return_code(again, errno);
	cleanup_fd int in_link = resolve_make(root, "a/out/x", true); /* ../../canary, but of the root */
	assert_return_code(in_link, errno);
	assert_true(exists("root/canary/x"));
	assert_int_equal(count_entries("canary"), 1);
}

static void test_mount_points_are_never_made_through_dangling_links(void **state)
{
	static const struct {
		const char *path;
		bool directory;
		int code;
	} rows[] = {
		{ "dangling", true, ELOOP },
		{ "dangling", false, ELOOP },
		{ "dangling/below", true, ELOOP },
		{ "loop1/x", true, ELOOP },
		{ "top", true, ENOTDIR },
		{ "top/x", true, ENOTDIR },
		{ "a", false, EISDIR },
		{ "fresh/../../x", true, ENOENT },
		{ "fresh2/", false, EISDIR },
		{ "", true, ENOENT },
	};
	cleanup_fd int root = open_root();

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int fd = resolve_make(root, rows[i].path, rows[i].directory);
		if (fd >= 0 || errno != rows[i].code)
			fail_msg("%s: fd %d, %s", rows[i].path, fd, strerror(errno));
	}
	assert_false(exists("root/nowhere"));
	assert_false(exists("nowhere"));
}

static void test_files_of_an_image_are_read_with_bounds(void **state)
{
	cleanup_fd int root = open_root();
	size_t size;

	(void)state;
	cleanup_free char *text = resolve_read(root, "/abs/passwd", 100, &size);
	assert_non_null(text);
	assert_string_equal(text, "root/etc/passwd");
	assert_int_equal(size, strlen(text));

	assert_null(resolve_read(root, "/abs/passwd", 5, NULL));
	assert_int_equal(errno, EFBIG);
	assert_null(resolve_read(root, "/etc", 100, NULL));
	assert_int_equal(errno, EISDIR);
	assert_return_code(mkfifo("root/fifo", 0644), errno);
	assert_null(resolve_read(root, "fifo", 100, NULL));
	assert_int_equal(errno, EINVAL);
	put("root/sparse", "");
	assert_return_code(truncate("root/sparse", 2LL << 30), errno);
	assert_null(resolve_read(root, "sparse", 1 << 20, NULL));
	assert_int_equal(errno, EFBIG);
	assert_null(resolve_read(root, "a/out_abs", 100, NULL));
	assert_int_equal(errno, ENOENT);
	cleanup_fd int host_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_null(resolve_read(host_root, "dev/null", 100, NULL));
	assert_int_equal(errno, EINVAL);
}

/* Exchanges root/race/b with a link to the canary until told to stop. */
static void *swapper(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		syscall(SYS_renameat2, AT_FDCWD, "root/race/b", AT_FDCWD, "root/race/link", RENAME_EXCHANGE);
	return NULL;
}

static bool time_is_up(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000 > RACE_MILLISECONDS;
}

static void test_a_swapped_directory_never_leads_outside(void **state)
{
	const struct fixture *f = *state;
	cleanup_fd int root = open_root();
	atomic_bool stop = false;
	char canary[sizeof f->dir + 16];
	pthread_t thread;
	struct stat outside, found;
	struct timespec start;
	size_t tries = 0;

	make_dir("root/race");
	make_dir("root/race/b");
	snprintf(canary, sizeof canary, "%s/canary", f->dir);
	make_link(canary, "root/race/link"); /* absolute: inside it names nothing */
	assert_return_code(stat("canary/file", &outside), errno);
	assert_int_equal(pthread_create(&thread, NULL, swapper, &stop), 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; !time_is_up(&start); tries++) {
		char path[64];
		snprintf(path, sizeof path, "race/b/c%zu/../c%zu/d", tries % 64, tries % 64);
		int made = resolve_make(root, path, tries % 2);
		if (made >= 0)
			close(made);
		int fd = resolve_in_root(root, "race/b/../b/file", O_PATH);
		if (fd >= 0) {
			assert_return_code(fstat(fd, &found), errno);
			if (found.st_ino == outside.st_ino && found.st_dev == outside.st_dev)
				fail_msg("reached the canary after %zu tries", tries);
			close(fd);
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(count_entries("canary"), 1);
	assert_true(tries > 20);
}

static void test_a_host_path_is_recognised_again(void **state)
{
	const struct fixture *f = *state;
	struct host_path path;
	struct azm_err err;
	struct stat st;

	make_link("ws", "ws_link");
	assert_int_equal(host_path_open("./ws_link/../ws_link", &path, &err), 0);
	assert_return_code(stat("ws", &st), errno);
	assert_int_equal(path.ino, st.st_ino);
	assert_int_equal(path.dev, st.st_dev);
	assert_int_equal(path.type, S_IFDIR);
	assert_string_equal(path.path + strlen(path.path) - 3, "/ws");
	assert_true(strncmp(path.path, f->dir, strlen(f->dir)) == 0);
	cleanup_fd int fd = mount_source_open(&path, &err);
	assert_return_code(fd, errno);
	host_path_free(&path);
	assert_int_equal(host_path_open("missing", &path, &err), -1);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.text, "open missing");
}

static void test_a_replaced_host_path_is_refused(void **state)
{
	struct host_path path;
	struct azm_err err;

	(void)state;
	assert_int_equal(host_path_open("ws/sub", &path, &err), 0);
	assert_return_code(rename("ws/sub", "ws/old"), errno);
	assert_int_equal(mount_source_open(&path, &err), -1);
	assert_int_equal(err.code, ENOENT);
	make_dir("ws/sub");
	assert_int_equal(mount_source_open(&path, &err), -1);
	assert_int_equal(err.code, ESTALE);
	assert_return_code(rmdir("ws/sub"), errno);
	make_link("old", "ws/sub");
	assert_int_equal(mount_source_open(&path, &err), -1);
	assert_int_equal(err.code, ESTALE);
	assert_return_code(unlink("ws/sub"), errno);
	assert_return_code(rename("ws/old", "ws/sub"), errno);
	cleanup_fd int fd = mount_source_open(&path, &err);
	assert_return_code(fd, errno);
	/* The same object behind a link on the way. */
	assert_return_code(rename("ws", "moved"), errno);
	make_link("moved", "ws");
	assert_int_equal(mount_source_open(&path, &err), -1);
	assert_int_equal(err.code, ESTALE);
	host_path_free(&path);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_a_path_means_what_it_means_inside),
		ROW(test_links_of_proc_are_not_doors),
		ROW(test_hostile_lengths_end_in_an_error),
		ROW(test_missing_mount_points_are_made_inside),
		ROW(test_mount_points_are_never_made_through_dangling_links),
		ROW(test_files_of_an_image_are_read_with_bounds),
		ROW(test_a_swapped_directory_never_leads_outside),
		ROW(test_a_host_path_is_recognised_again),
		ROW(test_a_replaced_host_path_is_refused),
	};

	become_ordinary_user();
	int failed = cmocka_run_group_tests_name("resolver with openat2", tests, NULL, NULL);
	refuse_calls((const int[]){ SYS_openat2, -1 });
	return failed + cmocka_run_group_tests_name("resolver without openat2", tests, NULL, NULL);
}

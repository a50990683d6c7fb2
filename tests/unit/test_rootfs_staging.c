// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_staging.c: trees that go away whole (base/tree.h) and directories that appear whole
 * (rootfs-tools/staging.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/tree.h"
#include "rootfs-tools/staging.h"

/* Every test runs in a directory of its own, which is its working directory and removed by the code under test. */
static int enter_directory(void **state)
{
	char *path = strdup("/tmp/azm-staging-XXXXXX");

	*state = path;
	return path && mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
	struct azm_err err = { 0 };
	int result = chdir("/") == 0 ? tree_remove_at(AT_FDCWD, (const char *)*state + 1, &err) : -1;

	free(*state);
	return result;
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void assert_removed(const char *name)
{
	struct azm_err err = { 0 };

	assert_int_equal(tree_remove_at(AT_FDCWD, name, &err), 0);
	assert_int_equal(access(name, F_OK), -1);
	assert_int_equal(errno, ENOENT);
}

/* ---- trees ---------------------------------------------------------------------------------------------------- */

static void files_links_and_nothing_are_removed(void **state)
{
	(void)state;
	touch("file");
	assert_removed("file");
	assert_removed("never-was");
	mkdir("kept", 0700);
	touch("kept/file");
	mkdir("tree", 0700);
	assert_int_equal(symlink("../kept", "tree/link"), 0);
	assert_removed("tree");
	assert_int_equal(access("kept/file", F_OK), 0);
	assert_int_equal(symlink("kept", "link"), 0);
	assert_removed("link");
	assert_int_equal(access("kept/file", F_OK), 0);
}

static void closed_directories_are_opened(void **state)
{
	(void)state;
	mkdir("tree", 0700);
	mkdir("tree/a", 0700);
	mkdir("tree/a/b", 0700);
	touch("tree/a/b/file");
	chmod("tree/a/b", 0500);
	chmod("tree/a", 0);
	chmod("tree", 0500);
	assert_removed("tree");
}

/* The names that removal gives to what it moves up are taken: it must neither loop nor recurse without end. */
static void depth_and_taken_names_are_no_obstacle(void **state)
{
	char top[4096];

	(void)state;
	mkdir("tree", 0700);
	mkdir("tree/.azm-removing-0", 0700);
	mkdir("tree/.azm-removing-0/x", 0700);
	assert_non_null(getcwd(top, sizeof top));
	assert_int_equal(chdir("tree"), 0);
	for (int i = 0; i < 3000; i++) {
		touch("file");
		assert_int_equal(mkdir("d", 0700), 0);
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(chdir(top), 0);
	assert_removed("tree");
}

/* ---- staging -------------------------------------------------------------------------------------------------- */

static void nothing_is_there_before_the_commit(void **state)
{
	struct staging staging = STAGING_NONE;
	struct azm_err err = { 0 };
	char partial[sizeof staging.partial];

	(void)state;
	assert_int_equal(staging_begin("image", &staging, &err), 0);
	assert_int_equal(access("image", F_OK), -1);
	assert_true(staging.path[0] == '/');
	memcpy(partial, staging.partial, sizeof partial);
	assert_int_equal(access(partial, F_OK), 0);
	assert_int_equal(mkdirat(staging.fd, "rootfs", 0755), 0);
	assert_int_equal(staging_commit(&staging, &err), 0);
	assert_int_equal(access("image/rootfs", F_OK), 0);
	assert_int_equal(access(partial, F_OK), -1);
	staging_discard(&staging); /* nothing is staged any more */
	assert_int_equal(access("image/rootfs", F_OK), 0);
}

static void discard_leaves_nothing(void **state)
{
	struct staging staging = STAGING_NONE;
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(staging_begin("image/", &staging, &err), 0);
	assert_int_equal(mkdirat(staging.fd, "rootfs", 0), 0);
	staging_discard(&staging);
	assert_int_equal(chdir(".."), 0);
	assert_int_equal(rmdir((const char *)*state), 0);
	assert_int_equal(mkdir((const char *)*state, 0700), 0);
}

static void an_empty_directory_is_replaced_a_full_one_refused(void **state)
{
	struct staging staging = STAGING_NONE;
	struct azm_err err = { 0 };

	(void)state;
	mkdir("image", 0700);
	assert_int_equal(staging_begin("image", &staging, &err), 0);
	touch("image/meanwhile");
	assert_int_equal(staging_commit(&staging, &err), -1);
	assert_int_equal(access("image/meanwhile", F_OK), 0);
	unlink("image/meanwhile");
	assert_int_equal(staging_commit(&staging, &err), 0);
	touch("image/file");
	assert_int_equal(staging_begin("image", &staging, &err), -1);
	assert_int_equal(err.code, EEXIST);
	assert_int_equal(access("image/file", F_OK), 0);
}

static void a_maker_that_lives_is_left_alone_a_dead_one_s_leftover_removed(void **state)
{
	struct staging first = STAGING_NONE, second = STAGING_NONE;
	struct azm_err err = { 0 };
	char partial[sizeof first.partial];

	(void)state;
	mkdir("image.partial-abcdef", 0700); /* nobody holds its lock */
	touch("image.partial-abcdef/file");
	mkdir("image.partial-abcdefg", 0700);
	mkdir("image2.partial-abcdef", 0700);
	assert_int_equal(staging_begin("image", &first, &err), 0);
	assert_int_equal(access("image.partial-abcdef", F_OK), -1);
	assert_int_equal(access("image.partial-abcdefg", F_OK), 0);
	assert_int_equal(access("image2.partial-abcdef", F_OK), 0);
	memcpy(partial, first.partial, sizeof partial);
	assert_int_equal(staging_begin("image", &second, &err), 0);
	assert_int_equal(access(partial, F_OK), 0);
	staging_discard(&first);
	staging_discard(&second);
}

static void names_that_cannot_be_made_are_refused(void **state)
{
	static const char *const names[] = { "", "/", "..", "file", "missing/image", "image/.." };
	struct staging staging = STAGING_NONE;
	char longest[256];

	(void)state;
	touch("file");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct azm_err err = { 0 };
		assert_int_equal(staging_begin(names[i], &staging, &err), -1);
		assert_int_not_equal(err.code, 0);
	}
	struct azm_err err = { 0 };
	assert_int_equal(staging_begin(longest, &staging, &err), -1);
	assert_int_equal(err.code, ENAMETOOLONG);
}

#define STAGING_TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGING_TEST(files_links_and_nothing_are_removed),
		STAGING_TEST(closed_directories_are_opened),
		STAGING_TEST(depth_and_taken_names_are_no_obstacle),
		STAGING_TEST(nothing_is_there_before_the_commit),
		STAGING_TEST(discard_leaves_nothing),
		STAGING_TEST(an_empty_directory_is_replaced_a_full_one_refused),
		STAGING_TEST(a_maker_that_lives_is_left_alone_a_dead_one_s_leftover_removed),
		STAGING_TEST(names_that_cannot_be_made_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

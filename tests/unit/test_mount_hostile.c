// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_hostile.c: what images and their owners cannot do with a mount plan.
 *
 * Every test runs on this kernel and as on older ones: see run_mount_tests().
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
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/unit/mount_fixture.h"

enum { RACE_STARTS = 60 };

static void meet_link(void *where)
{
	const char *name = where;
	char *point = xasprintf("/%s", name);
	struct mount_plan plan = default_plan();

	struct azm_err err = refused(&plan, ENOTDIR);
	EXPECT(strstr(err.text, point) && strstr(err.reason, "symbolic link"), "%s: %s", err.text, err.reason);
	plan.mode = ROOT_DIRECT;
	refused(&plan, ENOTDIR);
}

static void test_kernel_mount_points_that_are_links_are_refused(void **state)
{
	static const char *const names[] = { "proc", "sys", "dev" };
	static const char *const targets[] = { "../../canary", "/etc", "%s/canary" };

	for (size_t i = 0; i < 3; i++) {
		for (size_t k = 0; k < 3; k++) {
			const struct fixture *f = *state;
			char *path = xasprintf("img/%s", names[i]);
			char *outside = xasprintf("%s/canary", f->dir);
			assert_return_code(rmdir(path), errno);
			make_link(k == 2 ? outside : targets[k], path);
			in_namespaces(meet_link, (void *)(uintptr_t)names[i]);
			assert_int_equal(count_entries("canary"), 1);
			assert_int_equal(count_entries("img/etc"), 2);
			assert_return_code(unlink(path), errno);
			make_dir(path);
			free(path);
			free(outside);
		}
	}
}

static void meet_links_everywhere(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	one_file(&plan, "/etc/hosts", "ours\n", true);
	one_file(&plan, "/etc/resolv.conf", "ours\n", true);
	one_volume(&plan, VOLUME_TMPFS, NULL, "/tmp");
	one_volume(&plan, VOLUME_TMPFS, NULL, "/run/lock");
	one_volume(&plan, VOLUME_BIND, "ws", "/workspace/inner");
	enter(&plan);
	EXPECT(strcmp(get("/canary/etc/hosts"), "ours\n") == 0, "not followed inside the root");
	EXPECT(has_option("/canary/tmp", "nosuid") && has_option("/canary/run/lock", "nosuid"));
	put("/tmp/x", "");
	put("/workspace/inner/y", "");
}

static void test_other_links_are_followed_inside_the_root(void **state)
{
	static const char *const names[] = { "etc", "tmp", "run", "workspace" };

	(void)state;
	make_dir("img/canary");
	assert_return_code(rename("img/etc", "img/etc.old"), errno);
	assert_int_equal(rmdir("img/tmp") | rmdir("img/run"), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char *path = xasprintf("img/%s", names[i]);
		char *directory = xasprintf("img/canary/%s", names[i]);
		char *target = xasprintf("../../../../../../../../canary/%s", names[i]);
		make_dir(directory);
		make_link(target, path);
		free(path);
		free(directory);
		free(target);
	}
	in_namespaces(meet_links_everywhere, NULL);
	assert_int_equal(count_entries("canary"), 1);
	assert_int_equal(count_entries("img/canary/etc"), 0);
	assert_true(exists("ws/y"));
}

static void bind_while_swapped(void *unused)
{
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	int root = -1;

	(void)unused;
	plan.mode = ROOT_DIRECT;
	one_volume(&plan, VOLUME_BIND, "ws", "/a/b/c");
	one_file(&plan, "/a/b/hosts", "ours\n", true);
	if (mount_build(&plan, -1, NULL, &root, &err) < 0)
		return; /* refused: fine */
	EXPECT_OK(mount_pivot(root, &err), &err);
	/* /a/b is the directory or, inside, a link to nowhere: it cannot be more. */
	EXPECT(!exists("/a/b/file"), "the canary is inside");
}

/* Exchange a directory of the image with a link to the canary until told to stop. */
static void *swapper(void *stop)
{
	while (!atomic_load((atomic_bool *)stop))
		syscall(SYS_renameat2, AT_FDCWD, "img/a/b", AT_FDCWD, "img/a/link", RENAME_EXCHANGE);
	return NULL;
}

static void test_an_image_that_changes_meanwhile_stays_harmless(void **state)
{
	const struct fixture *f = *state;
	char *canary = xasprintf("%s/canary", f->dir);
	atomic_bool stop = false;
	pthread_t thread;

	make_dir("img/a");
	make_dir("img/a/b");
	make_link(canary, "img/a/link");
	assert_int_equal(pthread_create(&thread, NULL, swapper, &stop), 0);
	for (int i = 0; i < RACE_STARTS; i++)
		in_namespaces(bind_while_swapped, NULL);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(count_entries("canary"), 1);
	assert_string_equal(get("canary/file"), "canary\n");
	free(canary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_kernel_mount_points_that_are_links_are_refused),
		MOUNT_TEST(test_other_links_are_followed_inside_the_root),
		MOUNT_TEST(test_an_image_that_changes_meanwhile_stays_harmless),
	};

	return run_mount_tests(tests, sizeof tests / sizeof *tests);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_root.c: overlay, direct and read-only roots, layers, and leaving the host's tree.
 *
 * Every test runs on this kernel and as on older ones: see run_mount_tests().
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "tests/unit/mount_fixture.h"

static void change_root(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	enter(&plan);
	put("/new", "new");
	put("/etc/os-release", "changed");
	EXPECT(unlink("/etc/hosts") == 0 && mkdir("/home/me", 0755) == 0);
	EXPECT(rmdir("/tmp") == 0 && mkdir("/tmp", 01777) == 0, "opaque directory: %s", strerror(errno));
}

static void change_again(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	enter(&plan);
	EXPECT(strcmp(get("/new"), "new") == 0 && rmdir("/home/me") == 0);
	put("/new", "newer");
}

static void share_the_lower(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	make_dir("state/upper2");
	make_dir("state/work2");
	plan.upper = host("state/upper2");
	plan.work = host("state/work2");
	nest_namespaces(change_root, NULL); /* the first sandbox, ended; its layer stays */
	enter(&plan);
	EXPECT(strcmp(get("/etc/os-release"), "ID=test\n") == 0 && exists("/etc/hosts") && !exists("/new"));
	put("/second", "");
}

static void come_back(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	nest_namespaces(change_root, NULL);
	nest_namespaces(change_again, NULL);
	enter(&plan);
	EXPECT(strcmp(get("/new"), "newer") == 0 && strcmp(get("/etc/os-release"), "changed") == 0);
	EXPECT(!exists("/etc/hosts") && !exists("/home/me"));
}

static void test_a_layer_is_mounted_again(void **state)
{
	(void)state;
	in_namespaces(come_back, NULL);
}

static void test_overlay_leaves_the_image_untouched(void **state)
{
	(void)state;
	in_namespaces(change_root, NULL);
	assert_string_equal(get("img/etc/os-release"), "ID=test\n");
	assert_string_equal(get("img/etc/hosts"), "image's hosts\n");
	assert_false(exists("img/new"));
	assert_false(exists("img/home/me"));
	assert_string_equal(get("state/upper/new"), "new");
}

static void test_two_overlays_share_an_image(void **state)
{
	(void)state;
	in_namespaces(share_the_lower, NULL);
	assert_true(exists("state/upper/new"));
	assert_true(exists("state/upper2/second"));
	assert_false(exists("img/new"));
}

static void see_layers(void *count)
{
	struct mount_plan plan = default_plan();
	size_t layers = *(const size_t *)count;

	plan.lowers = xcalloc(layers, sizeof *plan.lowers);
	plan.lower_count = layers;
	for (size_t i = 0; i < layers; i++) {
		char *directory = xasprintf("layer,:\\%zu", i);
		char *file = xasprintf("%s/top", directory);
		char *own = xasprintf("%s/own%zu", directory, i);
		make_dir(directory);
		put(file, directory);
		put(own, "");
		plan.lowers[i] = host(directory);
	}
	if (layers > OVERLAY_LAYERS_MAX) {
		struct azm_err err = refused(&plan, E2BIG);
		EXPECT(strstr(err.reason, "501 layers (1 to 500 are possible)"), "%s", err.reason);
		return;
	}
	enter(&plan); /* without /proc, /dev, ... in any of them: they are made */
	EXPECT(strcmp(get("/top"), "layer,:\\0") == 0, "%s", get("/top"));
	char *last = xasprintf("/own%zu", layers - 1);
	EXPECT(exists("/own0") && exists(last));
}

static void test_layers_are_stacked_in_order(void **state)
{
	static size_t few = 3, many = OVERLAY_LAYERS_MAX, too_many = OVERLAY_LAYERS_MAX + 1;

	in_namespaces(see_layers, &few);
	teardown_mounts(state);
	setup_mounts(state);
	in_namespaces(see_layers, &many); /* far more than fsconfig(2) takes in one option */
	teardown_mounts(state);
	setup_mounts(state);
	in_namespaces(see_layers, &too_many);
}

static void change_image(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.mode = ROOT_DIRECT;
	enter(&plan);
	expect_options("/", "nodev");
	put("/new", "new");
}

static void test_direct_mode_changes_the_image(void **state)
{
	(void)state;
	in_namespaces(change_image, NULL);
	assert_string_equal(get("img/new"), "new");
}

static void fail_to_change_image(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	EXPECT(mount("tmpfs", "img/home", "tmpfs", 0, NULL) == 0);
	plan.mode = ROOT_READ_ONLY;
	one_file(&plan, "/etc/hosts", "ours\n", true);
	one_file(&plan, "/etc/hostname", "passed over", false);
	enter(&plan);
	EXPECT(write_fails("/new", EROFS) && write_fails("/home/below", EROFS));
	EXPECT(strcmp(get("/etc/hosts"), "ours\n") == 0);
	EXPECT(!exists("/etc/hostname"));
	put("/dev/shm/x", "still writable");
}

static void lack_mount_points(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.mode = ROOT_READ_ONLY;
	one_volume(&plan, VOLUME_BIND, "ws", "/workspace");
	struct azm_err err = refused(&plan, EROFS);
	EXPECT(strcmp(err.text, "make mount point /workspace") == 0, "%s", err.text);
	EXPECT(strstr(err.hint, "--rootfs-mode overlay"), "%s", err.hint);
	plan.volume_count = 0;
	plan.lowers[0] = host("img2");
	err = refused(&plan, EROFS);
	EXPECT(strcmp(err.text, "make mount point /proc") == 0, "%s", err.text);
	EXPECT(strstr(err.hint, "lacks the directory"), "%s", err.hint);
}

static void test_read_only_mode_is_read_only_all_through(void **state)
{
	(void)state;
	in_namespaces(fail_to_change_image, NULL);
	in_namespaces(lack_mount_points, NULL);
	assert_false(exists("img/new"));
}

static void use_read_only_flag(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.read_only = true;
	one_volume(&plan, VOLUME_BIND, "ws", "/workspace"); /* its mount point is still made */
	one_volume(&plan, VOLUME_TMPFS, NULL, "/tmp");
	enter(&plan);
	EXPECT(write_fails("/new", EROFS) && write_fails("/etc/hosts", EROFS));
	put("/workspace/new", "");
	put("/tmp/new", "");
}

static void test_read_only_flag_leaves_volumes_writable(void **state)
{
	(void)state;
	in_namespaces(use_read_only_flag, NULL);
	assert_true(exists("ws/new"));
}

static void use_foreign_image(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.lowers[0] = host("/usr"); /* root's */
	struct azm_err err = refused(&plan, EACCES);
	EXPECT(strstr(err.reason, "another user") && strstr(err.hint, "--rootfs-mode read-only"), "%s", err.reason);
	plan.mode = ROOT_DIRECT;
	refused(&plan, EACCES);
	plan.mode = ROOT_READ_ONLY;
	err = refused(&plan, EROFS); /* accepted, but it has no /proc */
	EXPECT(strcmp(err.text, "make mount point /proc") == 0, "%s", err.text);
}

static void test_an_image_of_somebody_else_is_explained(void **state)
{
	(void)state;
	in_namespaces(use_foreign_image, NULL);
}

static void use_damaged_plans(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.lowers[0] = host("ws/file");
	refused(&plan, ENOTDIR);
	plan.mode = ROOT_READ_ONLY;
	refused(&plan, ENOTDIR);
	plan = default_plan();
	plan.upper = (struct host_path){ 0 };
	refused(&plan, EINVAL);
	plan = default_plan();
	plan.lowers[0].ino++;
	refused(&plan, ESTALE);
	plan = default_plan();
	plan.work.ino++;
	refused(&plan, ESTALE);
	plan = default_plan();
	plan.lower_count = 0;
	refused(&plan, EINVAL);
}

static void test_roots_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	in_namespaces(use_damaged_plans, NULL);
}

static void look_for_the_host(void *fixture)
{
	const struct fixture *f = fixture;
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	int root = -1;

	one_file(&plan, "/etc/hosts", "ours\n", true);
	one_volume(&plan, VOLUME_TMPFS, NULL, "/tmp");
	size_t before = count_entries("/proc/self/fd");
	EXPECT_OK(mount_build(&plan, -1, NULL, &root, &err), &err);
	EXPECT(count_entries("/proc/self/fd") == before + 1, "only the root's descriptor may be left");
	EXPECT_OK(mount_pivot(root, &err), &err);
	close(root);
	char *cwd = getcwd(NULL, 0);
	EXPECT(cwd && strcmp(cwd, "/") == 0, "%s", cwd);
	EXPECT(!exists(f->dir) && !exists("/../../../../canary") && !exists("/proc/1/cwd/usr"));
	/* No mount of ours names a place of the host, and the list starts with our root. */
	const char *mounts = get("/proc/self/mountinfo");
	EXPECT(!strstr(mounts, f->dir) && !strstr(mounts, "img"), "%s", mounts);
	struct stat a, b;
	EXPECT(stat("/", &a) == 0 && stat("/..", &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	EXPECT(umount2("/", MNT_DETACH) == -1 || !exists("/usr"), "the host's tree was below ours");
}

static void test_nothing_of_the_host_stays_reachable(void **state)
{
	in_namespaces(look_for_the_host, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_overlay_leaves_the_image_untouched),
		MOUNT_TEST(test_two_overlays_share_an_image),
		MOUNT_TEST(test_a_layer_is_mounted_again),
		MOUNT_TEST(test_layers_are_stacked_in_order),
		MOUNT_TEST(test_direct_mode_changes_the_image),
		MOUNT_TEST(test_read_only_mode_is_read_only_all_through),
		MOUNT_TEST(test_read_only_flag_leaves_volumes_writable),
		MOUNT_TEST(test_an_image_of_somebody_else_is_explained),
		MOUNT_TEST(test_roots_that_do_not_fit_are_refused),
		MOUNT_TEST(test_nothing_of_the_host_stays_reachable),
	};

	return run_mount_tests(tests, sizeof tests / sizeof *tests);
}

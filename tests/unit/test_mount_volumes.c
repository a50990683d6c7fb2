// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_volumes.c: our files in /etc, workspace, binds, copy-on-write and tmpfs volumes.
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
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/str.h"
#include "tests/unit/mount_fixture.h"

static void see_files(void *unused)
{
	struct mount_plan plan = default_plan();
	struct stat st;

	(void)unused;
	make_link("../run/systemd/resolve/stub-resolv.conf", "img/etc/resolv.conf");
	make_link("../../../../../../../canary/file", "img/etc/hostname");
	one_file(&plan, "/etc/hosts", "127.0.0.1 localhost\n", true);
	one_file(&plan, "/etc/resolv.conf", "nameserver 10.0.0.1\n", true);
	one_file(&plan, "/etc/hostname", "box\n", true);
	one_file(&plan, "/usr/local/bin/sudo", "#!/bin/sh\n", true)->mode = 0755;
	enter(&plan);
	EXPECT(strcmp(get("/etc/hosts"), "127.0.0.1 localhost\n") == 0);
	EXPECT(strcmp(get("/etc/resolv.conf"), "nameserver 10.0.0.1\n") == 0, "through a dangling link");
	EXPECT(strcmp(get("/etc/hostname"), "box\n") == 0);
	EXPECT(strcmp(get("/usr/local/bin/sudo"), "#!/bin/sh\n") == 0);
	EXPECT(stat("/etc/hosts", &st) == 0 && (st.st_mode & 07777) == 0644 && st.st_nlink == 1);
	EXPECT(stat("/usr/local/bin/sudo", &st) == 0 && (st.st_mode & 07777) == 0755);
	EXPECT(!has_option("/usr/local/bin/sudo", "noexec"));
	put("/etc/hosts", "changed inside\n");
	put("/etc/hostname", "changed inside\n");
}

static void test_our_files_cover_the_image_s(void **state)
{
	(void)state;
	in_namespaces(see_files, NULL);
	assert_string_equal(get("img/etc/hosts"), "image's hosts\n");
	assert_string_equal(get("canary/file"), "canary\n");
	assert_false(exists("state/upper/etc/hosts"));
	assert_false(exists("state/upper/etc/resolv.conf"));
}

static void cover_directory(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	make_dir("img/etc/resolv.conf");
	one_file(&plan, "/etc/resolv.conf", "", true);
	struct azm_err err = refused(&plan, EISDIR);
	EXPECT(strcmp(err.text, "mount /etc/resolv.conf") == 0, "%s", err.text);
	plan.files[0].target = xstrdup("/etc/..");
	refused(&plan, EINVAL);
}

static void test_a_directory_in_place_of_our_file_is_refused(void **state)
{
	(void)state;
	in_namespaces(cover_directory, NULL);
}

static void use_binds(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	one_volume(&plan, VOLUME_BIND, "ws/sub", "/w/ro/inner"); /* before the one it lies in */
	one_volume(&plan, VOLUME_BIND, "ws", "/w/ro")->read_only = true;
	one_volume(&plan, VOLUME_BIND, "ws", "/workspace");
	one_volume(&plan, VOLUME_BIND, "ws/file", "/opt/file")->read_only = true;
	one_volume(&plan, VOLUME_BIND, "ws/file", "/opt/server")->exec_server = true;
	make_dir("ws/inner");
	enter(&plan);
	put("/workspace/made", "inside");
	EXPECT(write_fails("/w/ro/x", EROFS));
	put("/w/ro/inner/deep", "");
	EXPECT(strcmp(get("/opt/file"), "workspace\n") == 0 && write_fails("/opt/file", EROFS));
	expect_options("/workspace", "rw,nosuid,nodev");
	expect_options("/w/ro", "ro,nosuid,nodev");
	expect_options("/opt/server", "ro,nosuid,nodev");
	EXPECT(!has_option("/opt/server", "noexec"));
}

static void test_volumes_are_bound_with_their_options(void **state)
{
	(void)state;
	in_namespaces(use_binds, NULL);
	assert_string_equal(get("ws/made"), "inside");
	assert_true(exists("ws/sub/deep"));
}

static void use_recursive(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	make_dir("ws/a b");
	EXPECT(mount("tmpfs", "ws/sub", "tmpfs", 0, NULL) == 0 && mkdir("ws/sub/deeper", 0755) == 0);
	EXPECT(mount("tmpfs", "ws/sub/deeper", "tmpfs", MS_NOEXEC | MS_STRICTATIME, NULL) == 0);
	EXPECT(mount("tmpfs", "ws/a b", "tmpfs", 0, NULL) == 0 && mount("tmpfs", "ws/a b", "tmpfs", 0, NULL) == 0);
	one_volume(&plan, VOLUME_BIND, "ws", "/rw");
	one_volume(&plan, VOLUME_BIND, "ws", "/ro")->read_only = true;
	enter(&plan);
	put("/rw/sub/deeper/x", "");
	EXPECT(write_fails("/ro/sub/y", EROFS) && write_fails("/ro/sub/deeper/y", EROFS) &&
		write_fails("/ro/a b/y", EROFS));
	expect_options("/rw/sub", "nosuid,nodev");
	expect_options("/ro/sub/deeper", "ro,nosuid,nodev,noexec");
	EXPECT(!has_option("/ro/sub/deeper", "relatime"), "a locked option was changed");
	expect_options("/rw/a\\040b", "nosuid,nodev");
}

static void test_volumes_are_recursive_and_so_is_read_only(void **state)
{
	(void)state;
	in_namespaces(use_recursive, NULL);
}

/* Mounts of the host's user namespace have options that may not be dropped. */
static void bind_locked(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	one_volume(&plan, VOLUME_BIND, "ws/sub", "/locked");
	enter(&plan);
	expect_options("/locked", "ro,noexec,nosuid,nodev");
}

static void own_a_locked_mount(void *unused)
{
	(void)unused;
	EXPECT(mount("tmpfs", "ws/sub", "tmpfs", MS_NOEXEC | MS_NOATIME, NULL) == 0);
	EXPECT(mount(NULL, "ws/sub", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC | MS_NOATIME, NULL) == 0);
	nest_namespaces(bind_locked, NULL);
}

static void test_locked_options_of_the_host_are_kept(void **state)
{
	(void)state;
	in_namespaces(own_a_locked_mount, NULL);
}

static void use_other_kinds(void *unused)
{
	struct mount_plan plan = default_plan();
	struct statvfs fs;
	struct stat st;

	(void)unused;
	make_dir("state/vupper");
	make_dir("state/vwork");
	struct volume *v = one_volume(&plan, VOLUME_OVERLAY, "ws", "/copy");
	v->upper = host("state/vupper");
	v->work = host("state/vwork");
	one_volume(&plan, VOLUME_TMPFS, NULL, "/scratch")->size = 8 << 20;
	plan.volumes[1].mode = 0700;
	one_volume(&plan, VOLUME_TMPFS, NULL, "/tmp");
	enter(&plan);
	put("/copy/file", "changed");
	expect_options("/copy", "nosuid,nodev,overlay");
	EXPECT(statvfs("/scratch", &fs) == 0 && fs.f_blocks * fs.f_frsize == 8 << 20 && fs.f_files == 2048);
	EXPECT(stat("/scratch", &st) == 0 && (st.st_mode & 07777) == 0700);
	EXPECT(stat("/tmp", &st) == 0 && (st.st_mode & 07777) == 01777);
	EXPECT(statvfs("/tmp", &fs) == 0 && fs.f_blocks * fs.f_frsize == 1 << 30 && fs.f_files > 0);
	expect_options("/tmp", "nosuid,nodev");
	EXPECT(!has_option("/tmp", "noexec"));
}

static void test_copy_on_write_and_tmpfs_volumes(void **state)
{
	(void)state;
	in_namespaces(use_other_kinds, NULL);
	assert_string_equal(get("ws/file"), "workspace\n");
	assert_string_equal(get("state/vupper/file"), "changed");
}

static void refuse_targets(void *unused)
{
	static const struct {
		const char *source, *target;
		int code;
	} rows[] = {
		{ "ws", "/proc/self", EINVAL },
		{ "ws", "/proc", EINVAL },
		{ "ws", "/sys/kernel", EINVAL },
		{ "ws", "/to_proc/1", EINVAL },
		{ "ws", "/", EINVAL },
		{ "ws", "/etc/..", EINVAL },
		{ "ws", "/etc/hosts", ENOTDIR },
		{ "ws/file", "/etc", EISDIR },
		{ "ws", "/dangling", ELOOP },
	};

	(void)unused;
	make_link("proc", "img/to_proc");
	make_link("nowhere", "img/dangling");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct mount_plan plan = default_plan();
		one_volume(&plan, VOLUME_BIND, rows[i].source, rows[i].target);
		struct azm_err err = refused(&plan, rows[i].code);
		EXPECT(strstr(err.text, rows[i].target), "%s", err.text);
	}
}

static void test_targets_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	in_namespaces(refuse_targets, NULL);
}

static void lose_source(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	one_volume(&plan, VOLUME_BIND, "ws/sub", "/v");
	EXPECT(rename("ws/sub", "ws/old") == 0);
	make_link("../canary", "ws/sub");
	struct azm_err err = refused(&plan, ESTALE);
	EXPECT(strstr(err.text, "ws/sub") && strstr(err.reason, "replaced"), "%s: %s", err.text, err.reason);
}

static void test_a_source_swapped_for_a_link_is_refused(void **state)
{
	(void)state;
	in_namespaces(lose_source, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_our_files_cover_the_image_s),
		MOUNT_TEST(test_a_directory_in_place_of_our_file_is_refused),
		MOUNT_TEST(test_volumes_are_bound_with_their_options),
		MOUNT_TEST(test_volumes_are_recursive_and_so_is_read_only),
		MOUNT_TEST(test_locked_options_of_the_host_are_kept),
		MOUNT_TEST(test_copy_on_write_and_tmpfs_volumes),
		MOUNT_TEST(test_targets_that_make_no_sense_are_refused),
		MOUNT_TEST(test_a_source_swapped_for_a_link_is_refused),
	};

	return run_mount_tests(tests, sizeof tests / sizeof *tests);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_kernel_fs.c: /dev, /proc, /sys, and what of them is hidden or frozen.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "tests/unit/mount_fixture.h"

static void see_default_mounts(void *unused)
{
	static const struct {
		const char *point, *options;
	} rows[] = {
		{ "/", "nodev,overlay,userxattr,rw" },
		{ "/proc", "nosuid,nodev,noexec,proc,rw" },
		{ "/dev", "nosuid,nodev,tmpfs,nr_inodes=1024,mode=755" },
		{ "/dev/pts", "nosuid,noexec,devpts,max=256,mode=620,ptmxmode=666" },
		{ "/dev/shm", "nosuid,nodev,tmpfs,size=65536k,nr_inodes=65536" },
		{ "/dev/mqueue", "nosuid,nodev,noexec,mqueue" },
		{ "/sys", "ro,nosuid,nodev,noexec,sysfs" },
		{ "/proc/sys", "ro,nosuid,nodev,noexec" },
	};
	struct mount_plan plan = default_plan();
	struct stat st;

	(void)unused;
	enter(&plan);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_options(rows[i].point, rows[i].options);
	EXPECT(!has_option("/", "nosuid"), "the image's sudo needs set-id bits where they can mean something");
	EXPECT(stat("/dev/shm", &st) == 0 && (st.st_mode & 07777) == 01777);
	EXPECT(stat("/dev", &st) == 0 && (st.st_mode & 07777) == 0755);
	EXPECT(strcmp(get("/proc/self/comm"), "") != 0);
	EXPECT(!exists("/proc/2/comm") && exists("/proc/1"), "not our own pid namespace");
	EXPECT(!mount_line("/sys/fs/cgroup"), "nobody asked for it");
}

static void test_default_mounts_and_their_options(void **state)
{
	(void)state;
	in_namespaces(see_default_mounts, NULL);
}

/* An old kernel has none ahead (-1), and mount_build() makes it as ever. */
static void see_proc_made_ahead(void *unused)
{
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	struct stat ahead, placed;
	int proc = mount_proc_ahead(&plan), root = -1;

	(void)unused;
	EXPECT_OK(mount_build(&plan, proc, NULL, &root, &err), &err);
	EXPECT_OK(mount_pivot(root, &err), &err);
	EXPECT(exists("/proc/1") && stat("/proc", &placed) == 0);
	EXPECT(proc < 0 || (fstat(proc, &ahead) == 0 && ahead.st_dev == placed.st_dev), "/proc is another one");
	expect_options("/proc", "nosuid,nodev,noexec,proc,rw");
	expect_options("/proc/sys", "ro,nosuid,nodev,noexec");
	plan.proc = PROC_BIND;
	EXPECT(mount_proc_ahead(&plan) == -1, "the plan does not want a fresh one");
}

static void test_proc_made_ahead_is_the_one_that_is_placed(void **state)
{
	(void)state;
	in_namespaces(see_proc_made_ahead, NULL);
}

struct witness {
	int calls, result;
	mode_t mask;
};

static int look_beside(void *context, struct azm_err *err)
{
	struct witness *witness = context;

	witness->calls++;
	witness->mask = umask(0);
	umask(witness->mask);
	return witness->result < 0 ? err_msg(err, ECHILD, "begin", NULL, "it did not want to") : 0;
}

/* Whoever begins beside it has the caller's umask, not the one that the mounts are made with. */
static void see_what_is_begun_beside(void *unused)
{
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	struct witness witness = { 0 };
	const struct mount_beside beside = { .begin = look_beside, .context = &witness };
	int root = -1;

	(void)unused;
	umask(027);
	EXPECT_OK(mount_build(&plan, -1, &beside, &root, &err), &err);
	EXPECT(witness.calls == 1 && witness.mask == 027, "called %d times, umask %o", witness.calls, witness.mask);
	EXPECT(umask(022) == 027, "the umask afterwards");
	EXPECT_OK(mount_pivot(root, &err), &err);
	expect_options("/proc/sys", "ro,nosuid,nodev,noexec");
}

static void see_a_refusal_beside(void *unused)
{
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	struct witness witness = { .result = -1 };
	const struct mount_beside beside = { .begin = look_beside, .context = &witness };
	int root = -1;

	(void)unused;
	EXPECT(mount_build(&plan, -1, &beside, &root, &err) == -1 && root == -1, "the building went on");
	EXPECT(witness.calls == 1 && err_is(&err, ECHILD), "%s", err.text);
}

static void test_what_is_begun_beside_the_mounts(void **state)
{
	(void)state;
	in_namespaces(see_what_is_begun_beside, NULL);
	in_namespaces(see_a_refusal_beside, NULL);
}

static void see_sizes(void *unused)
{
	struct mount_plan plan = default_plan();
	struct statvfs fs;

	(void)unused;
	plan.shm_size = 3 << 20;
	plan.tty_gid = 0;
	enter(&plan);
	EXPECT(statvfs("/dev/shm", &fs) == 0 && fs.f_blocks * fs.f_frsize == 3 << 20);
	/* Shown as the host sees it: whatever id runs the test. */
	EXPECT(strstr(mount_line("/dev/pts"), ",gid=") != NULL, "%s", mount_line("/dev/pts"));
	put("/dev/shm/full", "");
	EXPECT(truncate("/dev/shm/full", 4 << 20) == 0);
	cleanup_fd int fd = open("/dev/shm/full", O_WRONLY | O_CLOEXEC);
	EXPECT(posix_fallocate(fd, 0, 4 << 20) == ENOSPC);
}

static void test_shm_size_and_tty_group(void **state)
{
	(void)state;
	in_namespaces(see_sizes, NULL);
}

static void use_devices(void *unused)
{
	static const struct {
		const char *path;
		unsigned major, minor;
	} rows[] = { { "/dev/null", 1, 3 }, { "/dev/zero", 1, 5 }, { "/dev/full", 1, 7 }, { "/dev/random", 1, 8 },
		{ "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 } };
	struct mount_plan plan = default_plan();
	struct stat st;
	char byte = 1;

	(void)unused;
	enter(&plan);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		EXPECT(lstat(rows[i].path, &st) == 0 && S_ISCHR(st.st_mode) &&
				st.st_rdev == makedev(rows[i].major, rows[i].minor),
			"%s", rows[i].path);
	cleanup_fd int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	EXPECT(read(zero, &byte, 1) == 1 && byte == 0);
	cleanup_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	EXPECT(write(null, &byte, 1) == 1);
	cleanup_fd int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int number = -1;
	EXPECT(ioctl(master, TIOCGPTN, &number) == 0 && number == 0, "terminal %d: not our own devpts", number);
	EXPECT(exists("/dev/pts/0"));
	EXPECT(exists("/dev/fd") && exists("/dev/stdin") && exists("/dev/stdout") && exists("/dev/stderr"));
	/* No others: the host's are not there, and none can be made. */
	EXPECT(count_entries("/dev") == 15, "%zu", count_entries("/dev"));
	EXPECT(mknod("/dev/mem", S_IFCHR | 0600, makedev(1, 1)) == -1);
}

static void test_devices_are_the_host_s_verified_six(void **state)
{
	(void)state;
	in_namespaces(use_devices, NULL);
}

static void see_cgroup(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.cgroup = true;
	enter(&plan);
	expect_options("/sys/fs/cgroup", "ro,nosuid,nodev,noexec,cgroup2");
}

static void test_cgroup_is_read_only(void **state)
{
	(void)state;
	if (!strstr(get("/proc/filesystems"), "cgroup2")) {
		if (getenv("AZM_MUST_WORK"))
			fail_msg("this kernel has no cgroup2");
		print_message("this kernel has no cgroup2\n");
		skip();
	}
	in_namespaces(see_cgroup, NULL);
}

static void see_no_proc(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.proc = PROC_NONE;
	enter(&plan);
	EXPECT(count_entries("/proc") == 0);
}

static void see_outer_proc(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	plan.proc = PROC_BIND;
	enter(&plan);
	expect_options("/proc", "ro,nosuid,nodev,noexec");
	EXPECT(count_entries("/proc/self/fd") > 0);
	EXPECT(write_fails("/proc/self/oom_score_adj", EROFS));
	EXPECT(strcmp(get("/proc/keys"), "") == 0);
}

static void test_proc_can_be_left_out_or_bound_read_only(void **state)
{
	(void)state;
	in_namespaces(see_no_proc, NULL);
	in_namespaces(see_outer_proc, NULL);
}

static void meet_masked_proc(void *unused)
{
	struct mount_plan plan = default_plan();

	(void)unused;
	struct azm_err err = refused(&plan, EPERM);
	EXPECT(strcmp(err.text, "mount /proc") == 0, "%s: %s", err.text, err.hint);
	EXPECT(strstr(err.hint, "--proc bind") && strstr(err.hint, "inside a container"), "%s", err.hint);
	plan.proc = PROC_BIND;
	enter(&plan);
	EXPECT(strcmp(get("/proc/uptime"), "") == 0, "what the outer container hid shows again");
}

static void be_a_container(void *unused)
{
	(void)unused;
	EXPECT(mount("proc", "/proc", "proc", 0, NULL) == 0, "%s", strerror(errno));
	EXPECT(mount("/dev/null", "/proc/uptime", NULL, MS_BIND, NULL) == 0, "%s", strerror(errno));
	nest_namespaces(meet_masked_proc, NULL);
}

static void test_a_masked_outer_proc_gets_a_hint(void **state)
{
	(void)state;
	in_namespaces(be_a_container, NULL);
}

static void be_masked(void *unused)
{
	static const char *const files[] = { "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/timer_list" };
	static const char *const directories[] = { "/proc/acpi", "/proc/scsi", "/sys/firmware" };
	static const char *const frozen[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger" };
	struct mount_plan plan = default_plan();
	struct stat st;

	(void)unused;
	enter(&plan);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (!exists(files[i]))
			continue;
		EXPECT(stat(files[i], &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3), "%s", files[i]);
		EXPECT(strcmp(get(files[i]), "") == 0, "%s", files[i]);
	}
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
		if (!exists(directories[i]))
			continue;
		char *below = xasprintf("%s/new", directories[i]);
		EXPECT(count_entries(directories[i]) == 0, "%s", directories[i]);
		EXPECT(write_fails(below, EROFS));
	}
	for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++)
		EXPECT(!exists(frozen[i]) || has_option(frozen[i], "ro"), "%s", frozen[i]);
	EXPECT(strcmp(get("/canary"), "image's\n") == 0);
}

static void test_masks_hide_and_freeze(void **state)
{
	(void)state;
	/* The image's /dev/null must not become what covers things, nor be written (CVE-2025-31133). */
	put("img/canary", "image's\n");
	make_link("../canary", "img/dev/null");
	make_link("/canary", "img/dev/pts");
	in_namespaces(be_masked, NULL);
	assert_string_equal(get("img/canary"), "image's\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_default_mounts_and_their_options),
		MOUNT_TEST(test_proc_made_ahead_is_the_one_that_is_placed),
		MOUNT_TEST(test_what_is_begun_beside_the_mounts),
		MOUNT_TEST(test_shm_size_and_tty_group),
		MOUNT_TEST(test_devices_are_the_host_s_verified_six),
		MOUNT_TEST(test_cgroup_is_read_only),
		MOUNT_TEST(test_proc_can_be_left_out_or_bound_read_only),
		MOUNT_TEST(test_a_masked_outer_proc_gets_a_hint),
		MOUNT_TEST(test_masks_hide_and_freeze),
	};

	return run_mount_tests(tests, sizeof tests / sizeof *tests);
}

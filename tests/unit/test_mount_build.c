// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_build.c: what a sandbox sees of a plan, and what hostile images cannot do with it.
 *
 * Every test runs three times: on this kernel, without mount_setattr(2) (before Linux 5.12), and without any call of
 * the new mount API and openat2(2) (before 5.2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "tests/unit/mount_fixture.h"

enum { RACE_STARTS = 60 };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	fixture_make(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* ---- helpers for processes inside ------------------------------------------------------------------------------ */

static void enter(const struct mount_plan *plan)
{
	struct azm_err err = { 0 };
	int root = -1;

	EXPECT_OK(mount_build(plan, &root, &err), &err);
	EXPECT_OK(mount_pivot(root, &err), &err);
	close(root);
}

/* The plan must be refused; returns the error. Tried in a copy of the mounts: a failed build leaves them half made. */
static struct azm_err refused(const struct mount_plan *plan, int code)
{
	struct azm_err *err = mmap(NULL, sizeof *err, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int root = -1, status;

	EXPECT(err != MAP_FAILED);
	pid_t pid = fork();
	if (pid == 0) {
		EXPECT(unshare(CLONE_NEWNS) == 0, "%s", strerror(errno));
		EXPECT(mount_build(plan, &root, err) == -1 && root == -1, "the plan was accepted");
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	if (status)
		_exit(1); /* it has reported */
	EXPECT(err->code == code, "%s: %s (%s)", err->text, strerror(err->code), err->reason);
	return *err;
}

static bool write_fails(const char *path, int code)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		return false;
	EXPECT(errno == code, "%s: %s", path, strerror(errno));
	return true;
}

/* The last line of mountinfo with this mount point: "ID PARENT DEV ROOT POINT OPTIONS ... - TYPE SOURCE SUPER". */
static char *mount_line(const char *point)
{
	char *rest = xstrdup(get("/proc/self/mountinfo")), *found = NULL;
	char *wanted = xasprintf(" %s ", point);

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		const char *at = line;
		for (int field = 0; at && field < 4; field++) {
			at = strchr(at, ' ');
			at = at && field < 3 ? at + 1 : at;
		}
		if (at && str_starts(at, wanted))
			found = line;
	}
	return found;
}

/* Whether the mount at @point has the option, of the mount or of the file system. */
static bool has_option(const char *point, const char *option)
{
	char *line = mount_line(point);

	EXPECT(line, "%s is not mounted", point);
	for (char *word; (word = strsep(&line, " ,")) != NULL;)
		if (strcmp(word, option) == 0)
			return true;
	return false;
}

static void expect_options(const char *point, const char *options)
{
	char *rest = xstrdup(options);

	for (char *option; (option = strsep(&rest, ",")) != NULL;)
		EXPECT(has_option(point, option), "%s lacks %s: %s", point, option, mount_line(point));
}

static struct volume *one_volume(struct mount_plan *plan, enum volume_kind kind, const char *source, const char *target)
{
	plan->volumes = xrealloc(plan->volumes, plan->volume_count + 1, sizeof *plan->volumes);
	struct volume *v = &plan->volumes[plan->volume_count++];
	*v = (struct volume){ .kind = kind, .target = xstrdup(target) };
	if (source)
		v->source = host(source);
	return v;
}

static struct etc_file *one_file(struct mount_plan *plan, const char *target, const char *text, bool required)
{
	plan->files = xrealloc(plan->files, plan->file_count + 1, sizeof *plan->files);
	struct etc_file *file = &plan->files[plan->file_count++];
	*file = (struct etc_file){
		.target = xstrdup(target), .text = xstrdup(text), .mode = 0644, .required = required
	};
	return file;
}

/* ---- kernel file systems --------------------------------------------------------------------------------------- */

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
	EXPECT(strcmp(err.text, "mount /proc") == 0, "%s", err.text);
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

/* ---- root ------------------------------------------------------------------------------------------------------ */

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
	if (layers > 200) {
		refused(&plan, EINVAL);
		return;
	}
	enter(&plan); /* without /proc, /dev, ... in any of them: they are made */
	EXPECT(strcmp(get("/top"), "layer,:\\0") == 0, "%s", get("/top"));
	char *last = xasprintf("/own%zu", layers - 1);
	EXPECT(exists("/own0") && exists(last));
}

static void test_layers_are_stacked_in_order(void **state)
{
	static size_t few = 3, many = 60, too_many = 201;

	in_namespaces(see_layers, &few);
	teardown(state);
	setup(state);
	in_namespaces(see_layers, &many); /* more than fsconfig(2) takes in one option */
	teardown(state);
	setup(state);
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

/* ---- leaving the host ------------------------------------------------------------------------------------------- */

static void look_for_the_host(void *fixture)
{
	const struct fixture *f = fixture;
	struct mount_plan plan = default_plan();
	struct azm_err err = { 0 };
	int root = -1;

	one_file(&plan, "/etc/hosts", "ours\n", true);
	one_volume(&plan, VOLUME_TMPFS, NULL, "/tmp");
	size_t before = count_entries("/proc/self/fd");
	EXPECT_OK(mount_build(&plan, &root, &err), &err);
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

/* ---- files of ours in /etc --------------------------------------------------------------------------------------- */

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

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

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

/* ---- hostile images ---------------------------------------------------------------------------------------------- */

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
	if (mount_build(&plan, &root, &err) < 0)
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

/* ----------------------------------------------------------------------------------------------------------------- */

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ROW(test_default_mounts_and_their_options),
		ROW(test_shm_size_and_tty_group),
		ROW(test_devices_are_the_host_s_verified_six),
		ROW(test_cgroup_is_read_only),
		ROW(test_proc_can_be_left_out_or_bound_read_only),
		ROW(test_a_masked_outer_proc_gets_a_hint),
		ROW(test_overlay_leaves_the_image_untouched),
		ROW(test_two_overlays_share_an_image),
		ROW(test_a_layer_is_mounted_again),
		ROW(test_layers_are_stacked_in_order),
		ROW(test_direct_mode_changes_the_image),
		ROW(test_read_only_mode_is_read_only_all_through),
		ROW(test_read_only_flag_leaves_volumes_writable),
		ROW(test_an_image_of_somebody_else_is_explained),
		ROW(test_roots_that_do_not_fit_are_refused),
		ROW(test_nothing_of_the_host_stays_reachable),
		ROW(test_our_files_cover_the_image_s),
		ROW(test_a_directory_in_place_of_our_file_is_refused),
		ROW(test_volumes_are_bound_with_their_options),
		ROW(test_volumes_are_recursive_and_so_is_read_only),
		ROW(test_locked_options_of_the_host_are_kept),
		ROW(test_copy_on_write_and_tmpfs_volumes),
		ROW(test_targets_that_make_no_sense_are_refused),
		ROW(test_a_source_swapped_for_a_link_is_refused),
		ROW(test_kernel_mount_points_that_are_links_are_refused),
		ROW(test_other_links_are_followed_inside_the_root),
		ROW(test_an_image_that_changes_meanwhile_stays_harmless),
		ROW(test_masks_hide_and_freeze),
	};

	become_ordinary_user();
	int failed = cmocka_run_group_tests_name("mounts on this kernel", tests, NULL, NULL);
	refuse_calls((const int[]){ SYS_mount_setattr, -1 });
	failed += cmocka_run_group_tests_name("mounts without mount_setattr", tests, NULL, NULL);
	refuse_calls(
		(const int[]){ SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_open_tree, SYS_move_mount, SYS_openat2, -1 });
	return failed + cmocka_run_group_tests_name("mounts without the new mount API", tests, NULL, NULL);
}

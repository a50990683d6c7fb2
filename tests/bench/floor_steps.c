// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/floor_steps.c: what isolation costs in the kernel, step by step, on top of the floor.
 *
 * The system calls of the default sandbox's writable layer, mounts and confinement with nothing around them: no check,
 * no error to explain, no fall-back. What azm-sandbox takes beyond the floor with all of them is its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "seccomp/seccomp.h"
#include "tests/bench/floor.h"

enum { KERNEL_FS = MS_NOSUID | MS_NODEV | MS_NOEXEC };

/* The layer's directories, each after the one it lies in; the kernel makes the last three. */
static const char *const layer_directories[] = { "", "/upper", "/work", "/work/work", "/work/work/incompat",
	"/work/work/incompat/volatile" };

enum { LAYER_MADE = 3, LAYER_ALL = sizeof layer_directories / sizeof *layer_directories };

static const char *layer_path(char path[PATH_MAX], const char *layer, int i)
{
	snprintf(path, PATH_MAX, "%s%s", layer, layer_directories[i]);
	return path;
}

void layer_make(const char *layer)
{
	char path[PATH_MAX];

	for (int i = 0; i < LAYER_MADE; i++)
		must(mkdir(layer_path(path, layer, i), 0700), path);
}

void layer_remove(const char *layer)
{
	char path[PATH_MAX];

	/* Overlay leaves its directory without any permission. */
	cleanup_fd int work = (int)must(open(layer_path(path, layer, LAYER_MADE), O_RDONLY | O_DIRECTORY), path);
	must(fchmod(work, 0700), path);
	must(unlinkat(work, "incompat/volatile/dirty", 0), "the mark of a volatile overlay");
	for (int i = LAYER_ALL - 1; i >= 0; i--)
		must(unlinkat(AT_FDCWD, layer_path(path, layer, i), AT_REMOVEDIR), path);
}

void layer_mount(const char *root, const char *layer)
{
	char options[3 * PATH_MAX];

	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,userxattr,volatile", root,
		layer, layer);
	must(mount("overlay", root, "overlay", MS_NODEV, options), "overlay");
}

static void new_file(const char *path)
{
	cleanup_fd int fd = (int)must(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), path);

	must(write(fd, "floor\n", 6), path);
}

/* What a kernel or an image lacks is passed over, as azm-init does. */
static void bind_over(const char *source, const char *target, unsigned long restrictions)
{
	if (mount(source, target, NULL, MS_BIND | (restrictions ? MS_REC : 0ul), NULL) < 0 && errno == ENOENT)
		return;
	if (restrictions)
		must(mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | restrictions, NULL), target);
}

void mount_rest(void)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
	static const char *const links[] = { "fd", "stdin", "stdout", "stderr", "core", "ptmx" };
	static const char *const files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };
	static const char *const hidden[] = { "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
		"proc/sched_debug", "proc/timer_list", "proc/timer_stats" };
	static const char *const empty[] = { "proc/acpi", "proc/asound", "proc/scsi", "sys/firmware", "sys/fs/selinux",
		"sys/devices/virtual/powercap" };
	static const char *const frozen[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	char source[32], target[32];

	must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=4m,nr_inodes=1024"), "dev");
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
		snprintf(source, sizeof source, "/dev/%s", devices[i]);
		must(mknod(source + 1, S_IFREG | 0666, 0), source);
		bind_over(source, source + 1, 0);
	}
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		snprintf(target, sizeof target, "dev/%s", links[i]);
		must(symlink("/proc/self/fd", target), target);
	}
	must(mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) | mkdir("dev/mqueue", 0755) | mkdir("dev/empty", 0755),
		"dev");
	must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,max=256"), "pts");
	must(mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m,nr_inodes=65536"), "shm");
	must(mount("mqueue", "dev/mqueue", "mqueue", KERNEL_FS, NULL), "mqueue");
	must(mount("sysfs", "sys", "sysfs", KERNEL_FS | MS_RDONLY, NULL), "sysfs");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(source, sizeof source, "dev/empty/%zu", i);
		new_file(source);
		bind_over(source, files[i], 0);
	}
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		bind_over("/dev/null", hidden[i], 0);
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
		bind_over("dev/empty", empty[i], KERNEL_FS | MS_RDONLY);
	for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++)
		bind_over(frozen[i], frozen[i], KERNEL_FS | MS_RDONLY);
}

static void filter(struct filter filter)
{
	struct azm_err err = { 0 };

	must(filter_install(&filter, false, &err), "seccomp");
}

void confine_command(void)
{
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	filter(filter_builtin(FILTER_EMULATE_ROOT));
}

void confine_parent(const char *layers)
{
	const __u64 access = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
			     LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
			     LANDLOCK_ACCESS_FS_REMOVE_FILE;
	struct landlock_ruleset_attr handled = { .handled_access_fs = access };
	cleanup_fd int rules = (int)must(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0), "Landlock");
	cleanup_fd int below = (int)must(open(layers, O_PATH | O_CLOEXEC), layers);
	struct landlock_path_beneath_attr beneath = { .allowed_access = access, .parent_fd = below };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0), "Landlock rule");
	must(syscall(SYS_landlock_restrict_self, rules, 0), "Landlock");
	filter(filter_builtin_supervisor());
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/masks.c: see masks.h.
 *
 * Hiding a file binds the host's /dev/null over it; hiding a directory binds an empty directory of the kit there,
 * read-only. Freezing binds a path over itself, read-only. Each is placed on the descriptor that resolve_in_root()
 * returned, so no step names a path twice and nothing can be swapped in between.
 */
#include "mount/masks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/handle.h"
#include "mount/newapi.h"

#define FROZEN (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

const struct mask mask_defaults[] = {
	{ MASK_HIDE, "/proc/acpi", "firmware tables and power state of the machine" },
	{ MASK_HIDE, "/proc/asound", "sound hardware" },
	{ MASK_HIDE, "/proc/interrupts", "counts key strokes and network packets of the host" },
	{ MASK_HIDE, "/proc/kcore", "the kernel's memory" },
	{ MASK_HIDE, "/proc/keys", "names of keys, which belong to the host's user" },
	{ MASK_HIDE, "/proc/latency_stats", "what the host's processes wait for" },
	{ MASK_HIDE, "/proc/sched_debug", "names of the host's processes" },
	{ MASK_HIDE, "/proc/scsi", "storage hardware; a write can remove a disk" },
	{ MASK_HIDE, "/proc/timer_list", "names of the host's processes" },
	{ MASK_HIDE, "/proc/timer_stats", "names of the host's processes" },
	{ MASK_HIDE, "/sys/devices/virtual/powercap", "power counters, which leak secrets of other processes" },
	{ MASK_HIDE, "/sys/firmware", "firmware tables of the machine" },
	{ MASK_HIDE, "/sys/fs/selinux", "the host's SELinux policy" },
	{ MASK_HIDE, "/sys/devices/system/cpu/cpu*/thermal_throttle", "a clock that leaks what other processes do" },
	{ MASK_READ_ONLY, "/proc/bus", "configuration space of devices" },
	{ MASK_READ_ONLY, "/proc/fs", "settings of file systems" },
	{ MASK_READ_ONLY, "/proc/irq", "which processor serves a device" },
	{ MASK_READ_ONLY, "/proc/sys", "settings of the kernel" },
	{ MASK_READ_ONLY, "/proc/sysrq-trigger", "reboots the machine" },
	{ 0 },
};

/* The mount that covers @target. */
static int cover_of(const struct build *b, int target, enum mask_how how)
{
	struct stat st;

	if (how == MASK_READ_ONLY)
		return mnt_clone(target, "", FROZEN, MNT_TREE);
	if (fstat(target, &st) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return mnt_clone(b->kit, KIT_EMPTY, FROZEN, 0);
	return mnt_clone(b->null, "", 0, 0); /* what is written to it is gone; attributes mean nothing for a device */
}

static int mask_one(const struct build *b, const char *path, enum mask_how how, struct azm_err *err)
{
	cleanup_fd int target = resolve_in_root(b->root, path, O_PATH | O_NOFOLLOW);

	if (target < 0)
		return errno == ENOENT ? 0 : err_sys(err, "mask", path);
	cleanup_fd int cover = cover_of(b, target, how);
	if (cover < 0 || mnt_move(cover, target, "") < 0)
		return err_sys(err, "mask", path);
	return 0;
}

/* A path with "cpu*" in it, for each processor. */
static int mask_each_cpu(const struct build *b, const struct mask *mask, const char *star, struct azm_err *err)
{
	char path[PATH_MAX];
	size_t base = (size_t)(star - mask->path) - strlen("cpu");

	snprintf(path, sizeof path, "%.*s", (int)base, mask->path);
	int fd = resolve_in_root(b->root, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "mask", mask->path);
	cleanup_dir DIR *cpus = fdopendir(fd);
	if (!cpus) {
		close(fd);
		return err_sys(err, "mask", mask->path);
	}
	const struct dirent *entry;
	while ((entry = dir_next(cpus))) {
		if (strncmp(entry->d_name, "cpu", 3) != 0 || entry->d_name[3] < '0' || entry->d_name[3] > '9')
			continue;
		snprintf(path, sizeof path, "%.*s%s%s", (int)base, mask->path, entry->d_name, star + 1);
		if (mask_one(b, path, mask->how, err) < 0)
			return -1;
	}
	return errno ? err_sys(err, "mask", mask->path) : 0;
}

int masks_apply(const struct build *b, const struct mask *table, struct azm_err *err)
{
	for (const struct mask *m = table; m->path; m++) {
		const char *star = strchr(m->path, '*');
		int done = star ? mask_each_cpu(b, m, star, err) : mask_one(b, m->path, m->how, err);
		if (done < 0)
			return -1;
	}
	return 0;
}

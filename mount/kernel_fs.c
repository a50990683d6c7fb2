// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/kernel_fs.c: see kernel_fs.h.
 *
 * The mount points /proc, /sys and /dev are single components below the root and are never followed: an image in which
 * one of them is a link is refused, because everything that is written there later (ids, limits, masks) would go where
 * the image says (CVE-2019-19921, CVE-2023-28642 of runc). What lies below them is made by the kernel or by us, so
 * plain names are safe there.
 */
#include "mount/kernel_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "mount/handle.h"
#include "mount/newapi.h"

enum {
	SHM_DEFAULT = 64 << 20, /* Docker's */
	SHM_INODES = 65536,
};

#define KERNEL_ATTR (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static const struct node {
	const char *name;
	unsigned major, minor;
} nodes[] = {
	{ "null", 1, 3 },
	{ "zero", 1, 5 },
	{ "full", 1, 7 },
	{ "random", 1, 8 },
	{ "urandom", 1, 9 },
	{ "tty", 5, 0 },
};

static const struct {
	const char *name, *target;
} links[] = {
	{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
	{ "core", "/proc/kcore" },
	{ "ptmx", "pts/ptmx" },
};

static bool is_node(int fd, const struct node *node)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(node->major, node->minor);
}

int open_host_null(struct azm_err *err)
{
	cleanup_fd int null = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (null < 0)
		return err_sys(err, "open", "/dev/null");
	if (!is_node(null, &nodes[0]))
		return err_msg(err, ENODEV, "open", "/dev/null", "the host's is not character device 1:3");
	return steal_fd(&null);
}

/* Say what is wrong with a mount point of the image. */
static int explain_mount_point(const struct build *b, const char *name, struct azm_err *err)
{
	char path[16];
	struct stat st;
	int code = errno;

	snprintf(path, sizeof path, "/%s", name);
	if (fstatat(b->root, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		err_code(err, code, "make mount point", path);
		return err_hint(err,
			"the image lacks the directory %s and cannot be changed: "
			"add it, or use --rootfs-mode overlay",
			path);
	}
	if (!S_ISDIR(st.st_mode)) {
		err_msg(err, ENOTDIR, "mount", path, "the image has a %s there",
			S_ISLNK(st.st_mode) ? "symbolic link" : "file");
		return err_hint(err, "make it an empty directory of the image");
	}
	return err_code(err, code, "mount", path);
}

/* Put a mount on a top-level directory of the root, making the directory when the image has none. */
static int place(const struct build *b, int mnt, const char *name, struct azm_err *err)
{
	if (mnt_move(mnt, b->root, name) == 0)
		return 0;
	if (errno == ENOENT && mkdirat(b->root, name, 0755) == 0 && mnt_move(mnt, b->root, name) == 0)
		return 0;
	return explain_mount_point(b, name, err);
}

/* ---- /dev ----------------------------------------------------------------------------------------------------- */

static int make_nodes(int dev, struct azm_err *err)
{
	cleanup_fd int host = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (host < 0)
		return err_sys(err, "open", "/dev");
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
		cleanup_fd int mnt = mnt_clone(host, nodes[i].name, 0, 0);
		if (mnt < 0)
			return err_sys(err, "take the host's device", nodes[i].name);
		if (!is_node(mnt, &nodes[i]))
			return err_msg(err, ENODEV, "take the host's device", nodes[i].name,
				"it is not character device %u:%u", nodes[i].major, nodes[i].minor);
		if (mknodat(dev, nodes[i].name, S_IFREG | 0666, 0) < 0 || mnt_move(mnt, dev, nodes[i].name) < 0)
			return err_sys(err, "make device", nodes[i].name);
	}
	return 0;
}

static int make_links(int dev, struct azm_err *err)
{
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlinkat(links[i].target, dev, links[i].name) < 0)
			return err_sys(err, "make link /dev", links[i].name);
	return 0;
}

/* One file system on a new directory of /dev. A kernel may be built without it when @optional. */
static int make_below(int dev, const char *name, const char *type, const char *options, uint64_t attributes,
	bool optional, struct azm_err *err)
{
	cleanup_fd int mnt = mnt_new(type, options, attributes);

	if (mnt < 0)
		return optional && errno == ENODEV ? 0 : err_sys(err, "mount /dev", name);
	if (mkdirat(dev, name, 0755) < 0 || mnt_move(mnt, dev, name) < 0)
		return err_sys(err, "mount /dev", name);
	return 0;
}

int dev_make(const struct build *b, struct azm_err *err)
{
	char pts[96], shm[96];
	uint64_t size = b->plan->shm_size ? b->plan->shm_size : SHM_DEFAULT;

	cleanup_fd int dev = mnt_clone(b->kit, KIT_DEV, 0, 0);
	if (dev < 0)
		return err_sys(err, "mount", "/dev");
	if (place(b, dev, "dev", err) < 0 || make_nodes(dev, err) < 0 || make_links(dev, err) < 0)
		return -1;
	/* Without gid= a terminal's group is its opener's: right for a map that has no group 5. */
	int used = snprintf(pts, sizeof pts, "newinstance,ptmxmode=0666,mode=0620,max=256");
	if (b->plan->tty_gid >= 0)
		snprintf(pts + used, sizeof pts - (size_t)used, ",gid=%d", b->plan->tty_gid);
	snprintf(shm, sizeof shm, "mode=1777,size=%llu,nr_inodes=%d", (unsigned long long)size, SHM_INODES);
	if (make_below(dev, "pts", "devpts", pts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false, err) < 0 ||
		make_below(dev, "shm", "tmpfs", shm, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false, err) < 0)
		return -1;
	return make_below(dev, "mqueue", "mqueue", "", KERNEL_ATTR, true, err);
}

/* ---- /proc ---------------------------------------------------------------------------------------------------- */

static int proc_open(enum proc_mode mode)
{
	if (mode == PROC_FRESH)
		return mnt_new("proc", "", KERNEL_ATTR);
	/* The host's instance lists the host's processes. The kernel refuses to look into them from here (another user
	 * namespace owns them), and read-only keeps oom_score_adj and the like of the user's own ones unchanged.
	 */
	cleanup_fd int host = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return host < 0 ? -1 : mnt_clone(host, "", KERNEL_ATTR | MOUNT_ATTR_RDONLY, MNT_TREE | MNT_ALONE);
}

int mount_proc_ahead(const struct mount_plan *plan)
{
	return plan->proc == PROC_FRESH ? mnt_new_detached("proc", "", KERNEL_ATTR) : -1;
}

int proc_make(const struct build *b, int ahead, struct azm_err *err)
{
	if (b->plan->proc == PROC_NONE)
		return 0;
	cleanup_fd int made = ahead < 0 ? proc_open(b->plan->proc) : -1;
	int mnt = ahead < 0 ? made : ahead;
	if (mnt >= 0)
		return place(b, mnt, "proc", err);
	err_sys(err, "mount", "/proc");
	if (err->code == EPERM && b->plan->proc == PROC_FRESH)
		err_hint(err,
			"this host masks parts of /proc already (inside a container?), and the kernel then gives no "
			"fresh one; --proc bind shows the outer /proc read-only, its processes included, "
			"--proc none goes without");
	return -1;
}

/* ---- /sys ----------------------------------------------------------------------------------------------------- */

static int cgroup_make(const struct build *b, struct azm_err *err)
{
	cleanup_fd int target = resolve_make(b->root, "/sys/fs/cgroup", true);
	if (target < 0)
		return err_sys(err, "make mount point", "/sys/fs/cgroup");
	cleanup_fd int mnt = mnt_new("cgroup2", "", KERNEL_ATTR | MOUNT_ATTR_RDONLY);
	if (mnt < 0 || mnt_move(mnt, target, "") < 0)
		return err_sys(err, "mount", "/sys/fs/cgroup");
	return 0;
}

int sys_make(const struct build *b, struct azm_err *err)
{
	cleanup_fd int mnt = mnt_new("sysfs", "", KERNEL_ATTR | MOUNT_ATTR_RDONLY);

	/* An outer container that hides parts of /sys gets EPERM here, as for /proc. Nearly everything works without
	 * /sys, and nothing shows less than nothing.
	 */
	if (mnt < 0 && errno != EPERM)
		return err_sys(err, "mount", "/sys");
	if (mnt >= 0 && place(b, mnt, "sys", err) < 0)
		return -1;
	return b->plan->cgroup ? cgroup_make(b, err) : 0;
}

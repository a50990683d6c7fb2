// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/overlay.c: see overlay.h.
 *
 * The layers are given to the kernel as /proc/self/fd/N: the objects that were verified, nothing to escape (a path may
 * contain ':' ',' and '\'), and no path of the host in the sandbox's /proc/self/mountinfo.
 *
 * userxattr (Linux 5.11) keeps overlay's marks in user.* attributes, the only ones a user namespace may write.
 *
 * volatile: without it the kernel writes back the whole disk of the writable layer when the last mount goes away, so
 * that a sandbox's end waits for the disk and for whatever else the host is writing. Measured on a shared two-core
 * machine, 200 mounts each: with one small file written inside 3.3 ms against 0.2 ms (medians; up to 70 ms at the 99th
 * percentile while others wrote), with nothing written 0.3 against 0.1 ms. The mark costs three files at each start.
 * What programs inside fsync() on the layer is written back in the host's own time, as unsynced files are; volumes are
 * not concerned. Because of the mark the kernel refuses to mount the layer again, in case the host crashed in between:
 * a stopped sandbox is started again from what reached the disk, so the mark is removed.
 */
#include "mount/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/cleanup.h"
#include "mount/handle.h"

enum {
	LAYERS_MAX = 200,    /* what fits into the page of options that mount(2) takes; OCI images have up to 127 */
	LAYER_TEXT_MAX = 20, /* "/proc/self/fd/NNNN:" */
	OPTIONS_SIZE = LAYERS_MAX * LAYER_TEXT_MAX + 128,
};

struct layers {
	size_t count;
	int fds[LAYERS_MAX];
};

static void layers_close(const struct layers *layers)
{
	for (size_t i = 0; i < layers->count; i++)
		close(layers->fds[i]);
}

/* File systems on which people keep their state and which cannot hold a writable layer. */
static const struct {
	long magic;
	const char *name;
} poor_uppers[] = {
	{ NFS_SUPER_MAGIC, "NFS" },
	{ 0x0bd00bd0, "Lustre" },
	{ 0x47504653, "GPFS" },
	{ 0x19830326, "BeeGFS" },
	{ CEPH_SUPER_MAGIC, "CephFS" },
	{ 0x65735546, "a FUSE file system" },
	{ OVERLAYFS_SUPER_MAGIC, "another overlay" },
	{ 0xff534d42, "CIFS" },
	{ 0xfe534d42, "SMB" },
	{ V9FS_MAGIC, "9P" },
};

static int explain(int upper, const char *upper_path, struct azm_err *err)
{
	struct statfs fs;

	err_sys(err, "mount overlay", upper_path);
	if (fstatfs(upper, &fs) == 0)
		for (size_t i = 0; i < sizeof poor_uppers / sizeof *poor_uppers; i++)
			if ((unsigned long)fs.f_type == (unsigned long)poor_uppers[i].magic)
				return err_hint(err,
					"the writable layer lies on %s, which cannot carry one; "
					"set AZM_STATE_DIR to a directory on a local disk",
					poor_uppers[i].name);
	switch (err->code) {
	case EPERM:
		return err_hint(err, "overlay in a user namespace needs Linux 5.11 or newer; "
				     "use --rootfs-mode direct (changes the image) or read-only");
	case ENODEV:
		return err_hint(err, "this kernel has no overlay module loaded: `modprobe overlay` as root");
	case EINVAL:
		return err_hint(err,
			"the file system of the writable layer or of the image does not fit; "
			"set AZM_STATE_DIR to a directory on a local disk, or use --rootfs-mode read-only");
	case ENOSPC:
		return err_hint(err, "the disk is full, or there are more mounts than sysctl fs.mount-max allows");
	default:
		return -1;
	}
}

static int open_directory(const struct host_path *path, struct azm_err *err)
{
	if (path->path && !S_ISDIR(path->type))
		return err_code(err, ENOTDIR, "open", path->path);
	return mount_source_open(path, err);
}

/* Remove the mark of an earlier volatile mount, if there is one. */
static void remove_mark(int work)
{
	cleanup_fd int mark = resolve_in_root(work, "work/incompat/volatile", O_PATH | O_DIRECTORY);

	if (mark < 0)
		return;
	unlinkat(mark, "dirty", 0);
	unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR);
}

static int mount_volatile(const char *options, int work, uint64_t attributes)
{
	char with_volatile[OPTIONS_SIZE + sizeof ",volatile"];

	/* In advance, not after a refusal: an attempt that fails costs a whole mount. */
	remove_mark(work);
	snprintf(with_volatile, sizeof with_volatile, "%s,volatile", options);
	int mnt = mnt_new("overlay", with_volatile, attributes);
	/* Kernels with a backport of overlay in user namespaces may know no volatile (5.10). */
	return mnt < 0 && errno == EINVAL ? mnt_new("overlay", options, attributes) : mnt;
}

int overlay_new(const struct host_path *lowers, size_t count, const struct host_path *upper,
	const struct host_path *work, uint64_t attributes, struct azm_err *err)
{
	[[gnu::cleanup(layers_close)]] struct layers layers = { 0 };
	char options[OPTIONS_SIZE];
	size_t used = 0;

	if (count < 1 || count > LAYERS_MAX)
		return err_msg(err, EINVAL, "mount overlay", upper->path, "%zu layers (1 to %d are possible)", count,
			LAYERS_MAX);
	cleanup_fd int upper_fd = open_directory(upper, err);
	if (upper_fd < 0)
		return -1;
	cleanup_fd int work_fd = open_directory(work, err);
	if (work_fd < 0)
		return -1;
	used += (size_t)snprintf(options, sizeof options,
		"userxattr,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", upper_fd, work_fd);
	for (; layers.count < count; layers.count++) {
		int fd = open_directory(&lowers[layers.count], err);
		if (fd < 0)
			return -1;
		layers.fds[layers.count] = fd;
		used += (size_t)snprintf(options + used, sizeof options - used, "%s/proc/self/fd/%d",
			layers.count ? ":" : ",lowerdir=", fd);
		if (used >= sizeof options) {
			layers.count++;
			return err_code(err, E2BIG, "mount overlay", upper->path);
		}
	}
	int mnt = mount_volatile(options, work_fd, attributes);
	return mnt < 0 ? explain(upper_fd, upper->path, err) : mnt;
}

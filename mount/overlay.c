// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/overlay.c: see overlay.h.
 *
 * The layers are given to the kernel as names in /proc/self/fd: the objects that were verified, nothing to escape (a
 * path may contain ':' ',' and '\'), and no path of the host in the sandbox's /proc/self/mountinfo. That directory is
 * the working directory meanwhile, so a layer is three or four bytes long and as many as the kernel stacks fit into
 * the page of options that mount(2) takes. Few go into one "lowerdir" of fsconfig(2), which takes 255 bytes; more are
 * handed over one by one as "lowerdir+" (Linux 6.5), and in one page by mount(2) where the kernel does not know it.
 *
 * userxattr (Linux 5.11) keeps overlay's marks in user.* attributes, the only ones a user namespace may write.
 *
 * uuid=null (Linux 6.6): otherwise the kernel gives each new layer an identity, an attribute of its top directory, for
 * statfs(2). Nobody asks for it, it is written at each start, and spare.h takes the directory for one that was used.
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
#include "base/compat.h"
#include "mount/handle.h"

enum {
	FEW_LAYERS = 40, /* their list is shorter than the 255 bytes of one value of fsconfig(2) */
	OPTIONS_SIZE = OVERLAY_LAYERS_MAX * (int)sizeof ",lowerdir+=12345" + 64,
};

struct layers {
	size_t count;
	int fds[OVERLAY_LAYERS_MAX];
	int upper, work;
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
		return err_hint(err,
			"overlay in a user namespace needs Linux 5.11 or newer; "
			"use --rootfs-mode read-only, or direct, which changes the image, on a copy of it (cp -a)");
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

/* One by one is unknown before 6.5, no identity before 6.6; volatile where overlay in user namespaces was backported
 * (5.10). */
static const struct way {
	bool one_by_one, is_volatile, nameless;
} ways[] = {
	{ true, true, true },
	{ true, true, false },
	{ false, true, true },
	{ false, true, false },
	{ false, false, false },
};

enum { FIRST_FOR_FEW = 2 };

/* "key=value,flag,..." with every layer in one list, or each as an option of its own. */
static void write_options(const struct layers *layers, const struct way *way, char options[OPTIONS_SIZE])
{
	size_t used = (size_t)snprintf(options, OPTIONS_SIZE, "userxattr");

	if (layers->upper >= 0)
		used += (size_t)snprintf(options + used, OPTIONS_SIZE - used, ",upperdir=%d,workdir=%d%s%s",
			layers->upper, layers->work, way->is_volatile ? ",volatile" : "",
			way->nameless ? ",uuid=null" : "");

	for (size_t i = 0; i < layers->count; i++)
		used += (size_t)snprintf(options + used, OPTIONS_SIZE - used, "%s%d",
			way->one_by_one ? ",lowerdir+="
			: i		? ":"
					: ",lowerdir=",
			layers->fds[i]);
}

static int try_mount(const struct layers *layers, uint64_t attributes)
{
	char options[OPTIONS_SIZE];
	int mnt = -1;

	for (size_t i = layers->count <= FEW_LAYERS ? FIRST_FOR_FEW : 0; i < sizeof ways / sizeof *ways; i++) {
		/* In advance, not after a refusal, which costs a whole mount; and again, if one was made and then lost.
		 */
		if (layers->work >= 0)
			remove_mark(layers->work);
		write_options(layers, &ways[i], options);
		mnt = mnt_new("overlay", options, attributes);
		if (mnt >= 0 || (errno != EINVAL && errno != E2BIG))
			break;
	}
	return mnt;
}

/* The working directory is /proc/self/fd meanwhile: azm-init has one thread, and no use for another one yet. */
static int mount_layers(const struct layers *layers, uint64_t attributes)
{
	cleanup_fd int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (before < 0 || chdir("/proc/self/fd") < 0)
		return -1;
	cleanup_fd int mnt = try_mount(layers, attributes);
	int saved = errno;
	if (fchdir(before) < 0)
		return -1;
	errno = saved;
	return steal_fd(&mnt);
}

int overlay_over(const struct host_path *lowers, size_t count, int upper, int work, const char *name,
	uint64_t attributes, struct azm_err *err)
{
	[[gnu::cleanup(layers_close)]] struct layers layers = { .upper = upper, .work = work };

	if (count < 1 || count > OVERLAY_LAYERS_MAX) {
		err_msg(err, E2BIG, "mount overlay", name, "%zu layers (1 to %d are possible)", count,
			OVERLAY_LAYERS_MAX);
		return err_hint(err, "flatten the image: azm-rootfs unpack makes one tree of its layers");
	}
	for (; layers.count < count; layers.count++) {
		layers.fds[layers.count] = open_directory(&lowers[layers.count], err);
		if (layers.fds[layers.count] < 0)
			return -1;
	}
	int mnt = mount_layers(&layers, attributes);
	return mnt < 0 ? explain(upper < 0 ? layers.fds[0] : upper, name, err) : mnt;
}

int overlay_new(const struct host_path *lowers, size_t count, const struct host_path *upper,
	const struct host_path *work, uint64_t attributes, struct azm_err *err)
{
	cleanup_fd int upper_fd = upper ? open_directory(upper, err) : -1;
	if (upper && upper_fd < 0)
		return -1;
	cleanup_fd int work_fd = upper ? open_directory(work, err) : -1;
	if (upper && work_fd < 0)
		return -1;
	return overlay_over(lowers, count, upper_fd, work_fd, upper ? upper->path : lowers->path, attributes, err);
}

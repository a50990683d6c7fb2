// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/volumes.c: see volumes.h.
 *
 * A target is resolved inside the root, links followed (Docker's rule), and made when missing. It may not end in /proc
 * or /sys whatever links lead there: files that look like the kernel's and are not have redirected the writes of other
 * runtimes (CVE-2019-16884, CVE-2025-52881).
 *
 * Every volume is nosuid and nodev, but for a source that is a device itself, which only --device asks for. A
 * read-only volume is cut off from mounts that the host makes below it later, because those would be writable.
 */
#include "mount/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "mount/guard.h"
#include "mount/handle.h"
#include "mount/newapi.h"
#include "mount/overlay.h"
#include "mount/populate.h"

enum {
	TMPFS_MODE = 01777,
	BYTES_PER_INODE = 4096, /* so that a tmpfs full of empty files costs kernel memory of the order of its size */
	INODES_LEAST = 1024,
	INODES_MOST = 1 << 20,
};

#define TMPFS_DEFAULT (1ULL << 30)

static bool is_device(const struct volume *v)
{
	return v->kind == VOLUME_BIND && (S_ISCHR(v->source.type) || S_ISBLK(v->source.type));
}

static bool is_directory(const struct volume *v)
{
	return v->kind != VOLUME_BIND || S_ISDIR(v->source.type);
}

static int new_tmpfs(const struct volume *v, uint64_t attributes, struct azm_err *err)
{
	char options[96];
	uint64_t size = v->size ? v->size : TMPFS_DEFAULT;
	uint64_t inodes = size / BYTES_PER_INODE;

	inodes = inodes < INODES_LEAST ? INODES_LEAST : inodes > INODES_MOST ? INODES_MOST : inodes;
	snprintf(options, sizeof options, "mode=%o,size=%llu,nr_inodes=%llu", v->mode ? v->mode & 07777 : TMPFS_MODE,
		(unsigned long long)size, (unsigned long long)inodes);
	int mnt = mnt_new("tmpfs", options, attributes);
	return mnt < 0 ? err_sys(err, "mount tmpfs", v->target) : mnt;
}

static int clone_source(const struct volume *v, uint64_t attributes, struct azm_err *err)
{
	cleanup_fd int source = mount_source_open(&v->source, err);
	if (source < 0)
		return -1;
	int mnt = mnt_clone(source, "", attributes, MNT_TREE | (attributes & MOUNT_ATTR_RDONLY ? MNT_ALONE : 0u));
	return mnt < 0 ? err_sys(err, "mount volume", v->source.path) : mnt;
}

static int new_overlay(const struct volume *v, uint64_t attributes, struct azm_err *err)
{
	cleanup_free struct host_path *lowers = xcalloc(v->layer_count + 1, sizeof *lowers);

	for (size_t i = 0; i < v->layer_count; i++)
		lowers[i] = v->layers[i];
	lowers[v->layer_count] = v->source;
	return overlay_new(lowers, v->layer_count + 1, &v->upper, &v->work, attributes, err);
}

static int new_volume(const struct volume *v, struct azm_err *err)
{
	uint64_t attributes = MOUNT_ATTR_NOSUID | (is_device(v) ? 0u : MOUNT_ATTR_NODEV) |
			      (v->read_only || v->exec_server ? MOUNT_ATTR_RDONLY : 0u);

	switch (v->kind) {
	case VOLUME_TMPFS:
		return new_tmpfs(v, attributes, err);
	case VOLUME_OVERLAY:
		return new_overlay(v, attributes, err);
	case VOLUME_BIND:
		return clone_source(v, attributes, err);
	}
	return err_msg(err, EINVAL, "mount volume", v->target, "unknown kind %d", (int)v->kind);
}

/* Whether a descriptor is something a volume may never cover. */
static int check_target(const struct build *b, int target, const struct volume *v, struct azm_err *err)
{
	struct statfs fs;
	struct stat root, st;

	if (fstatfs(target, &fs) < 0 || fstat(target, &st) < 0 || fstat(b->root, &root) < 0)
		return err_sys(err, "mount volume at", v->target);
	if (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC)
		return err_msg(err, EINVAL, "mount volume at", v->target, "nothing can be mounted in /proc or /sys");
	if (st.st_dev == root.st_dev && st.st_ino == root.st_ino)
		return err_msg(err, EINVAL, "mount volume at", v->target, "this is the root directory");
	if (S_ISDIR(st.st_mode) != is_directory(v))
		return err_msg(err, is_directory(v) ? ENOTDIR : EISDIR, "mount volume at", v->target,
			"the volume is a %s and the mount point is not", is_directory(v) ? "directory" : "file");
	return 0;
}

static int place_volume(const struct build *b, const struct volume *v, struct azm_err *err)
{
	cleanup_fd int target = resolve_in_root(b->root, v->target, O_PATH);
	if (target < 0 && errno == ENOENT) {
		target = resolve_make(b->root, v->target, is_directory(v));
		if (target < 0) {
			err_sys(err, "make mount point", v->target);
			if (err->code == EROFS)
				err_hint(err,
					"what lies around it is read-only: add %s to the image or the outer "
					"volume, or use --rootfs-mode overlay",
					v->target);
			return -1;
		}
	}
	if (target < 0)
		return err_sys(err, "open mount point", v->target);
	if (check_target(b, target, v, err) < 0)
		return -1;
	struct volume first = *v;
	first.read_only = v->read_only && !v->populate;
	cleanup_fd int mnt = new_volume(&first, err);
	if (mnt < 0 || (v->populate && populate(target, mnt, err) < 0))
		return -1;
	if (mnt_move(mnt, target, "") < 0)
		return err_sys(err, "mount volume at", v->target);
	if (v->read_only && !first.read_only && mnt_restrict(mnt, MOUNT_ATTR_RDONLY) < 0)
		return err_sys(err, "make read-only", v->target);
	return guard_apply(b, mnt, v, err);
}

static size_t depth(const char *target)
{
	size_t components = 0;

	for (; *target; target++)
		components += *target != '/' && (target[1] == '/' || target[1] == '\0');
	return components;
}

int volumes_place(const struct build *b, struct azm_err *err)
{
	size_t placed = 0;

	/* A volume inside another one must come after it, in whatever order the user wrote them. */
	for (size_t level = 0; placed < b->plan->volume_count; level++) {
		for (size_t i = 0; i < b->plan->volume_count; i++) {
			const struct volume *v = &b->plan->volumes[i];
			if (depth(v->target) != level)
				continue;
			if (place_volume(b, v, err) < 0)
				return -1;
			placed++;
		}
	}
	return 0;
}

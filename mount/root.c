// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/root.c: see root.h.
 *
 * The root has nodev (devices come from kernel_fs.c) but not nosuid: with sub-ids and without no_new_privs the image's
 * own sudo must work. In every other case the kernel ignores set-id bits anyway: no_new_privs is set, or the owner has
 * no id inside.
 */
#include "mount/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/handle.h"
#include "mount/newapi.h"
#include "mount/overlay.h"

enum {
	OVERFLOW_ID = 65534,	/* how an owner without an id inside appears */
	BYTES_PER_INODE = 4096, /* of a layer in memory, as tmpfs volumes have it */
};

/* Changing files that belong to somebody else fails one by one and late, copy-up included: say so at once. */
static int refuse_foreign(const struct host_path *image, struct azm_err *err)
{
	struct stat st;

	cleanup_fd int fd = mount_source_open(image, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "open image", image->path);
	if (st.st_uid != OVERFLOW_ID || geteuid() == OVERFLOW_ID)
		return 0;
	err_msg(err, EACCES, "open image", image->path,
		"it belongs to another user, so nothing in it could be changed inside");
	return err_hint(err, "copy the image first (cp -a), or use --rootfs-mode read-only");
}

static int clone_image(const struct mount_plan *plan, struct azm_err *err)
{
	const struct host_path *image = &plan->lowers[0];
	bool frozen = plan->mode == ROOT_READ_ONLY;

	if (plan->lower_count != 1)
		return err_msg(
			err, EINVAL, "open image", image->path, "an image in layers needs --rootfs-mode overlay");
	if (!S_ISDIR(image->type))
		return err_code(err, ENOTDIR, "open image", image->path);
	cleanup_fd int fd = mount_source_open(image, err);
	if (fd < 0)
		return -1;
	int mnt = mnt_clone(
		fd, "", MOUNT_ATTR_NODEV | (frozen ? MOUNT_ATTR_RDONLY : 0), MNT_TREE | (frozen ? MNT_ALONE : 0));
	return mnt < 0 ? err_sys(err, "mount image", image->path) : mnt;
}

/* Marks of overlay are user.* attributes; a tmpfs has them since Linux 6.6. */
static int check_marks(int directory, struct azm_err *err)
{
	if (fsetxattr(directory, "user.overlay.trial", "y", 1, 0) == 0)
		return fremovexattr(directory, "user.overlay.trial");
	err_sys(err, "keep the writable layer in memory", NULL);
	return errno == EOPNOTSUPP
		       ? err_hint(err, "a memory file system carries one since Linux 6.6; use --best-effort "
				       "to have the limit watched on disk")
		       : -1;
}

/* Hung up above the directory that would hold the layer on disk: the kernel clones only mounts that are attached. */
static int overlay_in_memory(const struct mount_plan *plan, struct azm_err *err)
{
	char options[96];
	uint64_t inodes = plan->memory_inodes ? plan->memory_inodes : plan->memory_layer / BYTES_PER_INODE;

	cleanup_fd int place = mount_source_open(&plan->upper, err);
	if (place < 0)
		return -1;
	/* Two directories more than what was asked for. */
	snprintf(options, sizeof options, "mode=0700,size=%llu,nr_inodes=%llu", (unsigned long long)plan->memory_layer,
		(unsigned long long)inodes + 4);
	cleanup_fd int mnt = mnt_new("tmpfs", options, MOUNT_ATTR_NODEV);
	if (mnt < 0 || mnt_move(mnt, place, "") < 0)
		return err_sys(err, "mount tmpfs", "for the writable layer");
	if (mkdirat(mnt, "upper", 0755) < 0 || mkdirat(mnt, "work", 0700) < 0)
		return err_sys(err, "make directory", "for the writable layer");
	cleanup_fd int upper = openat(mnt, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int work = openat(mnt, "work", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0 || work < 0)
		return err_sys(err, "open directory", "for the writable layer");
	if (check_marks(upper, err) < 0)
		return -1;
	return overlay_over(plan->lowers, plan->lower_count, upper, work, plan->upper.path, MOUNT_ATTR_NODEV, err);
}

int root_new(const struct mount_plan *plan, struct azm_err *err)
{
	if (plan->lower_count < 1)
		return err_msg(err, EINVAL, "open image", NULL, "the plan names none");
	for (size_t i = 0; plan->mode != ROOT_READ_ONLY && i < plan->lower_count; i++)
		if (refuse_foreign(&plan->lowers[i], err) < 0)
			return -1;
	if (plan->mode == ROOT_OVERLAY && plan->memory_layer)
		return overlay_in_memory(plan, err);
	if (plan->mode == ROOT_OVERLAY)
		return overlay_new(plan->lowers, plan->lower_count, &plan->upper, &plan->work, MOUNT_ATTR_NODEV, err);
	return clone_image(plan, err);
}

int root_hanger(const struct mount_plan *plan, struct azm_err *err)
{
	return mount_source_open(plan->mode == ROOT_OVERLAY ? &plan->work : &plan->lowers[0], err);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/root.c: see root.h.
 *
 * The root has nodev (devices come from kernel_fs.c) but not nosuid: with sub-ids and without no_new_privs the image's
 * own sudo must work. In every other case the kernel ignores set-id bits anyway: no_new_privs is set, or the owner has
 * no id inside.
 */
#include "mount/root.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/handle.h"
#include "mount/newapi.h"
#include "mount/overlay.h"

enum { OVERFLOW_ID = 65534 }; /* how an owner without an id inside appears */

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

int root_new(const struct mount_plan *plan, struct azm_err *err)
{
	if (plan->lower_count < 1)
		return err_msg(err, EINVAL, "open image", NULL, "the plan names none");
	for (size_t i = 0; plan->mode != ROOT_READ_ONLY && i < plan->lower_count; i++)
		if (refuse_foreign(&plan->lowers[i], err) < 0)
			return -1;
	if (plan->mode == ROOT_OVERLAY)
		return overlay_new(plan->lowers, plan->lower_count, &plan->upper, &plan->work, MOUNT_ATTR_NODEV, err);
	return clone_image(plan, err);
}

int root_hanger(const struct mount_plan *plan, struct azm_err *err)
{
	return mount_source_open(plan->mode == ROOT_OVERLAY ? &plan->work : &plan->lowers[0], err);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/build.c: the steps of mount_build(), in their order (design: "Order of work in azm-init").
 *
 * Theory of operation
 *
 * The mount namespace starts as a copy of the host's tree. The new root is made detached and hung into that copy at a
 * place nobody looks at (root_hanger()), because the kernel clones and moves only mounts that are attached; everything
 * inside is then placed by descriptor. mount_pivot() makes it the root, and the host's tree goes away whole.
 */
#include "mount/build.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "mount/etc_files.h"
#include "mount/handle.h"
#include "mount/kernel_fs.h"
#include "mount/masks.h"
#include "mount/newapi.h"
#include "mount/root.h"
#include "mount/volumes.h"

/* /dev, our /etc files and the empty directory are small; the bounds are for what the sandbox writes there. */
#define KIT_OPTIONS "mode=0755,size=4m,nr_inodes=1024"

static void build_close(const struct build *b)
{
	cleanup_close_fd(&b->root);
	cleanup_close_fd(&b->kit);
	cleanup_close_fd(&b->null);
}

static void restore_umask(const mode_t *mask)
{
	umask(*mask);
}

/* Mounts the host makes later still appear inside; nothing of ours appears outside. */
static int become_slave(struct azm_err *err)
{
	return mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0
		       ? err_sys(err, "separate the mounts from the host's", "/")
		       : 0;
}

static int make_kit(struct build *b, struct azm_err *err)
{
	static const char *const directories[] = { KIT_DEV, KIT_FILES, KIT_EMPTY };

	b->kit = mnt_new("tmpfs", KIT_OPTIONS, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (b->kit < 0)
		return err_sys(err, "mount", "tmpfs");
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		if (mkdirat(b->kit, directories[i], 0755) < 0)
			return err_sys(err, "make directory", directories[i]);
	return 0;
}

/* Make the root and hang it up, above the kit. */
static int make_root(struct build *b, struct azm_err *err)
{
	b->root = root_new(b->plan, err);
	if (b->root < 0 || make_kit(b, err) < 0)
		return -1;
	cleanup_fd int hanger = root_hanger(b->plan, err);
	if (hanger < 0)
		return -1;
	if (mnt_move(b->kit, hanger, "") < 0 || mnt_move(b->root, hanger, "") < 0)
		return err_sys(err, "mount", "the root");
	return 0;
}

static int freeze_root(const struct build *b, struct azm_err *err)
{
	if (!b->plan->read_only || mnt_restrict(b->root, MOUNT_ATTR_RDONLY) == 0)
		return 0;
	return err_sys(err, "make read-only", "/");
}

static int begin_beside(const struct mount_beside *beside, mode_t mask, struct azm_err *err)
{
	if (!beside)
		return 0;
	umask(mask);
	int result = beside->begin(beside->context, err);
	umask(0);
	return result;
}

int mount_build(
	const struct mount_plan *plan, int proc, const struct mount_beside *beside, int *rootfd, struct azm_err *err)
{
	[[gnu::cleanup(build_close)]] struct build b = { .plan = plan, .root = -1, .kit = -1, .null = -1 };
	[[gnu::cleanup(restore_umask)]] mode_t mask = umask(0); /* the modes asked for are the modes made */

	b.null = open_host_null(err);
	if (b.null < 0 || become_slave(err) < 0 || make_root(&b, err) < 0)
		return -1;
	if (proc_make(&b, proc, err) < 0 || dev_make(&b, err) < 0 || sys_make(&b, err) < 0 ||
		begin_beside(beside, mask, err) < 0)
		return -1;
	if (etc_files_place(&b, err) < 0 || volumes_place(&b, err) < 0)
		return -1;
	if (masks_apply(&b, mask_defaults, err) < 0 || freeze_root(&b, err) < 0)
		return -1;
	*rootfd = steal_fd(&b.root);
	return 0;
}

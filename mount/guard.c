// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/guard.c: see guard.h. What is guarded, and why, is decided by the supervisor (runtime/guard.c).
 *
 * Theory of operation
 *
 * A mount point cannot be removed, renamed, or replaced by a rename in the mount namespace that has it (EBUSY), nor
 * can what is mounted be hard-linked elsewhere (EXDEV); and the workload can neither mount nor unmount. So each guarded
 * name is bound over itself:
 *
 *     covered   the bind is read-only, with everything below it: contents and name stay
 *     pinned    the bind is writable: only the name stays. A directory that holds mount points can still be renamed,
 *               and would take them along and leave its own name free; so whatever lies between the volume's root,
 *               which is a mount point itself, and a covered name has to be pinned where that matters (.git)
 *
 * Names are walked one component at a time from the volume's own mount and never through a symbolic link. A name that
 * is a link is covered as the link it is; the kernel follows it as before.
 *
 * The kernel drops a mount when its mount point is removed or replaced in *another* mount namespace. That is the host:
 * what a program of the user's replaces there by a rename is no longer covered. The sweep at the end looks for that.
 */
#include "mount/guard.h"

#include <errno.h>
#include <limits.h>

#include "base/cleanup.h"
#include "mount/handle.h"
#include "mount/newapi.h"

enum { COVER = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

static int guard_one(int mnt, const struct guarded *guarded, struct azm_err *err)
{
	char name[NAME_MAX + 1];

	cleanup_fd int parent = resolve_parent(mnt, guarded->path ? guarded->path : "", name);
	if (parent < 0)
		return err_sys(err, "guard", guarded->path);
	cleanup_fd int cover = guarded->pin ? mnt_clone(parent, name, 0, MNT_TREE)
					    : mnt_clone(parent, name, COVER, MNT_TREE | MNT_ALONE);
	if (cover < 0 || mnt_move(cover, parent, name) < 0)
		return err_sys(err, "guard", guarded->path);
	return 0;
}

int guard_apply(int mnt, const struct volume *volume, struct azm_err *err)
{
	for (size_t i = 0; i < volume->guarded_count; i++) {
		if (guard_one(mnt, &volume->guarded[i], err) < 0) {
			err_wrap(err, "mount volume at", volume->target);
			if (err->code == ENOENT || err->code == ENOTDIR)
				err_hint(err, "it was there a moment ago; start again when nothing changes this path");
			return -1;
		}
	}
	return 0;
}

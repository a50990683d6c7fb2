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
 * or it shows a text of ours, as read-only (.git/info/exclude, with the names that are held).
 *
 * Names are walked one component at a time from the volume's own mount and never through a symbolic link. A name that
 * is a link is covered as the link it is; the kernel follows it as before.
 *
 * The kernel drops a mount when its mount point is removed or replaced in *another* mount namespace. That is the host:
 * what a program of the user's replaces there by a rename is no longer covered. The sweep at the end looks for that.
 */
#include "mount/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/handle.h"
#include "mount/newapi.h"

enum { COVER = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV };

/* A file of ours, in the kit. @number: a name nobody else uses. */
static int new_text(const struct build *b, const char *text, size_t number)
{
	char name[64];

	snprintf(name, sizeof name, KIT_FILES "/guard-%zu", number);
	cleanup_fd int fd = openat(b->kit, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write_full(fd, text, strlen(text)) < 0)
		return -1;
	cleanup_fd int files = openat(b->kit, KIT_FILES, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return files < 0 ? -1 : mnt_clone(files, name + strlen(KIT_FILES "/"), COVER, 0);
}

static int new_cover(const struct build *b, int parent, const char *name, const struct guarded *guarded, size_t number)
{
	if (guarded->text)
		return new_text(b, guarded->text, number);
	if (guarded->pin)
		return mnt_clone(parent, name, 0, MNT_TREE);
	return mnt_clone(parent, name, COVER, MNT_TREE | MNT_ALONE);
}

static int guard_one(const struct build *b, int mnt, const struct guarded *guarded, size_t number, struct azm_err *err)
{
	char name[NAME_MAX + 1];

	cleanup_fd int parent = resolve_parent(mnt, guarded->path ? guarded->path : "", name);
	if (parent < 0)
		return err_sys(err, "guard", guarded->path);
	cleanup_fd int cover = new_cover(b, parent, name, guarded, number);
	if (cover < 0 || mnt_move(cover, parent, name) < 0)
		return err_sys(err, "guard", guarded->path);
	return 0;
}

int guard_apply(const struct build *b, int mnt, const struct volume *volume, struct azm_err *err)
{
	size_t number = 0;

	for (const struct volume *v = b->plan->volumes; v < volume; v++)
		number += v->guarded_count;
	for (size_t i = 0; i < volume->guarded_count; i++) {
		if (guard_one(b, mnt, &volume->guarded[i], number + i, err) < 0) {
			err_wrap(err, "mount volume at", volume->target);
			if (err->code == ENOENT || err->code == ENOTDIR)
				err_hint(err, "it was there a moment ago; start again when nothing changes this path");
			return -1;
		}
	}
	return 0;
}

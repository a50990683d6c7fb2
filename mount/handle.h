// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/handle.h: a mount as a descriptor: make or clone it detached, then put it into the tree by descriptor.
 *
 * Nothing here names a path of an image to mount(2). Failures are -1 with errno; the callers know the step and the
 * path the user should read about. Attributes are MOUNT_ATTR_* (RDONLY, NOSUID, NODEV, NOEXEC) and are only ever
 * added: the kernel locks those that a mount already has when it comes from the host's user namespace.
 */
#pragma once
#include <stdint.h>

enum {
	MNT_TREE = 1,  /* the mounts below it too; the only way the kernel clones a directory that has some */
	MNT_ALONE = 2, /* mounts that the host makes below it later do not appear: they would lack our attributes */
};

/**
 * mnt_new() - make a file system
 * @options:	"key=value,flag,..." as for mount(8); values contain no comma
 *
 * Return: descriptor (O_PATH) of its root, owned by the caller; it must be placed with mnt_move()
 */
[[gnu::nonnull]] int mnt_new(const char *type, const char *options, uint64_t attributes);

/** mnt_new_detached() - as mnt_new(), but only where the kernel can keep it out of every tree: it may wait for long. */
[[gnu::nonnull]] int mnt_new_detached(const char *type, const char *options, uint64_t attributes);

/**
 * mnt_clone() - bind: clone the mount that a directory or a file lies on, rooted there
 * @name:	one component, never followed if it is a link; "" for @dirfd itself
 * @how:	MNT_*
 *
 * The attributes hold before anybody can see the clone. Return: as mnt_new()
 */
[[gnu::nonnull]] int mnt_clone(int dirfd, const char *name, uint64_t attributes, unsigned how);

/**
 * mnt_move() - put a new mount on top of a directory or file
 * @name:	one component below @dirfd, never followed if it is a link (then the link itself is covered);
 *		"" for @dirfd itself
 *
 * Return: 0; @mnt stays a descriptor of the now attached root
 */
[[gnu::nonnull]] int mnt_move(int mnt, int dirfd, const char *name);

/** mnt_restrict() - add attributes to one attached mount, not to those below it. */
int mnt_restrict(int mnt, uint64_t attributes);

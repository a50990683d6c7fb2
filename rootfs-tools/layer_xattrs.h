// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_xattrs.h: which extended attributes of a file belong to an image. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "rootfs-tools/owners.h"
#include "rootfs-tools/tar_write.h"

/* Begins as { 0 }; is used for one file after the other. */
struct xattr_list {
	struct tar_xattr *items; /* sorted by name; valid until the next file is read */
	size_t count;
	char *names, *values; /* what they point into */
};

/** xattr_is_wanted() - whether an attribute goes into an image, and out of one: any program may give its files those
 * of "user.", but overlay's marks and other tools' records mean what whoever mounts the tree decides. */
[[gnu::nonnull]] bool xattr_is_wanted(const char *name);

/**
 * xattr_list_read() - those of an open file or directory
 * @upper:	it is of an overlay's upper directory: attributes by which overlay keeps its content elsewhere are an
 * error
 * @owner:	what is remembered of the file: its capability counts instead of one on disk
 * @path:	for messages
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int xattr_list_read(
	struct xattr_list *list, int fd, bool upper, const struct owner *owner, const char *path, struct azm_err *err);
[[gnu::nonnull]] void xattr_list_free(struct xattr_list *list);

/** overlay_is_opaque() - whether a directory of an overlay hides what lower ones have in its place. */
bool overlay_is_opaque(int fd);

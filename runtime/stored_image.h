// SPDX-License-Identifier: GPL-2.0-or-later
/* stored_image.h: images of the image store, azm:NAME (rootfs-tools/store.h). */
#pragma once
#include "config.h"
#include "image.h"

/**
 * stored_image_find() - when config->rootfs is azm:NAME, set config->image to what that means now
 *
 * From then on a name that is put anew, or removed, does not change what the sandbox is. Return: 0, or -1 with @err
 * (ENOENT: the hint has similar names)
 */
[[gnu::nonnull]] int stored_image_find(struct config *config, struct azm_err *err);

/**
 * configured_image_open() - image_open() for what is configured: a directory, or an image of the store
 *
 * The layers of a stored image cannot be removed while @image is open.
 */
[[gnu::nonnull]] int configured_image_open(const struct config *config, struct image *image, struct azm_err *err);

/**
 * stored_image_keep() - a sandbox may be started again, or a frozen layer of one be forked: its layers are to stay
 * until then
 * @fd:		the sandbox's directory or the frozen layer's
 * @path:	the same; when that is gone, or something else, the layers are not needed any more
 */
[[gnu::nonnull]] int stored_image_keep(const struct config *config, int fd, const char *path, struct azm_err *err);

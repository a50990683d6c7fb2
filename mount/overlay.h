// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/overlay.h: one overlay file system from directories of the host. */
#pragma once
#include "mount/mount.h"

/**
 * overlay_new() - make an overlay (detached; see mnt_new())
 * @lowers:	top-most first, each verified (mount_source_open()); 1 to OVERLAY_LAYERS_MAX
 * @upper, @work: NULL: none, nothing can be written; two lowers at least
 * @attributes:	MOUNT_ATTR_*
 *
 * Return: descriptor of its root, or -1 with @err set; the hint says what this host or these directories lack
 */
[[gnu::nonnull(1, 6)]] int overlay_new(const struct host_path *lowers, size_t count, const struct host_path *upper,
	const struct host_path *work, uint64_t attributes, struct azm_err *err);

/** overlay_over() - the same with the writable directories open (O_PATH), or -1. @name: of the upper one, for messages.
 */
[[gnu::nonnull]] int overlay_over(const struct host_path *lowers, size_t count, int upper, int work, const char *name,
	uint64_t attributes, struct azm_err *err);

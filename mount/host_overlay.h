// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/host_overlay.h: overlays, and trees in memory, for programs outside of every sandbox, which may not mount. */
#pragma once
#include "mount/mount.h"

/**
 * host_overlay() - make an overlay and be given its root; nothing appears in the tree of mounts
 * @upper, @work: NULL: see overlay_new()
 * @attributes:	MOUNT_ATTR_*
 *
 * A child in a user namespace of its own makes it, so it takes no privilege and works with threads. It lasts as long as
 * something in it is open. Paths below it in /proc/self/fd begin at its root.
 *
 * Return: directory, opened for reading, owned by the caller; -1 with @err
 */
[[gnu::nonnull(1, 6)]] int host_overlay(const struct host_path *lowers, size_t count, const struct host_path *upper,
	const struct host_path *work, uint64_t attributes, struct azm_err *err);

/** host_tmpfs() - the same with a file system in memory. @options: tmpfs(5), as mnt_new() takes them */
[[gnu::nonnull]] int host_tmpfs(const char *options, uint64_t attributes, struct azm_err *err);

/**
 * overlay_trial() - whether a file system can carry the writable layer of an overlay, by trying: copying up, hiding,
 * replacing a directory
 * @dir:	a directory of the caller's on it; left as it was
 *
 * Return: 0, or -1 with @err: EOPNOTSUPP when it cannot, otherwise what went wrong
 */
[[gnu::nonnull]] int overlay_trial(int dir, struct azm_err *err);

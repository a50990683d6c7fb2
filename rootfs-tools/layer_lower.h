// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_lower.h: what the directories below an overlay's upper one say about a file that was copied up. */
#pragma once
#include <sys/stat.h>

#include "rootfs-tools/layer_write.h"

/**
 * layer_lower_find() - what is remembered of the file that the upper one covers
 * @lowers:	the topmost first, in overlay(5) form: whiteouts and opaque directories hide what is further down
 * @path:	of the file; a "/" at its end counts for nothing
 * @st:		of the upper file: a capability is kept only where size and time say that the content is the same
 *
 * Where nothing is remembered of the file that is there, it is root's. Return: 1 and @owner set, 0 when there is no
 * such file, -1 with @err
 */
[[gnu::nonnull(3, 4, 5, 6)]] int layer_lower_find(const struct recorded_tree *lowers, size_t count, const char *path,
	const struct stat *st, struct owner *owner, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tidy.h: one walk over a finished root. */
#pragma once
#include <stdint.h>

#include "base/err.h"

/**
 * tidy_tree() - make a root one that its owner can hand around and throw away
 * @path:	the root; nobody else writes to it
 * @disk:	set to the bytes it takes
 *
 * Documentation goes (what azm-slim keeps dpkg from unpacking, the first packages brought along), set-id bits of files
 * go, directories get rwx for their owner. Hard links count once.
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int tidy_tree(const char *path, uint64_t *disk, struct azm_err *err);

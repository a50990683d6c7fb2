// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/root.h: the root of the sandbox, still detached. */
#pragma once
#include "mount/mount.h"

/** root_new() - make the root mount of a plan. Return: descriptor for mnt_move(), or -1 with @err set. */
[[gnu::nonnull]] int root_new(const struct mount_plan *plan, struct azm_err *err);

/**
 * root_hanger() - where in the host's tree the sandbox's mounts may hang until mount_pivot()
 *
 * A directory that nobody looks at: the overlay's work directory, else the image directory itself. What hangs there
 * covers it in the sandbox's copy of the tree only.
 *
 * Return: O_PATH descriptor, or -1 with @err set
 */
[[gnu::nonnull]] int root_hanger(const struct mount_plan *plan, struct azm_err *err);

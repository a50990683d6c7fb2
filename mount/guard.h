// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/guard.h: names in a volume that stay as they are, whatever the workload tries. */
#pragma once
#include "mount/build.h"

/**
 * guard_apply() - cover and pin the guarded names of a volume
 * @mnt:	the volume's mount, in place
 *
 * A name that is missing is an error: whoever made the plan saw it, or made it.
 *
 * Return: 0, or -1 with @err set (step "guard", the path)
 */
[[gnu::nonnull]] int guard_apply(const struct build *b, int mnt, const struct volume *volume, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/scratch.h: a file without a name, for what does not fit into memory. */
#pragma once
#include "base/err.h"

/** scratch_file() - @dirfd: a directory with room. Return: descriptor for reading and writing; -1 with @err. */
[[gnu::nonnull]] int scratch_file(int dirfd, struct azm_err *err);

/** scratch_directory() - $TMPDIR, else /var/tmp: for what is larger than memory. Return: descriptor, -1 with @err. */
[[gnu::nonnull]] int scratch_directory(struct azm_err *err);

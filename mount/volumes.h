// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/volumes.h: the workspace and the other volumes of a plan. */
#pragma once
#include "mount/build.h"

/** volumes_place() - mount every volume, those nearer to the root first. Return: 0, or -1 with @err set. */
[[gnu::nonnull]] int volumes_place(const struct build *b, struct azm_err *err);

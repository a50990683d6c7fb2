// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/etc_files.h: the small files that are ours inside: /etc/hosts, /etc/resolv.conf and the like. */
#pragma once
#include "mount/build.h"

/** etc_files_place() - put every file of the plan over its target. Return: 0, or -1 with @err set. */
[[gnu::nonnull]] int etc_files_place(const struct build *b, struct azm_err *err);

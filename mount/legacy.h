// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/legacy.h: handle.h's operations by mount(2), for kernels without the new calls (see legacy.c). */
#pragma once
#include <stdint.h>

[[gnu::nonnull]] int legacy_new(const char *type, const char *options, uint64_t attributes);
[[gnu::nonnull]] int legacy_clone(int dirfd, const char *name, uint64_t attributes, unsigned how);
[[gnu::nonnull]] int legacy_move(int mnt, int dirfd, const char *name);
int legacy_restrict(int mnt, uint64_t attributes);

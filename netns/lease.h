// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/lease.h: numbers that no two live processes hold, freed by the kernel when their holder dies.
 *
 * Lease n is a write lock on byte n of a file. The lock belongs to the open file description (F_OFD_SETLK), so it ends
 * with the last copy of the descriptor: nobody has to clean up after a crash.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

/** lease_open() - open (make) a lease file. Return: descriptor, -1 with @err. */
[[gnu::nonnull]] int lease_open(int dirfd, const char *name, struct azm_err *err);

/**
 * lease_take() - lock a free number
 * @start:	where to begin; the search goes round from @first to @last
 *
 * Return: 0 and @lease, or -1 with @err: EUSERS when all are taken
 */
[[gnu::nonnull]] int lease_take(
	int fd, uint32_t first, uint32_t last, uint32_t start, uint32_t *lease, struct azm_err *err);

/** lease_drop() - give one number back. */
void lease_drop(int fd, uint32_t lease);

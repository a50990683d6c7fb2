// SPDX-License-Identifier: GPL-2.0-or-later
/* base/clock.h: for deadlines. */
#pragma once
#include <stdint.h>
#include <time.h>

/** clock_ms() - milliseconds of a clock that never runs backwards. */
static inline int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

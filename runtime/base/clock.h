// SPDX-License-Identifier: GPL-2.0-or-later
/* base/clock.h: deadlines, and which of two times is the earlier. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** clock_ms() - milliseconds of a clock that never runs backwards. */
static inline int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** clock_before() - whether @a is earlier than @b. */
static inline bool clock_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

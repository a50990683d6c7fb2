// SPDX-License-Identifier: GPL-2.0-or-later
/* base/clock.h: deadlines, which of two times is the earlier, a time as text. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { CLOCK_UTC_TEXT = 40 };

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

/**
 * clock_utc_text() - "2026-02-28T23:59:59", of seconds since 1970
 *
 * What gmtime_r() and strftime() would say, without the host's /etc/localtime: the C library reads that file before it
 * converts anything, which is a hundredth of a start, and a confined process cannot.
 */
void clock_utc_text(int64_t seconds, char text[static CLOCK_UTC_TEXT]);

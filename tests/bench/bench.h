// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/bench.h: what the benchmark drivers share. Times are microseconds; results are JSON lines on stdout. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/** bench_now() - the monotonic clock. */
double bench_now(void);

/** bench_die() - end with a message and errno. */
[[gnu::noreturn]] void bench_die(const char *what);

/**
 * bench_print() - one JSON line with min, median, mean, p99 and max
 * @times:	sorted in place
 * @failures:	runs that did not succeed and are not among the times
 * @status:	exit status of the first of them
 */
void bench_print(const char *label, double *times, size_t count, int failures, int status);

/** bench_dial() - connect to a port of 127.0.0.1, no delay. Return: descriptor, -1 with errno. */
int bench_dial(uint16_t port);

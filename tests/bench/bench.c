// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/bench.c: see bench.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "tests/bench/bench.h"

double bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

void bench_print(const char *label, double *times, size_t count, int failures, int status)
{
	double sum = 0;

	qsort(times, count, sizeof *times, by_value);
	for (size_t i = 0; i < count; i++)
		sum += times[i];
	printf("{\"label\":\"%s\",\"n\":%zu,\"failures\":%d,\"status\":%d", label, count, failures, status);
	if (count)
		printf(",\"min\":%.1f,\"median\":%.1f,\"mean\":%.1f,\"p99\":%.1f,\"max\":%.1f", times[0],
			times[count / 2], sum / (double)count, times[(count * 99 - 1) / 100], times[count - 1]);
	printf("}\n");
	fflush(stdout);
}

int bench_dial(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	const int on = 1;
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return steal_fd(&fd);
}

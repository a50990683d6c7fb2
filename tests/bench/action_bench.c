// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/action_bench.c: the time of one warm action over HTTP, and of the same program started directly.
 *
 *     action_bench N PORT KEY
 *
 * One keep-alive connection to 127.0.0.1, N times POST /execute_action with the command `true`; interleaved with N
 * times vfork + exec + wait of /bin/true. Prints two JSON lines like spawn_bench; times in microseconds.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/bench/bench.h"

static const char action[] = "{\"action\":{\"action\":\"run\",\"args\":{\"command\":\"true\"}}}";

/* Read one answer with a Content-Length; true when it is a 200 whose exit code is 0. */
static bool read_answer(int fd)
{
	char buffer[65536];
	size_t size = 0, want = 0;

	while (!want || size < want) {
		ssize_t got = read(fd, buffer + size, sizeof buffer - 1 - size);

		if (got <= 0)
			return false;
		size += (size_t)got;
		buffer[size] = 0;
		const char *body = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "\r\ncontent-length:");
		if (body && !length)
			return false;
		if (body)
			want = (size_t)(body + 4 - buffer) + (size_t)atol(length + strlen("\r\ncontent-length:"));
		if (want >= sizeof buffer)
			return false;
	}
	return !memcmp(buffer + 8, " 200", 4) && strstr(buffer, "\"exit_code\"");
}

static double one_action(int fd, const char *request)
{
	double begin = bench_now();

	if (write_full(fd, request, strlen(request)) < 0 || !read_answer(fd))
		return -1;
	return bench_now() - begin;
}

static double one_true(void)
{
	char *const argv[] = { (char *)"/bin/true", NULL };
	double begin = bench_now();
	pid_t pid;
	int status;

	if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) || waitpid(pid, &status, 0) < 0 || status)
		return -1;
	return bench_now() - begin;
}

int main(int argc, char **argv)
{
	enum { WARM_UP = 5 };
	uint64_t rounds, port;

	if (argc != 4 || !str_to_u64(argv[1], 100000, &rounds) || !rounds || !str_to_u64(argv[2], 65535, &port)) {
		fprintf(stderr, "usage: action_bench N PORT KEY\n");
		return 2;
	}
	cleanup_free double *actions = xcalloc(rounds, sizeof *actions), *trues = xcalloc(rounds, sizeof *trues);
	cleanup_free char *request = xasprintf("POST /execute_action HTTP/1.1\r\nHost: localhost\r\n"
					       "Content-Type: application/json\r\nX-Session-API-Key: %s\r\n"
					       "Content-Length: %zu\r\n\r\n%s",
		argv[3], strlen(action), action);
	cleanup_fd int fd = bench_dial((uint16_t)port);
	if (fd < 0)
		bench_die("connect");
	for (size_t i = 0; i < rounds + WARM_UP; i++) {
		double took = one_action(fd, request), direct = one_true();

		if (took < 0 || direct < 0) {
			fprintf(stderr, "action_bench: %s failed: %s\n", took < 0 ? "the action" : "/bin/true",
				strerror(errno));
			return 1;
		}
		if (i >= WARM_UP) {
			actions[i - WARM_UP] = took;
			trues[i - WARM_UP] = direct;
		}
	}
	bench_print("action", actions, rounds, 0, 0);
	bench_print("true", trues, rounds, 0, 0);
	return 0;
}

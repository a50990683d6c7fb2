// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/spawn_bench.c: how long programs take to start, do their work and end; fair to all of them.
 *
 *     spawn_bench cycles N LABEL=COMMAND...   one after another, interleaved: A B C A B C ...
 *     spawn_bench blocks N LABEL=COMMAND...   one after another, all of A, then all of B (stalls of the kernel's
 *                                             clean-up then hit the one who caused them)
 *     spawn_bench burst N COMMAND             N at once; each says a line when it is up and ends at end of file
 *     spawn_bench alive N COMMAND             to the first 200 of GET /alive; COMMAND prints a JSON line when ready
 *
 * COMMAND is split at blanks, nothing else. The clock starts before posix_spawn (a vfork, so that the size of this
 * process does not count) and stops when the program is waited for. Results are JSON on stdout; times in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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

struct contender {
	char *label;
	struct str_list argv;
	double *times;
	size_t count;
	int failures;
	int first_failure; /* its exit status */
};

/* Start a command with its stdin and stdout at the given descriptors; stderr is ours. */
static pid_t start(char *const *argv, int in, int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		bench_die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static void one_cycle(struct contender *who, int null, int keep)
{
	double begin = bench_now();
	pid_t pid = start(who->argv.items, null, null);
	int status;

	if (waitpid(pid, &status, 0) < 0)
		bench_die("wait");
	double took = bench_now() - begin;
	if (status && !who->failures++)
		who->first_failure = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!status && keep)
		who->times[who->count++] = took;
}

static int cycles(size_t rounds, int in_blocks, size_t count, char **arguments)
{
	enum { WARM_UP = 3, GIVE_UP = 5 };
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct contender *all = xcalloc(count, sizeof *all);

	for (size_t i = 0; i < count; i++) {
		char *command = arguments[i];

		all[i].label = strsep(&command, "=");
		str_list_split(&all[i].argv, command ? command : "", ' ');
		all[i].times = xcalloc(rounds, sizeof *all[i].times);
		for (int warm = 0; warm < WARM_UP; warm++)
			one_cycle(&all[i], null, 0);
	}
	for (size_t step = 0; step < rounds * count; step++) {
		struct contender *who = &all[in_blocks ? step / rounds : step % count];

		if (who->failures < GIVE_UP)
			one_cycle(who, null, 1);
	}
	for (size_t i = 0; i < count; i++) {
		bench_print(all[i].label, all[i].times, all[i].count, all[i].failures, all[i].first_failure);
		free(all[i].times);
		str_list_free(&all[i].argv);
	}
	free(all);
	return 0;
}

/* Wait for the end of each child, at most @seconds; the rest is killed and counted. */
static size_t reap(const pid_t *pids, size_t count, int seconds)
{
	size_t bad = 0;
	double limit = bench_now() + seconds * 1e6;

	for (size_t i = 0; i < count; i++) {
		int status = -1;
		pid_t done;

		while (!(done = waitpid(pids[i], &status, WNOHANG)) && bench_now() < limit)
			usleep(200);
		if (!done) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], &status, 0);
		}
		bad += status != 0;
	}
	return bad;
}

/* N at once. Between up and down a line is printed and one is read, so that the caller can measure memory. */
static int burst(size_t count, const char *command)
{
	enum { LIMIT_SECONDS = 120 };
	cleanup_str_list struct str_list argv = { 0 };
	cleanup_free pid_t *pids = xcalloc(count, sizeof *pids);
	cleanup_free struct pollfd *up = xcalloc(count, sizeof *up);
	cleanup_free int *hold = xcalloc(count, sizeof *hold);
	char buffer[4096];
	size_t ready = 0, lost = 0;

	str_list_split(&argv, command, ' ');
	double begin = bench_now();
	for (size_t i = 0; i < count; i++) {
		int in[2], out[2];

		if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
			bench_die("pipe");
		pids[i] = start(argv.items, in[0], out[1]);
		close(in[0]);
		close(out[1]);
		hold[i] = in[1];
		up[i] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	}
	while (ready + lost < count && poll(up, count, LIMIT_SECONDS * 1000) > 0) {
		for (size_t i = 0; i < count; i++) {
			if (up[i].fd < 0 || !up[i].revents)
				continue;
			ssize_t got = read(up[i].fd, buffer, sizeof buffer);
			if (got > 0)
				ready++;
			else
				lost++;
			up[i].fd = ~up[i].fd; /* poll ignores a negative one */
		}
	}
	double up_us = bench_now() - begin;
	printf("{\"up\":%.1f,\"ready\":%zu}\n", up_us, ready);
	fflush(stdout);
	if (!fgets(buffer, sizeof buffer, stdin))
		buffer[0] = 0;
	begin = bench_now();
	for (size_t i = 0; i < count; i++)
		close(hold[i]);
	lost = reap(pids, count, LIMIT_SECONDS);
	printf("{\"down\":%.1f,\"failures\":%zu}\n", bench_now() - begin, lost);
	return 0;
}

/* One GET over a new connection; true when the answer is a 200. */
static bool get_alive(uint16_t port)
{
	static const char request[] = "GET /alive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	char reply[512];
	cleanup_fd int fd = bench_dial(port);

	if (fd < 0 || write_full(fd, request, sizeof request - 1) < 0)
		return false;
	ssize_t got = read(fd, reply, sizeof reply - 1);
	return got > 12 && !memcmp(reply + 8, " 200", 4);
}

/* The ready line of the program ("host_port": N), then the first 200. Negative: it never came. */
static double one_alive(char *const *argv, int null, pid_t *pid)
{
	char line[8192];
	size_t size = 0;
	int out[2];
	double begin = bench_now();

	if (pipe2(out, O_CLOEXEC) < 0)
		bench_die("pipe");
	*pid = start(argv, null, out[1]);
	close(out[1]);
	cleanup_fd int reader = out[0];
	while (size < sizeof line - 1 && !memchr(line, '\n', size)) {
		ssize_t got = read(reader, line + size, sizeof line - 1 - size);

		if (got <= 0)
			return -1;
		size += (size_t)got;
	}
	line[size] = 0;
	const char *port = strstr(line, "\"host_port\":");
	if (!port)
		return -1;
	uint16_t number = (uint16_t)atoi(port + strlen("\"host_port\":"));
	while (!get_alive(number))
		if (bench_now() - begin > 30e6)
			return -1;
	return bench_now() - begin;
}

static int alive(size_t rounds, const char *command)
{
	cleanup_str_list struct str_list argv = { 0 };
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	cleanup_free double *times = xcalloc(rounds, sizeof *times);
	size_t count = 0;
	int failures = 0;

	str_list_split(&argv, command, ' ');
	for (size_t i = 0; i < rounds && failures < 3; i++) {
		pid_t pid;
		double took = one_alive(argv.items, null, &pid);

		if (took < 0)
			failures++;
		else
			times[count++] = took;
		kill(pid, SIGTERM);
		reap(&pid, 1, 20);
	}
	bench_print("alive", times, count, failures, 0);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t rounds = 0;

	if (argc < 4 || !str_to_u64(argv[2], 100000, &rounds) || !rounds) {
		fprintf(stderr, "usage: spawn_bench cycles|blocks|burst|alive N [LABEL=]COMMAND...\n");
		return 2;
	}
	if (!strcmp(argv[1], "burst"))
		return burst(rounds, argv[3]);
	if (!strcmp(argv[1], "alive"))
		return alive(rounds, argv[3]);
	return cycles(rounds, !strcmp(argv[1], "blocks"), (size_t)argc - 3, argv + 3);
}

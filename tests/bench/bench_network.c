// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_network: what the network costs a sandbox's start, step by step.
 *
 * Usage: bench_network [CYCLES [at-once]]. Each cycle is a process of its own, as a supervisor is: join a network whose
 * keeper is running, enter it, clone a bare user and network namespace, attach, leave. Prints mean, median and p99 of
 * each step in microseconds, and how long it took altogether; `clone` is for comparison, the kernel's own price of the
 * sandbox's namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "base/tree.h"
#include "netns/netns.h"

enum step { JOIN, ENTER, CLONE, ATTACH, GONE, LEAVE, ALL, STEPS };
static const char *const step_names[STEPS] = { "join", "enter", "clone", "attach", "kill", "leave", "all" };

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void must(int result, const struct azm_err *err)
{
	if (result >= 0)
		return;
	err_print(err, "bench_network");
	_exit(1);
}

static pid_t clone_sandbox(void)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		return -1;
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) < 0);
	}
	close(ends[0]); /* ends[1] stays open: the child lives until it is killed */
	return child;
}

static void cycle(const struct network_options *options, double out[STEPS])
{
	struct azm_err err = { 0 };
	struct network network;
	char path[64];
	double start = now_us(), last = start;

#define LAP(step) (out[step] = now_us() - last, last += out[step])
	must(network_join(options, &network, &err), &err);
	LAP(JOIN);
	must(network_enter(&network, &err), &err);
	LAP(ENTER);
	prctl(PR_SET_DUMPABLE, 1);
	pid_t child = clone_sandbox();
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)child);
	int netns = open(path, O_RDONLY | O_CLOEXEC);
	must(netns < 0 ? err_sys(&err, "open", path) : 0, &err);
	LAP(CLONE);
	must(network_attach(&network, true, netns, false, &err), &err);
	LAP(ATTACH);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(netns);
	LAP(GONE);
	network_leave(&network);
	LAP(LEAVE);
	out[ALL] = now_us() - start;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void print_step(const char *name, double *values, size_t count)
{
	double sum = 0;

	qsort(values, count, sizeof *values, by_value);
	for (size_t i = 0; i < count; i++)
		sum += values[i];
	printf("%-8s mean %8.1f  median %8.1f  p99 %8.1f  max %8.1f us\n", name, sum / (double)count, values[count / 2],
		values[count * 99 / 100], values[count - 1]);
}

/* Run all cycles, each in a child; one after the other or all together. */
static int run_cycles(const struct network_options *options, uint64_t cycles, bool at_once, double (*results)[STEPS])
{
	int status, failed = 0;

	for (uint64_t i = 0; i < cycles; i++) {
		pid_t child = fork();
		if (child == 0) {
			cycle(options, results[i]);
			_exit(0);
		}
		if (!at_once && waitpid(child, &status, 0) == child)
			failed |= status;
	}
	while (waitpid(-1, &status, 0) > 0)
		failed |= status;
	return failed;
}

int main(int argc, char **argv)
{
	uint64_t cycles = 200;
	struct azm_err err = { 0 };
	struct network warm;
	char directory[] = "/tmp/bench-network-XXXXXX";
	bool at_once = argc > 2 && strcmp(argv[2], "at-once") == 0;

	if (argc > 1 && !str_to_u64(argv[1], 100000, &cycles))
		return 2;
	if (!mkdtemp(directory))
		return 1;
	int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int live = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct network_options options = {
		.live_dirfd = live, .live_path = directory, .name = "bench", .keep_fd = -1, .grace_seconds = 0
	};
	size_t size = (cycles + 1) * sizeof(double[STEPS]);
	double(*results)[STEPS] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double start = now_us();
	must(network_join(&options, &warm, &err), &err);
	printf("cold join %.1f us\n", now_us() - start);
	start = now_us();
	int failed = run_cycles(&options, cycles, at_once, results);
	printf("%d cycles took %.1f ms\n", (int)cycles, (now_us() - start) / 1000);
	for (int step = 0; step < STEPS; step++) {
		double *column = xcalloc(cycles, sizeof *column);
		for (uint64_t i = 0; i < cycles; i++)
			column[i] = results[i][step];
		print_step(step_names[step], column, cycles);
		free(column);
	}
	network_leave(&warm);
	must(tree_remove_at(tmp, strrchr(directory, '/') + 1, &err), &err);
	return failed != 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/bench_publish.c: what a published port costs, as ratios to plain loopback in the same run.
 *
 *     bench_publish [SECONDS [NAME]]
 *
 * One server process, one client process, as iperf3 and wrk are: bulk in both directions over one connection, and
 * 100-byte requests with 400-byte answers at 1 and 64 connections. Plain loopback is the same pair without us. Runs
 * alternate and the median of five is taken, because a shared machine drifts. One JSON object on stdout.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <netinet/tcp.h>
#include <time.h>

#include "tests/unit/publish_world.h"

enum { ROUNDS = 5, REQUEST = 100, ANSWER = 400, CHUNK = 128 * 1024, PORT_SINK = 7001, PORT_SOURCE, PORT_REQUESTS };

static int listen_on(uint16_t port)
{
	static const int on = 1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	world_check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
	world_check(listen(fd, 1024) == 0, "listen");
	return fd;
}

/* ---- server --------------------------------------------------------------------------------------------------- */

static char scratch[CHUNK];

static void serve_sink(int listener)
{
	for (;;) {
		cleanup_fd int fd = accept(listener, NULL, NULL);
		while (read(fd, scratch, sizeof scratch) > 0)
			;
	}
}

static void serve_source(int listener)
{
	for (;;) {
		cleanup_fd int fd = accept(listener, NULL, NULL);
		while (send(fd, scratch, sizeof scratch, MSG_NOSIGNAL) > 0)
			;
	}
}

static void serve_requests(int listener)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[64];

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd == listener) {
				event.data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
			} else if (read(fd, scratch, REQUEST) != REQUEST ||
				   send(fd, scratch, ANSWER, MSG_NOSIGNAL) != ANSWER) {
				close(fd);
			}
		}
	}
}

static void serve_all(void *context)
{
	static const struct {
		uint16_t port;
		void (*serve)(int listener);
	} servers[] = { { PORT_SINK, serve_sink }, { PORT_SOURCE, serve_source }, { PORT_REQUESTS, serve_requests } };

	(void)context;
	for (size_t i = 0; i < 3; i++) {
		int listener = listen_on(servers[i].port);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			servers[i].serve(listener);
		}
	}
	(void)!write(WORLD_READY_FD, "", 1);
	pause();
}

/* ---- client --------------------------------------------------------------------------------------------------- */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* bytes a second */
static double measure_bulk(uint16_t port, bool send_side, double seconds)
{
	cleanup_fd int fd = world_connect(AF_INET, port);
	double start = now(), bytes = 0;

	world_check(fd >= 0, "connect");
	while (now() - start < seconds) {
		ssize_t size = send_side ? send(fd, scratch, sizeof scratch, 0) : recv(fd, scratch, sizeof scratch, 0);
		world_check(size > 0, "bulk");
		bytes += (double)size;
	}
	return bytes / (now() - start);
}

/* requests a second */
static double measure_requests(uint16_t port, int connections, double seconds)
{
	cleanup_fd int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];
	int fds[64];
	double start = now(), requests = 0;

	for (int i = 0; i < connections; i++) {
		static const int on = 1;
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] = world_connect(AF_INET, port) };
		world_check(fds[i] >= 0, "connect");
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
		world_check(send(fds[i], scratch, REQUEST, 0) == REQUEST, "request");
	}
	while (now() - start < seconds) {
		int count = epoll_wait(epoll, events, 64, -1);
		for (int i = 0; i < count; i++) {
			world_check(read(events[i].data.fd, scratch, ANSWER) == ANSWER, "answer");
			requests++;
			world_check(send(events[i].data.fd, scratch, REQUEST, 0) == REQUEST, "request");
		}
	}
	double rate = requests / (now() - start);
	for (int i = 0; i < connections; i++)
		close(fds[i]);
	return rate;
}

/* Nanoseconds of processor time of every thread of our process group. What a request costs hardly depends on who else
 * is using the machine, its rate does. */
static double group_cpu(void)
{
	cleanup_dir DIR *proc = opendir("/proc");
	double total = 0;

	for (struct dirent *process; proc && (process = readdir(proc));) {
		pid_t pid = (pid_t)strtol(process->d_name, NULL, 10);
		if (pid <= 0 || getpgid(pid) != getpgrp())
			continue;
		cleanup_free char *path = xasprintf("/proc/%d/task", pid);
		cleanup_dir DIR *tasks = opendir(path);
		for (struct dirent *task; tasks && (task = readdir(tasks));) {
			cleanup_free char *file = xasprintf("%s/%s/schedstat", path, task->d_name);
			cleanup_free char *text = task->d_name[0] == '.' ? NULL : read_path(file, 256, NULL);
			total += text ? strtod(text, NULL) : 0;
		}
	}
	return total;
}

static const struct test {
	const char *name;
	int rule; /* index of the port */
	int connections;
} tests[] = {
	{ "upload_bytes_per_s", 0, 0 },
	{ "download_bytes_per_s", 1, 0 },
	{ "requests_per_s_1", 2, 1 },
	{ "requests_per_s_64", 2, 64 },
};

static double measure(const struct test *test, uint16_t port, double seconds, double *cpu)
{
	double before = group_cpu(), start = now();
	double rate = test->rule < 2 ? measure_bulk(port, test->rule == 0, seconds)
				     : measure_requests(port, test->connections, seconds);

	*cpu = (group_cpu() - before) / (rate * (now() - start));
	return rate;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof *values, compare);
	return values[ROUNDS / 2];
}

int main(int argc, char **argv)
{
	static const struct world_options options = { .publish = { "7001", "7002", "7003" }, .serve = serve_all };
	static const uint16_t plain_ports[] = { PORT_SINK, PORT_SOURCE, PORT_REQUESTS };
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1.0;
	struct world world;

	world_check(world_start(&world, &options) == 0, "world");
	/* The plain side: the same servers in the host's namespace. */
	int ready[2];
	world_check(pipe(ready) == 0, "pipe");
	pid_t plain = fork();
	if (plain == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ready[1], WORLD_READY_FD);
		serve_all(NULL);
	}
	world_check(read(ready[0], scratch, 1) == 1, "plain servers");

	printf("{");
	const char *separator = "";
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (argc > 2 && strcmp(argv[2], tests[i].name) != 0)
			continue;
		double direct[ROUNDS], published[ROUNDS], direct_cpu[ROUNDS], published_cpu[ROUNDS];
		for (int round = 0; round < ROUNDS; round++) {
			direct[round] = measure(&tests[i], plain_ports[tests[i].rule], seconds, &direct_cpu[round]);
			published[round] =
				measure(&tests[i], world.ports[tests[i].rule], seconds, &published_cpu[round]);
		}
		double a = median(direct), b = median(published);
		printf("%s\n  \"%s\": {\"loopback\": %.4g, \"published\": %.4g, \"ratio\": %.3f, \"cpu_ns\": [%.3g, "
		       "%.3g, %.3f]}",
			separator, tests[i].name, a, b, b / a, median(direct_cpu), median(published_cpu),
			median(direct_cpu) / median(published_cpu));
		separator = ",";
		fflush(stdout);
	}
	printf("\n}\n");
	kill(plain, SIGKILL);
	waitpid(plain, NULL, 0);
	return world_stop(&world);
}

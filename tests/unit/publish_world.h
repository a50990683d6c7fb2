// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/publish_world.h: a sandbox and a supervisor in small, for the tests and the benchmark of publishing.
 *
 * world_start() makes two processes of the caller's user. The *sandbox* has a user and a network namespace with lo up
 * and 10.111.0.2 standing in for eth0, and runs the function it was given. The *supervisor* does what azm-sandbox does:
 * listens in the host's network, enters the sandbox's user namespace, publishes. Then it answers commands. The caller
 * stays what it was and plays the host's programs.
 */
#pragma once
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id_map.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/netns.h"

enum { WORLD_ADDRESS = 0x0a6f0002, WORLD_PORTS = 16 };

struct world {
	pid_t sandbox, supervisor;
	int control;		     /* commands to the supervisor; its end is the end of the world */
	size_t count;		     /* rules */
	uint16_t ports[WORLD_PORTS]; /* the host's, in the order of the rules */
};

struct world_options {
	const char *publish[WORLD_PORTS]; /* -p arguments, ended by NULL */
	void (*serve)(void *context);	  /* runs in the sandbox until it is killed; writes a byte to fd 3 when ready */
	void *context;
	rlim_t supervisor_files; /* RLIMIT_NOFILE, 0 leaves it */
	bool any_user;
	bool no_address; /* as with --network none */
};

enum { WORLD_READY_FD = 3 };

[[gnu::noreturn]] static inline void world_die(const char *step)
{
	perror(step);
	_exit(99);
}

static inline void world_check(bool good, const char *step)
{
	if (!good)
		world_die(step);
}

/* ---- the sandbox ---------------------------------------------------------------------------------------------- */

static inline void world_lo_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM, 0);

	request.ifr_flags = IFF_UP;
	world_check(ioctl(fd, SIOCSIFFLAGS, &request) == 0, "lo up");
	strcpy(request.ifr_name, "lo:1");
	memset(address, 0, sizeof *address);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(WORLD_ADDRESS);
	world_check(ioctl(fd, SIOCSIFADDR, &request) == 0, "address of the sandbox");
}

[[gnu::noreturn]] static inline void world_sandbox(const struct world_options *options, int ready)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct azm_err err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	world_check(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0, "unshare");
	world_check(id_map_single(0, 0, uid, 0, gid, &err) == 0, "id maps");
	world_lo_up();
	world_check(dup3(ready, WORLD_READY_FD, O_CLOEXEC) >= 0 || ready == WORLD_READY_FD, "dup");
	options->serve(options->context);
	_exit(0);
}

/* ---- the supervisor ------------------------------------------------------------------------------------------- */

static inline uint32_t world_rss_kib(void)
{
	cleanup_free char *status = read_path("/proc/self/status", 65536, NULL);
	const char *line = status ? strstr(status, "VmRSS:") : NULL;

	return line ? (uint32_t)strtoul(line + 6, NULL, 10) : 0;
}

static inline uint32_t world_fd_count(void)
{
	cleanup_dir DIR *dir = opendir("/proc/self/fd");
	uint32_t count = 0;

	while (dir && readdir(dir))
		count++;
	return count;
}

static inline int world_open_namespace(pid_t pid, const char *name)
{
	cleanup_free char *path = xasprintf("/proc/%d/ns/%s", pid, name);

	return open(path, O_RDONLY | O_CLOEXEC);
}

/* 'm' memory, 'f' descriptors, 'w' + port: wait for the server at most a second, 'c' + port: the same, cancelled */
static inline void world_obey(struct publisher *publisher, int control)
{
	char command;
	uint16_t port;
	uint32_t answer;
	struct azm_err err;

	while (read(control, &command, 1) == 1) {
		if (command == 'w' || command == 'c') {
			int cancel_fd = command == 'c' ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
			world_check(read(control, &port, sizeof port) == sizeof port, "port");
			answer = (uint32_t)publish_wait_ready(publisher, port, "/alive", cancel_fd, 1000, &err);
			if (cancel_fd >= 0)
				close(cancel_fd);
		} else {
			answer = command == 'm' ? world_rss_kib() : world_fd_count();
		}
		world_check(write(control, &answer, sizeof answer) == sizeof answer, "answer");
	}
}

/* Bind and get ready to serve, as a supervisor does before it enters its network. */
static inline struct publisher *world_publish(struct publish_rule *rules, size_t count, struct azm_err *err)
{
	struct publish_sockets sockets = { .diag = -1 };
	struct publisher *publisher = publish_new(err);

	world_check(publisher != NULL, "publish_new");
	if (publish_bind(rules, count, &sockets, err) < 0) {
		publish_stop(publisher);
		return NULL;
	}
	world_check(publish_add(publisher, rules, count, &sockets, err) == 0, "publish_add");
	return publisher;
}

[[gnu::noreturn]] static inline void world_supervise(const struct world_options *options, pid_t sandbox, int control)
{
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;
	uint16_t ports[WORLD_PORTS] = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (options->supervisor_files) {
		struct rlimit limit = { options->supervisor_files, options->supervisor_files };
		world_check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	}
	for (size_t i = 0; options->publish[i]; i++)
		if (publish_parse(options->publish[i], NULL, false, &rules, &count, &err) < 0)
			_exit(err_print(&err, "parse"));
	for (size_t i = 0; i < count; i++)
		rules[i].any_user = options->any_user;
	struct publisher *publisher = world_publish(rules, count, &err);
	if (!publisher)
		_exit(err_print(&err, "listen"));

	cleanup_fd int userns = world_open_namespace(sandbox, "user");
	cleanup_fd int netns = world_open_namespace(sandbox, "net");
	world_check(setns(userns, CLONE_NEWUSER) == 0, "setns");
	if (publish_start(publisher, netns, options->no_address ? 0 : WORLD_ADDRESS, &err) < 0)
		_exit(err_print(&err, "start"));
	for (size_t i = 0; i < count && i < WORLD_PORTS; i++)
		ports[i] = rules[i].host_port;
	world_check(write(control, ports, sizeof ports) == sizeof ports, "ports");
	world_obey(publisher, control);
	publish_stop(publisher);
	publish_rules_free(rules, count);
	exit(0);
}

/* ---- the test ------------------------------------------------------------------------------------------------- */

/* Return: 0; -1 when the namespaces cannot be made. */
static inline int world_start(struct world *world, const struct world_options *options)
{
	int ready[2], control[2];
	char byte;

	world_check(pipe2(ready, O_CLOEXEC) == 0, "pipe");
	world_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0, "socketpair");
	world->sandbox = fork();
	if (world->sandbox == 0) {
		close(control[0]);
		close(control[1]);
		close(ready[0]);
		world_sandbox(options, ready[1]);
	}
	close(ready[1]);
	ssize_t got = read(ready[0], &byte, 1);
	close(ready[0]);
	world->supervisor = -1;
	world->control = control[0];
	if (got == 1 && (world->supervisor = fork()) == 0) {
		close(control[0]);
		world_supervise(options, world->sandbox, control[1]);
	}
	close(control[1]);
	return got == 1 && read_full(control[0], world->ports, sizeof world->ports) == sizeof world->ports ? 0 : -1;
}

static inline uint32_t world_ask(const struct world *world, char command)
{
	uint32_t answer = 0;

	world_check(write(world->control, &command, 1) == 1, "command");
	world_check(read_full(world->control, &answer, sizeof answer) == sizeof answer, "answer");
	return answer;
}

static inline int world_wait_ready(const struct world *world, uint16_t port, bool cancelled)
{
	char command[3] = { cancelled ? 'c' : 'w' };

	memcpy(command + 1, &port, sizeof port);
	world_check(write(world->control, command, sizeof command) == sizeof command, "command");
	uint32_t answer = 0;
	world_check(read_full(world->control, &answer, sizeof answer) == sizeof answer, "answer");
	return (int)answer;
}

/* Return: the supervisor's exit status; 0 when it stopped in order. */
static inline int world_stop(struct world *world)
{
	int status = 0;

	close(world->control);
	if (world->supervisor > 0)
		waitpid(world->supervisor, &status, 0);
	kill(world->sandbox, SIGKILL);
	waitpid(world->sandbox, NULL, 0);
	return status;
}

static inline int world_connect(int family, uint16_t port)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT
	};
	const struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	cleanup_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, address, family == AF_INET ? sizeof v4 : sizeof v6) < 0)
		return -1;
	return steal_fd(&fd);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/dns_fixture.c: see dns_fixture.h. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id_map.h"
#include "base/io.h"
#include "netns/dns.h"
#include "netns/egress_rules.h"
#include "tests/unit/dns_fixture.h"

static const char rules_text[] = "example.org,*.example.com:443,!bad.example.com,host:5432,b\xc3\xbc"
				 "cher.example";

static const struct {
	const char *name;
	uint32_t address;
} members[] = { { "web", 0x0a6f0007 }, { "my.box", 0x0a6f0008 } };

static bool answerable(void *context, const char *name)
{
	return egress_name_answerable(context, name);
}

static bool member_find(void *context, const char *name, uint32_t *address)
{
	(void)context;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (strcmp(members[i].name, name) == 0) {
			*address = members[i].address;
			return true;
		}
	return false;
}

static bool member_name(void *context, uint32_t address, char *name, size_t size)
{
	(void)context;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (members[i].address == address) {
			(void)snprintf(name, size, "%s", members[i].name);
			return true;
		}
	return false;
}

int bound(int type, const char *address, uint16_t port)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(port) };
	int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &where.sin_addr) != 1 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, (struct sockaddr *)&where, sizeof where) < 0)
		abort();
	return fd;
}

[[gnu::noreturn]] static void serve(int udp, int tcp, const struct server_options *options)
{
	struct rlimit files = { options->files, options->files };
	struct azm_err err = { 0 };
	struct egress_rules *rules = NULL;
	struct relay *loop = relay_new(&err);
	struct dns_config config = {
		.loop = loop,
		.udp = udp,
		.tcp = tcp,
		.client = INADDR_LOOPBACK,
		.names = synthetic_new(options->names, &err),
		.answerable = answerable,
		.member_find = member_find,
		.member_name = member_name,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!loop || !config.names || egress_rules_parse(rules_text, &rules, &err) < 0)
		abort();
	config.context = rules;
	struct dns_responder *dns = dns_start(&config, &err);
	if (!dns || setrlimit(RLIMIT_NOFILE, &files) < 0)
		abort();
	while (getppid() != 1 && relay_turn(loop, 1000) == 0)
		;
	abort();
}

static pid_t start(const struct server_options *options)
{
	cleanup_fd int udp = bound(SOCK_DGRAM, "127.0.0.1", PORT), tcp = bound(SOCK_STREAM, "127.0.0.1", PORT);

	assert_int_equal(listen(tcp, SOMAXCONN), 0);
	assert_int_equal(fd_set_nonblock(udp, true), 0);
	assert_int_equal(fd_set_nonblock(tcp, true), 0);
	pid_t server = fork();
	if (server == 0)
		serve(udp, tcp, options);
	assert_true(server > 0);
	return server;
}

int dns_setup(void **state)
{
	static const struct server_options usual = { SYNTHETIC_NAMES, SERVER_FILES };

	*state = calloc(1, sizeof(pid_t));
	*(pid_t *)*state = start(&usual);
	return 0;
}

int dns_teardown(void **state)
{
	pid_t server = *(pid_t *)*state;
	int status;

	kill(server, SIGKILL);
	waitpid(server, &status, 0);
	free(*state);
	/* It was alive until now: no crash, no sanitizer report. */
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : -1;
}

void dns_restart(void **state, const struct server_options *options)
{
	assert_int_equal(dns_teardown(state), 0);
	*state = calloc(1, sizeof(pid_t));
	*(pid_t *)*state = start(options);
}

void must(bool good, const char *step)
{
	if (good)
		return;
	perror(step);
	exit(1);
}

void dns_enter_world(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct azm_err err;
	uid_t uid = getuid();
	gid_t gid = getgid();
	cleanup_fd int fd = -1;

	must(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare");
	must(id_map_single(0, 0, uid, 0, gid, &err) == 0, "id maps");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0, "lo up");
}

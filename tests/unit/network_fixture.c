// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/network_fixture.c: see network_fixture.h. */
#include "network_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "netns/inside.h"

enum { ORDINARY_ID = 61234, CHILDREN_MAX = 64 };

void become_user(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0 ||
				      setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID) < 0))
		abort();
	prctl(PR_SET_DUMPABLE, 1); /* changing ids took it away, and with it the files of /proc/self */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int world_setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);

	if (!world)
		return -1;
	strcpy(world->directory, "/tmp/azm-test-network-XXXXXX");
	if (!mkdtemp(world->directory)) {
		free(world);
		return -1;
	}
	world->live = open(world->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	world->options = (struct network_options){ .live_dirfd = world->live,
		.live_path = world->directory,
		.name = "test",
		.isolated = true,
		.keep_fd = -1,
		.grace_seconds = 60 };
	*state = world;
	return world->live < 0 ? -1 : 0;
}

/* Our direct children, adopted keepers among them. */
static size_t children(pid_t *pids, size_t room)
{
	char path[64];
	size_t count = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
	cleanup_free char *text = read_path(path, 65536, NULL);
	for (char *save = NULL, *word = text ? strtok_r(text, " ", &save) : NULL; word && count < room;
		word = strtok_r(NULL, " ", &save))
		pids[count++] = (pid_t)strtol(word, NULL, 10);
	return count;
}

int world_teardown(void **state)
{
	struct world *world = *state;
	pid_t pids[CHILDREN_MAX];
	struct azm_err err;

	for (size_t count; (count = children(pids, CHILDREN_MAX)) > 0;)
		for (size_t i = 0; i < count; i++) {
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
	close(world->live);
	cleanup_fd int parent = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = tree_remove_at(parent, strrchr(world->directory, '/') + 1, &err);
	free(world);
	return result;
}

pid_t spawn(int (*body)(struct world *world, void *argument), struct world *world, void *argument)
{
	pid_t child = fork();

	if (child == 0) {
		/* What a child leaves behind must come to the test, not to the child. */
		prctl(PR_SET_CHILD_SUBREAPER, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body(world, argument));
	}
	return child;
}

int finish(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int in_child(int (*body)(struct world *world, void *argument), struct world *world, void *argument)
{
	return finish(spawn(body, world, argument));
}

static bool is_keeper(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	cleanup_free char *text = read_path(path, 64, NULL);
	return text && strcmp(text, "azm-keeper\n") == 0;
}

static bool is_zombie(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

size_t keepers(pid_t *pids, size_t room)
{
	pid_t all[CHILDREN_MAX];
	size_t found = 0, count = children(all, CHILDREN_MAX);

	for (size_t i = 0; i < count; i++)
		if (is_keeper(all[i]) && !is_zombie(all[i])) {
			if (found < room)
				pids[found] = all[i];
			found++;
		}
	return found;
}

bool gone(pid_t child)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int waited = 0; waited < DEADLINE_MS; waited++) {
		pid_t ended = waitpid(child, NULL, WNOHANG);
		if (ended == child || (ended < 0 && errno == ECHILD))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

ino_t inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

bool exists(const struct world *world, const char *file)
{
	return faccessat(world->live, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int sandbox_start(struct sandbox *sandbox)
{
	char path[64], byte;
	int ends[2];

	prctl(PR_SET_DUMPABLE, 1); /* entering a user namespace took it away */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	sandbox->pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
	if (sandbox->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[1]);
		_exit(read_full(ends[0], &byte, 1) != 0);
	}
	close(ends[0]); /* the other end stays open until the child of the test ends, and the sandbox with it */
	if (sandbox->pid < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)sandbox->pid);
	sandbox->netns = open(path, O_RDONLY | O_CLOEXEC);
	return sandbox->netns < 0 ? -1 : 0;
}

void sandbox_stop(struct sandbox *sandbox)
{
	close(sandbox->netns);
	kill(sandbox->pid, SIGKILL);
	waitpid(sandbox->pid, NULL, 0);
}

int become_member(const struct world *world, struct member *member)
{
	struct azm_err err = { 0 };

	CHECK_OK(network_join(&world->options, &member->network, &err), &err);
	CHECK_OK(network_enter(&member->network, &err), &err);
	CHECK(sandbox_start(&member->sandbox) == 0);
	CHECK_OK(network_attach(&member->network, world->options.isolated, member->sandbox.netns, false, &err), &err);
	return 0;
}

struct sockaddr_in ipv4(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)
	};
}

bool same(const struct sockaddr_in *a, uint32_t address, uint16_t port)
{
	return ntohl(a->sin_addr.s_addr) == address && (port == 0 || ntohs(a->sin_port) == port);
}

bool readable(int fd)
{
	struct pollfd waiter = { .fd = fd, .events = POLLIN };

	return poll(&waiter, 1, DEADLINE_MS) == 1;
}

int connect_within(int netns, uint32_t address, uint16_t port, unsigned ms)
{
	struct azm_err err = { 0 };
	cleanup_fd int fd = netns_socket(netns, AF_INET, SOCK_STREAM, 0, &err);
	struct sockaddr_in to = ipv4(address, port);

	if (fd < 0)
		return err.code;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
	return connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

int connect_from(int netns, uint32_t address, uint16_t port)
{
	return connect_within(netns, address, port, 0);
}

int serve_member(struct served *served)
{
	struct azm_err err = { 0 };
	struct network *network = &served->member.network;

	CHECK_OK(network_route(network, served->member.sandbox.netns, &err), &err);
	CHECK_OK(served->tcp = network_listen(network, SOCK_STREAM, &served->service.tcp, &err), &err);
	CHECK_OK(served->dns_udp = network_listen(network, SOCK_DGRAM, &served->service.dns_udp, &err), &err);
	CHECK_OK(served->dns_tcp = network_listen(network, SOCK_STREAM, &served->service.dns_tcp, &err), &err);
	CHECK_OK(network_serve(network, &served->service, &err), &err);
	return 0;
}

int become_served(const struct world *world, struct served *served)
{
	*served = (struct served){ 0 };
	CHECK(become_member(world, &served->member) == 0);
	return serve_member(served);
}

int check_connection(const struct served *served, int listener, uint32_t address, uint16_t port)
{
	struct azm_err err = { 0 };
	struct sockaddr_in peer = { 0 }, meant = { 0 }, far = ipv4(address, port);
	socklen_t peer_size = sizeof peer, meant_size = sizeof meant;
	cleanup_fd int client = netns_socket(served->member.sandbox.netns, AF_INET, SOCK_STREAM, 0, &err);
	char byte;

	CHECK(connect(client, (struct sockaddr *)&far, sizeof far) == 0);
	CHECK(readable(listener));
	cleanup_fd int accepted = accept4(listener, (struct sockaddr *)&peer, &peer_size, SOCK_CLOEXEC);
	CHECK(accepted >= 0 && same(&peer, served->member.network.address, 0));
	CHECK(getsockopt(accepted, SOL_IP, SO_ORIGINAL_DST, &meant, &meant_size) == 0);
	CHECK(same(&meant, address, port));
	CHECK(write(client, "x", 1) == 1 && read(accepted, &byte, 1) == 1 && byte == 'x');
	CHECK(write(accepted, "y", 1) == 1 && read(client, &byte, 1) == 1 && byte == 'y');
	return 0;
}

static int pace_arp(int netns, const char *milliseconds)
{
	CHECK(setns(netns, CLONE_NEWNET) == 0);
	/* Users' namespaces have no such settings before Linux 6.0: there it is the usual second. */
	CHECK(write_path("/proc/sys/net/ipv4/neigh/eth0/retrans_time_ms", milliseconds) == 0 || errno == ENOENT);
	return 0;
}

int hurry_arp(struct world *world, void *netns)
{
	(void)world;
	return pace_arp(*(int *)netns, "100");
}

int stall_arp(struct world *world, void *netns)
{
	(void)world;
	return pace_arp(*(int *)netns, "3600000");
}

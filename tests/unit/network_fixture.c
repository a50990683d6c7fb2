// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/network_fixture.c: see network_fixture.h. */
#include "network_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

int connect_from(int netns, uint32_t address, uint16_t port)
{
	struct azm_err err = { 0 };
	cleanup_fd int fd = netns_socket(netns, AF_INET, SOCK_STREAM, 0, &err);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port) };

	if (fd < 0)
		return err.code;
	return connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/keeper_ask.c: the member's side of keeper.h.
 *
 * Whatever is wrong with a keeper (gone, going, stopped, of another version, talking nonsense) has the same remedy, a
 * new one, so all of it is KEEPER_ABSENT. Errors are a lack of our own resources, and being refused.
 */
#include "netns/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/fd_passing.h"
#include "netns/keeper_wire.h"

enum { ANSWER_SECONDS = 5 }; /* a keeper that takes longer is stuck (stopped by a signal, say) */

void keeper_file(char file[KEEPER_FILE_MAX], const char *name, const char *suffix)
{
	snprintf(file, KEEPER_FILE_MAX, "net-%.*s.%s", KEEPER_NAME_MAX, name, suffix);
}

int keeper_lock(int live_dirfd, const char *name)
{
	char file[KEEPER_FILE_MAX];

	keeper_file(file, name, "lock");
	cleanup_fd int lock = openat(live_dirfd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return -1;
	return steal_fd(&lock);
}

/* Return: connected socket, -1 with errno. */
static int connect_keeper(int live_dirfd, const char *name)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char file[KEEPER_FILE_MAX];

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return -1;
	/* Through the directory's descriptor: the path itself may be longer than sun_path. */
	keeper_file(file, name, "sock");
	if (snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", live_dirfd, file) >=
		(int)sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -1;
	return steal_fd(&fd);
}

static bool is_ours(int connection)
{
	struct ucred keeper = { 0 };
	socklen_t size = sizeof keeper;

	return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &keeper, &size) == 0 && keeper.uid == geteuid();
}

static bool same_namespace(int a, int b)
{
	struct stat left, right;

	return fstat(a, &left) == 0 && fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
	       left.st_dev == right.st_dev;
}

/* A user namespace of the caller's own, and a network namespace that belongs to it; see ioctl_ns(2). */
static bool namespaces_fit(int userns, int netns)
{
	uid_t owner;

	if (ioctl(userns, NS_GET_NSTYPE) != CLONE_NEWUSER || ioctl(netns, NS_GET_NSTYPE) != CLONE_NEWNET ||
		ioctl(userns, NS_GET_OWNER_UID, &owner) < 0 || owner != geteuid())
		return false;
	cleanup_fd int above = ioctl(netns, NS_GET_USERNS);
	return above >= 0 && same_namespace(above, userns);
}

static bool accept_answer(
	const struct keeper_answer *answer, const int fds[KEEPER_FDS_MAX], size_t fd_count, struct keeper_stock *stock)
{
	struct subnet subnet = { .base = answer->subnet_base, .prefix = answer->subnet_prefix };

	if (answer->status != KEEPER_WELCOME || fd_count < 2 || !subnet_valid(&subnet) ||
		!namespaces_fit(fds[0], fds[1]))
		return false;
	*stock = (struct keeper_stock){ .userns = fds[0], .netns = fds[1], .kept_fd = fds[2], .subnet = subnet };
	return true;
}

int keeper_knock(int live_dirfd, const char *name, uint64_t tag)
{
	const struct keeper_hello hello = { .magic = KEEPER_MAGIC, .tag = tag };
	cleanup_fd int fd = connect_keeper(live_dirfd, name);

	if (fd < 0)
		return -1;
	if (!is_ours(fd) || send(fd, &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello) {
		errno = ECONNREFUSED; /* one that is leaving, or not a keeper: as good as none */
		return -1;
	}
	return steal_fd(&fd);
}

enum keeper_result keeper_hear(int knocked, struct keeper_stock *stock)
{
	struct keeper_answer answer = { 0 };
	int fds[KEEPER_FDS_MAX] = { -1, -1, -1 };
	size_t fd_count = KEEPER_FDS_MAX;

	if (fds_receive(knocked, &answer, sizeof answer, fds, &fd_count, MSG_TRUNC) == sizeof answer &&
		answer.magic == KEEPER_MAGIC && accept_answer(&answer, fds, fd_count, stock))
		return KEEPER_JOINED;
	for (size_t i = 0; i < KEEPER_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return answer.magic == KEEPER_MAGIC && answer.status == KEEPER_REFUSED ? KEEPER_ERROR : KEEPER_ABSENT;
}

enum keeper_result keeper_ask(int live_dirfd, const char *name, uint64_t tag, struct keeper_stock *stock,
	int *connection, struct azm_err *err)
{
	cleanup_fd int fd = keeper_knock(live_dirfd, name, tag);

	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED || errno == EPROTOTYPE))
		return KEEPER_ABSENT;
	if (fd < 0) {
		err_sys(err, "connect to the keeper of network", name);
		return KEEPER_ERROR;
	}
	enum keeper_result result = keeper_hear(fd, stock);
	if (result == KEEPER_ERROR)
		err_msg(err, EPERM, "join network", name,
			"its keeper serves another pid namespace, or cannot see this process in /proc");
	if (result == KEEPER_JOINED)
		*connection = steal_fd(&fd);
	return result;
}

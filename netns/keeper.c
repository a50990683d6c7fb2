// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/keeper.c: the keeper process.
 *
 * Theory of operation
 *
 * The keeper is a child of the program that made the network, orphaned on purpose, in its own session. It stays in the
 * host's namespaces and needs no privilege: it holds two namespace descriptors (a namespace lives as long as somebody
 * holds it) and hands copies to members. Being killed is no catastrophe: members hold the namespaces themselves, and
 * the next start makes a new network.
 *
 * It counts open connections. Grace seconds after the last one closed it leaves: takes the network's lock, so that
 * nobody is making a successor meanwhile, looks once more whether somebody is waiting in the queue, removes its socket
 * (if it still is the one it bound) and exits. Whoever connected in the last instant reads end-of-file and, finding no
 * socket, makes a new network.
 *
 * A member that expects another kept_fd (another version of the program) retires the keeper: it stops listening, which
 * makes room for a successor, and leaves with its last member. The stale socket file is the successor's to replace.
 *
 * Who is let in: processes of the same user, in the pid namespace of the keeper. The socket cannot be reached from a
 * sandbox; if it ever could, a sandbox's processes have the user's uid, and only the pid namespace tells them apart.
 */
#include "netns/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd_passing.h"
#include "base/footprint.h"
#include "base/io.h"
#include "base/signals.h"
#include "netns/keeper_wire.h"

enum {
	FIRST_MEMBER_MS = 10000, /* whoever started us connects at once; if it died, do not stay for ever */
	LOCK_BUSY_MS = 50,
	QUIET_MS = 1000, /* then the pages that the last member needed are given back */
};

/* Where the descriptors are after detach(). */
enum { FD_LISTENER = 3, FD_DIRECTORY, FD_USERNS, FD_NETNS, FD_KEPT };

struct keeper {
	char name[KEEPER_NAME_MAX + 1]; /* a copy: the caller's may be part of the command line we overwrite */
	uint64_t tag;
	struct subnet subnet;
	bool has_kept;
	int grace_ms;

	int epoll;
	dev_t socket_device; /* identity of the socket file we bound */
	ino_t socket_inode;
	uid_t uid;
	unsigned pid_depth; /* how many pid namespaces deep we are, as /proc shows it */
	unsigned members;
	bool retired;
	int64_t leave_at; /* monotonic ms; meaningful without members */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Number of pid namespaces a process is in, counted from the one of /proc; 0 when it cannot be told. proc(5), NSpid. */
static unsigned pid_depth(pid_t pid)
{
	char path[64];
	unsigned depth = 0;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	cleanup_free char *text = read_path(path, 65536, NULL);
	const char *line = text ? strstr(text, "\nNSpid:") : NULL;
	if (!line)
		return 0;
	for (const char *c = line + strlen("\nNSpid:"); *c != '\n' && *c != '\0'; c++)
		if (*c == '\t')
			depth++;
	return depth;
}

static bool may_join(const struct keeper *keeper, int peer)
{
	struct ucred ucred;
	socklen_t size = sizeof ucred;

	return getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &ucred, &size) == 0 && ucred.uid == keeper->uid &&
	       ucred.pid > 0 && pid_depth(ucred.pid) == keeper->pid_depth;
}

static void answer(const struct keeper *keeper, int peer, enum keeper_status status)
{
	struct keeper_answer text = { .magic = KEEPER_MAGIC,
		.status = status,
		.subnet_base = keeper->subnet.base,
		.subnet_prefix = keeper->subnet.prefix };
	const int fds[KEEPER_FDS_MAX] = { FD_USERNS, FD_NETNS, FD_KEPT };
	size_t count = status != KEEPER_WELCOME ? 0 : keeper->has_kept ? 3 : 2;

	/* A peer that cannot take its answer hangs up, which we see as any other leaving. */
	fds_send(peer, &text, sizeof text, fds, count, MSG_DONTWAIT);
}

static void retire(struct keeper *keeper)
{
	if (!keeper->retired)
		close(FD_LISTENER);
	keeper->retired = true;
}

static void drop_member(struct keeper *keeper, int member)
{
	close(member);
	if (--keeper->members == 0)
		keeper->leave_at = now_ms() + keeper->grace_ms;
}

/* One message of a member, or its end. */
static void serve_member(struct keeper *keeper, int member)
{
	struct keeper_hello hello;
	ssize_t n = recv(member, &hello, sizeof hello, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof hello || hello.magic != KEEPER_MAGIC) {
		drop_member(keeper, member);
	} else if (!may_join(keeper, member)) {
		answer(keeper, member, KEEPER_REFUSED);
		drop_member(keeper, member);
	} else if (hello.tag != keeper->tag) {
		retire(keeper); /* before the answer: the member goes straight on to make a successor */
		answer(keeper, member, KEEPER_RETIRED);
		drop_member(keeper, member);
	} else {
		answer(keeper, member, KEEPER_WELCOME);
	}
}

static void accept_members(struct keeper *keeper)
{
	while (!keeper->retired) {
		int member = accept4(FD_LISTENER, NULL, NULL, SOCK_CLOEXEC);
		struct epoll_event event = { .events = EPOLLIN, .data.fd = member };

		if (member < 0) {
			/* Out of descriptors: wait, or the still waiting connection would keep us spinning. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				usleep(LOCK_BUSY_MS * 1000);
			return;
		}
		keeper->members++;
		if (epoll_ctl(keeper->epoll, EPOLL_CTL_ADD, member, &event) < 0)
			drop_member(keeper, member);
		else
			serve_member(keeper, member); /* its hello is usually there already */
	}
}

static bool still_our_socket(const struct keeper *keeper, const char *file)
{
	struct stat status;

	return fstatat(FD_DIRECTORY, file, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	       status.st_ino == keeper->socket_inode && status.st_dev == keeper->socket_device;
}

/* The time without members is over. Return: whether to exit now. */
static bool may_leave(struct keeper *keeper)
{
	char file[KEEPER_FILE_MAX];
	struct epoll_event waiting;

	if (keeper->retired)
		return true;
	cleanup_fd int lock = keeper_lock(FD_DIRECTORY, keeper->name);
	if ((lock < 0 && errno == EWOULDBLOCK) || epoll_wait(keeper->epoll, &waiting, 1, 0) > 0) {
		keeper->leave_at = now_ms() + LOCK_BUSY_MS;
		return false;
	}
	keeper_file(file, keeper->name, "sock");
	if (lock >= 0 && still_our_socket(keeper, file))
		unlinkat(FD_DIRECTORY, file, 0);
	return true;
}

static int wait_ms(const struct keeper *keeper)
{
	if (keeper->members > 0)
		return -1;
	int64_t left = keeper->leave_at - now_ms();
	return keeper->retired || left < 0 ? 0 : (int)left;
}

static void serve(struct keeper *keeper)
{
	struct epoll_event events[16];
	bool trimmed = false;

	for (;;) {
		int wait = wait_ms(keeper);
		int count = epoll_wait(
			keeper->epoll, events, 16, trimmed || (wait >= 0 && wait < QUIET_MS) ? wait : QUIET_MS);

		if (count == 0 && wait_ms(keeper) == 0 && may_leave(keeper))
			return;
		if (count == 0 && !trimmed)
			footprint_trim();
		trimmed = count == 0;
		for (int i = 0; i < count; i++)
			if (events[i].data.fd == FD_LISTENER)
				accept_members(keeper);
			else
				serve_member(keeper, events[i].data.fd);
	}
}

/* ---- becoming the keeper -------------------------------------------------------------------------------------- */

/* Leave nothing of the program that started us behind but what a keeper holds: its pipes would never see their end. */
static int detach_fds(const int sources[], size_t count)
{
	int high[8];

	for (size_t i = 0; i < count; i++) {
		high[i] = fcntl(sources[i], F_DUPFD, FD_LISTENER + 8);
		if (high[i] < 0)
			return -1;
	}
	for (size_t i = 0; i < count; i++)
		if (dup2(high[i], FD_LISTENER + (int)i) < 0)
			return -1;
	(void)fd_close_range(FD_LISTENER + (unsigned)count, ~0u);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	if (null > 2)
		close(null);
	return 0;
}

/* The command line may carry what the first sandbox was given (-e TOKEN=...): do not show it for our longer life. */
static void forget_command_line(void)
{
	cleanup_free char *text = read_path("/proc/self/stat", 4096, NULL);
	const char *field = text ? strrchr(text, ')') : NULL; /* end of field 2; proc(5): arg_start is 48, arg_end 49 */
	uintptr_t start = 0, end = 0;

	for (int number = 2; field && number < 48; number++)
		field = strchr(field + 1, ' ');
	if (!field || sscanf(field, "%lu %lu", &start, &end) != 2 || start == 0 || end <= start)
		return;
	memset((void *)start, 0, end - start);
	memcpy((void *)start, "azm-keeper", end - start > sizeof "azm-keeper" ? sizeof "azm-keeper" : end - start - 1);
}

static void drop_privileges(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { 0 };

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	syscall(SYS_capset, &header, none);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0); /* our descriptors are for those who ask, not for /proc/PID/fd */
}

static void become_ordinary(void)
{
	signals_default();
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0)
		_exit(1);
	raise_open_files(); /* one a member */
	prctl(PR_SET_NAME, "azm-keeper");
	forget_command_line();
}

[[gnu::noreturn]] static void keeper_main(struct keeper *keeper, const int sources[], size_t count)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = FD_LISTENER };

	if (detach_fds(sources, count) < 0)
		_exit(1);
	become_ordinary();
	drop_privileges();
	keeper->uid = geteuid();
	keeper->pid_depth = pid_depth(getpid());
	keeper->leave_at = now_ms() + FIRST_MEMBER_MS;
	keeper->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (keeper->epoll < 0 || epoll_ctl(keeper->epoll, EPOLL_CTL_ADD, FD_LISTENER, &event) < 0)
		_exit(1);
	serve(keeper);
	_exit(0);
}

/* Bind and listen, in place of whatever stale socket has the name. Return: descriptor, -1 with @err. */
static int make_listener(struct keeper *keeper, int live_dirfd, struct azm_err *err)
{
	cleanup_fd int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	char file[KEEPER_FILE_MAX];

	keeper_file(file, keeper->name, "sock");
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", live_dirfd, file);
	unlinkat(live_dirfd, file, 0);
	if (listener < 0 || fchmod(listener, 0600) < 0 ||
		bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0 ||
		fstatat(live_dirfd, file, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "make the keeper's socket", file);
	keeper->socket_device = status.st_dev;
	keeper->socket_inode = status.st_ino;
	return steal_fd(&listener);
}

int keeper_start(int live_dirfd, const char *name, uint64_t tag, const struct keeper_stock *stock,
	unsigned grace_seconds, struct azm_err *err)
{
	int status = 0;
	struct keeper keeper = { .tag = tag,
		.subnet = stock->subnet,
		.has_kept = stock->kept_fd >= 0,
		.grace_ms = grace_seconds > INT32_MAX / 1000 ? INT32_MAX : (int)grace_seconds * 1000 };
	snprintf(keeper.name, sizeof keeper.name, "%s", name);
	cleanup_fd int listener = make_listener(&keeper, live_dirfd, err);
	if (listener < 0)
		return -1;
	const int sources[] = { listener, live_dirfd, stock->userns, stock->netns, stock->kept_fd };
	pid_t child = fork();
	if (child < 0)
		return err_sys(err, "start the keeper", NULL);
	if (child == 0) {
		setsid();
		pid_t orphan = fork();
		if (orphan == 0)
			keeper_main(&keeper, sources, keeper.has_kept ? 5 : 4);
		_exit(orphan < 0 ? errno : 0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_code(err, WIFEXITED(status) ? WEXITSTATUS(status) : EIO, "start the keeper", NULL);
}

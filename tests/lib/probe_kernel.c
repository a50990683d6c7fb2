// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_kernel.c: what the kernel lets the process do to itself, to pid 1 and to kernel files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "tests/lib/probe.h"

/* How a path answers to opening for reading (with how much there is) and for writing. */
static void try_file(const char *path)
{
	char key[512], byte[4096];
	struct stat st;

	snprintf(key, sizeof key, "open.%s", path);
	if (stat(path, &st) < 0) {
		fact(key, "stat=%s", result(-1));
		return;
	}
	cleanup_fd int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const char *opened = result(reader);
	ssize_t size = reader >= 0 && !S_ISDIR(st.st_mode) ? read(reader, byte, sizeof byte) : 0;
	const char *got = result(size);
	cleanup_fd int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	const char *may_write = result(writer);

	fact(key, "stat=ok mode=%o dev=%x:%x open=%s read=%s bytes=%zd write=%s", st.st_mode,
		(unsigned)(st.st_rdev >> 8), (unsigned)(st.st_rdev & 0xff), opened, got, size < 0 ? 0 : size,
		may_write);
}

static int open_files(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		try_file(argv[i]);
	return 0;
}

/* Everything a hostile workload tries on the process that started it. */
static int pid1(int argc, char **argv)
{
	static const char *const files[] = { "environ", "cmdline", "mem", "maps", "exe", "fd/0", "root/.", "cwd/.",
		"auxv", "stack", "syscall", "task/1/mem", "ns/user" };
	struct iovec here = { &(char){ 0 }, 1 }, there = { (void *)0x400000, 1 };

	(void)argc, (void)argv;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[64], key[64];

		snprintf(path, sizeof path, "/proc/1/%s", files[i]);
		snprintf(key, sizeof key, "pid1.%s", files[i]);
		cleanup_fd int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		const char *reads = result(reader);
		cleanup_fd int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

		fact(key, "read=%s write=%s", reads, result(writer));
	}
	fact("pid1.ptrace", "%s", result(ptrace(PTRACE_SEIZE, 1, NULL, NULL)));
	fact("pid1.vm_read", "%s", result(process_vm_readv(1, &here, 1, &there, 1, 0)));
	fact("pid1.vm_write", "%s", result(process_vm_writev(1, &here, 1, &there, 1, 0)));
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
	fact("pid1.pidfd_getfd", "%s", result(pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 0, 0)));
	fact("pid1.kill", "%s", result(kill(1, SIGKILL)));
	fact("pid1.stop", "%s", result(kill(1, SIGSTOP)));
	return 0;
}

static const struct {
	const char *name;
	unsigned long long flag;
} namespace_flags[] = { { "user", CLONE_NEWUSER }, { "mount", CLONE_NEWNS }, { "net", CLONE_NEWNET },
	{ "pid", CLONE_NEWPID }, { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS }, { "cgroup", CLONE_NEWCGROUP },
	{ "time", CLONE_NEWTIME } };

/* clone(2) and clone3(2) in a child, so that a success does not change the prober itself. */
static const char *in_child(long (*attempt)(unsigned long long), unsigned long long flag)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return "fork failed";
	if (!pid)
		_exit(attempt(flag) < 0 ? errno : 0);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return "killed";
	errno = WEXITSTATUS(status);
	return result(errno ? -1 : 0);
}

static long by_unshare(unsigned long long flag)
{
	return unshare((int)flag);
}

static long by_clone(unsigned long long flag)
{
	/* As clone(2), the low byte is the exit signal: CLONE_NEWTIME cannot be asked for. The upper bits are noise a
	 * filter that compares 64 bits would trip over. */
	long pid = syscall(SYS_clone, (flag & ~0xffULL) | SIGCHLD, 0, 0, 0, 0);

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long by_clone_high(unsigned long long flag)
{
	return by_clone(flag | 1ULL << 40);
}

static long by_clone3(unsigned long long flag)
{
	struct clone_args args = { .flags = flag, .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof args);

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid((pid_t)pid, NULL, 0);
	return pid;
}

static long by_setns(unsigned long long flag)
{
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return setns(pidfd, (int)flag);
}

static int new_namespaces(int argc, char **argv)
{
	static const struct {
		const char *name;
		long (*attempt)(unsigned long long);
	} ways[] = { { "unshare", by_unshare }, { "clone", by_clone }, { "clone-high", by_clone_high },
		{ "clone3", by_clone3 }, { "setns", by_setns } };

	(void)argc, (void)argv;
	for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
		for (size_t i = 0; i < sizeof namespace_flags / sizeof *namespace_flags; i++) {
			char key[64];

			if ((namespace_flags[i].flag & 0xff) && !strncmp(ways[way].name, "clone", 5) &&
				strcmp(ways[way].name, "clone3") != 0)
				continue;
			snprintf(key, sizeof key, "new.%s.%s", ways[way].name, namespace_flags[i].name);
			fact(key, "%s", in_child(ways[way].attempt, namespace_flags[i].flag));
		}
	}
	return 0;
}

/* Take objects that are counted per user of the host until the kernel says no, at most @most. */
static int take(const char *what, unsigned long most, int (*one)(unsigned long))
{
	char key[64];
	unsigned long count = 0;
	const char *last = "ok";

	while (count < most) {
		int fd = one(count);

		last = result(fd);
		if (fd < 0)
			break;
		count++;
	}
	snprintf(key, sizeof key, "take.%s", what);
	fact(key, "%lu %s", count, last);
	return 0;
}

static int one_inotify(unsigned long i)
{
	(void)i;
	return inotify_init1(IN_CLOEXEC);
}

static int one_pty(unsigned long i)
{
	(void)i;
	return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int one_queue(unsigned long i)
{
	char name[32];

	snprintf(name, sizeof name, "/probe-%lu", i);
	return mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
}

static int one_file(unsigned long i)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "/dev/shm/probe-%lu", i);
	fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd;
}

static int take_action(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*one)(unsigned long);
	} table[] = { { "inotify", one_inotify }, { "pty", one_pty }, { "mqueue", one_queue }, { "inodes", one_file } };

	(void)argc;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (!strcmp(table[i].name, argv[1]))
			return take(argv[1], number(argv[2]), table[i].one);
	return 2;
}

/* Calls that change identity, for the root emulation and for its absence. */
static int identity(int argc, char **argv)
{
	(void)argc, (void)argv;
	fact("identity.setuid", "%s", result(setuid(0)));
	fact("identity.setgid", "%s", result(setgid(0)));
	fact("identity.setresuid1000", "%s", result(setresuid(1000, 1000, 1000)));
	fact("identity.setgroups", "%s", result(syscall(SYS_setgroups, 0, NULL)));
	return 0;
}

/* Mounting, in the ways that need no file system image. */
static int mounting(int argc, char **argv)
{
	(void)argc, (void)argv;
	fact("mounting.tmpfs", "%s", result(mount("none", "/tmp", "tmpfs", 0, NULL)));
	fact("mounting.bind", "%s", result(mount("/", "/tmp", NULL, MS_BIND, NULL)));
	fact("mounting.remount", "%s", result(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)));
	fact("mounting.umount", "%s", result(umount2("/proc", MNT_DETACH)));
	fact("mounting.fsopen", "%s", result(syscall(SYS_fsopen, "tmpfs", 0)));
	fact("mounting.open_tree", "%s", result(syscall(SYS_open_tree, AT_FDCWD, "/", 1)));
	fact("mounting.pivot_root", "%s", result(syscall(SYS_pivot_root, "/", "/")));
	return 0;
}

const struct probe_row probe_kernel[] = {
	{ "pid1", pid1, 0, 0, "read, write, trace and signal pid 1" },
	{ "new-namespaces", new_namespaces, 0, 0, "unshare, clone, clone3, setns with each namespace flag" },
	{ "mounting", mounting, 0, 0, "try to mount and unmount" },
	{ "identity", identity, 0, 0, "try to change ids" },
	{ "open", open_files, 1, 1, "PATH...: open each for reading and writing" },
	{ "take", take_action, 2, 1, "inotify|pty|mqueue|inodes N: take up to N of them" },
	{ 0 },
};

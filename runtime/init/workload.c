// SPDX-License-Identifier: GPL-2.0-or-later
/* init/workload.c: see workload.h */
#include "init/workload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/signals.h"
#include "base/str.h"
#include "init/identity.h"
#include "init/user_limits.h"

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

static int apply_limits(const struct plan *plan, struct azm_err *err)
{
	for (size_t i = 0; i < plan->limit_count; i++) {
		const struct plan_limit *limit = &plan->limits[i];
		struct rlimit value = { .rlim_cur = limit->soft, .rlim_max = limit->hard };
		if (setrlimit((int)limit->resource, &value) < 0) {
			char number[16];
			snprintf(number, sizeof number, "%u", limit->resource);
			return err_sys(err, "set resource limit", number);
		}
	}
	return 0;
}

static int make_directories(const char *path)
{
	cleanup_free char *copy = xstrdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(copy, 0755) < 0 && errno != EEXIST ? -1 : 0;
}

/* A working directory such as /proc/self/fd/7 could lead out of the root through a descriptor (CVE-2024-21626), and one
 * of azm-init's below what is bound read-only over /proc: everything from 3 up is closed on exec, and the path
 * the kernel reports afterwards must lie below our root and not in /proc. */
static int enter_cwd(const struct plan *plan, struct azm_err *err)
{
	char seen[PATH_MAX];
	const char *cwd = plan->cwd ? plan->cwd : "/";
	const char *wrong = NULL;

	if (chdir(cwd) < 0)
		return err_sys(err, "enter working directory", cwd);
	if (syscall(SYS_getcwd, seen, sizeof seen) < 0 || seen[0] != '/')
		wrong = "it is outside of the sandbox's root";
	else if (str_starts(seen, "/proc") && strchr("/", seen[strlen("/proc")]))
		wrong = "a directory of /proc is not accepted";
	if (!wrong)
		return 0;
	(void)!chdir("/");
	return err_msg(err, EACCES, "enter working directory", cwd, "%s", wrong);
}

static int take_terminal(int tty, struct azm_err *err)
{
	if (ioctl(tty, TIOCSCTTY, 0) < 0 || dup2(tty, 0) < 0 || dup2(tty, 1) < 0 || dup2(tty, 2) < 0)
		return err_sys(err, "take the terminal", NULL);
	return 0;
}

/* Pipes and terminal belong to the sandbox's own user; another one inside could not open /dev/stderr or its tty. Not
 * /dev/null: that is the host's. */
static void own_stdio(const struct plan *plan)
{
	struct stat st;

	for (int fd = 0; plan->uid != getuid() && fd <= 2; fd++)
		if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || isatty(fd)))
			(void)!fchown(fd, plan->uid, (gid_t)-1);
}

static const char *search_path(const struct plan *plan)
{
	for (size_t i = 0; i < plan->envc; i++)
		if (str_starts(plan->envp[i], "PATH="))
			return plan->envp[i] + 5;
	return default_path;
}

/* execvpe() of the C library falls back to /bin/sh for a file without magic; a container runtime does not. */
static int search_and_exec(const struct plan *plan)
{
	const char *name = plan->argv[0];
	int result = ENOENT;

	if (strchr(name, '/')) {
		execve(name, plan->argv, plan->envp);
		return errno;
	}
	for (const char *path = search_path(plan); path; path = *path ? path + 1 : NULL) {
		char full[PATH_MAX];
		int length = (int)strcspn(path, ":");
		int need = snprintf(full, sizeof full, "%.*s%s%s", length, path, length ? "/" : "", name);
		path += length;
		if (need >= (int)sizeof full)
			continue;
		execve(full, plan->argv, plan->envp);
		if (errno != ENOENT && errno != ENOTDIR)
			result = errno;
	}
	return result;
}

static int cannot_exec(const struct plan *plan, int code, struct azm_err *err)
{
	const char *name = plan->argv[0];

	if (code == ENOENT && strchr(name, '/') && access(name, F_OK) == 0) {
		err_msg(err, code, "execute", name, "its interpreter or dynamic loader is missing in the image");
		err->exit_status = EXIT_CANNOT_EXEC;
		return -1;
	}
	if (code == ENOENT && !strchr(name, '/'))
		err_msg(err, code, "execute", name, "not found in PATH of the sandbox");
	else if (code == ENOEXEC)
		err_msg(err, code, "execute", name, "not a program of this machine's architecture (and no #! line)");
	else
		err_code(err, code, "execute", name);
	err->exit_status = code == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
	return -1;
}

static int prepare(const struct plan *plan, int tty, struct azm_err *err)
{
	/* Before the drop of capabilities: a hard limit may have to be raised to what was asked for. */
	if (apply_limits(plan, err) < 0)
		return -1;
	if (setsid() < 0 && errno != EPERM)
		return err_sys(err, "make a session", NULL);
	if (tty >= 0 && take_terminal(tty, err) < 0)
		return -1;
	signals_default();
	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
		/* < 5.11: the table is small, azm-init opened everything itself */
		for (int fd = 3, end = (int)sysconf(_SC_OPEN_MAX); fd < end; fd++)
			fd_set_cloexec(fd, true);
	}
	own_stdio(plan);
	/* As Docker: `exec -u nobody` starts in the sandbox's directory even where nobody could not enter it. */
	if (plan->enter && enter_cwd(plan, err) < 0)
		return -1;
	return identity_apply(plan, err);
}

static int finish(const struct plan *plan, struct azm_err *err)
{
	if (!plan->enter && enter_cwd(plan, err) < 0)
		return -1;
	return cannot_exec(plan, search_and_exec(plan), err);
}

int workload_exec(const struct plan *plan, int tty, struct azm_err *err)
{
	return prepare(plan, tty, err) < 0 ? -1 : finish(plan, err);
}

/* The child's side: prepare, wait to be released, execute. */
_Noreturn static void run_child(const struct plan *plan, const struct workload *workload, int released)
{
	struct azm_err failure = { 0 };
	int slave = -1;
	char byte;
	/* By us, because azm-init is busy with the mounts. */
	bool limited = user_limits_apply(workload->user_limits, plan->nested, &failure) == 0;

	if (plan->tty) {
		/* The terminal is made in the new root, so there is nothing to prepare before it. */
		if (read(released, &byte, 1) != 1)
			_exit(EXIT_AZM);
		slave = workload_terminal_peer(workload->master);
		if (slave < 0)
			err_sys(&failure, "open the terminal", NULL);
		else if (limited)
			workload_exec(plan, slave, &failure);
	} else if (limited && prepare(plan, -1, &failure) == 0) {
		if (read(released, &byte, 1) != 1)
			_exit(EXIT_AZM);
		finish(plan, &failure);
	}
	/* Smaller than PIPE_BUF and the pipe is empty: one write, whatever the filter says of the rest. */
	(void)!write(workload->failed, &failure, sizeof failure);
	_exit(failure.exit_status ? failure.exit_status : EXIT_AZM);
}

int workload_fork(const struct plan *plan, struct workload *workload, struct azm_err *err)
{
	int failed[2], released[2];

	if (pipe_pair(failed, err) < 0 || pipe_pair(released, err) < 0)
		return -1;
	workload->failed = failed[1];
	workload->pid = fork();
	if (workload->pid < 0)
		return err_sys(err, "fork", NULL);
	if (workload->pid == 0)
		run_child(plan, workload, released[0]);
	close(failed[1]);
	close(released[0]);
	workload->failed = failed[0];
	workload->release = released[1];
	return 0;
}

/* The child may have failed before it was released, and its reason is the one to be told. */
static int hear_of_exec(const struct workload *workload, struct azm_err *err)
{
	struct azm_err failure;

	if (read_full(workload->failed, &failure, sizeof failure) != (ssize_t)sizeof failure)
		return 0;
	*err = failure;
	return -1;
}

int workload_release(const struct plan *plan, struct workload *workload, struct azm_err *err)
{
	/* As Docker: a missing working directory is made, by root and not by the command's user. */
	if (plan->make_cwd && plan->cwd && access(plan->cwd, F_OK) < 0 && errno == ENOENT)
		make_directories(plan->cwd);
	int result = write_full(workload->release, "r", 1) < 0 ? err_sys(err, "start the command", NULL) : 0;
	close(workload->release);
	if (hear_of_exec(workload, err) < 0)
		result = -1;
	close(workload->failed);
	return result;
}

int workload_terminal(struct azm_err *err)
{
	int unlock = 0;
	struct stat st;
	struct statfs fs;
	cleanup_fd int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);

	/* /dev is the sandbox's own and writable for its root, so for exec look at what was opened. */
	if (master < 0 || fstat(master, &st) < 0 || fstatfs(master, &fs) < 0)
		return err_sys(err, "open", "/dev/pts/ptmx");
	if (fs.f_type != DEVPTS_SUPER_MAGIC || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		return err_msg(err, EINVAL, "open", "/dev/pts/ptmx", "it is not a terminal multiplexer");
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
		return err_sys(err, "unlock the terminal", NULL);
	return steal_fd(&master);
}

int workload_terminal_peer(int master)
{
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

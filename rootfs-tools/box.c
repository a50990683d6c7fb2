// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/box.c: see box.h.
 *
 * Theory of operation
 *
 * One clone(2) makes all namespaces. The child asks to die with its parent, waits until the parent has written its id
 * maps (a byte on @go), makes the mounts, installs the filter and forks the program; itself it stays as pid 1, reaps
 * whatever the program leaves behind and answers with the program's status. When pid 1 goes, the kernel kills the rest.
 *
 * The child reports trouble as a struct azm_err on @report. That pipe is close-on-exec: end of file without a report
 * means that the program runs.
 */
#include "rootfs-tools/box.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id_map.h"
#include "base/io.h"
#include "base/signals.h"
#include "seccomp/seccomp.h"

static const unsigned long box_namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;

/* ---- the child: pid 1, and the program ------------------------------------------------------------------------ */

[[gnu::noreturn]] static void report_and_exit(int report, const struct azm_err *err)
{
	(void)write_full(report, err, sizeof *err);
	_exit(EXIT_AZM);
}

static int set_stdio(int output, struct azm_err *err)
{
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0)
		return err_sys(err, "open", "/dev/null");
	if (setsid() < 0)
		return err_sys(err, "start a session", NULL);
	if (isatty(output) && ioctl(output, TIOCSCTTY, 0) < 0)
		return err_sys(err, "set the controlling terminal", NULL);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		return err_sys(err, "set standard output", NULL);
	return 0;
}

[[gnu::noreturn]] static void exec_program(const struct box *box, int report)
{
	struct azm_err err = { 0 };

	if (set_stdio(box->stdio, &err) < 0)
		report_and_exit(report, &err);
	signals_default();
	execvpe(box->argv[0], box->argv, box->envp);
	err_sys(&err, "run", box->argv[0]);
	report_and_exit(report, &err);
}

/* Reap until the program itself is gone. */
[[gnu::noreturn]] static void serve_as_init(pid_t program)
{
	int status;

	for (;;) {
		pid_t pid = wait(&status);
		if (pid < 0 && errno != EINTR)
			_exit(EXIT_AZM);
		if (pid == program)
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
}

static int become_root(const struct box *box, struct azm_err *err)
{
	struct filter filter = filter_builtin(FILTER_EMULATE_ROOT | FILTER_NESTED);

	/* "Private" would keep automounted file systems of the host from appearing inside; "slave" lets them. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "detach mounts from the host", NULL);
	if (chdir("/") < 0)
		return err_sys(err, "change directory to", "/");
	if (box->prepare && box->prepare(box->context, err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs", NULL);
	return filter_install(&filter, false, err);
}

[[gnu::noreturn]] static void run_child(const struct box *box, int go, int report)
{
	struct azm_err err = { 0 };
	char byte;

	/* A parent that died before this line has closed its end of @go, which is seen next. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_full(go, &byte, 1) != 1)
		_exit(EXIT_AZM);
	if (become_root(box, &err) < 0)
		report_and_exit(report, &err);
	pid_t program = fork();
	if (program < 0) {
		err_sys(&err, "fork", NULL);
		report_and_exit(report, &err);
	}
	if (program == 0)
		exec_program(box, report);
	/* Keep nothing of the parent open: its locks must end with it, and @report must reach its end of file. */
	(void)fd_close_range(STDERR_FILENO + 1, ~0u);
	serve_as_init(program);
}

/* ---- the parent ----------------------------------------------------------------------------------------------- */

/* Why clone(2) refuses a user namespace. */
static int explain_clone(struct azm_err *err)
{
	int code = errno;

	err_sys(err, "make a user namespace", NULL);
	if (code == ENOSPC || code == EUSERS)
		return err_hint(err, "raise the limits: sysctl user.max_user_namespaces user.max_mnt_namespaces");
	if (code == EPERM)
		return err_hint(err, "this host forbids user namespaces to ordinary users: as root, `sysctl -w "
				     "kernel.unprivileged_userns_clone=1` (Debian) or `sysctl -w "
				     "kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu); "
				     "in a container, allow unshare(2) and clone(2) in its seccomp profile");
	return -1;
}

static int write_maps(pid_t pid, struct azm_err *err)
{
	char uid_map[32], gid_map[32];

	snprintf(uid_map, sizeof uid_map, "0 %u 1", geteuid());
	snprintf(gid_map, sizeof gid_map, "0 %u 1", getegid());
	if (id_map_write(pid, "uid_map", uid_map, err) < 0 || id_map_write(pid, "setgroups", "deny", err) < 0 ||
		id_map_write(pid, "gid_map", gid_map, err) < 0)
		return err_is(err, EPERM) ? err_hint(err, "a security module of this host (AppArmor on Ubuntu) lets "
							  "user namespaces be made but not used: as root, `sysctl -w "
							  "kernel.apparmor_restrict_unprivileged_userns=0`")
					  : -1;
	return 0;
}

/* Let the child go on and hear how its set-up went. */
static int release_child(int go, int report, struct azm_err *err)
{
	struct azm_err theirs;

	if (write_full(go, "", 1) < 0)
		return err_sys(err, "start the namespaces", NULL);
	ssize_t n = read_full(report, &theirs, sizeof theirs);
	if (n == 0)
		return 0;
	if (n != sizeof theirs)
		return err_code(err, EIO, "start the namespaces", NULL);
	*err = theirs;
	return -1;
}

int box_start(const struct box *box, pid_t *pid, struct azm_err *err)
{
	int go[2], report[2];

	if (pipe_pair(go, err) < 0)
		return -1;
	cleanup_fd int go_read = go[0], go_write = go[1];
	if (pipe_pair(report, err) < 0)
		return -1;
	cleanup_fd int report_read = report[0], report_write = report[1];

	/* A process that is not dumpable owns none of its /proc files, and the child inherits that. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	long child = syscall(SYS_clone, box_namespaces | SIGCHLD, NULL, NULL, NULL, 0);
	if (child < 0)
		return explain_clone(err);
	if (child == 0) {
		close(steal_fd(&go_write));
		close(steal_fd(&report_read));
		run_child(box, go_read, report_write);
	}
	close(steal_fd(&report_write));
	*pid = (pid_t)child;
	if (write_maps(*pid, err) == 0 && release_child(go_write, report_read, err) == 0)
		return 0;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}

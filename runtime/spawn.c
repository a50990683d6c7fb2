// SPDX-License-Identifier: GPL-2.0-or-later
/* spawn.c: see spawn.h.
 *
 * Theory of operation
 *
 * Between clone and execveat the child makes system calls only: it is a copy of a process that may have been anywhere,
 * so no malloc, no stdio, no locks. Its descriptors are put in place from high numbers, everything else is
 * close-on-exec, and its environment is empty, so nothing of the caller's can be read from the outside of azm-init
 * (/proc/1/environ) or leak into the sandbox.
 *
 * It does not wait for its id maps but executes azm-init at once, while we write them; azm-init waits for the go byte.
 * A child that slept until then would be woken on our processor (the writer of a pipe is expected to sleep next) and go
 * on only when we do: measured, that cost a sixth of a whole start.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define SANDBOX_NAMESPACES                                                                                             \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

enum { REASON_MS = 5000 };

/* The child's ends of the pipes, all above the numbers they are going to have. */
struct far_ends {
	int init;
	int fds[INIT_COMMAND_FD + 1]; /* by final number; -1: leave closed */
};

static int move_up(int fd, struct azm_err *err)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, INIT_ALIAS_FD + 1);

	return high < 0 ? err_sys(err, "duplicate a descriptor", NULL) : high;
}

static void close_far_ends(struct far_ends *far)
{
	for (int number = 0; number <= INIT_COMMAND_FD; number++)
		if (far->fds[number] >= 0)
			close(far->fds[number]);
	if (far->init >= 0)
		close(far->init);
}

static int make_pipe(int *near, int *far, bool child_writes, struct azm_err *err)
{
	int ends[2];

	if (pipe_pair(ends, err) < 0)
		return -1;
	cleanup_fd int low = ends[child_writes ? 1 : 0];
	*near = ends[child_writes ? 0 : 1];
	*far = move_up(low, err);
	return *far < 0 ? -1 : 0;
}

static int prepare(int init, const struct child_stdio *stdio, bool commands, struct child *child, struct far_ends *far,
	struct azm_err *err)
{
	const int given[] = { stdio->in, stdio->out, stdio->err };

	*child = (struct child){ .pidfd = -1, .plan = -1, .report = -1, .command = -1 };
	*far = (struct far_ends){ .init = -1, .fds = { -1, -1, -1, -1, -1, -1 } };
	for (int number = 0; number < 3; number++)
		if ((far->fds[number] = move_up(given[number], err)) < 0)
			return -1;
	if (make_pipe(&child->plan, &far->fds[INIT_PLAN_FD], false, err) < 0 ||
		make_pipe(&child->report, &far->fds[INIT_REPORT_FD], true, err) < 0)
		return -1;
	if (commands && make_pipe(&child->command, &far->fds[INIT_COMMAND_FD], false, err) < 0)
		return -1;
	far->init = move_up(init, err);
	return far->init < 0 ? -1 : 0;
}

/* A process whose inside uid is not 0, or not anything yet, loses its capabilities at execve unless they are ambient.
 */
static void keep_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return;
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (syscall(SYS_capset, &header, data) < 0)
		return;
	for (int cap = 0; prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0; cap++)
		continue;
}

/* execveat() may be unknown to the seccomp filter of an outer container. No snprintf() here. */
static void execute(int fd, char *const argv[], char *const envp[])
{
	char path[] = "/proc/self/fd/0000000000";
	char *digit = path + sizeof path - 1;
	size_t prefix = sizeof "/proc/self/fd/" - 1;

	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	/* "/proc/self/fd//////12" is that path, too. */
	memset(path + prefix, '/', sizeof path - 1 - prefix);
	for (; fd > 0; fd /= 10)
		*--digit = (char)('0' + fd % 10);
	syscall(SYS_execve, path, argv, envp);
}

/* Runs in the child, system calls only. */
_Noreturn static void become_init(const struct far_ends *far)
{
	char *const argv[] = { (char[]){ "azm-init" }, NULL };
	char *const envp[] = { NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int number = 0; number <= INIT_COMMAND_FD; number++)
		if (far->fds[number] >= 0)
			dup3(far->fds[number], number, 0);
	keep_capabilities();
	execute(far->init, argv, envp);
	_exit(EXIT_AZM);
}

/* The clone itself; takes @far over, and leaves nothing of @child behind on failure. */
static int clone_init(
	unsigned long namespaces, struct far_ends *far, struct child *child, const char *step, struct azm_err *err)
{
	pid_t pid = (pid_t)syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, NULL, &child->pidfd, NULL, NULL);

	if (pid == 0)
		become_init(far);
	if (pid < 0)
		err_sys(err, step, NULL);
	close_far_ends(far);
	if (pid < 0)
		child_close(child);
	child->pid = pid;
	return pid < 0 ? -1 : 0;
}

static int give_up(struct far_ends *far, struct child *child)
{
	close_far_ends(far);
	child_close(child);
	return -1;
}

int spawn_sandbox(int init, const struct child_stdio *stdio, struct child *out, struct azm_err *err)
{
	struct far_ends far;

	if (prepare(init, stdio, true, out, &far, err) < 0)
		return give_up(&far, out);
	/* The maps are written through /proc/PID: they belong to root while the process is not dumpable, and one that
	 * entered a user namespace is not. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return clone_init(SANDBOX_NAMESPACES, &far, out, "make the sandbox's namespaces", err);
}

static int enter_namespaces(int target, int alias)
{
	if (setns(target, SANDBOX_NAMESPACES) < 0)
		return -1;
	return alias >= 0 ? setns(alias, CLONE_NEWUSER) : 0;
}

int spawn_entered(
	int init, int target, int alias, const struct child_stdio *stdio, struct child *out, struct azm_err *err)
{
	struct far_ends far;

	if (prepare(init, stdio, false, out, &far, err) < 0)
		return give_up(&far, out);
	if (enter_namespaces(target, alias) < 0) {
		err_sys(err, "enter the sandbox", NULL);
		return give_up(&far, out);
	}
	/* Only children of a process that called setns are in the pid namespace. */
	return clone_init(0, &far, out, "start a process in the sandbox", err);
}

static void terminate(char *text, size_t size)
{
	text[size - 1] = '\0';
}

int spawn_report(const struct child *child, struct report *report, struct azm_err *err)
{
	ssize_t n = read_full(child->report, report, sizeof *report);

	if (n == 0)
		return 1;
	if (n != (ssize_t)sizeof *report)
		return err_msg(err, EPROTO, "hear from azm-init", NULL, "half a message");
	terminate(report->err.text, sizeof report->err.text);
	terminate(report->err.reason, sizeof report->err.reason);
	terminate(report->err.hint, sizeof report->err.hint);
	if (report->kind == REPORT_FAILED) {
		*err = report->err;
		if (!err->code)
			err->code = EPROTO;
		return -1;
	}
	return 0;
}

int spawn_reason(const struct child *child, struct azm_err *err)
{
	struct pollfd polled = { .fd = child->report, .events = POLLIN };
	struct report report;
	/* Nobody reads our pipe any more: the workload has ended, and azm-init is about to say why, or to end itself.
	 */
	const int patience = err_is(err, EPIPE) ? REASON_MS : 0;

	while (polled.fd >= 0 && poll(&polled, 1, patience) == 1 && spawn_report(child, &report, err) == 0)
		continue;
	return -1;
}

int spawn_send_plan(const struct child *child, struct plan *plan, struct azm_err *err)
{
	size_t size;
	cleanup_free unsigned char *message = plan_encode(plan, &size);

	if (size - sizeof(uint32_t) > PLAN_MAX)
		return err_msg(err, E2BIG, "start azm-init", NULL, "arguments and environment are too long");
	return write_full(child->plan, "g", 1) < 0 || write_full(child->plan, message, size) < 0
		       ? err_sys(err, "start azm-init", NULL)
		       : 0;
}

int spawn_go(const struct child *child, struct azm_err *err)
{
	return write_full(child->plan, "g", 1) < 0 ? err_sys(err, "start the command", NULL) : 0;
}

int spawn_copy(const struct child *child, struct plan *plan, int32_t *skipped, struct azm_err *err)
{
	struct report report = { 0 };

	/* One that does not read any more may have said why. */
	if (spawn_send_plan(child, plan, err) < 0 && !err_is(err, EPIPE))
		return -1;
	int result = spawn_report(child, &report, err);
	if (result == 0 && report.kind == REPORT_BUILT) {
		(void)!spawn_go(child, err);
		result = spawn_report(child, &report, err);
	}
	if (result > 0 || (result == 0 && report.kind != REPORT_EXITED))
		return err_msg(err, ECHILD, "copy", NULL, "the process inside was killed");
	*skipped = report.value;
	return result;
}

int spawn_stdio_null(struct azm_err *err)
{
	struct stat st;
	cleanup_fd int fd = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open", "/dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_msg(err, EINVAL, "open", "/dev/null", "it is not the null device");
	return steal_fd(&fd);
}

void child_close(struct child *child)
{
	int *fds[] = { &child->pidfd, &child->plan, &child->report, &child->command };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

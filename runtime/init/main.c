// SPDX-License-Identifier: GPL-2.0-or-later
/* init/main.c: azm-init, process 1 of every sandbox.
 *
 * Theory of operation
 *
 * The supervisor clones a child into new namespaces; the child does nothing but execute this program from a sealed
 * memfd. From here on everything follows a plan that arrives through a pipe:
 *
 *     wait for the go byte (the id maps are written), read the plan
 *     hostname, the root and the kernel's file systems in it
 *     fork the workload, which limits the user namespace, drops its privileges and waits
 *     the other mounts, pivot_root; report BUILT
 *     wait for the second go byte (the network and the terminal's size are set)
 *     release the workload, drop own capabilities; report STARTED
 *     reap, forward signals; report EXITED; exit
 *
 * The workload is forked half-way through the mounts: it is as long about its part as the rest of them take, and by
 * then the supervisor, which has wired up the network, leaves it a processor. Forked before them it was put on
 * azm-init's, and on a host with two the mounts had to wait for it, or it for them (4 % of a start).
 *
 * The pivot comes as late as possible because steps before it use the host's /proc. When process 1 exits the kernel
 * kills the whole pid namespace, and with the last process the mounts, the network and everything else go: there is
 * nothing to clean up, whoever dies first. The command pipe is the life line: its end of file means the supervisor is
 * gone (PR_SET_PDEATHSIG says the same, faster).
 *
 * `exec` runs the same program inside a sandbox that exists (plan->enter): it becomes the command directly. `cp` does,
 * too, and it copies; for a sandbox that does not run it builds one as above, copies, and that was all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "copy/copy.h"
#include "init/identity.h"
#include "init/plan.h"
#include "init/root_owned.h"
#include "init/user_limits.h"
#include "init/workload.h"
#include "mount/mount.h"

static void send_report(enum report_kind kind, int value, const struct azm_err *err)
{
	struct report report = { .kind = kind, .value = value };

	if (err)
		report.err = *err;
	(void)!write(INIT_REPORT_FD, &report, sizeof report);
}

_Noreturn static void fail(const struct azm_err *err)
{
	send_report(REPORT_FAILED, 0, err);
	_exit(err->exit_status ? err->exit_status : EXIT_AZM);
}

static int wait_for_go(struct azm_err *err)
{
	char go;

	if (read_full(INIT_PLAN_FD, &go, 1) != 1)
		return err_msg(err, EPIPE, "wait for the supervisor", NULL, "it went away");
	return 0;
}

static int read_plan(struct plan *plan, struct azm_err *err)
{
	uint32_t size;

	if (wait_for_go(err) < 0)
		return -1;
	if (read_full(INIT_PLAN_FD, &size, sizeof size) != (ssize_t)sizeof size || size > PLAN_MAX)
		return err_msg(err, EPIPE, "read the plan", NULL, "the supervisor went away");
	unsigned char *data = malloc(size);
	if (!data || read_full(INIT_PLAN_FD, data, size) != (ssize_t)size || plan_decode(data, size, plan) < 0)
		return err_msg(err, EPROTO, "read the plan", NULL, "the message is damaged");
	free(data);
	return 0;
}

static int build(const struct plan *plan, int proc, int user_limits, const struct mount_beside *beside, int *master,
	struct azm_err *err)
{
	cleanup_fd int root = -1;

	if (!plan->hostname || sethostname(plan->hostname, strlen(plan->hostname)) < 0)
		return err_sys(err, "set the hostname", plan->hostname);
	if (mount_build(&plan->mount, proc, beside, &root, err) < 0 || root_owned_restore(root, plan, err) < 0)
		return -1;
	if (user_limits_end_mounts(user_limits, plan->nested, err) < 0 || mount_pivot(root, err) < 0)
		return -1;
	*master = plan->tty ? workload_terminal(err) : -1;
	return plan->tty && *master < 0 ? -1 : 0;
}

static void obey(pid_t workload)
{
	struct init_command command;
	ssize_t n = read(INIT_COMMAND_FD, &command, sizeof command);

	if (n != (ssize_t)sizeof command)
		_exit(EXIT_AZM); /* the supervisor is gone, and so is everything here */
	if (command.value <= 0 || command.value >= NSIG)
		return;
	if (command.op == INIT_SIGNAL)
		kill(workload, command.value);
	else if (command.op == INIT_STOP_ALL && (command.value == SIGSTOP || command.value == SIGCONT))
		kill(-1, command.value);
}

/* Reap everything that ended; the workload's end ends the sandbox. */
static void reap(pid_t workload)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == workload) {
			send_report(REPORT_EXITED, status, NULL);
			_exit(0);
		}
	}
}

_Noreturn static void serve(pid_t workload, int signals)
{
	struct pollfd polled[] = { { .fd = INIT_COMMAND_FD, .events = POLLIN }, { .fd = signals, .events = POLLIN } };

	for (;;) {
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			_exit(EXIT_AZM);
		if (polled[1].revents) {
			struct signalfd_siginfo info;
			(void)!read(signals, &info, sizeof info);
			reap(workload);
		}
		if (polled[0].revents)
			obey(workload);
	}
}

/* Signals sent to process 1 from inside have no effect unless it has a handler; SIGCHLD is taken through a descriptor.
 */
static int block_signals(struct azm_err *err)
{
	sigset_t all, child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	int fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(err, "watch for children", NULL) : fd;
}

struct begun {
	const struct plan *plan;
	struct workload *workload;
};

static int begin_workload(void *context, struct azm_err *err)
{
	const struct begun *begun = context;

	return workload_fork(begun->plan, begun->workload, err);
}

static void run_init(const struct plan *plan)
{
	struct azm_err err = { 0 };
	struct workload workload = { .master = -1 };
	struct begun begun = { .plan = plan, .workload = &workload };
	const struct mount_beside beside = { .begin = begin_workload, .context = &begun };

	/* First, because its descriptor's number is a fixed one, and because the workload is about to forbid
	 * namespaces. */
	if (!plan->wide_map && plan->uid != 0 && identity_make_alias(plan->uid, plan->gid, &err) < 0)
		fail(&err);
	int signals = block_signals(&err);
	if (signals < 0)
		fail(&err);
	cleanup_fd int proc = mount_proc_ahead(&plan->mount);
	workload.user_limits = user_limits_open(proc);
	/* With a terminal the child has to come later: it takes a copy of the master. */
	if (build(plan, proc, workload.user_limits, plan->tty ? NULL : &beside, &workload.master, &err) < 0)
		fail(&err);
	if (proc >= 0)
		close(steal_fd(&proc)); /* it stands in its place; this one would lead around its masks */
	/* Only now: until the pivot, our own /proc/self/fd had to stay ours. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	send_report(REPORT_BUILT, workload.master, NULL);
	if (wait_for_go(&err) < 0)
		fail(&err);
	close(INIT_PLAN_FD);
	if ((plan->tty && workload_fork(plan, &workload, &err) < 0) || workload_release(plan, &workload, &err) < 0 ||
		identity_drop_init(&err) < 0)
		fail(&err);
	/* From now on only the workload and the supervisor hold the stdio and the terminal: their ends must be seen. */
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	if (workload.master >= 0)
		close(workload.master);
	if (workload.user_limits >= 0)
		close(workload.user_limits);
	send_report(REPORT_STARTED, workload.pid, NULL);
	serve(workload.pid, signals);
}

/* With the capabilities over the sandbox that the workload lacks: it cannot trace us, and our descriptors are pipes.
 * The report carries how many objects were passed over. */
_Noreturn static void run_copy(const struct plan *plan)
{
	struct azm_err err = { 0 };
	const struct plan_copy *copy = &plan->copy;
	const struct copy_base base = { .dir = AT_FDCWD };
	const struct copy_target target = { .path = copy->path,
		.name = copy->name,
		.contents = copy->contents,
		.plain = copy->plain,
		.set_owner = copy->set_owner,
		.keep_owner = copy->keep_owner,
		.uid = copy->uid,
		.gid = copy->gid,
		.from_uid = copy->from_uid };
	struct copy_count count = { 0 };

	if (!copy->path || chdir("/") < 0)
		err_sys(&err, "enter", "/");
	else if (copy->op == PLAN_COPY_SEND)
		copy_send(&base, copy->path, copy->name, copy->follow, STDOUT_FILENO, &count, &err);
	else
		copy_receive(&base, STDIN_FILENO, &target, &count, &err);
	if (err.code)
		fail(&err);
	send_report(REPORT_EXITED, count.skipped > INT32_MAX ? INT32_MAX : (int)count.skipped, NULL);
	_exit(0);
}

static void run_built(const struct plan *plan)
{
	struct azm_err err = { 0 };
	int master = -1;
	cleanup_fd int proc = mount_proc_ahead(&plan->mount);
	cleanup_fd int user_limits = user_limits_open(proc);

	if (build(plan, proc, user_limits, NULL, &master, &err) < 0)
		fail(&err);
	/* They lead around the masks. */
	if (proc >= 0)
		close(steal_fd(&proc));
	if (user_limits >= 0)
		close(steal_fd(&user_limits));
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	send_report(REPORT_BUILT, -1, NULL);
	if (wait_for_go(&err) < 0)
		fail(&err);
	run_copy(plan);
}

static void run_entered(const struct plan *plan)
{
	struct azm_err err = { 0 };
	int master = -1;
	int slave = -1;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (plan->tty && (master = workload_terminal(&err)) < 0)
		fail(&err);
	send_report(REPORT_BUILT, master, NULL);
	if (wait_for_go(&err) < 0)
		fail(&err);
	if (master >= 0 && (slave = workload_terminal_peer(master)) < 0) {
		err_sys(&err, "open the terminal", NULL);
		fail(&err);
	}
	if (plan->copy.op != PLAN_COPY_NOT)
		run_copy(plan);
	/* The report descriptor closes with a successful execve: that is how the client learns of it. */
	workload_exec(plan, slave, &err);
	fail(&err);
}

int main(void)
{
	struct azm_err err = { 0 };
	struct plan plan = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "azm-init");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	umask(022); /* what is made inside has usual modes, whatever the caller's are */
	if (read_plan(&plan, &err) < 0)
		fail(&err);
	if (plan.enter)
		run_entered(&plan);
	else if (plan.copy.op != PLAN_COPY_NOT)
		run_built(&plan);
	else
		run_init(&plan);
	return EXIT_AZM;
}

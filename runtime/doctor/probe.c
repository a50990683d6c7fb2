// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probe.c: see probe.h.
 *
 * Theory of operation
 *
 * The child is cloned without shared memory (a fork with namespace flags) and blocks on the go pipe until the parent
 * has written its maps. Its end of the answer pipe carries one struct probe_outcome, which is smaller than PIPE_BUF and
 * therefore arrives whole or not at all: end of file without it means the child was killed. Parent death is covered
 * twice, by the parent-death signal and, before that is set, by end of file on the go pipe.
 */
#include "doctor/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

_Static_assert(sizeof(struct probe_outcome) <= PIPE_BUF, "an outcome must arrive in one piece");

enum { REAP_MS = 1000, EXEC_TEXT = 4096 };

/* "clone(CLONE_NEWUSER|CLONE_NEWNET)" as the user namespaces and net namespaces it asks for. */
static void describe_clone(int namespaces, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "clone a process");

	for (int kind = 0; kind < NS_KINDS && used < size; kind++)
		if (namespaces & ns_kinds[kind].flag)
			used += (size_t)snprintf(text + used, size - used, "%s%s",
				used == strlen("clone a process") ? " with new namespaces " : "+", ns_kinds[kind].name);
}

static void in_child(int go, int answer, struct probe_child *child)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_full(go, &byte, 1) != 1)
		_exit(EXIT_AZM);
	*child = (struct probe_child){ .go = go, .answer = answer, .pidfd = -1 };
}

int probe_child_start(int namespaces, const struct subids *subids, struct probe_child *child, struct azm_err *err)
{
	static const struct subids none = { 0 };
	int go[2], answer[2], pidfd = -1;
	char step[128];

	if (pipe_pair(go, err) < 0)
		return -1;
	cleanup_fd int go_read = go[0], go_write = go[1];
	if (pipe_pair(answer, err) < 0)
		return -1;
	cleanup_fd int answer_read = answer[0], answer_write = answer[1];
	/* A child of a process that is not dumpable has its /proc files owned by root: its maps could not be written.
	 */
	prctl(PR_SET_DUMPABLE, 1);
	long pid = syscall(SYS_clone, (unsigned long)namespaces | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
	if (pid == 0) {
		close(steal_fd(&go_write));
		close(steal_fd(&answer_read));
		in_child(steal_fd(&go_read), steal_fd(&answer_write), child);
		return 0;
	}
	if (pid < 0) {
		describe_clone(namespaces, step, sizeof step);
		return err_sys(err, step, NULL);
	}
	*child = (struct probe_child){ (pid_t)pid, steal_fd(&go_write), steal_fd(&answer_read), pidfd };
	if (((namespaces & CLONE_NEWUSER) && idmap_network(child->pid, subids ? subids : &none, err) < 0) ||
		write_full(child->go, "g", 1) < 0) {
		if (!err->code)
			err_sys(err, "start the child", NULL);
		probe_child_kill(child);
		return -1;
	}
	return 1;
}

int probe_child_hold(int namespaces, const struct subids *subids, struct probe_child *child, struct azm_err *err)
{
	int side = probe_child_start(namespaces, subids, child, err);

	if (side == 0)
		for (;;)
			pause();
	return side < 0 ? -1 : 0;
}

/* A process in uninterruptible sleep survives SIGKILL; doctor must not wait for it for ever. */
static int reap(pid_t pid)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	int status = 0;
	pid_t done;

	for (int64_t end = clock_ms() + REAP_MS; (done = waitpid(pid, &status, WNOHANG)) == 0 && clock_ms() < end;)
		nanosleep(&pause, NULL);
	return done == pid ? status : 0;
}

static int kill_and_reap(struct probe_child *child)
{
	int status = 0;

	if (child->go >= 0)
		close(steal_fd(&child->go));
	if (child->answer >= 0)
		close(steal_fd(&child->answer));
	if (child->pidfd >= 0)
		close(steal_fd(&child->pidfd));
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		status = reap(child->pid);
		child->pid = 0;
	}
	return status;
}

void probe_child_kill(struct probe_child *child)
{
	int saved = errno;

	kill_and_reap(child);
	errno = saved;
}

/* Return: 1 when an outcome arrived, 0 at end of file, -1 when time is up. */
static int await_outcome(int fd, int deadline_ms, struct probe_outcome *out)
{
	int64_t end = clock_ms() + deadline_ms;

	for (;;) {
		struct pollfd waiting = { .fd = fd, .events = POLLIN };
		int64_t left = end - clock_ms();
		int ready = left > 0 ? poll(&waiting, 1, (int)left) : 0;

		if (ready == 0)
			return -1;
		if (ready > 0)
			return read_full(fd, out, sizeof *out) == (ssize_t)sizeof *out;
	}
}

static int report_death(int status, struct probe_outcome *out)
{
	int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	/* A seccomp filter that kills: the errno class of "this call does not exist here". */
	if (signal_number == SIGSYS)
		return err_msg(&out->err, ENOSYS, "try", NULL, "killed by a seccomp filter (SIGSYS)");
	return err_msg(&out->err, EIO, "try", NULL, "the process died (signal %d)", signal_number);
}

int probe_call(int namespaces, probe_fn *run, const struct probe_env *env, int deadline_ms, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child child = PROBE_NO_CHILD;

	memset(out, 0, sizeof *out);
	int side = probe_child_start(namespaces, NULL, &child, &out->err);
	if (side < 0)
		return out->result = -1;
	if (side == 0) {
		out->result = run(env, out);
		_exit(write_full(child.answer, out, sizeof *out) < 0 ? EXIT_AZM : 0);
	}
	int arrived = await_outcome(child.answer, deadline_ms, out);
	if (arrived > 0)
		return out->result;
	memset(out, 0, sizeof *out);
	if (arrived < 0) {
		err_msg(&out->err, ETIMEDOUT, "try", NULL, "no answer within %d s: it hangs in the kernel",
			deadline_ms / 1000);
		return out->result = -1;
	}
	/* The answer pipe was closed by the child's death, so this reaps its own status rather than our SIGKILL. */
	pid_t pid = child.pid;
	child.pid = 0;
	return out->result = report_death(reap(pid), out);
}

[[gnu::noreturn]] static void exec_child(char *const argv[], int text_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	dup2(text_fd, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}

int probe_exec(char *const argv[], char *text, size_t size, struct azm_err *err)
{
	int ends[2], status;
	char buffer[EXEC_TEXT];

	if (pipe_pair(ends, err) < 0)
		return -1;
	cleanup_fd int text_read = ends[0], text_write = ends[1];
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(err, "start", argv[0]);
	if (pid == 0)
		exec_child(argv, text_write);
	close(steal_fd(&text_write));
	ssize_t length = read_full(text_read, buffer, sizeof buffer - 1);
	/* What does not fit would block the program; with the reading end closed it gets EPIPE instead. */
	close(steal_fd(&text_read));
	buffer[length > 0 ? length : 0] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
	if (text) {
		snprintf(text, size, "%s", buffer);
		str_sanitise(text);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for", argv[0]);
	if (!WIFEXITED(status))
		return err_msg(err, EIO, "run", argv[0], "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

int probe_detail(struct probe_outcome *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(out->detail, sizeof out->detail, format, args);
	va_end(args);
	return 0;
}

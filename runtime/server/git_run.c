// SPDX-License-Identifier: GPL-2.0-or-later
/* server/git_run.c: see git_run.h */
#include "server/git_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/git.h"
#include "server/loop.h"

enum { MESSAGE_MAX = 300 };

void git_prepare(void)
{
	static const char *const settings[][2] = {
		{ "LC_ALL", "C" },
		{ "GIT_TERMINAL_PROMPT", "0" },
		{ "GIT_OPTIONAL_LOCKS", "0" },
		{ "GIT_PAGER", "cat" },
		{ "GIT_NO_LAZY_FETCH", "1" },
	};

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		setenv(settings[i][0], settings[i][1], 1);
}

[[gnu::noreturn]] static void exec_git(const char *directory, const char *const arguments[], int out, int messages)
{
	/* Owners of other ids are normal in a sandbox; a file system monitor would be a daemon that stays. */
	static const char *const always[] = { "git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C" };
	struct str_list argv = { 0 };

	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		str_list_add(&argv, always[i]);
	str_list_add(&argv, directory);
	for (size_t i = 0; arguments[i]; i++)
		str_list_add(&argv, arguments[i]);
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(messages, STDERR_FILENO) < 0)
		_exit(EXIT_CANNOT_EXEC);
	execvp("git", argv.items);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}

/* One read. Return: whether the other end may still write */
static bool read_some(int fd, struct text *text, size_t limit, bool *too_much)
{
	char bytes[16 << 10];
	ssize_t n = read(fd, bytes, sizeof bytes);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	size_t room = limit - text->size;
	*too_much |= (size_t)n > room;
	text_add(text, bytes, (size_t)n < room ? (size_t)n : room);
	return true;
}

/* Return: 0 at the end of the output, else an errno value */
static int collect(int out, int messages, struct text *printed, struct text *said, size_t limit)
{
	struct pollfd fds[] = { { .fd = out, .events = POLLIN }, { .fd = messages, .events = POLLIN } };
	uint64_t deadline = loop_now() + GIT_TIMEOUT_S * 1000;
	bool too_much = false, ignored = false;

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		uint64_t now = loop_now();
		if (now >= deadline || (poll(fds, 2, (int)(deadline - now)) == 0))
			return ETIMEDOUT;
		if (fds[0].revents && !read_some(out, printed, limit, &too_much))
			fds[0].fd = -1;
		if (fds[1].revents && !read_some(messages, said, MESSAGE_MAX, &ignored))
			fds[1].fd = -1;
		if (too_much)
			return EFBIG;
	}
	return 0;
}

static int judge(int status, int problem, const char *what, const struct text *said, struct azm_err *err)
{
	cleanup_free char *message = xstrdup(said->size ? said->bytes : "");

	str_sanitise(text_strip(message));
	if (problem == EFBIG)
		return err_msg(err, EFBIG, "git", what, "it printed too much");
	if (problem)
		return err_msg(err, problem, "git", what, "no answer within %d seconds", GIT_TIMEOUT_S);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_FOUND)
		return err_msg(err, ENOENT, "git", what, "git is not installed in this image");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_msg(err, EIO, "git", what, "%s", *message ? message : "it failed");
	return 0;
}

int git_run(const char *directory, const char *const arguments[], size_t limit, struct text *out, struct azm_err *err)
{
	cleanup_text struct text printed = { 0 }, said = { 0 };
	int out_pipe[2], message_pipe[2], status = 0;

	if (pipe_pair(out_pipe, err) < 0)
		return -1;
	cleanup_fd int reader = out_pipe[0], writer = out_pipe[1];
	if (pipe_pair(message_pipe, err) < 0)
		return -1;
	cleanup_fd int message_reader = message_pipe[0], message_writer = message_pipe[1];
	pid_t pid = fork();
	if (pid == 0)
		exec_git(directory, arguments, writer, message_writer);
	if (pid < 0)
		return err_sys(err, "start", "git");
	close(steal_fd(&writer));
	close(steal_fd(&message_writer));
	int problem = collect(reader, message_reader, &printed, &said, limit);
	if (problem)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (judge(status, problem, arguments[0], &said, err) < 0)
		return -1;
	if (out) {
		*out = printed;
		printed = (struct text){ 0 };
	}
	return 0;
}

char *git_line(const char *directory, const char *const arguments[])
{
	enum { LINE_MAX_SIZE = 4096 };
	struct text out = { 0 };
	struct azm_err ignored = { 0 };

	if (git_run(directory, arguments, LINE_MAX_SIZE, &out, &ignored) < 0)
		return NULL;
	char *line = text_take(&out);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

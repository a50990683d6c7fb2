// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_logs.c: what the workload printed, and what it prints on. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "commands.h"

struct logs_options {
	bool follow;
	uint64_t tail; /* lines; CONFIG_UNSET: all */
};

static int opt_follow(void *target, const char *value, struct azm_err *err)
{
	(void)value;
	(void)err;
	((struct logs_options *)target)->follow = true;
	return 0;
}

static int opt_tail(void *target, const char *value, struct azm_err *err)
{
	struct logs_options *options = target;

	if (strcmp(value, "all") == 0)
		options->tail = CONFIG_UNSET;
	else if (!str_to_u64(value, UINT32_MAX, &options->tail))
		return err_msg(err, EINVAL, "use number", NULL, "\"%s\" is not a number of lines", value);
	return 0;
}

const struct option_row logs_option_rows[] = {
	{ 'f', "follow", NULL, opt_follow, "go on until the sandbox ends" },
	{ 'n', "tail", "LINES", opt_tail, "only the last LINES (default: all)" },
	OPTIONS_END,
};

/* Where the last @lines lines of a file begin. */
static off_t tail_start(int fd, off_t size, uint64_t lines)
{
	char buffer[8192];
	off_t at = size;

	while (at > 0) {
		size_t want = at < (off_t)sizeof buffer ? (size_t)at : sizeof buffer;
		at -= (off_t)want;
		if (pread(fd, buffer, want, at) != (ssize_t)want)
			return 0;
		for (size_t i = want; i > 0; i--) {
			/* The newline at the very end closes the last line, it does not begin another. */
			if (buffer[i - 1] != '\n' || at + (off_t)i == size)
				continue;
			if (lines-- <= 1)
				return at + (off_t)i;
		}
	}
	return 0;
}

/* Copy everything that is there now. Return: 0, -1 when our reader is gone. */
static int copy_out(int fd)
{
	char buffer[16384];
	ssize_t n;

	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		if (write_full(STDOUT_FILENO, buffer, (size_t)n) < 0)
			return -1;
	return 0;
}

/* The log was rotated away from under us. */
static bool was_replaced(int dir, int fd)
{
	struct stat ours, current;

	return fstat(fd, &ours) == 0 && fstatat(dir, "log", &current, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino != current.st_ino;
}

static int follow(int dir, int *fd, struct azm_err *err)
{
	char path[64];
	char events[4096];
	cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd polled = { .fd = watch, .events = POLLIN };

	snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
	if (watch < 0 || inotify_add_watch(watch, path,
				 IN_MODIFY | IN_CREATE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVED_TO) < 0)
		return err_sys(err, "watch the log", NULL);
	for (;;) {
		/* Looked at before the last copy: what was written until the lock went is then complete. */
		bool running = sandbox_running(dir);
		if (copy_out(*fd) < 0)
			return 0;
		if (was_replaced(dir, *fd)) {
			close(*fd);
			*fd = openat(dir, "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
			continue;
		}
		if (!running)
			return 0;
		/* The end of a sandbox writes status.json or removes the directory; a killed supervisor does neither,
		 * hence the limit. */
		poll(&polled, 1, 1000);
		while (read(watch, events, sizeof events) > 0)
			continue;
	}
}

static int logs_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	const struct logs_options *options = context;
	struct stat st;
	cleanup_fd int dir = sandbox_open(state, name, err);

	if (dir < 0)
		return -1;
	cleanup_fd int fd = openat(dir, "log", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read the log of", name);
	if (options->tail != CONFIG_UNSET)
		lseek(fd, options->tail ? tail_start(fd, st.st_size, options->tail) : st.st_size, SEEK_SET);
	return options->follow ? follow(dir, &fd, err) : copy_out(fd);
}

int command_logs(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct logs_options options = { .tail = CONFIG_UNSET };
	int first = options_parse(program_find(the_program(), "logs"), &options, argc, argv, &err);

	if (first >= 0 && argc - first > 1)
		first = err_msg(&err, EINVAL, "logs", NULL, "takes one NAME");
	return first < 0 ? fail_command(&err) : for_each_name("logs", argc, argv, first, logs_one, &options);
}

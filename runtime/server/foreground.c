// SPDX-License-Identifier: GPL-2.0-or-later
/* server/foreground.c: see foreground.h */
#include "server/foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

/* The fourth field of proc(5) stat; the second, in parentheses, is a name that may hold anything. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[512];
	int parent;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	if (size <= 0)
		return 0;
	line[size] = '\0';
	const char *rest = strrchr(line, ')');
	return rest && sscanf(rest, ") %*c %d", &parent) == 1 ? parent : 0;
}

static void find_program(struct foreground *foreground, pid_t pid)
{
	char path[64];
	struct stat file;

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	if (stat(path, &file) < 0) {
		foreground->leaving = errno == ENOENT;
		return;
	}
	foreground->device = file.st_dev;
	foreground->program = file.st_ino;
}

struct foreground foreground_look(int terminal)
{
	struct foreground foreground = { .group = tcgetpgrp(terminal) };

	if (foreground.group <= 0)
		return (struct foreground){ 0 };
	foreground.parent = parent_of(foreground.group);
	find_program(&foreground, foreground.group);
	return foreground;
}

static bool same_program(const struct foreground *a, const struct foreground *b)
{
	return a->program == b->program && a->device == b->device;
}

bool foreground_missed(const struct foreground *then, const struct foreground *now, pid_t shell)
{
	struct foreground of_shell = { 0 };

	if (!now->group || now->group == shell || (now->parent && now->parent != shell))
		return false;
	if (then->group == shell || (then->leaving && then->parent == shell && then->group != now->group))
		return true;
	find_program(&of_shell, shell);
	return then->parent == shell && then->program && same_program(then, &of_shell) && now->program &&
	       (now->group != then->group || !same_program(now, then));
}

bool foreground_reads_line(int terminal, pid_t pid)
{
	struct termios modes;

	return tcgetpgrp(terminal) == pid && tcgetattr(terminal, &modes) == 0 && !(modes.c_lflag & (ICANON | ECHO));
}

bool foreground_is_bash(pid_t pid)
{
	char path[64], found[4096];

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	ssize_t size = readlink(path, found, sizeof found - 1);
	if (size < 0 && (errno == EACCES || errno == EPERM)) {
		snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
		cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
		size = fd < 0 ? -1 : read(fd, found, sizeof found - 1);
	}
	if (size <= 0)
		return false;
	found[size] = '\0';
	const char *name = strrchr(found, '/');
	return str_starts(name ? name + 1 : found, "bash");
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_tty.c: terminals: what the standard descriptors are, and the ioctls that inject or redirect input. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/lib/probe.h"

static void print_size(const char *key, int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0)
		fact(key, "%s", result(-1));
	else
		fact(key, "%ux%u", size.ws_col, size.ws_row);
}

static int tty(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (int fd = 0; fd < 3; fd++) {
		char key[32], name[128];

		snprintf(key, sizeof key, "tty.%d", fd);
		fact(key, "isatty=%d name=%s", isatty(fd), ttyname_r(fd, name, sizeof name) ? "none" : name);
	}
	print_size("tty.size", 0);
	cleanup_fd int control = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	fact("tty.dev_tty", "%s", result(control));
	fact("tty.session", "sid=%d pgid=%d pid=%d", getsid(0), getpgid(0), getpid());
	fact("tty.foreground", "%d", tcgetpgrp(0));
	return 0;
}

/* A terminal to try on: standard input when it is one, else a new one of this sandbox. */
static int some_terminal(void)
{
	int number_of_pty, unlock = 0;
	char name[64];

	if (isatty(0))
		return dup(0);
	cleanup_fd int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0 || ioctl(master, TIOCGPTN, &number_of_pty) < 0)
		return -1;
	snprintf(name, sizeof name, "/dev/pts/%d", number_of_pty);
	setsid();
	int slave = open(name, O_RDWR | O_CLOEXEC);
	if (slave >= 0)
		steal_fd(&master); /* a slave without master answers EIO to everything: keep it open until we end */
	return slave;
}

static int tty_ioctls(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned long request;
	} table[] = { { "TIOCSTI", TIOCSTI }, { "TIOCSTI+high", TIOCSTI | 1UL << 32 }, { "TIOCLINUX", TIOCLINUX },
		{ "TIOCLINUX+high", TIOCLINUX | 1UL << 63 }, { "TIOCCONS", TIOCCONS },
		{ "TIOCCONS+high", TIOCCONS | 1UL << 32 }, { "TIOCSETD", TIOCSETD },
		{ "TIOCSETD+high", TIOCSETD | 1UL << 32 } };
	int fd = some_terminal();

	(void)argc, (void)argv;
	if (fd < 0) {
		fact("ioctl", "no terminal: %s", result(-1));
		return 1;
	}
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char key[64];
		/* TIOCSTI reads a character, TIOCLINUX a subcode (2: paste), TIOCSETD a discipline (22: N_NULL). */
		int argument = !strncmp(table[i].name, "TIOCSETD", 8)  ? 27
			       : !strncmp(table[i].name, "TIOCSTI", 7) ? 'X'
								       : 3;

		snprintf(key, sizeof key, "ioctl.%s", table[i].name);
		fact(key, "%s", result(syscall(SYS_ioctl, fd, table[i].request, &argument)));
	}
	return 0;
}

/* Say the size now and after each of @count changes. */
static int winch(int argc, char **argv)
{
	sigset_t set;
	unsigned long count = argc > 1 ? number(argv[1]) : 1;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	cleanup_fd int fd = signalfd(-1, &set, SFD_CLOEXEC);
	print_size("winch.start", 0);
	for (unsigned long i = 0; i < count; i++) {
		struct signalfd_siginfo info;

		if (read(fd, &info, sizeof info) != sizeof info)
			return 1;
		print_size("winch.size", 0);
	}
	return 0;
}

/* What kind of thing each standard descriptor is able to do; a directory would be an escape. */
static int stdio(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (int fd = 0; fd < 3; fd++) {
		char key[32], path[64];
		int flags = fcntl(fd, F_GETFL);
		struct winsize size;

		snprintf(key, sizeof key, "stdio.%d", fd);
		snprintf(path, sizeof path, "/proc/self/fd/%d/.", fd);
		fact(key, "flags=%s as_dir=%s tty=%s", flags < 0 ? result(-1) : "ok",
			result(open(path, O_RDONLY | O_CLOEXEC)), result(ioctl(fd, TIOCGWINSZ, &size)));
	}
	return 0;
}

const struct probe_row probe_tty[] = {
	{ "tty", tty, 0, 0, "terminal, its size, session" },
	{ "tty-ioctls", tty_ioctls, 0, 0, "TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD with and without high bits" },
	{ "stdio", stdio, 0, 0, "what fd 0-2 are" },
	{ "winch", winch, 0, 1, "[N]: print the size at start and after N changes" },
	{ 0 },
};

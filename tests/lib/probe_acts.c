// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_acts.c: workloads that behave badly in one chosen way. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/names.h"
#include "tests/lib/probe.h"

static int exit_with(int argc, char **argv)
{
	(void)argc;
	return (int)number(argv[1]);
}

static int die_signal(int argc, char **argv)
{
	(void)argc;
	signal((int)number(argv[1]), SIG_DFL);
	raise((int)number(argv[1]));
	return 99;
}

static int sleep_forever(int argc, char **argv)
{
	(void)argc, (void)argv;
	fact("sleep", "ready");
	while (pause() < 0)
		;
	return 0;
}

static int ignore_term(int argc, char **argv)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	return sleep_forever(argc, argv);
}

/* Rename and exchange two names. */
static int rename_two(int argc, char **argv)
{
	(void)argc;
	fact("rename.exchange", "%s", result(renameat2(AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE)));
	fact("rename.rename", "%s", result(rename(argv[1], argv[2])));
	return 0;
}

static volatile sig_atomic_t caught;

static void catch_signal(int signo)
{
	caught = signo;
}

/* Wait for one signal and say which. */
static int catch_one(int argc, char **argv)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGCONT };
	sigset_t set;

	(void)argc, (void)argv;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		sigaddset(&set, signals[i]);
		signal(signals[i], catch_signal);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	fact("catch", "ready");
	sigemptyset(&set);
	while (!caught)
		sigsuspend(&set);
	fact("caught", "%s", signal_name(caught));
	return 0;
}

/* Start children until the kernel refuses or there are N; say how many lived at once. */
static int fork_bomb(int argc, char **argv)
{
	unsigned long most = number(argv[1]), count = 0;
	const char *last = "ok";

	(void)argc;
	while (count < most) {
		pid_t pid = fork();

		if (!pid) {
			pause();
			_exit(0);
		}
		last = result(pid);
		if (pid < 0)
			break;
		count++;
	}
	fact("fork-bomb", "%lu %s", count, last);
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	return 0;
}

/* Leave N zombies to pid 1: grandchildren that end after their parent did. Then count what was not reaped. */
static int zombie(int argc, char **argv)
{
	unsigned long count = number(argv[1]);

	(void)argc;
	for (unsigned long i = 0; i < count; i++) {
		pid_t middle = fork();

		if (!middle) {
			if (!fork())
				_exit(0);
			_exit(0);
		}
		if (middle > 0)
			waitpid(middle, NULL, 0);
	}
	fact("zombie", "left %lu", count);
	return 0;
}

/* A process that left its session and its parent: it lives until the sandbox ends. It says so in a file. */
static int daemon_process(int argc, char **argv)
{
	(void)argc;
	if (fork())
		return 0;
	setsid();
	if (fork())
		_exit(0);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	cleanup_fd int fd = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	(void)!write_full(fd, "up\n", 3);
	while (pause() < 0)
		;
	return 0;
}

static int write_file(int argc, char **argv)
{
	cleanup_fd int fd = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	long done = fd < 0 ? -1 : write_full(fd, argv[2], strlen(argv[2]));

	(void)argc;
	fact("write", "%s", result(done));
	return done < 0;
}

/* fill PATH MEBIBYTES: write until it is full or that much is written. */
static int fill(int argc, char **argv)
{
	static char block[1 << 20];
	unsigned long most = number(argv[2]), count = 0;
	cleanup_fd int fd = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
	long done = fd;

	(void)argc;
	while (done >= 0 && count < most) {
		done = write_full(fd, block, sizeof block);
		count += done >= 0;
	}
	fact("fill", "%lu %s", count, result(done));
	return 0;
}

/* Set-id bits by every call that can set them. */
static int set_id(int argc, char **argv)
{
	(void)argc;
	cleanup_fd int fd = open(argv[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

	fact("setid.create", "%s", result(fd));
	fact("setid.chmod", "%s", result(chmod(argv[1], 04755)));
	fact("setid.fchmod", "%s", result(fchmod(fd, 06755)));
	fact("setid.fchmodat", "%s", result(fchmodat(AT_FDCWD, argv[1], 02755, 0)));
	unlink(argv[1]);
	cleanup_fd int direct = open(argv[1], O_CREAT | O_WRONLY | O_CLOEXEC, 04755);
	fact("setid.open", "%s", result(direct));
	struct stat st;
	if (!stat(argv[1], &st))
		fact("setid.mode", "%o", st.st_mode & 07777);
	return 0;
}

/* Say "up", then live until standard input ends: what a benchmark or a test holds open. */
static int hold(int argc, char **argv)
{
	char byte;

	(void)argc, (void)argv;
	fact("hold", "up");
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}

static int with_key(int argc, char **argv)
{
	(void)argc;
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ||
		syscall(SYS_add_key, "user", argv[1], "nobody", 6ul, KEY_SPEC_SESSION_KEYRING) < 0) {
		perror("probe: make a key");
		return 1;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}

static int find_key(int argc, char **argv)
{
	(void)argc;
	fact("key", "%s", result(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", argv[1], 0)));
	return 0;
}

/* Write N bytes to standard output, and a last line to standard error. */
static int flood(int argc, char **argv)
{
	static char line[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
	unsigned long bytes = number(argv[1]);

	(void)argc;
	for (unsigned long done = 0; done < bytes; done += sizeof line - 1)
		if (write_full(1, line, sizeof line - 1) < 0)
			return 1;
	fprintf(stderr, "flood done\n");
	return 0;
}

const struct probe_row probe_acts[] = {
	{ "exit", exit_with, 1, 1, "N: end with status N" },
	{ "die-signal", die_signal, 1, 1, "N: die of signal N" },
	{ "rename", rename_two, 2, 1, "FROM TO: exchange two names, then rename" },
	{ "sleep-forever", sleep_forever, 0, 1, "never end" },
	{ "ignore-term", ignore_term, 0, 1, "never end, ignore TERM, INT, HUP" },
	{ "catch", catch_one, 0, 1, "wait for a signal and name it" },
	{ "fork-bomb", fork_bomb, 1, 1, "N: children that stay, up to N" },
	{ "zombie", zombie, 1, 1, "N: orphans for pid 1 to reap" },
	{ "daemon", daemon_process, 1, 1, "FILE: leave a process behind in a session of its own" },
	{ "write-file", write_file, 2, 1, "PATH TEXT" },
	{ "fill", fill, 2, 1, "PATH N: write up to N MiB" },
	{ "set-id", set_id, 1, 1, "PATH: make it set-id in every way" },
	{ "hold", hold, 0, 1, "say up, live until stdin ends" },
	{ "with-key", with_key, 2, 1, "NAME COMMAND...: run it with a session keyring that holds a key" },
	{ "find-key", find_key, 1, 1, "NAME: look for it in the session keyring" },
	{ "flood", flood, 1, 1, "N: N bytes to stdout" },
	{ 0 },
};

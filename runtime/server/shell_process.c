// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_process.c: see shell_process.h */
#include "server/shell_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/children.h"
#include "server/pty.h"
#include "server/screen.h"

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 8u
#endif

static int make_key(char key[static SHELL_KEY_LENGTH + 1], struct azm_err *err)
{
	unsigned char random[SHELL_KEY_LENGTH / 2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return err_sys(err, "get random bytes", NULL);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(key + 2 * i, 3, "%02x", random[i]);
	return 0;
}

/* The script file: without a name, so that `rm -rf /tmp/` in a command does not take it away. */
static int make_script(struct azm_err *err)
{
	int fd = memfd_create("azm-shell", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("azm-shell", MFD_CLOEXEC);
	return fd < 0 ? err_sys(err, "make the shell's script file", NULL) : fd;
}

int shell_process_script(const struct shell_process *process, const struct text *script, struct azm_err *err)
{
	if (ftruncate(process->script, 0) < 0 || lseek(process->script, 0, SEEK_SET) < 0 ||
		write_full(process->script, script->bytes, script->size) < 0 || lseek(process->script, 0, SEEK_SET) < 0)
		return err_sys(err, "hand the command to the shell", NULL);
	return 0;
}

static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	cleanup_str_list struct str_list dirs = { 0 };

	str_list_split(&dirs, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	str_list_split(&dirs, "/bin:/usr/bin:/usr/local/bin", ':');
	for (size_t i = 0; i < dirs.count; i++) {
		char *candidate = xasprintf("%s/%s", dirs.items[i], name);
		if (dirs.items[i][0] == '/' && access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return NULL;
}

/* What the shell gets of it: only for reading, since every program inherits it. */
static int open_script(const struct shell_process *process, struct azm_err *err)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", process->script);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open the shell's script file", path) : fd;
}

struct shell_ends {
	char *program;
	int terminal, script, channel;
};

/* In the child. Only system calls from here on; a failure ends in status 126 or 127, reported as the shell's. */
[[gnu::noreturn]] static void exec_shell(
	const char *cwd, const struct shell_ends *ends, char *const argv[], char *const env[])
{
	if (child_begin((const int[]){ ends->terminal, ends->terminal, ends->terminal }) < 0 ||
		ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0 || dup2(ends->script, SHELL_SCRIPT_FD) < 0 ||
		dup2(ends->channel, SHELL_CHANNEL_FD) < 0)
		_exit(EXIT_CANNOT_EXEC);
	if (chdir(cwd) < 0 && chdir("/") < 0)
		_exit(EXIT_CANNOT_EXEC);
	execve(ends->program, argv, env);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}

static void shell_environment(struct str_list *env, enum shell_dialect dialect, const char *cwd)
{
	static const char *const replaced[] = { "TERM=", "PROMPT_COMMAND=", "PS1=", "PS2=", "ENV=", "BASH_ENV=", "PWD=",
		"OLDPWD=", "COLUMNS=", "LINES=", NULL };

	for (char **entry = environ; *entry; entry++) {
		bool drop = false;
		for (size_t i = 0; replaced[i]; i++)
			drop |= str_starts(*entry, replaced[i]);
		if (!drop)
			str_list_add(env, *entry);
	}
	str_list_add(env, "TERM=xterm-256color");
	str_list_addf(env, "PWD=%s", cwd);
	if (dialect == SHELL_POSIX)
		str_list_addf(env, "ENV=/proc/self/fd/%d", SHELL_SCRIPT_FD);
}

static int open_all(struct shell_process *process, struct shell_ends *ends, struct azm_err *err)
{
	process->script = make_script(err);
	if (process->script < 0 || make_key(process->keys.mark, err) < 0 || make_key(process->keys.secret, err) < 0)
		return -1;
	ends->script = open_script(process, err);
	if (ends->script < 0 || shell_channel_open(&process->channel, &ends->channel, err) < 0)
		return -1;
	process->terminal = pty_open(SCREEN_ROWS, SCREEN_COLUMNS, &ends->terminal, err);
	if (process->terminal < 0)
		return -1;
	if (tcgetattr(ends->terminal, &process->modes) < 0)
		return err_sys(err, "read the modes of the shell's terminal", NULL);
	return 0;
}

static void close_ends(struct shell_ends *ends)
{
	const int fds[] = { ends->terminal, ends->script, ends->channel };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(ends->program);
}

int shell_process_start(struct shell_process *process, const char *cwd, bool user_files, struct azm_err *err)
{
	[[gnu::cleanup(close_ends)]] struct shell_ends ends = { find_program("bash"), -1, -1, -1 };
	cleanup_str_list struct str_list argv = { 0 }, env = { 0 };
	cleanup_text struct text script = { 0 };

	*process = (struct shell_process){ .pid = -1, .terminal = -1, .script = -1, .channel.fd = -1 };
	process->dialect = ends.program ? SHELL_BASH : SHELL_POSIX;
	process->keys.marks_report = process->dialect == SHELL_POSIX;
	if (!ends.program)
		ends.program = find_program("sh");
	if (!ends.program)
		return err_msg(err, ENOENT, "start a shell", NULL, "there is neither bash nor sh");
	str_list_add(&argv, process->dialect == SHELL_BASH ? "bash" : "sh");
	if (process->dialect == SHELL_BASH) {
		str_list_add(&argv, "--rcfile");
		str_list_addf(&argv, "/proc/self/fd/%d", SHELL_SCRIPT_FD);
	}
	str_list_add(&argv, "-i");
	shell_environment(&env, process->dialect, cwd);
	if (open_all(process, &ends, err) < 0)
		return -1;
	shell_script_start(&script, process->dialect, &process->keys, user_files);
	if (shell_process_script(process, &script, err) < 0)
		return -1;
	process->pid = fork();
	if (process->pid == 0)
		exec_shell(cwd, &ends, argv.items, env.items);
	return process->pid < 0 ? err_sys(err, "start a shell", ends.program) : 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/commands.c: what commands share, see commands.h. */
#include "rootfs-tools/commands.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

int command_operands(
	const char *name, void *config, int argc, char **argv, const char **operands, int limit, struct azm_err *err)
{
	const struct command *command = program_find(&rootfs_program, name);
	int count = 0;

	for (int at = 0; at < argc - 1;) {
		int used = options_parse(command, config, argc - at, argv + at, err);
		if (used < 0)
			return -1;
		at += used;
		if (at >= argc)
			break;
		if (count >= limit) {
			err_msg(err, EINVAL, name, argv[at], "more than is expected");
			return err_hint(err, "%s %s %s", rootfs_program.name, name, command->operands);
		}
		operands[count++] = argv[at];
	}
	return count;
}

int watch_signals(struct azm_err *err)
{
	sigset_t watched;

	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &watched, NULL);
	int fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(err, "watch signals", NULL) : fd;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/commands.c: what commands share, see commands.h. */
#include "rootfs-tools/commands.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "base/str.h"
#include "rootfs-tools/bundle.h"

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

int command_max_size(const char *value, uint64_t *size, struct azm_err *err)
{
	return str_to_bytes(value, size) && *size > 0
		       ? 0
		       : err_msg(err, EINVAL, "limit the size to", value, "not a size such as 500m or 20g");
}

int command_end(int result, const struct azm_err *err)
{
	return result < 0 ? err_print(err, rootfs_program.name) : fflush(stdout) == 0 ? 0 : EXIT_AZM;
}

int source_choice_platform(void *config, const char *value, struct azm_err *err)
{
	struct source_choice *choice = config;

	platform_free(&choice->platform);
	choice->platform_given = true;
	return platform_parse(value, &choice->platform, err);
}

int source_choice_tag(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct source_choice *)config)->tag = value;
	return 0;
}

struct source_options source_choice_options(struct source_choice *choice, int scratch, uint64_t limit)
{
	if (!choice->platform.os)
		choice->platform = bundle_platform();
	return (struct source_options){ .platform = &choice->platform,
		.platform_given = choice->platform_given,
		.tag = choice->tag,
		.scratch = scratch,
		.limit = limit,
		.registry = &choice->registry };
}

void source_choice_free(struct source_choice *choice)
{
	platform_free(&choice->platform);
	registry_options_free(&choice->registry);
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

int refuse_root(const char *command, const char *operand, struct azm_err *err)
{
	const char *uid = getenv("SUDO_UID"), *gid = getenv("SUDO_GID");

	if (!program_is_real_root())
		return 0;
	err_msg(err, EPERM, command, operand,
		"started by root: what an image brings along would run as root of this machine's files");
	return err_hint(err,
		"start it as the user who will run the image: setpriv --reuid %s --regid %s --clear-groups "
		"--inh-caps=-all --bounding-set=-all %s %s %s (or say --as-root)",
		uid ? uid : "UID", gid ? gid : "GID", rootfs_program.name, command, operand);
}

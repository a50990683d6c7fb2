// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_channel.h: the private channel on which a shell reports that it is at its prompt.
 *
 * Theory of operation
 *
 * Every program that a command starts inherits the shell's descriptors, environment and terminal, so whatever the shell
 * knows or can write to, a program can use as well. What it cannot have is the shell's process id: the channel is a
 * socket on which the kernel notes who wrote each piece (SO_PASSCRED), and pieces of different writers are never put
 * together (unix(7)). A report counts if the shell itself wrote it; what others write is read and forgotten.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "server/text.h"

struct shell_channel {
	int fd; /* non-blocking; -1: closed */

	/* private */
	pid_t writer; /* of partial */
	struct text partial;
	pid_t reporter; /* of report */
	struct text report;
};

/** shell_channel_open() - make it. @peer: set to the shell's end, close-on-exec. Return: 0, -1 with @err set */
int shell_channel_open(struct shell_channel *channel, int *peer, struct azm_err *err);
void shell_channel_close(struct shell_channel *channel);

/** shell_channel_receive() - take in what was written. Return: whether anybody can still write */
bool shell_channel_receive(struct shell_channel *channel);

/**
 * shell_channel_report() - the newest complete report: bytes up to a NUL
 * @reporter:	set to the process that wrote it
 *
 * Return: the report, valid until the next call of a function of this file; the caller may change it. NULL: there is
 * none since shell_channel_forget()
 */
char *shell_channel_report(struct shell_channel *channel, pid_t *reporter);
void shell_channel_forget(struct shell_channel *channel);

/** shell_channel_go() - send the line for which the shell waits before it begins a command: the command's number. */
void shell_channel_go(struct shell_channel *channel, unsigned command);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/bash_commands.h: the commands of /api/bash: each a fresh `sh -c` in a session of its own (spec:
 * openhands 10.2).
 */
#pragma once
#include <stdbool.h>

#include "server/bash_events.h"
#include "server/loop.h"

struct bash_command;
struct request;

struct bash_commands {
	struct loop *loop;
	struct child **children;
	const char *default_cwd;
	struct bash_events events;
	struct bash_command *running;
	/* A command began, or ended: its first or last event was kept. */
	void (*changed)(struct bash_commands *self, const struct bash_event *event);
	/* A command printed something, which will be part of an event some time. */
	void (*printed)(struct bash_commands *self, const char *id, bool is_stderr, const char *bytes, size_t size);
};

enum { BASH_RUNNING_MAX = 64 };

/**
 * bash_commands_start() - run a command
 * @command, @cwd: @cwd may be NULL: the default one
 * @timeout_s:	then SIGTERM to its session's group, SIGKILL a second later
 * @id:		set to its id, under which its BashCommand event is kept
 *
 * What goes wrong with the start (no such directory) is its output. Return: 0, -1 with errno EAGAIN: too many run
 */
int bash_commands_start(struct bash_commands *commands, const char *command, const char *cwd, long timeout_s,
	char id[static BASH_ID_LENGTH + 1]);

bool bash_commands_is_running(const struct bash_commands *commands, const char *id);

/** bash_commands_stop() - end a running command as its timeout would. */
void bash_commands_stop(struct bash_commands *commands, const char *id);

/**
 * bash_commands_wait() - have done() called once, when a running command has ended
 * @id:		given to done(); during the call its last event is there
 */
void bash_commands_wait(
	struct bash_commands *commands, const char *id, void (*done)(void *context, const char *id), void *context);

/** bash_commands_flush() - make an event of what a running command printed so far. */
void bash_commands_flush(struct bash_commands *commands, const char *id);

/** bash_commands_end() - kill all; done() of those who wait is called. */
void bash_commands_end(struct bash_commands *commands);

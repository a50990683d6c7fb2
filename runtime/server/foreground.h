// SPDX-License-Identifier: GPL-2.0-or-later
/* server/foreground.h: which process group has a terminal, whether a key that sends a signal can have met it, and
 * whether a shell reads a command line there. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct foreground {
	pid_t group;   /* 0: unknown */
	pid_t parent;  /* of its leader; 0: the leader is gone */
	dev_t device;  /* of the file that the leader executes */
	ino_t program; /* 0: unknown */
	bool leaving;  /* the leader has ended, or does so */
};

/** foreground_look() - at the terminal whose other end is @terminal; what cannot be learned is 0. */
struct foreground foreground_look(int terminal);

/**
 * foreground_missed() - whether an interrupt typed at @then was lost, and @now there is a program it was meant for
 * @shell:	the process that runs commands on this terminal
 *
 * Between two programs of a command the terminal is the shell's. An interrupt that comes there, after the next process
 * was made but before the terminal is its own, interrupts nobody: the shell just waits for that process. One that comes
 * before the process executes its program is caught by the shell's handler, which the process still has. One that meets
 * a program at its very end is forgotten with it.
 */
bool foreground_missed(const struct foreground *then, const struct foreground *now, pid_t shell);

/** foreground_reads_line() - whether @pid owns the terminal whose other end is @terminal, and reads it a character at a
 * time without echo, as a command line is read. */
bool foreground_reads_line(int terminal, pid_t pid);

/** foreground_is_bash() - by the file that @pid executes; of another user's process only the name can be had. */
bool foreground_is_bash(pid_t pid);

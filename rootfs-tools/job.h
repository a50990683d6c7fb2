// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/job.h: what a command that takes long is while it runs: how far it is, and whether it is to end. */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/progress.h"

/* What comes from somewhere else meanwhile, counted by other threads. */
struct job_download {
	_Atomic uint64_t bytes;
	uint64_t total;
	_Atomic unsigned parts;
	unsigned all_parts;
};

struct job {
	const char *command; /* "unpack", for messages */
	const char *object;  /* what it is about */
	int signals;	     /* of watch_signals() (commands.h) */
	struct progress progress;
	uint64_t before;		     /* bytes of the parts that are done */
	uint64_t total;			     /* of all parts; 0: not known, the percentage stays */
	const uint64_t *files;		     /* how many have been made; NULL: none are */
	const struct job_download *download; /* NULL: none */
};

/**
 * job_tick() - a tick of a stream (stream.h): look for signals, show the progress
 * @context:	a struct job; void as streams want it
 * @consumed:	bytes of the part that is being worked on
 *
 * Return: 0; -1 with @err (EINTR, and the exit status a signal stands for) when it is to end
 */
[[gnu::nonnull]] int job_tick(void *context, uint64_t consumed, struct azm_err *err);

/** job_interrupted() - the signals alone. Return: 0, -1 with @err. */
[[gnu::nonnull]] int job_interrupted(const struct job *job, struct azm_err *err);

/**
 * job_lock() - flock(2) that waits for others as long as the user wants
 * @how:	LOCK_SH or LOCK_EX
 * @job:	NULL: signals are not looked at
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(4)]] int job_lock(int fd, int how, const struct job *job, struct azm_err *err);

/**
 * job_limit_memory() - what hostile input can make libraries ask for ends here: 512 MiB beyond what the program has now
 *
 * Their allocations fail then, and with them the reading.
 */
void job_limit_memory(void);

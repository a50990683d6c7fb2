// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/mmdebstrap.h: let mmdebstrap fill a root, in a box, and follow what it does. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "rootfs-tools/progress.h"

struct mmdebstrap {
	const char *root;	      /* absolute path; prepared by debian_prepare() */
	const char *archives, *lists; /* directories of the cache, bound over those of apt in the root */
	const char *log;	      /* file that gets everything the tools say */
	const char *suite;
	const char *packages; /* for --include, separated by commas */
	const struct str_list *sources;
	const char *const *hooks; /* run at the end, $1 is the root */
	int signals;		  /* signalfd(2), not blocking, of SIGCHLD and of those that are to end the run */
	struct progress *progress;
};

/** mmdebstrap_present() - 0, or -1 with @err and how to get it when the host lacks it or what it needs. */
int mmdebstrap_present(struct azm_err *err);

/** mmdebstrap_host_settings() - the lines of the host's apt configuration that its way to the mirrors depends on
 * (proxy, certificates, clock). Return: text owned by the caller, "" when there are none. */
char *mmdebstrap_host_settings(void);

/**
 * mmdebstrap_run() - install
 *
 * A signal from @signals other than SIGCHLD ends it: everything inside is killed, and @err carries 128+n as exit
 * status. Otherwise @err says what the cause was, as far as the tools' messages are understood, and where the log is.
 *
 * Return: 0, or -1 with @err; no process of it is left either way
 */
[[gnu::nonnull]] int mmdebstrap_run(const struct mmdebstrap *job, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/mapped.h: which files the processes of a running sandbox have mapped so that a store changes them.
 *
 * A store into a shared mapping changes a file without changing its times, once the page can be written to. Whoever
 * concludes from times that a file is what it was has to know its mappings.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

struct mapped {
	struct str_list names; /* last components of their paths, sorted */
	bool unknown;	       /* there may be others: what a store can reach cannot be told */
};

/**
 * mapped_scan() - add what is mapped now
 * @init:	azm-init, as the host sees it
 *
 * Mappings that exist from before the call until after it are all seen: under the name the file has then, or @unknown
 * is set, as it is for requests in flight that no system call waits for (io_submit). Names say too much, never too
 * little: a file of the image of that name counts as well. Return: 0, or -1 with @err set
 */
[[gnu::nonnull]] int mapped_scan(pid_t init, struct mapped *mapped, struct azm_err *err);

/** mapped_has() - whether a file of this name (one component) may be mapped. */
[[gnu::nonnull]] bool mapped_has(const struct mapped *mapped, const char *name);

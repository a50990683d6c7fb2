// SPDX-License-Identifier: GPL-2.0-or-later
/* disk.h: --disk, --storage-opt: how much a sandbox may write in "/".
 *
 * A project quota would be the right tool, but only root of the host can set a limit (quotactl(2) wants CAP_SYS_ADMIN
 * in the first user namespace), so there are two modes, and neither is taken silently:
 *
 *     memory   the writable layer lies in a memory file system of that size: enforced, fast, and gone at the end
 *     watch    it lies on disk, a process of ours measures it now and then and ends a sandbox that has more
 *
 * A limit without a mode is an error, or with --best-effort a watched one.
 */
#pragma once
#include "config.h"
#include "status.h"

enum disk_mode { DISK_UNLIMITED, DISK_MEMORY, DISK_WATCHED };

#define DISK_MEMORY_DEFAULT (1ull << 30)

/** disk_check_mode() - whether a word is one of the modes. */
int disk_check_mode(const char *mode, struct azm_err *err);

/** disk_check() - refuse what cannot be had. Return: 0, -1 with @err set */
int disk_check(const struct config *config, struct azm_err *err);

/** disk_plan() - which mode a configuration that disk_check() accepted has. */
enum disk_mode disk_plan(const struct config *config);

/* What the watching process found. */
struct disk_report {
	uint64_t bytes, inodes;
	bool too_deep; /* there are more directories in each other than it follows */
	bool unlisted; /* a directory could not be read */
};

/**
 * disk_watch() - start the process that watches, if the configuration wants one
 * @dir:	the sandbox's directory
 *
 * It ends with the descriptor. Before the supervisor has threads and confines itself. Return: descriptor from which one
 * struct disk_report can be read when there is too much; -1 without one, with @err set on failure
 */
int disk_watch(const struct config *config, int dir, struct azm_err *err);

/** disk_reason() - one line that says why a sandbox is ended; allocated. */
char *disk_reason(const struct config *config, const struct disk_report *report);

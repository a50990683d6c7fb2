// SPDX-License-Identifier: GPL-2.0-or-later
/* guard.h: the workspace guard: what the agent leaves behind must not command the user's own tools.
 *
 * Before the start, guard_prepare() decides which names of the writable directories the sandbox gets covered
 * (mount/guard.c does it) and writes down what there was; after the end, and by the next command after a crash, the
 * sweep (sweep.h) looks at what changed. The theory of operation is in guard.c.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "config.h"
#include "mount/mount.h"
#include "state.h"

/* What a running sandbox holds on to. */
struct guard {
	int *locks; /* one for each directory in which names are held */
	size_t lock_count;
};

/**
 * guard_prepare() - find what is to be guarded in the writable directories of a plan, and hold the names that are
 * absent
 * @dir:	the sandbox's directory: guard.json is what guard_release() and the sweep go by
 * @guard:	zeroed; end with guard_close()
 *
 * On the host, as the user. With --guard report only guard.json is written; with off nothing happens.
 *
 * Return: 0, or -1 with @err set; guard_release() then takes back what was made
 */
int guard_prepare(const struct config *config, const struct state *state, int dir, struct mount_plan *mounts,
	struct guard *guard, struct azm_err *err);

/** guard_close() - let go of the held names; whoever lets go last may remove them. */
void guard_close(struct guard *guard);

/* What was there before, in the sandbox's directory. */
#define GUARD_RECORD "guard.json"

/** guard_record() - it, read. Return: the caller owns the reference; NULL without, or with @err set when it is spoiled
 */
json_t *guard_record(int dir, struct azm_err *err);

/** guard_record_root() - the entry of a spoiled record for a directory. @covered: what was in it, by path. */
json_t *guard_record_root(const char *path, const json_t *covered);

/** guard_record_again() - what stands in for a spoiled record. @roots: its entries, taken over. */
json_t *guard_record_again(int dir, json_t *roots);

/** guard_release() - remove the held names of a record, but for those another running sandbox still needs. */
void guard_release(const json_t *record, const struct state *state);

/** guard_config_text() - a git configuration file, at most 256 KiB of it; NULL when it is not a regular one. */
char *guard_config_text(int parent, const char *name);

/** guard_depth() - how many components a relative path has; 0 for "". */
unsigned guard_depth(const char *path);

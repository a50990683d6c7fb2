// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_hold.h: names that are absent, held by something empty while a sandbox runs. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "state.h"

/* The file by which a git directory says that its configuration lies elsewhere. Held by one that says "here". */
#define HOLD_COMMONDIR "commondir"

/** guard_hold_lock() - share the right to the held names of a directory. Return: descriptor to be closed, -1 with @err
 * set.
 */
int guard_hold_lock(const struct state *state, int parent, struct azm_err *err);

/* What a directory was like before names in it were held or released. */
struct guard_hold_parent {
	int fd;
	int pool;    /* empty directories kept for the next holds; -1 */
	int next;    /* of which those before are known to be gone, or taken */
	bool opened; /* it was closed to its owner, whom the sandbox's root can overrule */
	mode_t mode;
	struct timespec times[2];
};

/** guard_hold_begin() - before names are held or released. @parent: readable, not O_PATH. */
struct guard_hold_parent guard_hold_begin(const struct state *state, int parent);

/** guard_hold_end() - put the directory's mode and time of modification back: nothing of us shows. */
void guard_hold_end(const struct guard_hold_parent *parent);

/** guard_hold_pool() - the directory of state->dir where empty directories wait for their next use; made if need be.
 * Return: descriptor, -1 without */
int guard_hold_pool(const struct state *state);

/**
 * guard_hold_name() - hold a name that is absent
 *
 * Return: 0; 1 when the user may not make it: then the sandbox, as a rule, may not either; -1 with errno
 */
int guard_hold_name(struct guard_hold_parent *parent, const char *name);

/** guard_hold_is_placeholder() - whether that is what guard_hold_name() made, still empty. */
bool guard_hold_is_placeholder(int parent, const char *name);

/**
 * guard_hold_release() - remove held names, if no other sandbox shares the right to them
 * @names:	those that were absent when the sandbox began; ended by NULL
 */
void guard_hold_release(const struct state *state, int parent, const char *const *names);

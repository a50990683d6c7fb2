// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_check.h: what a walk over a directory asks the workspace guard. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "guard_rules.h"

/* One writable directory after the end of its sandbox. */
struct guard_check {
	const char *root_path;
	int root;
	const json_t *known;   /* its entry in guard.json */
	const json_t *covered; /* PATH: inode number of what was covered or held */
	bool move;	       /* --guard on: what must not stay is moved aside */
	struct timespec begin; /* when the workload was about to start */
	struct timespec since; /* the same less the clock's grain: what changed before is old */
	json_t *findings;      /* [{path, why, action}], shared by all directories */
	unsigned more;	       /* beyond what is kept in findings */
	unsigned more_daily;   /* of these, an agent's daily work */
};

/* What a directory of the walk is to the guard. */
struct guard_place {
	const char *path;	       /* relative to the root, "" for it */
	const struct guard_rule *rule; /* it lies in one of these; NULL */
	bool vendored; /* in node_modules and the like: what packages bring along is not for the user's tools */
	unsigned git;  /* GUARD_GIT_*: which of a git directory's parts are in it */
};

/** guard_is_daily() - whether a finding of this kind is an agent's daily work: for who reads the whole list. */
bool guard_is_daily(const char *action);

/** guard_check_top() - the names that were absent at the start. Before the walk, after guard_release(). */
void guard_check_top(struct guard_check *check);

/** guard_check_enter() - begin with a directory of the walk. */
struct guard_place guard_check_enter(const char *path);

/** guard_check_cares() - note a name, and say whether guard_check_entry() wants to see it. */
bool guard_check_cares(struct guard_place *place, const char *name);

/** guard_check_entry() - an entry that is no directory. */
void guard_check_entry(struct guard_check *check, const struct guard_place *place, int parent, const char *name,
	const struct stat *st);

/** guard_check_leave() - after the last entry: if it was a git directory, look at what git would obey. */
void guard_check_leave(struct guard_check *check, const struct guard_place *place, int dir);

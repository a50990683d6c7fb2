// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_plan.h: what guard.c, guard_git.c and guard_cover.c share while they decide what is to be guarded. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "guard.h"

/* One writable directory of the sandbox. */
struct plan_root {
	const struct state *state;
	struct guard *guard;
	struct volume *volume;
	int fd;
	bool project;	 /* the workspace, or a git work tree: absent names are held */
	bool mounts;	 /* false: --guard report */
	json_t *held;	 /* DIRECTORY: [NAME...], both relative */
	json_t *absent;	 /* names of rules that nothing had at the top */
	json_t *configs; /* PATH: what is dangerous in it (git_config.h) */
	json_t *git;	 /* git directories */
	unsigned budget; /* directories that may still be read */
	struct azm_err *err;
};

/* ---- guard_cover.c: paths are relative to the root of @p; each returns 0, or -1 with @p->err set -------------------
 */

/** guard_join() - "DIRECTORY/NAME", or the name alone at the top; allocated. */
char *guard_join(const char *directory, const char *name);

/** guard_type_of() - the type of a name (S_IFMT), 0 when it is absent or out of reach. */
mode_t guard_type_of(const struct plan_root *p, const char *path);

/** guard_open_directory() - Return: descriptor to read it by, -1 with errno. */
int guard_open_directory(const struct plan_root *p, const char *path);

/** guard_is_absent() - whether nothing is there, or what another sandbox holds the name with. */
bool guard_is_absent(const struct plan_root *p, const char *path);

/** guard_target_inside() - where a path leads, if that is in the directory: relative to it; allocated. An absolute one
 * is the host's. */
char *guard_target_inside(const struct plan_root *p, const char *path);

/** guard_is_listed() - whether guard_add() was called for a path. */
bool guard_is_listed(const struct plan_root *p, const char *path);

/** guard_add() - cover a name with a read-only bind of itself; @pin: a writable one, which only keeps its place. */
int guard_add(struct plan_root *p, const char *path, bool pin);

/** guard_remember() - what has the name of an added path now; the sweep wants to know whether it still has it. */
void guard_remember(struct volume *volume, const char *path, ino_t ino);

/** guard_hold_absent() - an absent name: it is made in guard_prepare(), once guard.json says so. */
int guard_hold_absent(struct plan_root *p, const char *directory, const char *name);

/** guard_cover() - something that is there: cover it; if it is a link, what it leads to as well. */
int guard_cover(struct plan_root *p, const char *path);

/** guard_cover_or_hold() - whichever applies */
int guard_cover_or_hold(struct plan_root *p, const char *directory, const char *name);

/* ---- guard_git.c ---------------------------------------------------------------------------------------------------
 */

/** guard_dot_git() - the ".git" of a work tree: a directory, or a file or link that names one. */
int guard_dot_git(struct plan_root *p, const char *top);

/** guard_each_directory() - call @each for every directory in a directory, within the budget. */
int guard_each_directory(struct plan_root *p, const char *path,
	int (*each)(struct plan_root *p, const char *path, unsigned depth), unsigned depth);

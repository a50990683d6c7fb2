// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/ready.h: copies of regular files that are made while a sandbox runs, for the moment when it does not.
 *
 * Theory of operation
 *
 * In rounds, the layer is walked and its files are copied to a directory beside the copy of the layer, under numbers.
 * Then everything inside is stopped and the layer is copied as it is (join.h); a file that is still what it was when it
 * was copied ahead is moved to its place. Names, directories, links and whatever is new are read at that moment only:
 * what was deleted, renamed or replaced meanwhile needs no thought.
 *
 * What has to be right is one question: is the content of this inode what it was when the copy of it *began*? "Yes"
 * needs all of:
 *
 * - Inode number, ctime, mtime, size, mode and owner are the same. Writes, truncation, chmod, xattrs, links and renames
 *   change the ctime, and nothing sets it to a time of choice. A reused number has a newer one.
 * - The ctime was older than the beginning of the round, by more than the steps in which file systems count time. So a
 *   change after the beginning gives another ctime.
 * - No write was under way: write(2) sets the times first and the content then. Whoever copies takes the inode's lock
 *   once before he looks at the times (barrier()): a write that has set an old ctime holds it until it has ended.
 * - No store can go past the times. A page that becomes writable through a shared mapping sets them, but later stores
 *   to that page do not. Mappings are looked for at the beginning of each round, before the first copy (mapped.h):
 *   those that are there make their files stay behind; one that comes later sets the ctime with its first store. File
 *   systems that do not do that (tmpfs) are not copied ahead, nor is anything while there are requests of io_submit(2),
 *   or mapped files whose name is gone.
 * - For a file of several names, the walk saw as many as it has: each of them was compared with those of mappings.
 *
 * Everything else is copied while the sandbox stands still. The first rounds are an attempt: whatever fails in them,
 * ends early, or is overtaken by the sandbox, costs time and not consistency.
 *
 * The sandbox runs meanwhile and is hostile. Every name is one component below a descriptor and never followed; what
 * was opened is compared with what was looked at; files are copied up to the size they had; depth, the number of files
 * and the space (half of what was free) are bounded.
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "snapshots/mapped.h"

struct ready_table;

struct ready {
	int layer; /* the layer that is made; not owned */
	int dir;   /* the copies */
	struct mapped mapped;
	struct ready_table *table; /* shared with children; NULL: nothing is copied ahead */
};

#define READY_NONE ((struct ready){ .layer = -1, .dir = -1 })

/** ready_begin() - @layer: where the copies are kept meanwhile. Return: 0, or -1 with @err set */
int ready_begin(struct ready *ready, int layer, struct azm_err *err);

/**
 * ready_round() - look at the clock; mapped_scan() to @ready->mapped and ready_walk() of every directory follow
 *
 * Return: whether another round is worth its time and allowed
 */
bool ready_round(struct ready *ready);

/** ready_walk() - copy the files below a directory; in a child that may read them. */
void ready_walk(struct ready *ready, int root);

/**
 * ready_take() - put the copy of a file in its place, if there is one
 * @st:	the file, which does not change now
 *
 * Return: whether @name is there
 */
bool ready_take(struct ready *ready, const struct stat *st, int target, const char *name);

/** ready_end() - remove what was not needed. */
int ready_end(struct ready *ready, struct azm_err *err);

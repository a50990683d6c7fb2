// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tree_walk.h: every file below a directory, sorted, and copying and hashing them.
 *
 * Symbolic links are never followed. Directories are opened from the one above, so what is renamed meanwhile leads
 * nowhere else.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/number_set.h"
#include "rootfs-tools/owners.h"

struct tree_entry {
	int dir;	  /* the directory it is in */
	const char *name; /* there */
	const char *path; /* below where the walk began, without '/' in front */
	struct stat st;
};

struct tree_visitor {
	/* For each entry, a directory before what it holds. Return: 0; 1: leave out what is below it; -1 with @err. */
	int (*visit)(void *context, const struct tree_entry *entry, struct azm_err *err);
	/* For each directory, after what it holds; may be NULL. */
	int (*leave)(void *context, const struct tree_entry *entry, struct azm_err *err);
	void *context;
};

/** tree_walk() - what is below a directory. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int tree_walk(int dir, const struct tree_visitor *visitor, struct azm_err *err);

/**
 * tree_walk_entry() - one name, and what is below it
 * @path:	what it is called, see tree_entry
 */
[[gnu::nonnull]] int tree_walk_entry(
	int dir, const char *name, const char *path, const struct tree_visitor *visitor, struct azm_err *err);

/* ---- measuring -------------------------------------------------------------------------------------------------- */

struct tree_size {
	uint64_t bytes; /* blocks on disk; each name of a file counts its part of them */
	uint64_t files;
};

/** tree_measure() - add what is below a directory; what cannot be opened, or is very deep, counts as empty. Return: 0,
 * -1 with errno. */
[[gnu::nonnull]] int tree_measure(int dir, struct tree_size *size);

/* ---- copying ---------------------------------------------------------------------------------------------------- */

struct tree_copy {
	int to;			  /* root of the target: links on the way stay below it */
	struct owner_log *owners; /* of it */
	bool hard_links;	  /* files of several names stay that */
	uint64_t files, bytes;	  /* counted up */
	struct number_set inodes; /* with hard_links: released by tree_copy_end() */
	char **first_names;
	size_t first_count;
};

/**
 * tree_copy_entry() - one file, directory without what is in it, link or pipe; a socket is passed over
 * @path:	where to, below copy->to; what it is in is made when it is missing
 * @owner:	whose it becomes there, with its mode; the file's time and its user.* attributes are taken along
 *
 * A directory that is there already stays as it is. A directory is not replaced by something else (EISDIR). Return: 0,
 * or -1 with @err
 */
[[gnu::nonnull]] int tree_copy_entry(struct tree_copy *copy, const struct tree_entry *entry, const char *path,
	const struct owner *owner, struct azm_err *err);

/** tree_copy_text() - a file with that content, as tree_copy_entry() makes one; its time is now. */
[[gnu::nonnull]] int tree_copy_text(
	struct tree_copy *copy, const char *text, const char *path, const struct owner *owner, struct azm_err *err);

/** tree_copy_times() - give a directory, whose files are all there, the time of @entry. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int tree_copy_times(
	const struct tree_copy *copy, const struct tree_entry *entry, const char *path, struct azm_err *err);
void tree_copy_end(struct tree_copy *copy);

/** tree_hash_entry() - add what @path will be to a hash: type, owner, mode, content; not times. Return: 0, -1. */
[[gnu::nonnull]] int tree_hash_entry(struct hasher *hasher, const struct tree_entry *entry, const char *path,
	const struct owner *owner, struct azm_err *err);

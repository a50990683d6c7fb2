// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/merged.h: a directory of a stack of overlay layers, without mounting anything.
 *
 * overlay(5)'s rules: the upper-most object of a name counts; a whiteout (character device 0:0) hides what is below;
 * directories of one name are merged down to the first opaque one (user.overlay.opaque).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"

struct merged {
	int *fds; /* the directories that contribute, top-most first, open for reading */
	size_t count;
	bool cut; /* nothing below them would contribute: opaque, or on top of a whiteout or another kind of object */
};

enum merged_kind { MERGED_NOTHING, MERGED_WHITEOUT, MERGED_OBJECT, MERGED_DIRECTORY };

struct merged_entry {
	enum merged_kind kind;
	int in;		      /* OBJECT, WHITEOUT: the directory that holds it, one of the merged ones' (not owned) */
	struct stat st;	      /* OBJECT, DIRECTORY: of the upper-most */
	struct merged merged; /* DIRECTORY: owned */
};

/** merged_root() - of the roots of layers, which are opened again. Release with merged_close(). */
int merged_root(const int *roots, size_t count, struct merged *merged, struct azm_err *err);

/** merged_names() - every name in any of the directories, sorted, once. */
int merged_names(const struct merged *merged, struct str_list *names, struct azm_err *err);

/** merged_look() - what a name is. Release with merged_close(&entry->merged). */
int merged_look(const struct merged *merged, const char *name, struct merged_entry *entry, struct azm_err *err);

void merged_close(struct merged *merged);

#define cleanup_merged [[gnu::cleanup(merged_close)]]

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_internal.h: what layer.c (the entries of a tar) and layer_tree.c (the tree) share. */
#pragma once
#include <archive.h>
#include <archive_entry.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "rootfs-tools/layer.h"
#include "rootfs-tools/number_set.h"

#define WHITEOUT ".wh."

enum { ABOVE_MAX = 64 };

struct layer {
	struct layer_target *target;
	struct stream *stream;
	struct azm_err *err;
	struct archive *archive;
	struct archive_entry *entry;

	char directory[PATH_MAX]; /* of the last entry; what `parent` is */
	int parent;		  /* O_PATH; -1 */
	struct {
		int fd;
		size_t length;
	} above[ABOVE_MAX]; /* directories on the way to it, the topmost first, and how much of `directory` names them
			     */
	unsigned above_count;
	bool stale;	/* something was removed: its path may lead elsewhere by now */
	bool marked;	/* `directories` has it */
	bool existed;	/* something had the entry's name already */
	bool inherited; /* layer_overlay_inherit() has seen the directory */
	uint64_t parent_inode, root_inode;
	uint64_t key;			     /* of the hash */
	struct number_set made, directories; /* what this layer has made, and where */
	struct number_set seen, said;	     /* layer_overlay.c: directories, those the layer has an entry for */
	struct number_set renumbered;	     /* layer_overlay.c: inode number now -> the one it is known by */
	FILE *times;
};

/** layer_clean_path() - take "", "." and ".." out of a path, in place; what would lead above the root stays there. */
void layer_clean_path(char *path);

/** layer_split() - split a clean path in place. Return: the last component, NULL for the root itself. */
char *layer_split(char *path, char **directory);

/** layer_enter() - make l->parent the directory of that path, and @make what is missing of it. Return: 0, -1 with
 * errno. */
int layer_enter(struct layer *l, const char *directory, bool make);

/** layer_forget_parent() - close l->parent, and the directories on the way to it. */
void layer_forget_parent(struct layer *l);

/** layer_clear_name() - remove whatever has the name in l->parent. Return: 0, -1 with the layer's error set. */
int layer_clear_name(struct layer *l, const char *name);

/** layer_remember() - this layer has made the name in l->parent: its whiteouts do not hide it. */
void layer_remember(struct layer *l, const char *name);

/** layer_whiteout() - remove what the whiteout @name in @directory hides of the layers below. Return: 0, -1 with the
 * layer's error set. */
int layer_whiteout(struct layer *l, const char *directory, const char *name);

/** layer_inode() - the number a directory is known by, which making it opaque does not change. */
uint64_t layer_inode(const struct layer *l, const struct stat *st);

/** layer_is_ours() - whether this layer has made that name in the directory of that inode. */
bool layer_is_ours(const struct layer *l, uint64_t directory, const char *name);

/* ---- a layer that is kept by itself (layer_overlay.c) --- */

/** layer_overlay_remove() - as layer_clear_name(). */
int layer_overlay_remove(struct layer *l, const char *name);

/** layer_overlay_whiteout() - hide a name in l->parent, or with NULL all that is below it, as far as it is not this
 * layer's. */
int layer_overlay_whiteout(struct layer *l, const char *name);

/** layer_overlay_inherit() - something is about to change in l->parent: what is copied up keeps its owner. */
int layer_overlay_inherit(struct layer *l);

/** layer_overlay_link() - l->parent has a new @name, at @path, for the file @target in the directory @from: its owner
 * holds for both. @inode: what the file's was before */
int layer_overlay_link(
	struct layer *l, const char *path, const char *name, int from, const char *target, uint64_t inode);

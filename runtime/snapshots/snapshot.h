// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/snapshot.h: frozen states of sandboxes: taking, naming, forking and going back to them.
 *
 * Theory of operation
 *
 * A snapshot is a list of directories, top-most first, and the configuration of the sandbox they came from. The upper
 * ones are frozen layers of ours (layers.h), in the form overlay(5) gives an upper directory (userxattr); those below
 * are the image's. Nothing ever writes to a layer again, so any number of sandboxes and snapshots stand on one.
 *
 * A stopped sandbox: its writable layer becomes a layer by one exchange of two directories, whatever its size, and an
 * empty one takes its place. config.json lists the new layer before the exchange, while it is still empty: at every
 * moment the sandbox is the same tree.
 *
 * A running sandbox keeps its writable layer: descriptors, mappings, locks, watches and sockets of its processes hold
 * files of it, and the kernel cannot put another layer below them (the lower directories of a mounted overlay are
 * fixed; processes moved to a new mount would go on writing into the old one, which would then be the frozen one). So
 * the layer is copied: file by file by reference where the file system can (XFS, btrfs, bcachefs), else its bytes. That
 * takes as long as it takes, while the sandbox runs (ready.h). Then everything inside is stopped for a moment, the
 * layer is gone through again, and what is not the same any more is copied once more: the snapshot is the layer of that
 * moment.
 *
 * Every step is atomic or done again by the next command: a kill at any point leaves the sandbox usable.
 */
#pragma once
#include "config.h"
#include "state.h"

struct snapshot {
	char *tag; /* NULL: it has no name and lasts as long as the object, or as sandboxes that were forked of it */
	char *sandbox;	      /* whose state it is */
	char *created;	      /* RFC 3339 */
	struct config config; /* config.layers: the directories on top of the image (config.rootfs, config.image) */
	int64_t frozen_ms;    /* taking it: how long nothing inside ran; 0 if it did not run */
	int lock;	      /* shared lock that keeps its layers from being removed */
};

/**
 * snapshot_take() - freeze what a sandbox is now
 * @tag:	name to keep it under (name_check()'s rules, not that of a sandbox); EEXIST when it is taken. NULL: none
 *
 * For readers (commit): the layers of @snapshot->config.layers that snapshot_own_layers() counts are what the sandbox
 * changed, the rest is the image. Return: 0, or -1 with @err set. Release with snapshot_free().
 */
int snapshot_take(
	const struct state *state, const char *name, const char *tag, struct snapshot *snapshot, struct azm_err *err);

/** snapshot_load() - one that was kept. Return: 0, or -1 with @err set (ENOENT). */
int snapshot_load(const struct state *state, const char *tag, struct snapshot *snapshot, struct azm_err *err);

/** snapshot_same_image() - whether two sandboxes stand on one image. */
bool snapshot_same_image(const struct config *a, const struct config *b);

/** snapshot_own_layers() - how many of config.layers, counted from the top, are changes and not the image. */
size_t snapshot_own_layers(const struct state *state, const struct config *config);

void snapshot_free(struct snapshot *snapshot);

/** snapshot_check_tag() - whether one can be taken under this name: valid, and nobody's. */
int snapshot_check_tag(const struct state *state, const char *tag, struct azm_err *err);

/** snapshot_keep() - write it down under its tag; the server's key is forgotten. */
int snapshot_keep(const struct state *state, struct snapshot *snapshot, struct azm_err *err);

/** snapshot_tags() - append the names of all, sorted. */
int snapshot_tags(const struct state *state, struct str_list *tags, struct azm_err *err);

/** snapshot_tags_of() - append the names of those that were taken of a sandbox, sorted. */
int snapshot_tags_of(const struct state *state, const char *sandbox, struct str_list *tags, struct azm_err *err);

/** snapshot_remove() - forget the name; its layers go with the next layers_gc() unless something stands on them. */
int snapshot_remove(const struct state *state, const char *tag, struct azm_err *err);

#define cleanup_snapshot [[gnu::cleanup(snapshot_free)]]

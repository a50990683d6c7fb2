// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_make.h: layers for the store: unpacked, written by hand, or taken over from a sandbox.
 *
 *     struct layer_maker maker = LAYER_MAKER_NONE;
 *     int there = layer_maker_begin(&store, id, parent, &maker, err);     1: somebody made it already, and it is locked
 *     if (there == 0) ... write below maker.root ...; layer_maker_commit(&maker, &about, err)
 *     ... store_image_put() ...
 *     layer_maker_end(&maker)                                             gives up the lock, or what was not committed
 */
#pragma once
#include "rootfs-tools/job.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/layer_write.h"
#include "rootfs-tools/owners.h"
#include "rootfs-tools/source.h"
#include "rootfs-tools/store.h"

struct layer_maker {
	const struct store *store; /* borrowed */
	char id[STORE_ID_SIZE], parent[STORE_ID_SIZE];
	int dir;  /* layers/ID to be, locked; also a place for temporary files */
	int tree; /* dir/tree: what this layer changes. Not to be written while `root` is open */
	int root; /* the layers below with what is changed: the place to write. Without a parent, the tree */
	struct owner_log *owners; /* of what is written below root; paths as seen there */
	/* Of layer_maker_begin(), for itself: */
	char partial[STORE_ID_SIZE]; /* name in partial/ */
	struct layer_overlay overlay;
	struct recorded_tree *below; /* the layers below, the topmost first */
	struct host_path *lowers;    /* the same */
	size_t below_count, lower_count;
	int below_lock; /* keeps them */
	bool committed; /* it is in the store; dir holds its shared lock */
};

#define LAYER_MAKER_NONE                                                                                               \
	{                                                                                                              \
		.dir = -1, .tree = -1, .root = -1, .below_lock = -1                                                    \
	}
#define cleanup_layer_maker [[gnu::cleanup(layer_maker_end)]]

/**
 * layer_maker_begin() - make a layer that is not there
 * @id:		64 hexadecimal digits; NULL: it is known when everything has been read, see layer_maker_commit()
 * @parent:	ID of the layer below; NULL: none
 * @job:	looked at while somebody else makes the same layer, which is waited for; may be NULL
 *
 * Files below maker->root may be made, changed and removed in every way: the overlay that it is writes down what that
 * changes. Return: 0; 1 it is in the store already, and locked; -1 with @err
 */
[[gnu::nonnull(1, 5, 6)]] int layer_maker_begin(const struct store *store, const char *id, const char *parent,
	const struct job *job, struct layer_maker *maker, struct azm_err *err);

/**
 * layer_maker_apply() - write what a layer's tar says
 * @target:	the caller's for counts, limits and whether there are whiteouts; where it is written is set here
 */
[[gnu::nonnull]] int layer_maker_apply(
	struct layer_maker *maker, struct layer_target *target, struct stream *stream, struct azm_err *err);

/**
 * layer_maker_adopt() - take over an overlay's upper directory as this layer's tree, by renaming it
 * @dirfd, @name: the upper directory, of an overlay that is not mounted any more and had @maker's parent as its lowers;
 *		it must be on the store's file system (EXDEV)
 * @owners:	directory with the owners.mtree that belongs to it; -1: there is none
 *
 * Files that were copied up keep the owner that is remembered of them below. Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int layer_maker_adopt(
	struct layer_maker *maker, int dirfd, const char *name, int owners, struct azm_err *err);

struct layer_about {
	const char *id;		      /* where none was given to layer_maker_begin() */
	const struct digest *diff_id; /* NULL: not known */
	const char *created_by;
};

/** layer_maker_commit() - let it appear, whole. Return: 0 (also when somebody else was faster), or -1 with @err. */
[[gnu::nonnull]] int layer_maker_commit(
	struct layer_maker *maker, const struct layer_about *about, struct azm_err *err);

/** layer_maker_end() - give up its lock; what was not committed is removed. */
[[gnu::nonnull]] void layer_maker_end(struct layer_maker *maker);

/**
 * source_store_name() - what an image is to be called when nobody says: as the archive does, else as its file is called
 * @tag:	which image was asked for; may be NULL
 *
 * Return: in full, caller owns; NULL with @err
 */
[[gnu::nonnull(1, 2, 4)]] char *source_store_name(
	const struct source_name *name, const struct source *source, const char *tag, struct azm_err *err);

/** store_chain_id() - ID of a layer over @parent (NULL: none). */
void store_chain_id(const char *parent, const struct digest *diff_id, char id[static STORE_ID_SIZE]);

/**
 * store_unpack() - an opened source, an image or a root file system, into the store: `unpack --store`, `pull --store`
 * @name:	of the image, in full (store_name())
 * @manifest:	digest it was pulled by; NULL: none
 * @max_size:	most bytes all its files may have
 * @image:	set to what was put
 *
 * The stream of a root file system has to have been measured (source.h). Layers that are there already are not read.
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 6, 7, 8)]] int store_unpack(const struct store *store, struct source *source, const char *name,
	const char *manifest, uint64_t max_size, struct job *job, struct store_image *image, struct azm_err *err);

/**
 * store_mount() - what an image's layers show together, read-only
 *
 * Return: directory, owned by the caller (opened for reading); -1 with @err
 */
[[gnu::nonnull]] int store_mount(const struct store *store, const struct store_image *image, struct azm_err *err);

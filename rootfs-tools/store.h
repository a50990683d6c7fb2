// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store.h: images in layers, each layer kept once, to be stacked by an overlay.
 *
 *     blobs/sha256/HEX     what was downloaded (blob_cache.h)
 *     layers/ID/tree/      what one layer changes, in the form of an overlay's upper directory (overlay(5), userxattr):
 *                          a whiteout is a character device 0,0, an opaque directory has user.overlay.opaque
 *     layers/ID/owners.mtree, layers/ID/layer.json
 *     images/NAME          what a name stands for: image configuration, layers, digest of the manifest
 *     users/KEY            sandboxes that are not running and need a layer when they are started again
 *     partial/             what is being made or removed
 *     lock
 *
 * ID is the hexadecimal part of the OCI chain id where a layer was unpacked, so it says all that lies below it; layers
 * that were built have another one of 64 digits. A layer's owners.mtree has a line for each of its files that needs
 * one, those that were copied up from below too: of a path that several layers have, the topmost says everything.
 *
 * Theory of operation
 *
 * Everything appears by one rename of something complete and is removed by one rename out of sight: killed at any
 * point, no half layer is visible. Who uses a layer holds a shared flock(2) on its directory, which protects all layers
 * below it too, because a layer is removed only after those that stand on it. Whoever removes takes the exclusive lock
 * of a layer without waiting, and holds the exclusive lock of `lock` while it looks what is needed and renames; names
 * are put while holding that one shared. So makers are never waited for, and nothing that is used vanishes.
 *
 * This header needs jansson and the base helpers only: azm-sandbox reads the store too. store_make.h makes layers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "mount/mount.h"

/* In front of a name where a directory could be meant, too. */
#define STORE_SCHEME "azm:"

enum { STORE_ID_SIZE = 64 + 1 };

struct store {
	int dir; /* -1: not open */
	char *path;
	int images, layers, users, partial; /* below it; -1 with a store that was only made for blobs */
};

#define STORE_NONE                                                                                                     \
	{                                                                                                              \
		.dir = -1, .images = -1, .layers = -1, .users = -1, .partial = -1                                      \
	}
#define cleanup_store [[gnu::cleanup(store_close)]]

enum store_purpose {
	STORE_READ,  /* there has to be one (ENOENT) */
	STORE_BLOBS, /* made when missing; will hold blobs only */
	STORE_LAYERS /* made when missing; tried, once, whether an overlay can be written on it (EOPNOTSUPP) */
};

/**
 * store_open() - the user's store: $AZM_IMAGE_STORE, else $XDG_DATA_HOME/azm-rootfs, else ~/.local/share/azm-rootfs,
 * else /var/tmp/azm-rootfs-UID
 *
 * Directories are checked as those of sandboxes are: the user's own, mode 0700, no symbolic link, not below a directory
 * that everybody may write without the sticky bit. Return: 0, release with store_close(); -1 with @err
 */
[[gnu::nonnull]] int store_open(struct store *store, enum store_purpose purpose, struct azm_err *err);
[[gnu::nonnull]] void store_close(struct store *store);

/* ---- images ---------------------------------------------------------------------------------------------------- */

/* What images/NAME says. */
struct store_image {
	char *name;		/* in full: "docker.io/library/debian:12" */
	char *config;		/* OCI image configuration, byte by byte as it was given */
	char *manifest;		/* "sha256:..." of the manifest it was pulled by; NULL: none */
	char *created;		/* when the name was put, RFC 3339 */
	struct str_list layers; /* IDs, the lowest first */
};

#define cleanup_store_image [[gnu::cleanup(store_image_free)]]

/** store_name() - the full form of a name, a reference as Docker writes it. Return: caller owns; NULL with @err. */
[[gnu::nonnull]] char *store_name(const char *text, struct azm_err *err);

/** store_name_short() - the form people use: without what Docker leaves out. Caller owns. */
[[gnu::nonnull]] char *store_name_short(const char *name);

/**
 * store_image_load() - what a name stands for
 * @name:	"debian:12"; or the path of a file that holds an image as store_image_text() writes it ("/...")
 *
 * Return: 0, @image released by store_image_free(); -1 with @err (ENOENT: the hint lists similar names)
 */
[[gnu::nonnull]] int store_image_load(
	const struct store *store, const char *name, struct store_image *image, struct azm_err *err);

/** store_image_parse(), store_image_text() - the same as text, for whoever keeps what a name meant. Caller owns. */
[[gnu::nonnull]] int store_image_parse(const char *text, size_t size, struct store_image *image, struct azm_err *err);
[[gnu::nonnull]] char *store_image_text(const struct store_image *image);
[[gnu::nonnull]] void store_image_free(struct store_image *image);

/**
 * store_image_put() - give a name to layers the caller has locked; replaces what it stood for
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int store_image_put(const struct store *store, const struct store_image *image, struct azm_err *err);

/** store_images() - all of them, sorted by name. One that cannot be read is left out. Caller frees each and the array;
 * NULL with @err. */
[[gnu::nonnull]] struct store_image *store_images(const struct store *store, size_t *count, struct azm_err *err);

/* ---- layers ---------------------------------------------------------------------------------------------------- */

/* What layers/ID/layer.json says. */
struct store_layer {
	char id[STORE_ID_SIZE];
	char parent[STORE_ID_SIZE]; /* "": none */
	char *diff_id;		    /* "sha256:..." of its tar; NULL: not known */
	char *created_by;
	uint64_t size; /* bytes on disk */
	uint64_t files;
};

/** store_layer_load() - Return: 0, @layer released by store_layer_free(); -1 with @err (ENOENT). */
[[gnu::nonnull]] int store_layer_load(
	const struct store *store, const char *id, struct store_layer *layer, struct azm_err *err);
[[gnu::nonnull]] void store_layer_free(struct store_layer *layer);

/** store_layer_chain() - the IDs of a layer and all below it, the lowest first. Return: 0, -1 with @err. */
[[gnu::nonnull]] int store_layer_chain(
	const struct store *store, const char *id, struct str_list *ids, struct azm_err *err);

/** store_layers() - IDs of all layers, sorted. Return: 0, -1 with @err. */
[[gnu::nonnull]] int store_layers(const struct store *store, struct str_list *ids, struct azm_err *err);

/** store_layer_open() - layers/ID itself; "tree" and "owners.mtree" are in it. Return: descriptor, -1 with @err. */
[[gnu::nonnull]] int store_layer_open(const struct store *store, const char *id, struct azm_err *err);

/**
 * store_layer_lock() - keep a layer, and all below it, from being removed while the descriptor is open
 *
 * Return: descriptor of layers/ID, -1 with @err (ENOENT)
 */
[[gnu::nonnull]] int store_layer_lock(const struct store *store, const char *id, struct azm_err *err);

/**
 * store_lowers() - the layers of an image as lower directories for a mount plan
 * @lowers:	set to an array, topmost first; released by store_lowers_free()
 * @lock:	set to a descriptor that keeps them as long as it is open
 *
 * Return: 0; -1 with @err: no layers (EINVAL), one is missing (ESTALE), or more than an overlay takes (E2BIG)
 */
[[gnu::nonnull]] int store_lowers(const struct store *store, const struct store_image *image, struct host_path **lowers,
	size_t *count, int *lock, struct azm_err *err);
void store_lowers_free(struct host_path *lowers, size_t count);

/**
 * store_keep_for() - remember that something that is not running now needs a layer
 * @dir:	its directory (a sandbox's), or file (a snapshot's)
 * @path:	the same; when that is gone, or another directory, nothing is needed any more
 */
[[gnu::nonnull]] int store_keep_for(
	const struct store *store, int dir, const char *path, const char *id, struct azm_err *err);

/* ---- removing -------------------------------------------------------------------------------------------------- */

struct store_removed {
	uint64_t layers, bytes; /* what went */
	uint64_t blobs, blob_bytes;
	uint64_t caches, cache_bytes; /* of RUN --mount=type=cache */
	uint64_t busy;		      /* layers without a name that are used */
};

/**
 * store_image_remove() - forget a name, and remove the layers that only it needed
 * @force:	also when a sandbox uses it (EBUSY): its layers stay until it is gone
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int store_image_remove(
	const struct store *store, const char *name, bool force, struct store_removed *removed, struct azm_err *err);

/** store_gc() - remove all layers that no name and no sandbox needs, and what killed makers left. Return: 0, -1. */
[[gnu::nonnull]] int store_gc(const struct store *store, struct store_removed *removed, struct azm_err *err);

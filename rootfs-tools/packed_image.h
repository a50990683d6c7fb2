// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/packed_image.h: which image of a layout is meant, and what it is made of. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/layout.h"
#include "rootfs-tools/manifest.h"

struct image_layer {
	struct digest digest; /* of the blob; only with has_digest */
	bool has_digest;
	char *name; /* of the file, where it has no digest (docker-archive) */
	uint64_t size;
	struct digest diff_id; /* of what it unpacks to */
};

/* An image whose documents have been verified; its layers are when they are read. */
struct packed_image {
	char *config; /* image.json, as it is in the layout */
	size_t config_size;
	struct digest config_digest;
	char *name; /* that the layout has for it, "t" or "debian:12"; NULL: none */
	/* As it is in the layout; NULL with a docker-archive. */
	char *manifest, *manifest_type;
	size_t manifest_size;
	struct digest manifest_digest;
	struct platform platform;
	bool fits; /* the platform is the one asked for */
	struct image_layer *layers;
	size_t count;
	uint64_t size; /* of all layers' blobs */
};

#define cleanup_packed_image [[gnu::cleanup(packed_image_free)]]

struct image_choice {
	const struct platform *platform; /* of an index with several */
	const char *tag;		 /* NULL: there is only one */
	bool docker;			 /* manifest.json, even where there is an index.json */
};

/**
 * packed_image_choose_below() - as packed_image_choose(), beginning at a document that has been chosen already
 * @top:	an index or a manifest of the layout
 */
[[gnu::nonnull]] int packed_image_choose_below(struct layout *layout, const struct descriptor *top,
	const struct image_choice *choice, struct packed_image *image, struct azm_err *err);

/** packed_image_choose() - Return: 0, @image released by packed_image_free(); -1 with @err. */
[[gnu::nonnull]] int packed_image_choose(
	struct layout *layout, const struct image_choice *choice, struct packed_image *image, struct azm_err *err);
[[gnu::nonnull]] void packed_image_free(struct packed_image *image);

/** packed_image_open_layer() - its blob; release with layout_close_blob(). Return: 0, or -1 with @err. */
[[gnu::nonnull]] int packed_image_open_layer(
	struct layout *layout, const struct image_layer *layer, struct blob *blob, struct azm_err *err);

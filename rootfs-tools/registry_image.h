// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_image.h: an image of a registry as a layout: its blobs come into the store when they are
 * needed, its layers several at a time, while the first ones are already being unpacked.
 */
#pragma once
#include "base/err.h"
#include "rootfs-tools/job.h"
#include "rootfs-tools/layout.h"
#include "rootfs-tools/packed_image.h"
#include "rootfs-tools/registry.h"

struct registry_image;

/**
 * registry_image_open() - find an image in its registry, and read its documents
 * @choice:	of an index with several; its tag is the reference's
 * @limit:	most bytes its layers may have together
 * @job:	progress and signals; must outlive it
 * @layout:	set, owned by the caller; to be freed before registry_image_close()
 * @packed:	set, owned by the caller
 *
 * Layers are fetched from the first one that is opened on. Return: owned by the caller, registry_image_close(); NULL
 * with @err
 */
[[gnu::nonnull]] struct registry_image *registry_image_open(const struct reference *reference,
	const struct registry_options *options, const struct image_choice *choice, uint64_t limit, struct job *job,
	struct layout **layout, struct packed_image *packed, struct azm_err *err);

/** registry_image_close() - end what is still being fetched: its beginning is kept; keep the store in its bounds. */
void registry_image_close(struct registry_image *image);

/**
 * registry_image_layer_failed() - a layer could not be used: was it the store's copy?
 *
 * If that is not what it has to be it is removed, so that the next run fetches it anew, and @err says so. Return: -1
 */
[[gnu::nonnull]] int registry_image_layer_failed(
	struct registry_image *image, const struct image_layer *layer, struct azm_err *err);

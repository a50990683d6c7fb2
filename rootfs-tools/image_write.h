// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_write.h: an image in a form others read: an OCI layout directory, the same in one tar
 * (oci-archive), or what `docker load` takes (docker-archive).
 *
 * Layers are added from the lowest to the topmost, each as a tree or as a blob somebody has already; the configuration
 * comes last and is completed: its rootfs.diff_ids are those of the layers. The result appears when all is there,
 * whole.
 */
#pragma once
#include <jansson.h>

#include "rootfs-tools/job.h"
#include "rootfs-tools/layer_write.h"
#include "rootfs-tools/layout.h"

enum image_format { IMAGE_OCI_DIRECTORY, IMAGE_OCI_ARCHIVE, IMAGE_DOCKER_ARCHIVE };

struct image_writer;

/**
 * image_writer_new() - begin
 * @path:	must not exist (a directory may be empty); "-": standard output (archives)
 *
 * Return: owned by the caller, image_writer_free(); NULL with @err
 */
[[gnu::nonnull]] struct image_writer *image_writer_new(enum image_format format, const char *path, struct azm_err *err);

/** image_writer_free() - what was not finished vanishes. */
void image_writer_free(struct image_writer *writer);

/**
 * image_writer_add_tree() - write a layer
 * @written:	set; may be NULL
 *
 * Docker's archives have their layers uncompressed, whatever the codec. Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 5)]] int image_writer_add_tree(struct image_writer *writer,
	const struct layer_write_source *source, const struct layer_write_options *options,
	struct layer_written *written, struct azm_err *err);

/**
 * image_writer_add_blob() - copy a layer, verifying both digests on the way
 * @digest:	of the blob; NULL: not known, so not checked
 * @options:	the compression, for one that has none or one of those that OCI images have no names for; gzip and zstd
 *		stay as they are
 * @job:	ticks go there, see stream.h; may be NULL
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 4, 5, 7)]] int image_writer_add_blob(struct image_writer *writer, const struct blob *blob,
	const struct digest *digest, const struct digest *diff_id, const struct layer_write_options *options,
	struct job *job, struct azm_err *err);

/** image_writer_layers() - how many there are, and how many bytes their blobs have. */
[[gnu::nonnull]] size_t image_writer_layers(const struct image_writer *writer, uint64_t *bytes);

/**
 * image_writer_finish() - write the configuration and the manifest, and let the image appear
 * @config:	an OCI image configuration; rootfs is replaced by the layers that were added
 * @name:	to find it under: "NAME:TAG", for an OCI layout any text; NULL: none
 * @manifest:	set to the digest of its manifest (of the configuration for a docker-archive); may be NULL
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 5)]] int image_writer_finish(
	struct image_writer *writer, json_t *config, const char *name, struct digest *manifest, struct azm_err *err);

/** image_writer_finish_as_is() - the same with a configuration that names these layers already: it stays what it is,
 * byte by byte, and so does the image's ID. Another one is an error (EBADMSG). */
[[gnu::nonnull(1, 2, 6)]] int image_writer_finish_as_is(struct image_writer *writer, const char *config, size_t size,
	const char *name, struct digest *manifest, struct azm_err *err);

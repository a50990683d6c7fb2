// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_input.h: an image in whatever form it is kept, for commands that read one: export, inspect,
 * verify.
 *
 *     DIR              unpacked: rootfs/, image.json, owners.mtree; or the tree of a root file system alone
 *     azm:NAME         in the store
 *     everything else  an archive or a layout, see source.h
 */
#pragma once
#include <stdbool.h>

#include "rootfs-tools/image_write.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/source.h"
#include "rootfs-tools/store.h"

#define STORE_PREFIX "azm:"

enum image_form { IMAGE_UNPACKED, IMAGE_STORED, IMAGE_PACKED };

struct image_input {
	enum image_form form;
	char *config; /* OCI image configuration, byte by byte as it is kept; of a tree alone, what we say of it */
	size_t config_size;
	/* What is on disk, the lowest first: of IMAGE_UNPACKED one tree, of IMAGE_STORED layers in the form of an
	 * overlay's upper directory. */
	struct recorded_tree *layers;
	size_t layer_count;
	struct source source; /* IMAGE_PACKED */
	struct store store;   /* IMAGE_STORED */
	struct store_image stored;
	int lock; /* on its layers */
};

#define IMAGE_INPUT_NONE                                                                                               \
	{                                                                                                              \
		.source.fd = -1, .store = STORE_NONE, .lock = -1                                                       \
	}
#define cleanup_image_input [[gnu::cleanup(image_input_close)]]

/**
 * image_input_open() - find out what it is
 * @text:	of the command line
 * @options:	see source_open()
 * @input:	set; release with image_input_close()
 *
 * The tar of a root file system is not an image: EINVAL. Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int image_input_open(const char *text, const struct source_options *options, struct job *job,
	struct image_input *input, struct azm_err *err);

/** image_input_open_description() - an image of the store by what store_image_text() said of it, whatever its name
 * means by now. @path: a file with that. Return: 0, or -1 with @err */
[[gnu::nonnull]] int image_input_open_description(const char *path, struct image_input *input, struct azm_err *err);
[[gnu::nonnull]] void image_input_close(struct image_input *input);

/**
 * image_input_config() - the configuration for what image_input_copy_layers() writes, to be changed
 * @flat:	the result is one tree without layers
 *
 * An unpacked image's history is that of its one layer. Return: owned by the caller, NULL with @err
 */
[[gnu::nonnull]] json_t *image_input_config(const struct image_input *input, bool flat, struct azm_err *err);

/**
 * image_input_flatten() - all its layers, one over the other
 * @target:	see layer_apply(); its whiteouts are switched on
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int image_input_flatten(
	struct image_input *input, struct layer_target *target, struct job *job, struct azm_err *err);

/** image_input_copy_layers() - all its layers into a writer. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int image_input_copy_layers(struct image_input *input, struct image_writer *writer,
	const struct layer_write_options *options, struct job *job, struct azm_err *err);

/** image_input_copy() - the layers and the configuration; see image_writer_finish(). */
[[gnu::nonnull(1, 2, 3, 4, 7)]] int image_input_copy(struct image_input *input, struct image_writer *writer,
	const struct layer_write_options *options, struct job *job, const char *name, struct digest *manifest,
	struct azm_err *err);

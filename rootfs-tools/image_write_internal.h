// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_write_internal.h: what image_write.c (blobs and layers, the file or directory they go to) and
 * image_documents.c (configuration, manifest, index) share. */
#pragma once
#include "rootfs-tools/image_write.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/tar_write.h"

#define BLOBS "blobs/sha256/"

struct written_layer {
	struct digest digest, diff_id;
	uint64_t size;
	enum codec codec;
};

struct image_writer {
	enum image_format format;
	struct staging staging; /* not for standard output */
	int out;		/* archives: the file; its position is its end. Directories: -1 */
	bool to_stdout;
	struct written_layer *layers;
	size_t count;
	struct tar_text text;
};

/** image_writer_put_file() - a name and all of the content. Return: 0, or -1 with @err. */
int image_writer_put_file(struct image_writer *w, const char *name, const char *data, size_t size, struct azm_err *err);

/** image_writer_layer_name() - what the layer is called in this form of an image. Caller owns. */
char *image_writer_layer_name(const struct image_writer *w, const struct written_layer *layer);

/** image_writer_appear() - everything is there: under its final name, or to standard output. Return: 0, -1 with @err.
 */
int image_writer_appear(struct image_writer *w, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/source.h: from the text SRC of a command line to an opened image, or to the tar of a root file system.
 *
 *     struct source_options options = { .platform = &platform, .scratch = fd, .limit = max_size };
 *     cleanup_source struct source source = { 0 };
 *     if (source_parse(text, &name, err) < 0 || source_open(&name, &options, &job, &source, err) < 0) ...
 *     if (source.layout)      image: source.image, layer by layer with source_read_layer()
 *     else                    root file system: layer_apply(target, source.stream, err)
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/job.h"
#include "rootfs-tools/layer_copy.h"
#include "rootfs-tools/layout.h"
#include "rootfs-tools/packed_image.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/registry_image.h"
#include "rootfs-tools/stream.h"

struct source_options {
	const struct platform *platform;	 /* which image of several: bundle_platform(), or as the user says */
	bool platform_given;			 /* the user said it: another one is an error, not a remark on stderr */
	const char *tag;			 /* which image of several, as --tag; NULL: as the name says */
	int scratch;				 /* directory with room for an archive that has to be written out */
	bool measure;				 /* the stream of a root file system tells its digest (stream.h) */
	uint64_t limit;				 /* most bytes an archive may decompress to */
	const struct registry_options *registry; /* for images of registries; NULL: the defaults */
};

/* One of the two: an image (layout is not NULL), or a root file system's tar. */
struct source {
	struct layout *layout;
	struct packed_image image; /* documents verified; layers are when they are read, see unpack.c */

	struct stream *stream;	       /* at its beginning; ticks go to the job */
	char *architecture;	       /* of the root file system: as it was asked for; may be NULL */
	int fd;			       /* the stream's; -1: none */
	struct registry_image *remote; /* where the layout's blobs come from; NULL: they are there */

	double from; /* percent of the job that opening it took: begin the next phase there */
};

#define cleanup_source [[gnu::cleanup(source_close)]]

/**
 * source_open() - find out what a source is, by looking into it
 * @name:	of source_parse(); "-" is standard input
 * @job:	its total is set to the bytes that are to be read, 0 when nobody knows; must outlive the source
 * @source:	set; release with source_close()
 *
 * An archive that is compressed or comes from a pipe, and is an image's, is written to an unnamed file in
 * options->scratch first, because an image's parts are needed in another order than they have in it. Job's phase
 * "read" is that. Layers of a registry's image come while earlier ones are used: opening one waits for it. Return: 0,
 * or -1 with @err
 */
[[gnu::nonnull]] int source_open(const struct source_name *name, const struct source_options *options, struct job *job,
	struct source *source, struct azm_err *err);

/**
 * source_read_layer() - one layer of an image, verified while it is read
 * @index:	of source->image.layers
 * @limit:	most bytes it may decompress to; 0: any number
 * @taker:	reads it to its end
 *
 * Return: 0, or -1 with @err, for source_layer_failed()
 */
[[gnu::nonnull]] int source_read_layer(struct source *source, size_t index, uint64_t limit, struct job *job,
	const struct layer_taker *taker, struct azm_err *err);

/**
 * source_layer_failed() - to be called when a layer could not be read or applied
 *
 * A copy in the store that is not what its name says is removed, so that another try fetches it anew. Return: -1
 */
[[gnu::nonnull]] int source_layer_failed(struct source *source, size_t index, struct azm_err *err);

[[gnu::nonnull]] void source_close(struct source *source);

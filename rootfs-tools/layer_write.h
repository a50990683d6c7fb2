// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_write.h: a tree, or what an overlay changed, as one layer: a tar stream, hashed and compressed on
 * its way (OCI image specification, layer.md).
 *
 * The same tree gives the same bytes: entries are sorted, times are whole seconds, names of users and inode numbers are
 * left out, and the compression does not depend on how many processors there are.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/inflate.h"
#include "rootfs-tools/owners.h"

/* A tree and what is remembered of its files (owners.h). */
struct recorded_tree {
	int root;		   /* directory; borrowed */
	struct owner_book *owners; /* NULL: nothing is; borrowed */
};

struct layer_write_source {
	struct recorded_tree tree;
	/* The tree is an overlay's upper directory (overlay(5) with userxattr): a character device 0,0 hides a name,
	 * the attribute user.overlay.opaque the directory's content below. Else it is written as it is. */
	bool upper;
	/* With @upper: the directories below it, the topmost first. A file that was copied up keeps the owner that is
	 * remembered of it there. */
	const struct recorded_tree *lowers;
	size_t lower_count;
	/* Whose a file is that is the caller's own and of which nothing is remembered; any other file belongs to whom
	 * the file system says, which makes sense only inside a user namespace that has the ids of the image. */
	uint32_t own_uid, own_gid;
};

struct layer_write_options {
	enum codec codec; /* CODEC_NONE, CODEC_GZIP or CODEC_ZSTD */
	int level;	  /* 0: the codec's own */
	bool clamp;	  /* no file is younger than @epoch (SOURCE_DATE_EPOCH) */
	time_t epoch;
	/* Called for every entry and every few megabytes: shows progress, and ends the writing with -1 and @err. May be
	 * NULL. */
	int (*tick)(void *context, uint64_t plain_bytes, uint64_t files, struct azm_err *err);
	void *context;
};

struct layer_written {
	struct digest digest; /* of the blob, compressed */
	uint64_t size;
	struct digest diff_id; /* of the tar */
	uint64_t plain_size;
	uint64_t files;
};

/**
 * layer_write() - write the layer at the descriptor's position
 * @fd:		a file or a pipe
 *
 * Symbolic links are never followed, other file systems below the tree not entered (EXDEV). A name beginning with
 * ".wh." cannot be said in a layer: EINVAL. Sockets are left out. Memory grows with the largest directory and with
 * files of several names only.
 *
 * Return: 0 and @written set, or -1 with @err
 */
[[gnu::nonnull]] int layer_write(const struct layer_write_source *source, const struct layer_write_options *options,
	int fd, struct layer_written *written, struct azm_err *err);

/** layer_media_type() - "application/vnd.oci.image.layer.v1.tar+gzip" */
const char *layer_media_type(enum codec codec);

/**
 * layer_write_epoch() - take SOURCE_DATE_EPOCH from the environment into @options
 *
 * Return: 0, also when it is not set; -1 with @err (EINVAL)
 */
[[gnu::nonnull]] int layer_write_epoch(struct layer_write_options *options, struct azm_err *err);

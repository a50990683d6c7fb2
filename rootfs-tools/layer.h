// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer.h: apply one layer, a tar stream, to a tree (OCI image specification, layer.md). */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/owners.h"
#include "rootfs-tools/stream.h"

struct recorded_tree; /* layer_write.h */
struct content_book;  /* content_book.h */

/* The tree of a layer that is kept by itself is an overlay's root: what the layer changes goes to its upper directory,
 * whiteouts too. */
struct layer_overlay {
	int upper;			   /* that directory */
	const struct recorded_tree *below; /* what is remembered of the files below, the topmost first */
	size_t below_count;
	/* Make the overlay anew; nothing of the old one is open. Return: its root, -1 with @err. */
	int (*mount)(void *context, struct azm_err *err);
	void *context;
};

struct layer_target {
	int root;		       /* directory the tree is below; with @overlay another one afterwards */
	struct owner_log *owners;      /* where owners and modes are remembered */
	int scratch;		       /* directory for a temporary file */
	const char *below;	       /* put everything into this directory of it, clean, without '/' in front; NULL */
	struct content_book *contents; /* files have no content on disk, only their size: its digest goes there; NULL */
	const struct owner *owner;     /* whose everything is, whatever the tar says (uid and gid); NULL */
	bool whiteouts;		       /* the tar is a layer of several; else .wh. files are files */
	uint64_t size_left;	       /* most bytes all files may still have, holes counted; counted down */
	uint64_t files;		       /* counted up, for whoever shows progress (see stream.h, tick) */
	struct layer_overlay *overlay; /* NULL: layers are applied one over the other */
	bool removed;		       /* something was: inode numbers may be in use again; kept between layers */
};

/**
 * layer_apply() - unpack a stream over what is there
 *
 * Every name is looked up inside the tree (mount.h, resolver): nothing outside is created, written, removed or linked
 * to, whatever links the layers contain. The tree is for its maker alone until the whole image has been verified.
 *
 * A stream that nothing verifies has to end as a tar does, with zeros. Return: 0, or -1 with @err; the tree is
 * half-changed then
 */
[[gnu::nonnull]] int layer_apply(struct layer_target *target, struct stream *stream, struct azm_err *err);

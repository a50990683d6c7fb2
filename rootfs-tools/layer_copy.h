// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_copy.h: a tree, or what an overlay changed, onto another tree, with everything a layer can say. */
#pragma once
#include "rootfs-tools/job.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/layer_write.h"

/* Where a layer goes: layer_apply() or what wraps it. Return: 0, or -1 with @err. */
struct layer_taker {
	int (*apply)(void *context, struct stream *stream, struct azm_err *err);
	void *context;
};

/** layer_take() - layer_apply(), for a taker whose context is the target. */
[[gnu::nonnull]] int layer_take(void *context, struct stream *stream, struct azm_err *err);

/**
 * layer_copy() - what layer_write() would write, applied at once
 * @options:	SOURCE_DATE_EPOCH; the compression is none
 * @job:	ticks go there; may be NULL
 * @diff_id:	set to the digest of the layer this was; may be NULL
 *
 * Return: 0, or -1 with @err and the target half-changed
 */
[[gnu::nonnull(1, 2, 3, 6)]] int layer_copy(const struct layer_write_source *source, const struct layer_taker *taker,
	const struct layer_write_options *options, struct job *job, struct digest *diff_id, struct azm_err *err);

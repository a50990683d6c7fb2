// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_sink.h: bytes on their way into a blob: hashed, compressed, hashed again, written. The opposite of
 * stream.h.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/inflate.h"

struct layer_sink;

/**
 * layer_sink_new() - begin
 * @codec:	CODEC_NONE, CODEC_GZIP or CODEC_ZSTD
 * @level:	0: the codec's own
 * @fd:		written to at its position; borrowed
 *
 * Return: owned by the caller, layer_sink_free(); NULL with @err
 */
[[gnu::nonnull]] struct layer_sink *layer_sink_new(enum codec codec, int level, int fd, struct azm_err *err);
void layer_sink_free(struct layer_sink *sink);

/**
 * layer_sink_reserve() - room for bytes that the caller puts there himself
 * @room:	set to how many there may be, at least 1
 *
 * Return: where to; NULL with @err
 */
[[gnu::nonnull]] void *layer_sink_reserve(struct layer_sink *sink, size_t *room, struct azm_err *err);

/** layer_sink_commit() - that many of them are there now. */
[[gnu::nonnull]] void layer_sink_commit(struct layer_sink *sink, size_t size);

/** layer_sink_add() - append bytes. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int layer_sink_add(struct layer_sink *sink, const void *data, size_t size, struct azm_err *err);

/** layer_sink_zeros() - append zeros. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int layer_sink_zeros(struct layer_sink *sink, size_t size, struct azm_err *err);

/** layer_sink_plain_size() - how many bytes were added. */
[[gnu::nonnull]] uint64_t layer_sink_plain_size(const struct layer_sink *sink);

/** layer_sink_finish() - write the rest. Return: 0 and the results set, or -1 with @err. */
[[gnu::nonnull]] int layer_sink_finish(
	struct layer_sink *sink, struct digest *digest, uint64_t *size, struct digest *diff_id, struct azm_err *err);

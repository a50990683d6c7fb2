// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/deflate.h: the compressions that layers are written in, one buffer after the other.
 *
 * gzip is compressed by as many threads as there are processors, and comes out the same whatever their number.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "rootfs-tools/inflate.h"

enum { DEFLATE_CHUNK = 256 * 1024 };

struct deflater;

/* Takes what is ready. Return: 0, or -1 with @err. */
typedef int (*deflate_output)(void *context, const void *data, size_t size, struct azm_err *err);

/** deflater_new() - Return: owned by the caller, deflater_free(); NULL with @err. */
[[gnu::nonnull(3, 5)]] struct deflater *deflater_new(
	enum codec codec, int level, deflate_output output, void *context, struct azm_err *err);
void deflater_free(struct deflater *deflater);

/**
 * deflater_buffer() - DEFLATE_CHUNK bytes for the next input
 *
 * Waits until one is free; what is ready is handed to the output meanwhile. Return: NULL with @err
 */
[[gnu::nonnull]] void *deflater_buffer(struct deflater *deflater, struct azm_err *err);

/** deflater_submit() - compress the first @size bytes of the buffer that was given last: all of them, but at the end.
 * Return: 0, or -1 with @err. */
[[gnu::nonnull]] int deflater_submit(struct deflater *deflater, size_t size, struct azm_err *err);

/** deflater_finish() - hand out the rest; nothing follows. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int deflater_finish(struct deflater *deflater, struct azm_err *err);

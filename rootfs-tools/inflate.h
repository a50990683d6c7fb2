// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/inflate.h: the compressions layers and archives come in, one interface for all. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD, CODEC_XZ, CODEC_BZIP2 };

enum { CODEC_MAGIC = 10 }; /* bytes codec_detect() wants to see */

/** codec_detect() - by the first bytes; whatever is not known is CODEC_NONE. */
[[gnu::nonnull]] enum codec codec_detect(const unsigned char *data, size_t size);

/** codec_name() - "gzip"; for messages. */
const char *codec_name(enum codec codec);

struct inflater;

/** inflater_new() - Return: owned by the caller, inflater_free(); NULL with @err. */
[[gnu::nonnull]] struct inflater *inflater_new(enum codec codec, struct azm_err *err);
void inflater_free(struct inflater *f);

/**
 * inflater_run() - decompress some bytes
 * @in, @in_size:	what there is; advanced by what was used
 * @out, @room:		where to
 * @end:		no input follows: a stream that is not complete is an error then
 *
 * Several streams one after the other are one (gzip, xz, zstd with its skippable frames, and bzip2 all say so); zeros
 * behind the last are padding, anything else is an error. Memory is bounded: a window of more than 64 MiB is refused.
 *
 * Return: bytes written to @out, 0 when more input is needed or, at the end, when everything is out; -1 with @err
 */
[[gnu::nonnull]] ssize_t inflater_run(struct inflater *f, const unsigned char **in, size_t *in_size, unsigned char *out,
	size_t room, bool end, struct azm_err *err);

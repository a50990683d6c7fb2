// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/stream.h: a blob on its way from a file to whoever reads it: hashed, decompressed, hashed again.
 *
 * Reading and decompressing happen on a thread, ahead of the caller by a few megabytes; whichever of the two would have
 * to wait for the other hashes instead.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/inflate.h"

#define STREAM_SIZE_UNKNOWN UINT64_MAX

struct stream_source {
	int fd;			      /* read with pread(2) from @offset, or with read(2) when the size is not known */
	uint64_t offset;	      /* where the blob begins */
	uint64_t size;		      /* of the blob; STREAM_SIZE_UNKNOWN: up to the end of a pipe */
	const struct digest *digest;  /* of the blob as it is; NULL: not checked */
	const struct digest *diff_id; /* of what comes out; NULL: not checked */
	bool measure;		      /* there is no diff_id: compute it, for stream_diff_id() */
	uint64_t limit;		      /* most bytes that may come out (EFBIG); 0: any number */
	/* Called in the reader's thread with every buffer and a few times a second while it waits: shows progress, and
	 * ends the reading with -1 and @err. May be NULL. */
	int (*tick)(void *context, uint64_t consumed, struct azm_err *err);
	void *context;
};

struct stream;

/**
 * stream_new() - begin
 * @source:	copied; the descriptor has to stay open until stream_close()
 *
 * The compression is recognised by its first bytes, whatever anybody says about it. Return: owned by the caller,
 * stream_close(); NULL with @err
 */
[[gnu::nonnull]] struct stream *stream_new(const struct stream_source *source, struct azm_err *err);

/**
 * stream_next() - the next bytes
 * @data:	set; valid until the next call
 *
 * Return: how many, 0 at the end, -1 with @err
 */
[[gnu::nonnull]] ssize_t stream_next(struct stream *stream, const void **data, struct azm_err *err);

/** stream_peek() - what stream_next() will give, without taking it. */
[[gnu::nonnull]] ssize_t stream_peek(struct stream *stream, const void **data, struct azm_err *err);

/** stream_tick() - call source->tick, for a reader that is busy with something else. Return: what it does */
[[gnu::nonnull]] int stream_tick(struct stream *stream, struct azm_err *err);

/** stream_codec() - what compression was found; call it after the first stream_peek() or stream_next(). */
[[gnu::nonnull]] enum codec stream_codec(const struct stream *stream);

/** stream_is_verified() - whether a digest was given. */
[[gnu::nonnull]] bool stream_is_verified(const struct stream *stream);

/** stream_ended_in_zeros() - after the end: whether the last 512 bytes are zeros, as a whole tar's are. */
[[gnu::nonnull]] bool stream_ended_in_zeros(const struct stream *stream);

/**
 * stream_finish() - read what the reader left, at most 64 MiB, and compare digests (and so the size)
 *
 * Nothing that was read may be trusted before this says so. Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int stream_finish(struct stream *stream, struct azm_err *err);

/** stream_diff_id() - the digest (sha256) of what came out, after stream_finish(), where it was to be measured. */
[[gnu::nonnull]] void stream_diff_id(const struct stream *stream, struct digest *digest);

void stream_close(struct stream *stream);

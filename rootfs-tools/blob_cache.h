// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/blob_cache.h: content-addressed blobs below the root of the store, shared by all images and processes.
 *
 *     blobs/sha256/HEX       a blob: whole, and was what its name says when it was written
 *     blobs/partial/sha256-HEX   the beginning of one, locked while somebody adds to it; gone on with by the next
 *
 * Blobs are in the places of an OCI layout: layout_of_store() (layout.h) reads them. A blob is only a copy of what can
 * be had again: any may be removed at any time, by anybody; who has one open keeps it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/layout.h"

struct blob_cache;

/** blob_cache_open() - @root: the store's directory; borrowed. Return: blob_cache_close(); NULL with @err. */
[[gnu::nonnull]] struct blob_cache *blob_cache_open(int root, struct azm_err *err);
void blob_cache_close(struct blob_cache *cache);

/**
 * blob_cache_find() - a blob that is there, in that size
 * @blob:	set then; the caller closes its descriptor
 *
 * Its content is to be verified by whoever reads it, as that of any file. It counts as used now. Return: whether
 */
[[gnu::nonnull]] bool blob_cache_find(
	struct blob_cache *cache, const struct digest *digest, uint64_t size, struct blob *blob);

/** blob_cache_verify() - read a blob; one that is damaged is removed. Return: false: it was; true: it is not, or gone.
 */
[[gnu::nonnull]] bool blob_cache_verify(struct blob_cache *cache, const struct digest *digest, uint64_t size);

/** blob_cache_put() - a document that is in memory. Return: 0, or -1 with @err (EBADMSG: not what @digest says). */
[[gnu::nonnull]] int blob_cache_put(
	struct blob_cache *cache, const struct digest *digest, const void *data, size_t size, struct azm_err *err);

/**
 * blob_cache_trim() - remove what has not been used longest until all blobs together are not larger than that
 * @limit:	bytes; BLOB_CACHE_DEFAULT: $AZM_BLOB_CACHE_SIZE, else 16 GiB; 0: everything goes
 *
 * Beginnings nobody has gone on with for a week are removed too. Return: bytes that were removed
 */
[[gnu::nonnull]] uint64_t blob_cache_trim(struct blob_cache *cache, uint64_t limit);
#define BLOB_CACHE_DEFAULT UINT64_MAX

/** blob_cache_usage() - bytes and number of all blobs, beginnings included. */
[[gnu::nonnull]] void blob_cache_usage(struct blob_cache *cache, uint64_t *bytes, uint64_t *count);

/* ---- a blob on its way into the cache --- */

struct blob_writer;

/**
 * blob_writer_begin() - go on with a blob, or begin it
 * @wait:	called a few times a second while another process or thread is writing the same blob; -1 with @err ends
 *		the waiting
 *
 * Return: owned by the caller; NULL with @err, where EEXIST means that it is there by now
 */
[[gnu::nonnull(1, 2, 6)]] struct blob_writer *blob_writer_begin(struct blob_cache *cache, const struct digest *digest,
	uint64_t size, int (*wait)(void *context, struct azm_err *err), void *context, struct azm_err *err);

/** blob_writer_offset() - how many bytes are there already. */
[[gnu::nonnull]] uint64_t blob_writer_offset(const struct blob_writer *writer);

/** blob_writer_add() - the next bytes. Return: 0, or -1 with @err (EFBIG: more than the blob has). */
[[gnu::nonnull]] int blob_writer_add(struct blob_writer *writer, const void *data, size_t size, struct azm_err *err);

/** blob_writer_restart() - forget what is there. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int blob_writer_restart(struct blob_writer *writer, struct azm_err *err);

/**
 * blob_writer_finish() - verify size and digest, and let it appear
 *
 * Return: 0; -1 with @err: EBADMSG when the content is another (it is gone then), ENODATA when bytes are missing
 */
[[gnu::nonnull]] int blob_writer_finish(struct blob_writer *writer, struct azm_err *err);

/** blob_writer_close() - what was not finished stays for the next one. */
void blob_writer_close(struct blob_writer *writer);

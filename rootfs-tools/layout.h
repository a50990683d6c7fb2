// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layout.h: where the blobs of an image are: an OCI layout directory, or an archive of an image. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/digest.h"

/* Some bytes of an open file. */
struct blob {
	int fd;
	uint64_t offset, size;
};

struct layout;

/** layout_of_directory() - @dirfd: an OCI layout; taken over in any case. NULL with @err. */
[[gnu::nonnull]] struct layout *layout_of_directory(int dirfd, struct azm_err *err);

/**
 * layout_of_archive() - a plain tar
 * @fd:		taken over in any case
 * @limit:	its size
 *
 * Return: NULL with @err: damaged (EINVAL), too many files to be an image (E2BIG)
 */
[[gnu::nonnull]] struct layout *layout_of_archive(int fd, uint64_t size, struct azm_err *err);
void layout_free(struct layout *layout);

/* How blobs get into a layout that has only some of them. */
struct layout_supply {
	/* Have a blob there before it is opened. @document: an index or a manifest. Return: 0, or -1 with @err. */
	int (*need)(void *context, const struct digest *digest, uint64_t size, bool document, struct azm_err *err);
	void *context;
};

/** layout_of_store() - blobs/ of the image store (blob_cache.h); @dirfd is taken over. There is no index.json. */
[[gnu::nonnull]] struct layout *layout_of_store(int dirfd, const struct layout_supply *supply);

/** layout_need() - have a blob there; nothing to do where all are. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int layout_need(
	struct layout *layout, const struct digest *digest, uint64_t size, bool document, struct azm_err *err);

/** layout_has() - whether there is a file of that name. */
[[gnu::nonnull]] bool layout_has(struct layout *layout, const char *name);

/**
 * layout_open() - a file by its name
 * @blob:	set; release with layout_close_blob()
 *
 * Return: 0, or -1 with @err (ENOENT, EINVAL: not a regular file)
 */
[[gnu::nonnull]] int layout_open(struct layout *layout, const char *name, struct blob *blob, struct azm_err *err);

/** layout_open_blob() - blobs/ALGORITHM/HEX, which must have that size. As layout_open(). */
[[gnu::nonnull]] int layout_open_blob(
	struct layout *layout, const struct digest *digest, uint64_t size, struct blob *blob, struct azm_err *err);

/** layout_close_blob() */
[[gnu::nonnull]] void layout_close_blob(const struct layout *layout, struct blob *blob);

/**
 * layout_read() - a document, verified
 * @digest:	what it must have; NULL: not checked
 * @limit:	largest size accepted
 *
 * Return: allocated, NUL-terminated; NULL with @err
 */
[[gnu::nonnull(1, 5)]] char *layout_read(
	const struct blob *blob, const struct digest *digest, size_t limit, size_t *size, struct azm_err *err);

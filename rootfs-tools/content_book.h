// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/content_book.h: what should be in the files of a tree that has none of it: a digest each, by inode
 * number. Memory: some 64 bytes a file.
 */
#pragma once
#include <archive.h>
#include <archive_entry.h>

#include "rootfs-tools/digest.h"
#include "rootfs-tools/number_set.h"

/* Begins as { 0 }. */
struct content_book {
	struct number_set files; /* inode number -> where its digest is */
	struct digest *digests;
	size_t count, room;
};

[[gnu::nonnull]] void content_book_put(struct content_book *book, uint64_t inode, const struct digest *digest);

/** content_book_is() - whether that is what was put for the file. */
[[gnu::nonnull]] bool content_book_is(const struct content_book *book, uint64_t inode, const struct digest *digest);
[[gnu::nonnull]] void content_book_free(struct content_book *book);

/**
 * content_digest() - of the content of a tar's entry; holes are zeros
 * @tick:	called every few megabytes: ends it with -1 and @err
 *
 * Return: 0 and @digest set; 1 when the archive has the error; -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 4, 6)]] int content_digest(struct archive *archive, struct archive_entry *entry,
	struct digest *digest, int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err);

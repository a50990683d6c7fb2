// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/content_book.c: see content_book.h. */
#include "rootfs-tools/content_book.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { BUFFER = 64 * 1024, TICK_BUFFERS = 64 };

void content_book_put(struct content_book *book, uint64_t inode, const struct digest *digest)
{
	if (book->count == book->room) {
		book->room = book->room ? 2 * book->room : 1024;
		book->digests = xrealloc(book->digests, book->room, sizeof *book->digests);
	}
	number_set_put(&book->files, inode, book->count);
	book->digests[book->count++] = *digest;
}

bool content_book_is(const struct content_book *book, uint64_t inode, const struct digest *digest)
{
	uint64_t at;

	return number_set_get(&book->files, inode, &at) && digest_equal(&book->digests[at], digest);
}

void content_book_free(struct content_book *book)
{
	number_set_free(&book->files);
	free(book->digests);
	*book = (struct content_book){ 0 };
}

/* What libarchive gives, then zeros: a tar says nothing of a hole at the end. Return: bytes, 0 at the end, -1. */
static ssize_t read_some(struct archive *archive, char *buffer, uint64_t left)
{
	ssize_t n = archive_read_data(archive, buffer, BUFFER);

	if (n != 0 || left == 0)
		return n;
	n = left < BUFFER ? (ssize_t)left : BUFFER;
	memset(buffer, 0, (size_t)n);
	return n;
}

static int hash_all(struct archive *archive, uint64_t left, struct hasher *hasher,
	int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err)
{
	char buffer[BUFFER];
	ssize_t n;

	for (unsigned count = 1; (n = read_some(archive, buffer, left)) > 0; count++) {
		hasher_add(hasher, buffer, (size_t)n);
		left -= left < (uint64_t)n ? left : (uint64_t)n;
		if (count % TICK_BUFFERS == 0 && tick(context, err) < 0)
			return -1;
	}
	return n < 0;
}

int content_digest(struct archive *archive, struct archive_entry *entry, struct digest *digest,
	int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	int result = hash_all(archive, (uint64_t)archive_entry_size(entry), hasher, tick, context, err);

	hasher_end(hasher, digest);
	return result;
}

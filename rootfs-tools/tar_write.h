// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tar_write.h: the headers of a tar that is being written: ustar, and PAX where ustar cannot say it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "rootfs-tools/tar_format.h"

/* Bytes that grow. Begins as { 0 }; release with tar_text_free(). */
struct tar_text {
	char *data;
	size_t size, room;
};

enum tar_type {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_SYMLINK = '2',
	TAR_CHAR = '3',
	TAR_BLOCK_DEVICE = '4',
	TAR_DIRECTORY = '5',
	TAR_FIFO = '6',
};

struct tar_xattr {
	const char *name;
	const void *value;
	size_t size;
};

struct tar_entry {
	const char *path; /* relative; of a directory with its "/" */
	enum tar_type type;
	mode_t mode; /* permissions */
	uint64_t uid, gid;
	uint64_t size; /* of what follows the header; with @sparse_size, of the map and the data */
	int64_t mtime;
	const char *link; /* where a link leads; else NULL */
	uint32_t major, minor;
	const struct tar_xattr *xattrs;
	size_t xattr_count;
	/* Not 0: the file's real size, and what follows begins with its map (GNU tar manual, "PAX Format, Version 1.0",
	 * of sparse files). */
	uint64_t sparse_size;
	/* The header is to be one block: a size that octal digits cannot say is written as GNU tar does, in base 256.
	 */
	bool one_block;
};

/** tar_put() - append the header, with its extension in front where it needs one. Out of memory aborts. */
[[gnu::nonnull]] void tar_put(struct tar_text *text, const struct tar_entry *entry);

/** tar_put_map() - append the map of a sparse file: pairs of offset and length, filled up to whole blocks. */
[[gnu::nonnull]] void tar_put_map(struct tar_text *text, const uint64_t (*parts)[2], size_t count);

/** tar_padding() - how many zeros follow that many bytes. */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)(-size % TAR_BLOCK);
}

/** tar_text_add() - append bytes. Out of memory aborts. */
[[gnu::nonnull(1)]] void tar_text_add(struct tar_text *text, const void *data, size_t size);
[[gnu::nonnull]] void tar_text_free(struct tar_text *text);

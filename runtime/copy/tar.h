// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/tar.h: entries of a tar stream (POSIX pax; old GNU long names are read, too). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum { TAR_BLOCK = 512, TAR_PATH_MOST = 4096, TAR_EXTRA_MOST = 1 << 20 };

enum tar_type {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_LINK = '2',
	TAR_DIRECTORY = '5',
	TAR_FIFO = '6',
	TAR_OTHER = '?'
};

struct tar_entry {
	char path[TAR_PATH_MOST];
	char target[TAR_PATH_MOST]; /* of links */
	enum tar_type type;
	uint64_t size; /* bytes that follow, files only */
	uint32_t mode; /* permission bits */
	uint64_t uid, gid;
	int64_t mtime;
};

struct tar_reader {
	int fd;
	uint64_t left;	  /* of the current entry's bytes */
	uint64_t padding; /* after them */
};

/**
 * tar_next() - the header of the next entry; what was left of the one before is skipped
 *
 * Return: 1, 0 at the end of the archive, -1 with @err set (damaged, too long, ended early, an unsupported kind)
 */
[[gnu::nonnull]] int tar_next(struct tar_reader *reader, struct tar_entry *entry, struct azm_err *err);

/** tar_data() - bytes of the current entry, all of @size unless it ends. Return: how many, 0 at its end, -1 with @err.
 */
[[gnu::nonnull]] ssize_t tar_data(struct tar_reader *reader, void *buffer, size_t size, struct azm_err *err);

/** tar_header() - write the header of an entry; its bytes, and tar_pad(), follow. Return: 0, -1 with errno. */
[[gnu::nonnull]] int tar_header(int fd, const struct tar_entry *entry);
int tar_pad(int fd, uint64_t size);

/** tar_end() - the end of the archive. Return: 0, -1 with errno. */
int tar_end(int fd);

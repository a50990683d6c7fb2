// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tar_index.h: where in a plain tar the files are, for archives that are read in any order: images.
 *
 * Strict and small: what image archives use (ustar, PAX and GNU long names and sizes, links) and nothing else.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rootfs-tools/tar_format.h"

enum { TAR_INDEX_MAX = 16384 };

struct tar_index;

/**
 * tar_index_new() - read all headers
 * @fd:		the tar, seekable; read with pread(2)
 * @size:	its size
 *
 * Return: owned by the caller, tar_index_free(); NULL with @err: damaged (EINVAL), more than TAR_INDEX_MAX files
 * (E2BIG)
 */
[[gnu::nonnull]] struct tar_index *tar_index_new(int fd, uint64_t size, struct azm_err *err);
void tar_index_free(struct tar_index *index);

/**
 * tar_index_find() - a regular file; links are followed inside the archive
 *
 * Of several of one name the last counts. Return: whether there is one, *offset and *size set then
 */
[[gnu::nonnull]] bool tar_index_find(const struct tar_index *index, const char *name, uint64_t *offset, uint64_t *size);

/** tar_begins() - whether the first bytes are a header of a tar. */
[[gnu::nonnull]] bool tar_begins(const unsigned char *data, size_t size);

/**
 * tar_is_root() - whether the first bytes of a tar are surely those of a root file system
 *
 * False when they may be an image's: then all headers have to be looked at.
 */
[[gnu::nonnull]] bool tar_is_root(const unsigned char *data, size_t size);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/staging.h: a directory that appears under its name whole, or not at all.
 *
 * An image is built in NAME.partial-XXXXXX beside its final place and renamed at the end. The partial directory is
 * locked while its maker lives; what a killed maker left is removed by the next one that wants the same name.
 */
#pragma once
#include <linux/limits.h>

#include "base/err.h"

struct staging {
	int parentfd;		 /* directory both names are in; -1: nothing is staged */
	int fd;			 /* the partial directory, locked */
	char *path;		 /* its absolute path, free of symbolic links */
	char name[NAME_MAX + 1]; /* final name below parentfd */
	char partial[NAME_MAX + 1];
};

#define STAGING_NONE                                                                                                   \
	{                                                                                                              \
		.parentfd = -1, .fd = -1                                                                               \
	}
#define cleanup_staging [[gnu::cleanup(staging_discard)]]

/**
 * staging_check() - whether an image may be made at a path
 * @target:	missing (its parent exists), or an empty directory
 *
 * Return: 0, or -1 with @err (EEXIST when something is there)
 */
[[gnu::nonnull]] int staging_check(const char *target, struct azm_err *err);

/**
 * staging_begin() - make the partial directory, mode 0755
 * @target:	as for staging_check(), which is repeated
 * @staging:	set; end it with staging_commit() or staging_discard()
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int staging_begin(const char *target, struct staging *staging, struct azm_err *err);

/** staging_commit() - give it its final name. Return: 0 and nothing is staged any more, or -1 with @err. */
[[gnu::nonnull]] int staging_commit(struct staging *staging, struct azm_err *err);

/**
 * staging_commit_file() - give one file of the partial directory the final name, and remove the rest
 *
 * What has that name already stays (EEXIST). Return: 0 and nothing is staged any more, or -1 with @err
 */
[[gnu::nonnull]] int staging_commit_file(struct staging *staging, const char *file, struct azm_err *err);

/** staging_discard() - remove what was made; nothing when nothing is staged. */
[[gnu::nonnull]] void staging_discard(struct staging *staging);

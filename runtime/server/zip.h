// SPDX-License-Identifier: GPL-2.0-or-later
/* server/zip.h: zip archives of uploads and downloads. Both functions take as long as they take: they run in a child
 * process (worker.h), which a hostile archive can at most kill. */
#pragma once
#include <stdint.h>

#include "base/err.h"

struct zip_limits {
	uint64_t bytes, entries; /* of what is unpacked */
};

/** zip_limits_for() - what an archive of this size may become: a bomb is stopped, honest compression is not. */
struct zip_limits zip_limits_for(uint64_t archive_size);

/**
 * zip_extract() - unpack below a directory
 * @archive_file: regular file, open for reading
 * @dir:	O_PATH descriptor of the directory
 *
 * Directories and regular files are made, whatever the archive says its members are; names that are absolute or go up
 * are skipped, as Python's unpack_archive does. A symbolic link in the way of a member's directory is an error, one in
 * the place of a file is replaced: nothing outside of @dir is touched. Modes and owners are not restored. Files are
 * replaced as a whole (new_file.h); what was unpacked before an error stays.
 */
int zip_extract(int archive_file, int dir, const struct zip_limits *limits, struct azm_err *err);

/**
 * zip_create() - write an archive of a directory's regular files, or of one file, without compression
 * @out:	where to write; need not be seekable
 * @path:	what to pack; members are named relative to it, a single file by its own name
 *
 * Links to files are followed, links to directories are not entered. What cannot be opened is left out.
 */
int zip_create(int out, const char *path, struct azm_err *err);

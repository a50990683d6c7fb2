// SPDX-License-Identifier: GPL-2.0-or-later
/* server/new_file.h: new content of a file, written beside it and put in its place as a whole, so that a full disk, a
 * broken upload or a kill leaves the old one. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct new_file {
	int fd; /* write here */
	int dir;
	char name[NAME_MAX + 1], temporary[NAME_MAX + 1]; /* temporary: empty when it has no name */
	mode_t mode;
	bool exists;
	struct stat old;
};

/**
 * new_file_open() - begin
 * @dir:	directory, an O_PATH descriptor will do; not kept
 * @name:	one component; a symbolic link of that name is replaced, not followed
 * @mode:	of a file that does not exist yet; an existing one keeps its mode, owner, other names and attributes
 *
 * Return: 0, then new_file_commit() or new_file_drop() follow; -1 with errno (EISDIR, EINVAL: not a regular file)
 */
int new_file_open(struct new_file *file, int dir, const char *name, mode_t mode);

/** new_file_commit() - put it in place and release everything. Return: 0; -1 with errno, and the old file is as it was.
 */
int new_file_commit(struct new_file *file);

/** new_file_drop() - forget it. */
void new_file_drop(struct new_file *file);

/** file_write() - the whole of a file at a path, following symbolic links. Return: 0, -1 with errno. */
int file_write(const char *path, const char *bytes, size_t size, mode_t mode);

/** file_make_directories() - mkdir -p. Return: 0, -1 with errno. */
int file_make_directories(const char *path);

/** file_make_parents() - the same for all but the last component. */
int file_make_parents(const char *path);

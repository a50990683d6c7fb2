// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tree_walk.c: see tree_walk.h. */
#include "rootfs-tools/tree_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

enum { MEASURED_DEPTH = 256 };

static int walk_below(int dir, const char *path, const struct tree_visitor *visitor, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (dir_names(dir, &names) < 0)
		return err_sys(err, "read the directory", *path ? path : ".");
	str_list_sort(&names); /* the same tree is the same walk everywhere */
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *inner = xasprintf("%s%s%s", path, *path ? "/" : "", names.items[i]);
		if (strlen(inner) >= PATH_MAX)
			return err_code(err, ENAMETOOLONG, "read the directory", path);
		if (tree_walk_entry(dir, names.items[i], inner, visitor, err) < 0)
			return -1;
	}
	return 0;
}

int tree_walk(int dir, const struct tree_visitor *visitor, struct azm_err *err)
{
	return walk_below(dir, "", visitor, err);
}

int tree_walk_entry(
	int dir, const char *name, const char *path, const struct tree_visitor *visitor, struct azm_err *err)
{
	struct tree_entry entry = { .dir = dir, .name = name, .path = path };

	if (fstatat(dir, name, &entry.st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at", path);
	int result = visitor->visit(visitor->context, &entry, err);
	if (result != 0 || !S_ISDIR(entry.st.st_mode))
		return result < 0 ? -1 : 0;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "read the directory", path);
	if (walk_below(fd, path, visitor, err) < 0)
		return -1;
	return visitor->leave ? visitor->leave(visitor->context, &entry, err) : 0;
}

static int measure(int dir, unsigned depth, struct tree_size *size)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	if (!list) {
		cleanup_close_fd(&fd);
		return -1;
	}
	for (const struct dirent *entry; (entry = dir_next(list));) {
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -1;
		size->files++;
		size->bytes += (uint64_t)st.st_blocks * 512 / (S_ISDIR(st.st_mode) ? 1 : st.st_nlink);
		cleanup_fd int inner =
			S_ISDIR(st.st_mode) && depth < MEASURED_DEPTH
				? openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				: -1;
		if (inner >= 0 && measure(inner, depth + 1, size) < 0 && errno != EACCES)
			return -1;
	}
	return errno ? -1 : 0;
}

int tree_measure(int dir, struct tree_size *size)
{
	return measure(dir, 0, size);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_lower.c: see layer_lower.h. */
#include "rootfs-tools/layer_lower.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/layer_xattrs.h"

enum found { ABSENT, PRESENT, HIDDEN };

/* One step down. Return: whether the walk goes on; *result says why not. */
static bool enter(int *fd, const char *name, bool *opaque, enum found *result)
{
	int next = openat(*fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0) { /* something that is no directory hides what is further down */
		struct stat st;
		*result = fstatat(*fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && !*opaque ? ABSENT : HIDDEN;
		return false;
	}
	close(*fd);
	*fd = next;
	*opaque |= overlay_is_opaque(next);
	return true;
}

/* Look for a path in one tree, a component at a time; @path is taken apart. */
static enum found look(int root, char *path, struct stat *st)
{
	cleanup_fd int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum found result = ABSENT;
	bool opaque = false;
	char *save = NULL, *name = strtok_r(path, "/", &save);

	if (fd < 0)
		return ABSENT;
	for (char *next; name && (next = strtok_r(NULL, "/", &save)); name = next)
		if (!enter(&fd, name, &opaque, &result))
			return result;
	if (fstatat(fd, name ? name : ".", st, AT_SYMLINK_NOFOLLOW) < 0)
		return opaque ? HIDDEN : ABSENT;
	return S_ISCHR(st->st_mode) && st->st_rdev == 0 ? HIDDEN : PRESENT;
}

int layer_lower_find(const struct recorded_tree *lowers, size_t count, const char *path, const struct stat *st,
	struct owner *owner, struct azm_err *err)
{
	cleanup_free char *trimmed = xstrdup(path);
	struct stat below;

	for (size_t length = strlen(trimmed); length > 0 && trimmed[length - 1] == '/';)
		trimmed[--length] = '\0';
	for (size_t i = 0; i < count; i++) {
		cleanup_free char *pieces = xstrdup(trimmed);
		enum found found = look(lowers[i].root, pieces, &below);
		if (found == ABSENT)
			continue;
		if (found == HIDDEN)
			return 0;
		int result = lowers[i].owners ? owner_book_find(lowers[i].owners, trimmed, owner, err) : 0;
		if (result == 0) /* as on disk, and root's */
			*owner = (struct owner){ .mode = st->st_mode };
		if (result > 0 && (st->st_size != below.st_size || st->st_mtim.tv_sec != below.st_mtim.tv_sec ||
					  st->st_mtim.tv_nsec != below.st_mtim.tv_nsec))
			owner->capability = NULL;
		return result < 0 ? -1 : 1;
	}
	return 0;
}

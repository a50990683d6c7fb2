// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_tree.c: where a path of a layer is in the tree, and what its whiteouts hide; see layer_internal.h.
 *
 * Theory of operation
 *
 * A path is split into its directory, which is resolved inside the tree, links included, and made when it is missing,
 * and its last component, which is never followed. Entries come in directory order, so the descriptors of the last
 * directory and of those on the way to it are kept; removing anything that could be part of a path forgets them all.
 * From one of them the next directory is a step or two away: a step names one component and follows no link
 * (O_NOFOLLOW), and what was made since a directory was resolved cannot have changed where its path leads, so a step
 * ends where the resolver would. Where a link is on the way, or anything else is in it, the resolver does it all.
 *
 * Whiteouts hide what the layers below have, not what this one brings, and may come after it. So each name this layer
 * makes is remembered, as 64 bits of a keyed hash of its directory's inode and its name; and each directory that has
 * such a name somewhere below it, which need not have an entry of its own, by its inode.
 */
#include "rootfs-tools/layer_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "mount/mount.h"

enum { OPAQUE_DEPTH = 128, LINKS_MAX = 40 };

#define WHITEOUT_META ".wh..wh."
#define OPAQUE	      ".wh..wh..opq"

/* ---- names this layer has made --------------------------------------------------------------------------------- */

static uint64_t name_hash(const struct layer *l, uint64_t directory, const char *name)
{
	uint64_t hash = l->key ^ number_set_mix(directory);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
	return number_set_mix(hash);
}

/* The directory and all above it now have something of this layer's. */
static void mark_directories(struct layer *l)
{
	cleanup_fd int fd = -1;
	uint64_t inode = l->parent_inode;
	struct stat st;

	while (!number_set_has(&l->directories, inode)) {
		number_set_add(&l->directories, inode);
		if (inode == l->root_inode)
			break;
		int above = openat(fd < 0 ? l->parent : fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		cleanup_close_fd(&fd);
		fd = above;
		if (fd < 0 || fstat(fd, &st) < 0)
			break;
		inode = layer_inode(l, &st);
	}
	l->marked = true;
}

void layer_remember(struct layer *l, const char *name)
{
	if (!l->target->whiteouts)
		return;
	if (!l->marked)
		mark_directories(l);
	number_set_add(&l->made, name_hash(l, l->parent_inode, name));
}

bool layer_is_ours(const struct layer *l, uint64_t directory, const char *name)
{
	return number_set_has(&l->made, name_hash(l, directory, name));
}

/* ---- directories and last components --------------------------------------------------------------------------- */

static void forget_above(struct layer *l, size_t length)
{
	while (l->above_count > 0 && l->above[l->above_count - 1].length > length)
		close(l->above[--l->above_count].fd);
}

static void set_parent(struct layer *l, int fd)
{
	cleanup_close_fd(&l->parent);
	l->parent = fd;
	l->stale = l->marked = l->inherited = false;
}

void layer_forget_parent(struct layer *l)
{
	forget_above(l, 0);
	set_parent(l, -1);
}

/* Take "", "." and ".." out of a path, in place; what would lead above the root stays there. */
void layer_clean_path(char *path)
{
	char *end = path;

	for (const char *from = path; *from;) {
		size_t length = strcspn(from, "/");
		if (length == 2 && from[0] == '.' && from[1] == '.') {
			while (end > path && *--end != '/')
				;
		} else if (length > 0 && !(length == 1 && *from == '.')) {
			if (end > path)
				*end++ = '/';
			memmove(end, from, length);
			end += length;
		}
		from += length + (from[length] == '/');
	}
	*end = '\0';
}

/* Split a clean path in place. Return: the last component, NULL for the root itself. */
char *layer_split(char *path, char **directory)
{
	static char here[] = ".";
	char *slash = strrchr(path, '/');

	*directory = slash ? path : here;
	if (slash)
		*slash = '\0';
	return slash ? slash + 1 : *path ? path : NULL;
}

static int keep_parent(struct layer *l, int fd, const char *directory)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || strlen(directory) >= sizeof l->directory) {
		close(fd);
		errno = ENAMETOOLONG;
		return -1;
	}
	set_parent(l, fd);
	l->parent_inode = layer_inode(l, &st);
	memcpy(l->directory, directory, strlen(directory) + 1);
	return 0;
}

static bool dangles(int root, const char *link)
{
	cleanup_fd int fd = resolve_in_root(root, link, O_PATH);

	return fd < 0 && errno == ENOENT;
}

/* Put the text of the first link of a path that leads to something missing in its place. Return: false when there is
 * none. */
static bool replace_dangling_link(int root, const char *path, char **replaced)
{
	char text[PATH_MAX];

	for (size_t length = strcspn(path, "/");; length += 1 + strcspn(path + length + 1, "/")) {
		cleanup_free char *prefix = xasprintf("%.*s", (int)length, path);
		cleanup_fd int link = *prefix ? resolve_in_root(root, prefix, O_PATH | O_NOFOLLOW) : -1;
		ssize_t size = link < 0 ? -1 : readlinkat(link, "", text, sizeof text);
		if (size > 0 && (size_t)size < sizeof text && dangles(root, prefix)) {
			const char *slash = strrchr(prefix, '/');
			int before = slash && text[0] != '/' ? (int)(slash + 1 - prefix) : 0;
			*replaced = xasprintf("%.*s%.*s%s", before, prefix, (int)size, text, path + length);
			return true;
		}
		if (!path[length])
			return false;
	}
}

/* resolve_make(), also where a link on the way leads to what is yet to come: /var/run before /run. */
static int make_directories(int root, const char *directory)
{
	cleanup_free char *path = xstrdup(directory);

	for (int links = 0; links < LINKS_MAX; links++) {
		int fd = resolve_make(root, path, true);
		char *replaced;
		if (fd >= 0 || errno != ELOOP || strlen(path) >= PATH_MAX ||
			!replace_dangling_link(root, path, &replaced))
			return fd;
		free(path);
		path = replaced;
	}
	errno = ELOOP;
	return -1;
}

/* How much of a path is the way of another one, too, in whole components. */
static size_t common_way(const char *path, const char *other)
{
	size_t common = 0;

	for (size_t i = 0;; i++) {
		bool ends = path[i] == '/' || !path[i];
		if (ends && (other[i] == '/' || !other[i]))
			common = i;
		if (path[i] != other[i] || !path[i])
			return common;
	}
}

static int step(int from, const char *name, bool make)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(from, name, flags);

	if (fd < 0 && errno == ENOENT && make && mkdirat(from, name, 0755) == 0)
		fd = openat(from, name, flags);
	return fd;
}

/* From the nearest directory that is kept to @directory, a clean path, keeping those in between. Return: its
 * descriptor; -1 where there is more to it than names of directories. */
static int walk_from_above(struct layer *l, const char *directory, bool make)
{
	char name[NAME_MAX + 1];
	size_t done = l->parent < 0 ? 0 : common_way(l->directory, directory);

	forget_above(l, done);
	if (done > 0 && !l->directory[done] && l->above_count < ABOVE_MAX) {
		l->above[l->above_count].length = done;
		l->above[l->above_count++].fd = steal_fd(&l->parent);
	}
	for (;;) {
		int from = l->target->root;
		done = 0;
		if (l->above_count > 0) {
			from = l->above[l->above_count - 1].fd;
			done = l->above[l->above_count - 1].length;
		}
		if (!directory[done])
			return l->above[--l->above_count].fd;
		const char *next = directory + done + (done > 0);
		size_t length = strcspn(next, "/");
		if (length >= sizeof name || l->above_count == ABOVE_MAX)
			return -1;
		memcpy(name, next, length);
		name[length] = '\0';
		int fd = step(from, name, make);
		if (fd < 0)
			return -1;
		l->above[l->above_count].length = (size_t)(next - directory) + length;
		l->above[l->above_count++].fd = fd;
	}
}

/* Make l->parent the directory of that path. */
int layer_enter(struct layer *l, const char *directory, bool make)
{
	if (l->parent >= 0 && !l->stale && strcmp(directory, l->directory) == 0)
		return 0;
	if (l->stale)
		layer_forget_parent(l);
	int fd = walk_from_above(l, directory, make);
	if (fd < 0) {
		layer_forget_parent(l);
		fd = make ? make_directories(l->target->root, directory)
			  : resolve_in_root(l->target->root, directory, O_PATH | O_DIRECTORY);
	}
	return fd < 0 ? -1 : keep_parent(l, fd, directory);
}

/* Remove whatever has the name. What is removed may have been part of the way to the directory that is kept. */
static int remove_name(struct layer *l, int directory, const char *name)
{
	l->stale = l->target->removed = true;
	if (tree_remove_at(directory, name, l->err) < 0)
		return -1;
	err_clear(l->err); /* of attempts on the way */
	return 0;
}

int layer_clear_name(struct layer *l, const char *name)
{
	return l->target->overlay ? layer_overlay_remove(l, name) : remove_name(l, l->parent, name);
}

/* ---- whiteouts ------------------------------------------------------------------------------------------------- */

static int hide_one(struct layer *l, int dir, uint64_t inode, const char *name, unsigned depth);

/* Remove from a directory what this layer has not made. @dir is closed. */
static int hide_lower(struct layer *l, int dir, uint64_t inode, unsigned depth)
{
	cleanup_dir DIR *list = fdopendir(dir);

	if (!list) {
		close(dir);
		return err_sys(l->err, "apply", OPAQUE);
	}
	if (depth > OPAQUE_DEPTH)
		return err_msg(l->err, ELOOP, "apply", OPAQUE, "directories are nested too deeply");
	for (const struct dirent *entry; (entry = dir_next(list));)
		if (hide_one(l, dir, inode, entry->d_name, depth) < 0)
			return -1;
	return errno ? err_sys(l->err, "apply", OPAQUE) : 0;
}

/* Remove one name of directory @dir as far as it is not of this layer. */
static int hide_one(struct layer *l, int dir, uint64_t inode, const char *name, unsigned depth)
{
	bool ours = layer_is_ours(l, inode, name);
	cleanup_fd int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (inner >= 0 && fstat(inner, &st) == 0 && (ours || number_set_has(&l->directories, st.st_ino)))
		return hide_lower(l, steal_fd(&inner), st.st_ino, depth + 1);
	return ours ? 0 : remove_name(l, dir, name);
}

int layer_whiteout(struct layer *l, const char *directory, const char *name)
{
	if (layer_enter(l, directory, false) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(l->err, "apply", name);
	if (l->target->overlay && layer_overlay_inherit(l) < 0)
		return -1;
	if (strcmp(name, OPAQUE) == 0) {
		if (l->target->overlay)
			return layer_overlay_whiteout(l, NULL);
		int dir = openat(l->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return dir < 0 ? err_sys(l->err, "apply", name) : hide_lower(l, dir, l->parent_inode, 0);
	}
	if (str_starts(name, WHITEOUT_META))
		return 0; /* aufs' own */
	const char *hidden = name + strlen(WHITEOUT);
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_msg(l->err, EINVAL, "apply", name, "not a whiteout of anything");
	return l->target->overlay ? layer_overlay_whiteout(l, hidden)
				  : hide_one(l, l->parent, l->parent_inode, hidden, 0);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_overlay.c: a layer that is kept by itself, over the layers below it; see layer_internal.h.
 *
 * Theory of operation
 *
 * The tree a layer is applied to is a mounted overlay, so everything that layer.c does to it is right by construction:
 * links lead where they lead in the merged tree, directories that are only passed through are copied up with their
 * attributes, a file of a layer below gets another name by being copied, what is removed leaves a whiteout. The kernel
 * writes down what the layer changes.
 *
 * Two things it has no call for: hiding a whole directory without removing every file in it, which takes long, and
 * which base/tree.c cannot do where it would have to rename directories of the layers below; and marking a directory as
 * opaque. Both are done to the upper directory itself while it is not mounted, after which the overlay is made anew.
 * Inode numbers stay the same, as all layers are on one file system, but those of directories that are merged no more:
 * see note_numbers().
 *
 * Owners: what is copied up because something in it changes has no entry in the layer. Its line in owners.mtree is the
 * one it has below, so that each layer's file says everything about the layer's tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "mount/mount.h"
#include "rootfs-tools/layer_internal.h"
#include "rootfs-tools/layer_lower.h"

enum { LEFTOVERS_DEPTH = 128 };

/* Where an open directory of the overlay is, without a "/" in front; the overlay is no part of the host's tree. */
static bool real_path(int fd, char path[static PATH_MAX])
{
	char magic[64];

	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(magic, path, PATH_MAX - 1);
	if (length < 1 || (size_t)length >= PATH_MAX - 1)
		return false;
	memmove(path, path + 1, (size_t)length - 1);
	path[length - 1] = '\0';
	return true;
}

/* What resolve_in_root() takes for it. */
static const char *way(const char *path)
{
	return *path ? path : ".";
}

uint64_t layer_inode(const struct layer *l, const struct stat *st)
{
	uint64_t number = st->st_ino;

	(void)number_set_get(&l->renumbered, st->st_ino, &number);
	return number;
}

/* ---- owners ---------------------------------------------------------------------------------------------------- */

/* Return: 1 and *owner set, 0 there is nothing to remember, -1. */
static int inherited_owner(struct layer *l, const char *path, const struct stat *st, struct owner *owner)
{
	const struct layer_overlay *o = l->target->overlay;
	int found = layer_lower_find(o->below, o->below_count, path, st, owner, l->err);

	return found > 0 && owner_is_plain(owner, st->st_mode & 07777) ? 0 : found;
}

static int inherit_owner(struct layer *l, const char *path, const struct stat *st)
{
	struct owner owner;
	int found = inherited_owner(l, path, st, &owner);

	return found > 0 ? owner_log_add(l->target->owners, path, st->st_ino, &owner, false, l->err) : found;
}

int layer_overlay_inherit(struct layer *l)
{
	char path[PATH_MAX];
	struct stat st;

	if (!l->target->overlay || l->inherited)
		return 0;
	l->inherited = true;
	cleanup_fd int fd = openat(l->parent, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && fstat(fd, &st) == 0 && !number_set_has(&l->seen, layer_inode(l, &st))) {
		number_set_add(&l->seen, layer_inode(l, &st));
		if (!number_set_has(&l->said, layer_inode(l, &st))) {
			if (!real_path(fd, path))
				return err_sys(l->err, "find the path of", l->directory);
			if (inherit_owner(l, path, &st) < 0)
				return -1;
		}
		if (st.st_ino == l->root_inode)
			break;
		int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = above;
	}
	return 0;
}

/* The inode numbers of a file that was copied up may be those of before under its old name, and others under the new
 * one: each name is looked at. */
int layer_overlay_link(
	struct layer *l, const char *path, const char *name, int from, const char *target, uint64_t inode)
{
	struct stat st, old, there;
	char directory[PATH_MAX];

	if (fstatat(l->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		fstatat(from, target, &old, AT_SYMLINK_NOFOLLOW) < 0 || fstat(from, &there) < 0)
		return err_sys(l->err, "look at", name);
	if (layer_is_ours(l, layer_inode(l, &there), target))
		return owner_log_add_link(l->target->owners, path, inode, l->err);
	if (!real_path(from, directory))
		return err_sys(l->err, "find the path of", target);
	cleanup_free char *first = xasprintf("%s%s%s", directory, *directory ? "/" : "", target);
	struct owner owner;
	int found = inherited_owner(l, first, &old, &owner);
	if (found <= 0)
		return found;
	if (owner_log_add(l->target->owners, first, old.st_ino, &owner, false, l->err) < 0)
		return -1;
	return owner_log_add(l->target->owners, path, st.st_ino, &owner, false, l->err);
}

/* ---- the upper directory, not mounted -------------------------------------------------------------------------- */

/* Copy a directory up. */
static int copy_up(int directory)
{
	struct stat st;

	return fstat(directory, &st) < 0 ? -1 : fchmodat(directory, ".", st.st_mode & 07777, 0);
}

/* The upper part of the directory at that path; it has been copied up. The overlay is gone afterwards. */
static int unmount(struct layer *l, const char *path)
{
	layer_forget_parent(l);
	close(steal_fd(&l->target->root));
	return resolve_in_root(l->target->overlay->upper, way(path), O_RDONLY | O_DIRECTORY);
}

/* The overlay again, with l->parent where it was. */
static int mount_again(struct layer *l, const char *parent)
{
	const struct layer_overlay *o = l->target->overlay;
	struct stat st;

	l->target->root = o->mount(o->context, l->err);
	if (l->target->root < 0)
		return -1;
	l->parent = resolve_in_root(l->target->root, way(parent), O_PATH | O_DIRECTORY);
	if (l->parent < 0 || fstat(l->parent, &st) < 0)
		return err_sys(l->err, "find again", parent);
	l->parent_inode = layer_inode(l, &st);
	l->stale = l->target->removed = true;
	return 0;
}

static int hide_offline(struct layer *l, const char *name)
{
	char parent[PATH_MAX];

	if (!real_path(l->parent, parent) || copy_up(l->parent) < 0)
		return err_sys(l->err, "hide", name);
	{
		cleanup_fd int upper = unmount(l, parent);
		if (upper < 0)
			return err_sys(l->err, "hide", name);
		if (tree_remove_at(upper, name, l->err) < 0)
			return -1;
		if (mknodat(upper, name, S_IFCHR, 0) < 0)
			return err_sys(l->err, "make a whiteout for", name);
		err_clear(l->err);
	}
	return mount_again(l, parent);
}

int layer_overlay_remove(struct layer *l, const char *name)
{
	l->stale = l->target->removed = true;
	if (unlinkat(l->parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if ((errno == EISDIR || errno == EPERM) && unlinkat(l->parent, name, AT_REMOVEDIR) == 0)
		return 0;
	return errno == ENOTEMPTY || errno == EEXIST ? hide_offline(l, name) : err_sys(l->err, "remove", name);
}

/* ---- opaque directories ---------------------------------------------------------------------------------------- */

/* A directory and the ones in it that stay. */
struct opaque {
	struct str_list leftovers; /* paths of what does not */
	struct str_list kept;	   /* "NUMBER PATH" of those that do */
};

static void opaque_free(struct opaque *o)
{
	str_list_free(&o->leftovers);
	str_list_free(&o->kept);
}

/* What a directory of the upper tree has that is not this layer's: copies, and whiteouts, which an opaque directory
 * does not need. @path: of the directory. @dir is closed. */
static int find_leftovers(struct layer *l, int dir, const char *path, unsigned depth, struct opaque *o)
{
	cleanup_dir DIR *list = fdopendir(dir);
	struct stat here, st;

	if (!list) {
		close(dir);
		return err_sys(l->err, "apply a whiteout to", path);
	}
	if (depth > LEFTOVERS_DEPTH)
		return err_msg(l->err, ELOOP, "apply a whiteout to", path, "directories are nested too deeply");
	cleanup_fd int merged = resolve_in_root(l->target->root, way(path), O_PATH | O_DIRECTORY);
	if (merged < 0 || fstat(merged, &here) < 0)
		return err_sys(l->err, "apply a whiteout to", path);
	str_list_addf(&o->kept, "%" PRIu64 " %s", (uint64_t)here.st_ino, path);
	for (const struct dirent *entry; (entry = dir_next(list));) {
		const char *name = entry->d_name;
		bool ours = layer_is_ours(l, layer_inode(l, &here), name);
		cleanup_free char *inner = xasprintf("%s%s%s", path, *path ? "/" : "", name);
		bool directory = fstatat(merged, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
		if (directory && (ours || number_set_has(&l->directories, layer_inode(l, &st)))) {
			int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (fd < 0)
				return err_sys(l->err, "apply a whiteout to", inner);
			if (find_leftovers(l, fd, inner, depth + 1, o) < 0)
				return -1;
		} else if (!ours) {
			str_list_add(&o->leftovers, inner);
		}
	}
	return errno ? err_sys(l->err, "apply a whiteout to", path) : 0;
}

static int remove_leftovers(const struct layer *l, const struct str_list *leftovers)
{
	for (size_t i = 0; i < leftovers->count; i++) {
		cleanup_free char *path = xstrdup(leftovers->items[i]);
		char *directory;
		const char *name = layer_split(path, &directory);
		cleanup_fd int fd = resolve_in_root(l->target->overlay->upper, directory, O_PATH | O_DIRECTORY);
		if (fd < 0)
			return err_sys(l->err, "apply a whiteout to", directory);
		if (name && tree_remove_at(fd, name, l->err) < 0)
			return -1;
	}
	err_clear(l->err);
	return 0;
}

/* A directory that is merged with one below has that one's number; once it is opaque it has its own, and so have those
 * in it. They are known by the first number still; in the log of owners it is the present one that counts. */
static int note_numbers(struct layer *l, const struct str_list *kept)
{
	struct stat st;

	for (size_t i = 0; i < kept->count; i++) {
		char *path;
		struct stat before = { .st_ino = strtoull(kept->items[i], &path, 10) };
		cleanup_fd int fd = resolve_in_root(l->target->root, way(++path), O_PATH | O_DIRECTORY);
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_sys(l->err, "find again", path);
		if (st.st_ino == before.st_ino)
			continue;
		number_set_put(&l->renumbered, st.st_ino, layer_inode(l, &before));
		if (owner_log_renumber(l->target->owners, path, before.st_ino, st.st_ino, l->err) < 0)
			return -1;
	}
	if (fstat(l->parent, &st) < 0)
		return err_sys(l->err, "find again", l->directory);
	l->parent_inode = layer_inode(l, &st);
	return 0;
}

/* Hide all below l->parent/@name (NULL: l->parent itself) but what is this layer's. */
static int make_opaque(struct layer *l, const char *name)
{
	[[gnu::cleanup(opaque_free)]] struct opaque o = { 0 };
	char parent[PATH_MAX], path[PATH_MAX];

	{
		cleanup_fd int dir =
			openat(l->parent, name ? name : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0 || !real_path(l->parent, parent) || !real_path(dir, path) || copy_up(dir) < 0)
			return err_sys(l->err, "apply a whiteout to", name ? name : l->directory);
		int upper = resolve_in_root(l->target->overlay->upper, path, O_RDONLY | O_DIRECTORY);
		if (upper < 0)
			return err_sys(l->err, "apply a whiteout to", path);
		if (find_leftovers(l, upper, path, 0, &o) < 0)
			return -1;
	}
	{
		cleanup_fd int upper = unmount(l, path);
		if (upper < 0 || fsetxattr(upper, "user.overlay.opaque", "y", 1, 0) < 0)
			return err_sys(l->err, "apply a whiteout to", path);
		if (remove_leftovers(l, &o.leftovers) < 0)
			return -1;
	}
	return mount_again(l, parent) < 0 ? -1 : note_numbers(l, &o.kept);
}

/* The root of a layer cannot be opaque: it is always merged. */
static int whiteout_all(struct layer *l)
{
	cleanup_str_list struct str_list names = { 0 };

	if (dir_names(l->parent, &names) < 0)
		return err_sys(l->err, "apply a whiteout to", "/");
	for (size_t i = 0; i < names.count; i++)
		if (layer_overlay_whiteout(l, names.items[i]) < 0)
			return -1;
	return 0;
}

int layer_overlay_whiteout(struct layer *l, const char *name)
{
	struct stat st;

	if (!name)
		return l->parent_inode == l->root_inode ? whiteout_all(l) : make_opaque(l, NULL);
	if (fstatat(l->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(l->err, "look at", name);
	bool ours = layer_is_ours(l, l->parent_inode, name);
	if (S_ISDIR(st.st_mode) && (ours || number_set_has(&l->directories, layer_inode(l, &st))))
		return make_opaque(l, name);
	return ours ? 0 : layer_overlay_remove(l, name);
}

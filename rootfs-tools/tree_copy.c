// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tree_copy.c: the copying and hashing half of tree_walk.h.
 *
 * The target's directories are looked up inside its root for every file: a link there may lead anywhere in it, never
 * out. Files are always made anew, so nothing is written through a link or into a file that has other names.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <linux/fs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/tree_walk.h"

enum { BUFFER_SIZE = 256 << 10, XATTR_MAX = 64 << 10 };

/* ---- one file's content and attributes -------------------------------------------------------------------------- */

static int open_source(const struct tree_entry *entry, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int fd = openat(entry->dir, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read", entry->path);
	if (!S_ISREG(st.st_mode))
		return err_msg(err, ESTALE, "read", entry->path, "it is not a file any more");
	return steal_fd(&fd);
}

/* The data between @from and @end. */
static int copy_piece(int source, int target, off_t from, off_t end, char *buffer)
{
	while (from < end) {
		size_t want = end - from < BUFFER_SIZE ? (size_t)(end - from) : BUFFER_SIZE;
		ssize_t n = pread(source, buffer, want, from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		for (ssize_t done = 0; done < n;) {
			ssize_t written = pwrite(target, buffer + done, (size_t)(n - done), from + done);
			if (written < 0 && errno != EINTR)
				return -1;
			done += written > 0 ? written : 0;
		}
		from += n;
	}
	return 0;
}

/* All of it, holes left out. */
static int copy_data(int source, int target, off_t size)
{
	if (size == 0 || ioctl(target, FICLONE, source) == 0)
		return 0;
	cleanup_free char *buffer = xcalloc(1, BUFFER_SIZE);
	for (off_t at = 0; at < size;) {
		off_t data = lseek(source, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0) /* a file system that cannot tell */
			return copy_piece(source, target, at, size, buffer);
		off_t hole = lseek(source, data, SEEK_HOLE);
		if (hole < 0)
			hole = size;
		if (copy_piece(source, target, data, hole, buffer) < 0)
			return -1;
		at = hole;
	}
	return ftruncate(target, size);
}

/* user.*, but what overlay and other tools mean by theirs. */
static void copy_xattrs(int source, int target)
{
	static const char *const foreign[] = { "user.overlay.", "user.containers.", "user.rootlesscontainers" };
	char names[4096], value[XATTR_MAX];
	ssize_t size = flistxattr(source, names, sizeof names);

	for (const char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		bool wanted = str_starts(name, "user.");
		for (size_t i = 0; wanted && i < sizeof foreign / sizeof *foreign; i++)
			wanted = !str_starts(name, foreign[i]);
		ssize_t length = wanted ? fgetxattr(source, name, value, sizeof value) : -1;
		if (length >= 0)
			(void)fsetxattr(target, name, value, (size_t)length, 0);
	}
}

/* ---- where it goes ---------------------------------------------------------------------------------------------- */

/* The directory a path is in, made when it is missing; *name is its last component. */
static int open_parent(const struct tree_copy *copy, const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *directory = slash ? xasprintf("%.*s", (int)(slash - path), path) : xstrdup(".");

	*name = slash ? slash + 1 : path;
	int fd = resolve_in_root(copy->to, directory, O_PATH | O_DIRECTORY);
	return fd >= 0 || errno != ENOENT ? fd : resolve_make(copy->to, directory, true);
}

/* Make room for something that is no directory. */
static int clear_name(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno == EPERM)
		errno = EISDIR;
	return -1;
}

static int note_owner(struct tree_copy *copy, int dir, const char *name, const char *path, const struct owner *owner,
	struct azm_err *err)
{
	struct stat st;
	const bool plain = owner->uid == 0 && owner->gid == 0 && !owner->capability &&
			   (S_ISLNK(owner->mode) || owner_mode_on_disk(owner->mode) == (owner->mode & 07777)) &&
			   !S_ISCHR(owner->mode) && !S_ISBLK(owner->mode);

	copy->files++;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at", path);
	return owner_log_add(copy->owners, path, st.st_ino, owner, plain, err);
}

/* An empty file that is ours alone to write. */
static int make_file(int dir, const char *name)
{
	if (clear_name(dir, name) < 0)
		return -1;
	return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int finish_file(int fd, const struct timespec *time, mode_t mode)
{
	const struct timespec times[2] = { *time, *time };

	return fchmod(fd, owner_mode_on_disk(mode)) < 0 || futimens(fd, times) < 0 ? -1 : 0;
}

static int copy_file(struct tree_copy *copy, const struct tree_entry *entry, int dir, const char *name,
	const struct owner *owner, struct azm_err *err)
{
	cleanup_fd int source = open_source(entry, err);

	if (source < 0)
		return -1;
	cleanup_fd int target = make_file(dir, name);
	if (target < 0)
		return err_sys(err, "make file", name);
	if (S_ISREG(owner->mode) && copy_data(source, target, entry->st.st_size) < 0)
		return err_sys(err, "copy", entry->path);
	copy_xattrs(source, target);
	if (finish_file(target, &entry->st.st_mtim, owner->mode) < 0)
		return err_sys(err, "copy", entry->path);
	copy->bytes += (uint64_t)entry->st.st_size;
	return 0;
}

/* Whether the target has this file already, under another name: link to that. Return: 1, 0, or -1 with @err. */
static int link_again(struct tree_copy *copy, const struct tree_entry *entry, int dir, const char *name,
	const char *path, struct azm_err *err)
{
	uint64_t which;
	struct stat st;

	if (!copy->hard_links || entry->st.st_nlink < 2 || S_ISDIR(entry->st.st_mode))
		return 0;
	if (!number_set_get(&copy->inodes, entry->st.st_ino, &which)) {
		number_set_put(&copy->inodes, entry->st.st_ino, copy->first_count);
		copy->first_names = xrealloc(copy->first_names, copy->first_count + 1, sizeof *copy->first_names);
		copy->first_names[copy->first_count++] = xstrdup(path);
		return 0;
	}
	const char *first_name;
	cleanup_fd int first = open_parent(copy, copy->first_names[which], &first_name);
	if (first < 0 || clear_name(dir, name) < 0 || linkat(first, first_name, dir, name, 0) < 0 ||
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "make hard link", path);
	copy->files++;
	return owner_log_add_link(copy->owners, path, st.st_ino, err) < 0 ? -1 : 1;
}

static int copy_link(const struct tree_entry *entry, int dir, const char *name, struct azm_err *err)
{
	const struct timespec times[2] = { entry->st.st_mtim, entry->st.st_mtim };
	char text[PATH_MAX];
	ssize_t size = readlinkat(entry->dir, entry->name, text, sizeof text - 1);

	if (size < 0)
		return err_sys(err, "read the link", entry->path);
	text[size] = '\0';
	if (clear_name(dir, name) < 0 || symlinkat(text, dir, name) < 0)
		return err_sys(err, "make link", name);
	(void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* Return: 1 it was there, 0 it is made, -1. */
static int copy_directory(
	const struct tree_entry *entry, int dir, const char *name, const struct owner *owner, struct azm_err *err)
{
	struct stat st;

	if (mkdirat(dir, name, 0700) < 0) {
		if (errno == EEXIST && fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode))
			return 1;
		return err_sys(err, "make directory", entry->path);
	}
	cleanup_fd int source = openat(entry->dir, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int target = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0 || target < 0 || fchmod(target, owner_mode_on_disk(owner->mode)) < 0)
		return err_sys(err, "make directory", entry->path);
	copy_xattrs(source, target);
	return 0;
}

int tree_copy_entry(struct tree_copy *copy, const struct tree_entry *entry, const char *path, const struct owner *owner,
	struct azm_err *err)
{
	const char *name;
	int result;

	if (S_ISSOCK(entry->st.st_mode))
		return 0;
	cleanup_fd int dir = open_parent(copy, path, &name);
	if (dir < 0)
		return err_sys(err, "make the directory of", path);
	result = link_again(copy, entry, dir, name, path, err);
	if (result != 0)
		return result < 0 ? -1 : 0;
	if (S_ISREG(entry->st.st_mode))
		result = copy_file(copy, entry, dir, name, owner, err);
	else if (S_ISDIR(entry->st.st_mode))
		result = copy_directory(entry, dir, name, owner, err);
	else if (S_ISLNK(entry->st.st_mode))
		result = copy_link(entry, dir, name, err);
	else if (S_ISFIFO(entry->st.st_mode))
		result = clear_name(dir, name) < 0 || mkfifoat(dir, name, owner->mode & 0777) < 0
				 ? err_sys(err, "make the pipe", path)
				 : 0;
	else
		return err_msg(err, EINVAL, "copy", entry->path, "it is a device");
	if (result != 0)
		return result < 0 ? -1 : 0;
	return note_owner(copy, dir, name, path, owner, err);
}

int tree_copy_text(
	struct tree_copy *copy, const char *text, const char *path, const struct owner *owner, struct azm_err *err)
{
	const char *name;
	cleanup_fd int dir = open_parent(copy, path, &name);
	cleanup_fd int fd = dir < 0 ? -1 : make_file(dir, name);

	if (fd < 0)
		return err_sys(err, "make file", path);
	if (write_full(fd, text, strlen(text)) < 0 || fchmod(fd, owner_mode_on_disk(owner->mode)) < 0)
		return err_sys(err, "write", path);
	return note_owner(copy, dir, name, path, owner, err);
}

int tree_copy_times(const struct tree_copy *copy, const struct tree_entry *entry, const char *path, struct azm_err *err)
{
	const struct timespec times[2] = { entry->st.st_mtim, entry->st.st_mtim };
	cleanup_fd int dir = resolve_in_root(copy->to, path, O_RDONLY | O_DIRECTORY);

	return dir < 0 || futimens(dir, times) < 0 ? err_sys(err, "set the time of", path) : 0;
}

void tree_copy_end(struct tree_copy *copy)
{
	for (size_t i = 0; i < copy->first_count; i++)
		free(copy->first_names[i]);
	free(copy->first_names);
	number_set_free(&copy->inodes);
	copy->first_names = NULL;
	copy->first_count = 0;
}

/* ---- hashing ---------------------------------------------------------------------------------------------------- */

static int hash_data(struct hasher *hasher, const struct tree_entry *entry, struct azm_err *err)
{
	cleanup_fd int fd = open_source(entry, err);
	cleanup_free char *buffer = xcalloc(1, BUFFER_SIZE);
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = read_full(fd, buffer, BUFFER_SIZE)) > 0)
		hasher_add(hasher, buffer, (size_t)n);
	return n < 0 ? err_sys(err, "read", entry->path) : 0;
}

int tree_hash_entry(struct hasher *hasher, const struct tree_entry *entry, const char *path, const struct owner *owner,
	struct azm_err *err)
{
	char text[PATH_MAX];
	/* The size in front of the content: no two trees are the same row of bytes. */
	cleanup_free char *head = xasprintf("%o %u:%u %lld %s", owner->mode, owner->uid, owner->gid,
		S_ISREG(entry->st.st_mode) ? (long long)entry->st.st_size : 0ll, path);

	if (S_ISSOCK(entry->st.st_mode))
		return 0;
	hasher_add(hasher, head, strlen(head) + 1);
	if (S_ISREG(entry->st.st_mode))
		return hash_data(hasher, entry, err);
	if (!S_ISLNK(entry->st.st_mode))
		return 0;
	ssize_t size = readlinkat(entry->dir, entry->name, text, sizeof text);
	if (size < 0)
		return err_sys(err, "read the link", entry->path);
	hasher_add(hasher, text, (size_t)size);
	hasher_add(hasher, "", 1);
	return 0;
}

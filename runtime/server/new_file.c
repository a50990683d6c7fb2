// SPDX-License-Identifier: GPL-2.0-or-later
/* server/new_file.c: see new_file.h
 *
 * Where nobody could tell the difference, the new file is renamed over the old one. A file with several names, with
 * extended attributes (access lists), or of an owner whom we cannot give a file to is written in place from the new
 * one, also one with a set-id bit, which the kernel then takes away: the space is reserved before the first byte is
 * changed.
 */
#include "server/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/body.h"

enum { TRIES = 8, LINKS_MAX = 40 };

static int open_temporary(struct new_file *file)
{
	for (int i = 0; i < TRIES; i++) {
		unsigned long long random = 0;
		if (getrandom(&random, sizeof random, 0) < 0)
			return -1;
		snprintf(file->temporary, sizeof file->temporary, ".azm-%016llx.tmp", random);
		int fd = openat(file->dir, file->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* A directory that cannot be written to may hold files that can. */
static bool only_directory_refuses(const struct new_file *file)
{
	return file->exists && (errno == EACCES || errno == EPERM || errno == EROFS);
}

static int open_new(struct new_file *file)
{
	int fd = open_temporary(file);

	if (fd < 0 && only_directory_refuses(file)) {
		*file->temporary = '\0';
		fd = file_nameless();
	}
	return fd;
}

static int look_at_old(struct new_file *file)
{
	file->exists = fstatat(file->dir, file->name, &file->old, AT_SYMLINK_NOFOLLOW) == 0;
	if (!file->exists)
		return errno == ENOENT ? 0 : -1;
	if (S_ISLNK(file->old.st_mode))
		file->exists = false;
	else if (S_ISDIR(file->old.st_mode))
		return errno = EISDIR, -1;
	else if (!S_ISREG(file->old.st_mode))
		return errno = EINVAL, -1;
	return 0;
}

int new_file_open(struct new_file *file, int dir, const char *name, mode_t mode)
{
	*file = (struct new_file){ .fd = -1, .dir = -1, .mode = mode };
	if (strlen(name) > NAME_MAX)
		return errno = ENAMETOOLONG, -1;
	snprintf(file->name, sizeof file->name, "%s", name);
	file->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (file->dir < 0 || look_at_old(file) < 0 || (file->fd = open_new(file)) < 0) {
		int saved = errno;
		*file->temporary = '\0';
		new_file_drop(file);
		errno = saved;
		return -1;
	}
	if (file->exists)
		file->mode = file->old.st_mode & 07777;
	return 0;
}

void new_file_drop(struct new_file *file)
{
	if (*file->temporary)
		unlinkat(file->dir, file->temporary, 0);
	if (file->fd >= 0)
		close(file->fd);
	if (file->dir >= 0)
		close(file->dir);
	file->fd = file->dir = -1;
	*file->temporary = '\0';
}

/* Emulated chown says yes and changes nothing, so the result is looked at. */
static bool same_owner(const struct new_file *file)
{
	struct stat made;

	if (fstat(file->fd, &made) < 0)
		return false;
	if (made.st_uid == file->old.st_uid && made.st_gid == file->old.st_gid)
		return true;
	return fchown(file->fd, file->old.st_uid, file->old.st_gid) == 0 && fstat(file->fd, &made) == 0 &&
	       made.st_uid == file->old.st_uid && made.st_gid == file->old.st_gid;
}

static bool has_attributes(const struct new_file *file)
{
	cleanup_fd int fd = openat(file->dir, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char names[256];

	if (fd < 0)
		return true;
	ssize_t size = flistxattr(fd, names, sizeof names);
	if (size < 0)
		return errno != EOPNOTSUPP;
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
		if (strcmp(names + at, "security.selinux") != 0) /* the new file gets its own */
			return true;
	return false;
}

static bool replaceable(const struct new_file *file)
{
	if (!*file->temporary)
		return false;
	return !file->exists || (file->old.st_nlink == 1 && !(file->old.st_mode & (S_ISUID | S_ISGID)) &&
					!has_attributes(file) && same_owner(file));
}

static int copy_all(int from, int to, off_t size)
{
	for (off_t at = 0; at < size;) {
		ssize_t n = sendfile(to, from, &at, (size_t)(size - at));
		if (n < 0 && errno != EINTR)
			return -1;
		if (n == 0)
			return errno = EIO, -1;
	}
	return ftruncate(to, size);
}

static int write_in_place(const struct new_file *file)
{
	cleanup_fd int fd = openat(file->dir, file->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat made;

	if (fd < 0 || fstat(file->fd, &made) < 0)
		return -1;
	if (made.st_size > file->old.st_size && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, made.st_size) < 0 &&
		errno != EOPNOTSUPP) {
		int saved = errno;
		(void)!ftruncate(fd, file->old.st_size); /* gives back what was reserved beyond the end */
		errno = saved;
		return -1;
	}
	return copy_all(file->fd, fd, made.st_size);
}

static int rename_over(struct new_file *file)
{
	int fd = steal_fd(&file->fd);

	if (fchmod(fd, file->mode) < 0) {
		close(fd);
		return -1;
	}
	if (close(fd) < 0) /* network file systems report a full disk here */
		return -1;
	if (renameat(file->dir, file->temporary, file->dir, file->name) < 0)
		return -1;
	*file->temporary = '\0';
	return 0;
}

int new_file_commit(struct new_file *file)
{
	int result = replaceable(file) ? rename_over(file) : write_in_place(file);
	int saved = errno;

	new_file_drop(file);
	errno = saved;
	return result;
}

/* The file that a path names in the end, although it need not exist. Return: 0, -1 with errno */
static int follow_links(const char *path, char target[static PATH_MAX])
{
	if (realpath(path, target))
		return 0;
	if (errno != ENOENT)
		return -1;
	cleanup_free char *at = xstrdup(path);
	for (int i = 0; i < LINKS_MAX; i++) {
		char text[PATH_MAX];
		ssize_t size = readlink(at, text, sizeof text - 1);
		if (size < 0) {
			if (strlen(at) >= PATH_MAX)
				return errno = ENAMETOOLONG, -1;
			snprintf(target, PATH_MAX, "%s", at);
			return 0;
		}
		text[size] = '\0';
		char *next = *text == '/' ? xstrdup(text) : xasprintf("%s/%s", dirname(at), text);
		free(at);
		at = next;
	}
	return errno = ELOOP, -1;
}

int file_write(const char *path, const char *bytes, size_t size, mode_t mode)
{
	char target[PATH_MAX], directory[PATH_MAX];
	struct new_file file;

	if (follow_links(path, target) < 0)
		return -1;
	snprintf(directory, sizeof directory, "%s", target);
	cleanup_fd int dir = open(dirname(directory), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || new_file_open(&file, dir, basename(target), mode) < 0)
		return -1;
	if (write_full(file.fd, bytes, size) < 0) {
		int saved = errno;
		new_file_drop(&file);
		errno = saved;
		return -1;
	}
	return new_file_commit(&file);
}

int file_make_parents(const char *path)
{
	cleanup_free char *prefix = xstrdup(path);

	for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(prefix, 0777) < 0 && errno != EEXIST && errno != EISDIR)
			return -1;
		*slash = '/';
	}
	return 0;
}

int file_make_directories(const char *path)
{
	if (file_make_parents(path) < 0)
		return -1;
	return mkdir(path, 0777) < 0 && errno != EEXIST ? -1 : 0;
}

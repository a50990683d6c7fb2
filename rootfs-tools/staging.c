// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/staging.c: see staging.h.
 *
 * The lock is flock(2) on the partial directory itself. Between making and locking it, a second maker may take it for a
 * leftover and remove it; so the first one looks, once it holds the lock, whether the name still means its directory.
 */
#include "rootfs-tools/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"

static const char infix[] = ".partial-";
enum { RANDOM_PART = 6 }; /* the XXXXXX of mkdtemp() */

/* ---- the target ----------------------------------------------------------------------------------------------- */

int staging_check(const char *target, struct azm_err *err)
{
	struct stat st;

	if (!*target)
		return err_msg(err, EINVAL, "make image", NULL, "the name of the directory is empty");
	if (lstat(target, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "make image", target);
	if (!S_ISDIR(st.st_mode))
		return err_msg(err, EEXIST, "make image", target, "it exists and is not a directory");
	if (dir_is_empty(AT_FDCWD, target))
		return 0;
	err_msg(err, EEXIST, "make image", target, "the directory exists and is not empty");
	return err_hint(err, "name another directory, or remove this one first: rm -rf %s", target);
}

/* Splits @target into its canonical parent (returned, owned by the caller) and a last component. */
static char *split_target(const char *target, char name[static NAME_MAX + 1], struct azm_err *err)
{
	struct stat st;
	cleanup_free char *whole = lstat(target, &st) == 0 ? realpath(target, NULL) : xstrdup(target);

	if (!whole) {
		err_sys(err, "make image", target);
		return NULL;
	}
	for (size_t len = strlen(whole); len > 1 && whole[len - 1] == '/';)
		whole[--len] = '\0';
	char *slash = strrchr(whole, '/');
	const char *last = slash ? slash + 1 : whole;
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		err_msg(err, EINVAL, "make image", target, "it does not name a directory that can be made");
		return NULL;
	}
	if (strlen(last) + sizeof infix - 1 + RANDOM_PART > NAME_MAX) {
		err_code(err, ENAMETOOLONG, "make image", target);
		return NULL;
	}
	memcpy(name, last, strlen(last) + 1);
	if (slash)
		slash[slash == whole ? 1 : 0] = '\0';
	char *parent = realpath(slash ? whole : ".", NULL);
	if (!parent) {
		err_sys(err, "make image in", slash ? whole : ".");
		if (err_is(err, ENOENT))
			err_hint(err, "make the directory first: mkdir -p %s", whole);
	}
	return parent;
}

/* ---- leftovers of killed runs --------------------------------------------------------------------------------- */

static bool is_partial_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return strncmp(entry, name, length) == 0 && str_starts(entry + length, infix) &&
	       strlen(entry) == length + sizeof infix - 1 + RANDOM_PART;
}

static void reclaim_one(int parentfd, const char *entry)
{
	struct stat st;
	struct azm_err ignored = { 0 };
	cleanup_fd int fd = openat(parentfd, entry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	/* What stays is tried again by the next run: it must not stop this one. */
	(void)tree_remove_at(parentfd, entry, &ignored);
}

static void reclaim_leftovers(int parentfd, const char *name)
{
	cleanup_str_list struct str_list names = { 0 };

	(void)dir_names(parentfd, &names);
	for (size_t i = 0; i < names.count; i++)
		if (is_partial_of(names.items[i], name))
			reclaim_one(parentfd, names.items[i]);
}

/* ---- begin, commit, discard ----------------------------------------------------------------------------------- */

/* Makes and locks a partial directory. Return: 1 made, 0 somebody removed it meanwhile: try again, -1 errno. */
static int make_locked(struct staging *staging, char *template)
{
	struct stat mine, named;

	if (!mkdtemp(template))
		return -1;
	memcpy(staging->partial, strrchr(template, '/') + 1, strlen(strrchr(template, '/')));
	staging->fd = openat(staging->parentfd, staging->partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (staging->fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (flock(staging->fd, LOCK_EX) < 0 || fstat(staging->fd, &mine) < 0)
		return -1;
	if (fstatat(staging->parentfd, staging->partial, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
		named.st_ino != mine.st_ino || named.st_dev != mine.st_dev) {
		close(steal_fd(&staging->fd));
		return 0;
	}
	/* The image is for everybody the user lets in, as any directory of theirs: mkdtemp() made it 0700. */
	return fchmod(staging->fd, 0755) < 0 ? -1 : 1;
}

int staging_begin(const char *target, struct staging *staging, struct azm_err *err)
{
	struct staging made = STAGING_NONE;

	*staging = made;
	if (staging_check(target, err) < 0)
		return -1;
	cleanup_free char *parent = split_target(target, made.name, err);
	if (!parent)
		return -1;
	cleanup_fd int parentfd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parentfd < 0)
		return err_sys(err, "open", parent);
	made.parentfd = parentfd;
	reclaim_leftovers(parentfd, made.name);
	for (int result = 0; result == 0;) {
		cleanup_free char *path =
			xasprintf("%s/%s%sXXXXXX", strcmp(parent, "/") == 0 ? "" : parent, made.name, infix);
		result = make_locked(&made, path);
		if (result < 0) {
			err_sys(err, "make a directory in", parent);
			return err_hint(err,
				"the image is built beside its final place: name one in a directory you may write");
		}
		free(made.path);
		made.path = steal_ptr(&path);
	}
	made.parentfd = steal_fd(&parentfd);
	*staging = made;
	return 0;
}

static void forget(struct staging *staging)
{
	struct staging none = STAGING_NONE;

	cleanup_close_fd(&staging->fd);
	cleanup_close_fd(&staging->parentfd);
	free(staging->path);
	*staging = none;
}

static int commit_failed(const struct staging *staging, struct azm_err *err)
{
	err_sys(err, "put the finished image at", staging->name);
	return err_is(err, ENOTEMPTY) || err_is(err, EEXIST) ? err_hint(err, "somebody made it meanwhile") : -1;
}

int staging_commit(struct staging *staging, struct azm_err *err)
{
	/* rename(2) replaces an empty directory and nothing else. */
	if (renameat(staging->parentfd, staging->partial, staging->parentfd, staging->name) < 0)
		return commit_failed(staging, err);
	forget(staging);
	return 0;
}

int staging_commit_file(struct staging *staging, const char *file, struct azm_err *err)
{
	/* A link is never made over something; where there are none (vfat), renaming has to look first. */
	if (linkat(staging->fd, file, staging->parentfd, staging->name, 0) < 0 &&
		(errno == EEXIST || faccessat(staging->parentfd, staging->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
			renameat(staging->fd, file, staging->parentfd, staging->name) < 0))
		return commit_failed(staging, err);
	staging_discard(staging);
	return 0;
}

void staging_discard(struct staging *staging)
{
	struct azm_err ignored = { 0 };

	if (staging->parentfd < 0)
		return;
	(void)tree_remove_at(staging->parentfd, staging->partial, &ignored);
	forget(staging);
}

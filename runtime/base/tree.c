// SPDX-License-Identifier: GPL-2.0-or-later
/* base/tree.c: see tree.h.
 *
 * Theory of operation
 *
 * A plain recursion, one descriptor a level, that stops at MAX_DEPTH: what lies deeper is renamed to the top of the
 * tree and met again by the next pass over the top. So a chain of a million directories costs passes, not stack.
 */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

enum { MAX_DEPTH = 32 };

struct removal {
	int topfd;	   /* the directory that is being removed */
	dev_t device;	   /* stay on it */
	uint64_t moves;	   /* attempts to rename something to the top: makes the names */
	uint64_t progress; /* things that went away or moved up */
	int failures;	   /* things that stayed in this pass */
	struct azm_err *err;
};

static void keep_first_error(struct removal *r, const char *name)
{
	if (r->failures++ == 0)
		err_sys(r->err, "remove", name);
}

/* Opens a directory for reading, giving ourselves the permission first when it lacks it. */
static int open_directory(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char magic[64];

	if (fd >= 0) {
		struct stat st;
		if (fstat(fd, &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU)
			(void)fchmod(fd, S_IRWXU);
		return fd;
	}
	if (errno != EACCES)
		return -1;
	cleanup_fd int path = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0)
		return -1;
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", path);
	if (chmod(magic, S_IRWXU) < 0)
		return -1;
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int move_to_top(struct removal *r, int parent, const char *name)
{
	char target[64];

	snprintf(target, sizeof target, ".azm-removing-%llu", (unsigned long long)r->moves++);
	return renameat(parent, name, r->topfd, target);
}

/* Counts what happened to one name: @result is that of the unlink or rename. */
static void account(struct removal *r, int result, const char *name)
{
	if (result == 0 || errno == ENOENT)
		r->progress++;
	else
		keep_first_error(r, name);
}

static void remove_contents(struct removal *r, int fd, unsigned depth);

static void remove_directory(struct removal *r, int parent, const char *name, unsigned depth)
{
	struct stat st;

	if (unlinkat(parent, name, AT_REMOVEDIR) == 0) {
		r->progress++;
		return;
	}
	if (depth >= MAX_DEPTH) {
		account(r, move_to_top(r, parent, name), name);
		return;
	}
	int fd = open_directory(parent, name);
	if (fd < 0 || fstat(fd, &st) < 0) {
		keep_first_error(r, name);
		if (fd >= 0)
			close(fd);
		return;
	}
	if (st.st_dev != r->device) {
		errno = EXDEV;
		keep_first_error(r, name);
		close(fd);
		return;
	}
	int before = r->failures;
	remove_contents(r, fd, depth + 1);
	int result = unlinkat(parent, name, AT_REMOVEDIR);
	if (result == 0 || r->failures == before)
		account(r, result, name);
}

/* Empties the directory @fd and closes it. */
static void remove_contents(struct removal *r, int fd, unsigned depth)
{
	cleanup_dir DIR *dir = fdopendir(fd);

	if (!dir) {
		keep_first_error(r, "directory");
		close(fd);
		return;
	}
	const struct dirent *entry;
	while ((entry = dir_next(dir))) {
		const char *name = entry->d_name;
		if (entry->d_type != DT_DIR) {
			int result = unlinkat(fd, name, 0);
			if (result == 0 || (errno != EISDIR && errno != EPERM)) {
				account(r, result, name);
				continue;
			}
		}
		remove_directory(r, fd, name, depth);
	}
	if (errno && errno != ENOENT) /* somebody else removes it, too */
		keep_first_error(r, "directory");
}

int tree_remove_at(int dirfd, const char *name, struct azm_err *err)
{
	struct stat st;
	struct removal r = { .err = err };

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(err, "remove", name);
	cleanup_fd int top = open_directory(dirfd, name);
	if (top < 0 || fstat(top, &st) < 0)
		return err_sys(err, "remove", name);
	r.topfd = top;
	r.device = st.st_dev;
	while (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		uint64_t before = r.progress;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return err_sys(err, "remove", name);
		r.failures = 0;
		int fd = open_directory(dirfd, name);
		if (fd < 0)
			return err_sys(err, "remove", name);
		remove_contents(&r, fd, 0);
		if (r.failures > 0 && r.progress == before)
			return err_wrap(err, "remove", name);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/populate.c: see populate.h */
#include "mount/populate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

enum { DEPTH_MOST = 256 };

static int populate_level(int from, int to, int depth, struct azm_err *err);

static int copy_bytes(int from, int to)
{
	char buffer[16384];
	ssize_t n;

	while ((n = read(from, buffer, sizeof buffer)) > 0)
		if (write_full(to, buffer, (size_t)n) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* An owner that is not mapped cannot be given to anything. */
static int finish(int fd, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(fd, st->st_uid, st->st_gid) < 0 && errno != EINVAL && errno != EPERM)
		return -1;
	return fchmod(fd, st->st_mode & 01777) < 0 || futimens(fd, times) < 0 ? -1 : 0;
}

static int copy_file(int from, int to, const char *name)
{
	struct stat st;
	cleanup_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_fd int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (out < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	return copy_bytes(in, out) < 0 ? -1 : finish(out, &st);
}

static int copy_link(int from, int to, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(from, name, target, sizeof target - 1);

	if (length < 0)
		return -1;
	target[length] = '\0';
	if (symlinkat(target, to, name) < 0)
		return -1;
	(void)!fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_directory(int from, int to, const char *name, int depth, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (in < 0 || fstat(in, &st) < 0 || (mkdirat(to, name, 0700) < 0 && errno != EEXIST))
		return err_sys(err, "fill the volume with", name);
	cleanup_fd int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return err_sys(err, "fill the volume with", name);
	if (populate_level(in, out, depth + 1, err) < 0)
		return -1;
	return finish(out, &st) < 0 ? err_sys(err, "fill the volume with", name) : 0;
}

static int copy_entry(int from, int to, const char *name, int depth, struct azm_err *err)
{
	struct stat st;
	int result = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "fill the volume with", name);
	if (S_ISDIR(st.st_mode))
		return copy_directory(from, to, name, depth, err);
	if (unlinkat(to, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "fill the volume with", name);
	if (S_ISREG(st.st_mode))
		result = copy_file(from, to, name);
	else if (S_ISLNK(st.st_mode))
		result = copy_link(from, to, name, &st);
	else if (S_ISFIFO(st.st_mode))
		result = mkfifoat(to, name, st.st_mode & 0777);
	return result < 0 ? err_sys(err, "fill the volume with", name) : 0;
}

static int populate_level(int from, int to, int depth, struct azm_err *err)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return err_sys(err, "fill the volume", NULL);
	if (depth > DEPTH_MOST)
		return err_msg(err, ELOOP, "fill the volume", NULL, "the image's directories lie more than %d deep",
			DEPTH_MOST);
	const struct dirent *entry;
	while ((entry = dir_next(dir)))
		if (copy_entry(copy, to, entry->d_name, depth, err) < 0)
			return -1;
	return errno ? err_sys(err, "fill the volume", NULL) : 0;
}

int populate(int from, int to, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int root = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (root < 0 || fstatat(from, "", &st, AT_EMPTY_PATH) < 0)
		return err_sys(err, "fill the volume", NULL);
	if (populate_level(from, root, 0, err) < 0)
		return -1;
	return finish(root, &st) < 0 ? err_sys(err, "fill the volume", NULL) : 0;
}

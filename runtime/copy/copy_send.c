// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/copy_send.c: see copy.h */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "copy/copy.h"
#include "copy/tar.h"

enum { DEPTH_MOST = 512, CHUNK = 65536 };

struct sender {
	int out;
	struct copy_count *count;
	struct tar_entry entry; /* its path grows and shrinks with the depth */
	char *chunk;
};

static int write_failed(struct azm_err *err)
{
	return err_sys(err, "write the tar stream", NULL);
}

static int send_header(struct sender *sender, const struct stat *st, enum tar_type type, struct azm_err *err)
{
	struct tar_entry *entry = &sender->entry;

	entry->type = type;
	entry->size = type == TAR_FILE ? (uint64_t)st->st_size : 0;
	entry->mode = st->st_mode & 01777;
	entry->uid = st->st_uid;
	entry->gid = st->st_gid;
	entry->mtime = st->st_mtim.tv_sec;
	if (type != TAR_LINK)
		entry->target[0] = '\0';
	sender->count->entries++;
	return tar_header(sender->out, entry) < 0 ? write_failed(err) : 0;
}

/* Exactly as many bytes as the header says: a file may grow or shrink under our hands. */
static int send_bytes(struct sender *sender, int fd, uint64_t size, struct azm_err *err)
{
	for (uint64_t left = size; left > 0;) {
		size_t want = left < CHUNK ? (size_t)left : CHUNK;
		ssize_t n = read_full(fd, sender->chunk, want);
		if (n < 0)
			return err_sys(err, "read", sender->entry.path);
		memset(sender->chunk + n, 0, want - (size_t)n);
		if (write_full(sender->out, sender->chunk, want) < 0)
			return write_failed(err);
		left -= want;
	}
	sender->count->bytes += size;
	return tar_pad(sender->out, size) < 0 ? write_failed(err) : 0;
}

static int send_file(struct sender *sender, int dir, const char *name, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : err_sys(err, "read", sender->entry.path);
	if (!S_ISREG(st.st_mode)) { /* it has been something else a moment ago */
		sender->count->skipped++;
		return 0;
	}
	return send_header(sender, &st, TAR_FILE, err) < 0 ? -1 : send_bytes(sender, fd, (uint64_t)st.st_size, err);
}

static int send_link(struct sender *sender, int dir, const char *name, const struct stat *st, struct azm_err *err)
{
	ssize_t length = readlinkat(dir, name, sender->entry.target, sizeof sender->entry.target - 1);

	if (length < 0)
		return errno == ENOENT || errno == EINVAL ? 0 : err_sys(err, "read link", sender->entry.path);
	sender->entry.target[length] = '\0';
	return send_header(sender, st, TAR_LINK, err);
}

/* The kernel's own trees have no files to be copied, and no end. */
static bool is_kernels(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC ||
						fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == DEVPTS_SUPER_MAGIC);
}

static int send_entry(struct sender *sender, int dir, const char *name, int depth, struct azm_err *err);

static int send_directory(struct sender *sender, int fd, int depth, struct azm_err *err)
{
	struct stat st;
	char *path = sender->entry.path;
	size_t length = strlen(path);
	cleanup_dir DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return err_sys(err, "read directory", path);
	}
	if (fstat(fd, &st) < 0 || send_header(sender, &st, TAR_DIRECTORY, err) < 0)
		return err->code ? -1 : err_sys(err, "read directory", path);
	if (is_kernels(fd))
		return 0;
	if (depth >= DEPTH_MOST)
		return err_msg(err, ELOOP, "copy", path, "directories lie more than %d deep", DEPTH_MOST);
	for (;;) {
		const struct dirent *entry = dir_next(dir);
		if (!entry)
			return errno ? err_sys(err, "read directory", path) : 0;
		if (length + strlen(entry->d_name) + 2 > TAR_PATH_MOST)
			return err_code(err, ENAMETOOLONG, "copy below", path);
		snprintf(path + length, TAR_PATH_MOST - length, "/%s", entry->d_name);
		int result = send_entry(sender, fd, entry->d_name, depth + 1, err);
		path[length] = '\0';
		if (result < 0)
			return -1;
	}
}

static int send_entry(struct sender *sender, int dir, const char *name, int depth, struct azm_err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* gone since it was listed */
		return depth > 0 && errno == ENOENT ? 0 : err_sys(err, "copy", sender->entry.path);
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return send_file(sender, dir, name, err);
	case S_IFLNK:
		return send_link(sender, dir, name, &st, err);
	case S_IFIFO:
		return send_header(sender, &st, TAR_FIFO, err);
	case S_IFDIR: {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return depth > 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
				       ? 0
				       : err_sys(err, "read directory", sender->entry.path);
		return send_directory(sender, fd, depth, err);
	}
	default:
		sender->count->skipped++;
		return depth > 0
			       ? 0
			       : err_msg(err, EINVAL, "copy", sender->entry.path, "devices and sockets are not copied");
	}
}

/* SRC as a directory to look in and a name: the name is "." where SRC says that it is a directory. */
static int open_source(const struct copy_base *base, const char *path, bool follow, char **name, struct azm_err *err)
{
	enum copy_how how = base->beneath ? COPY_BENEATH : COPY_FREE;
	size_t length = strlen(path);
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	int fd;

	if (length == 0)
		return err_code(err, ENOENT, "copy", path);
	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
		*name = xstrdup(".");
		fd = copy_open(base->dir, path, O_PATH | O_DIRECTORY, how);
		return fd < 0 ? err_sys(err, "copy", path) : fd;
	}
	cleanup_free char *parent =
		slash ? xasprintf("%.*s", (int)(slash == path ? 1 : slash - path), path) : xstrdup(".");
	fd = copy_open(base->dir, parent, O_PATH | O_DIRECTORY, how);
	if (fd < 0)
		return err_sys(err, "copy", path);
	*name = xstrdup(last);
	if (!follow)
		return fd;
	/* Through the link, wherever it leads: the whole path is what the user named. */
	char link[64];
	cleanup_fd int parent_fd = fd;
	cleanup_fd int object = copy_open(base->dir, path, O_PATH, how);
	if (object < 0)
		return err_sys(err, "copy", path);
	snprintf(link, sizeof link, "/proc/self/fd/%d", object);
	char real[TAR_PATH_MOST];
	ssize_t got = readlink(link, real, sizeof real - 1);
	if (base->beneath || got <= 0) /* the link itself, not what it names */
		return steal_fd(&parent_fd);
	real[got] = '\0';
	free(*name);
	*name = NULL;
	struct copy_base anywhere = { .dir = base->dir };
	return open_source(&anywhere, real, false, name, err);
}

/* What the copy is called when nobody gives it a name: "." for SRC/., the directory's own for "dir/". */
static void own_name(const char *path, char *out, size_t size)
{
	cleanup_free char *copy = xstrdup(path);
	size_t length = strlen(copy);

	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = '\0';
	const char *slash = strrchr(copy, '/');
	const char *last = slash ? slash + 1 : copy;
	snprintf(out, size, "%s", *last && strcmp(last, "..") != 0 ? last : ".");
}

int copy_send(const struct copy_base *base, const char *path, const char *top, bool follow, int out,
	struct copy_count *count, struct azm_err *err)
{
	cleanup_free char *name = NULL;
	cleanup_free char *chunk = xcalloc(CHUNK, 1);
	cleanup_free struct sender *sender = xcalloc(1, sizeof *sender);
	cleanup_fd int dir = open_source(base, path, follow, &name, err);

	if (dir < 0 || !name)
		return -1;
	*sender = (struct sender){ .out = out, .count = count, .chunk = chunk };
	if (top)
		snprintf(sender->entry.path, sizeof sender->entry.path, "%s", top);
	else
		own_name(path, sender->entry.path, sizeof sender->entry.path);
	if (send_entry(sender, dir, name, 0, err) < 0)
		return -1;
	return tar_end(out) < 0 ? write_failed(err) : 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/copy_receive.c: see copy.h
 *
 * The root is opened once; from then on every name of the stream is taken apart (no "..", no empty part), its directory
 * opened below the root without following anything, and the last part made with a call that follows nothing either.
 * Directories are writable for us until everything in them is there: what they are to be in the end waits on a stack of
 * those that are open, which is never longer than a path has parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "copy/copy.h"
#include "copy/tar.h"

enum { CHUNK = 65536 };

struct waiting {
	char *path;
	uint32_t mode;
	uint64_t uid, gid;
	int64_t mtime;
};

struct receiver {
	struct tar_reader reader;
	const struct copy_target *target;
	struct copy_count *count;
	int root;
	char *map;  /* the new name of the first part; NULL: as it is */
	bool strip; /* without the first part */
	struct waiting *stack;
	size_t depth;
	char *parent_path; /* the directory of the entry before, most often ours, too */
	int parent;
	struct tar_entry entry;
	char *chunk;
};

/* ---- names ----------------------------------------------------------------------------------------------------- */

/* A name of the stream as a path below the root; "" is the root itself. Allocated; NULL with @err set */
static char *map_path(const struct receiver *r, const char *name, struct azm_err *err)
{
	cleanup_str_list struct str_list parts = { 0 };
	cleanup_free char *path = xstrdup("");
	bool first = true;

	str_list_split(&parts, name, '/');
	for (size_t i = 0; i < parts.count; i++) {
		const char *part = parts.items[i];
		if (!*part || (strcmp(part, ".") == 0 && (r->target->plain || !first)))
			continue;
		if (strcmp(part, "..") == 0) {
			err_msg(err, EXDEV, "copy", name, "its name leads out of the destination");
			return NULL;
		}
		if (first && !r->target->plain) {
			first = false;
			if (r->strip)
				continue;
			part = r->map;
		}
		char *longer = xasprintf("%s%s%s", path, *path ? "/" : "", part);
		free(path);
		path = longer;
	}
	if (strlen(path) >= TAR_PATH_MOST) {
		err_code(err, ENAMETOOLONG, "copy", name);
		return NULL;
	}
	return steal_ptr(&path);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* An archive may have a file without its directory. */
static int make_parents(const struct receiver *r, char *path)
{
	int fd = -1;

	for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		cleanup_free char *above = xstrdup(path);
		char *cut = strrchr(above, '/');
		if (cut)
			*cut = '\0';
		cleanup_fd int dir = copy_open(r->root, cut ? above : ".", O_PATH | O_DIRECTORY, COPY_STRICT);
		if (dir < 0 || (mkdirat(dir, last_part(path), 0755) < 0 && errno != EEXIST))
			return -1;
		if (!slash)
			break;
		*slash = '/';
	}
	fd = copy_open(r->root, path, O_PATH | O_DIRECTORY, COPY_STRICT);
	return fd;
}

/* The directory that @path lies in, borrowed. Return: descriptor, -1 with errno */
static int parent_of(struct receiver *r, const char *path)
{
	cleanup_free char *directory = xstrdup(path);
	char *slash = strrchr(directory, '/');

	if (!slash)
		return r->root;
	*slash = '\0';
	if (r->parent >= 0 && strcmp(r->parent_path, directory) == 0)
		return r->parent;
	int fd = copy_open(r->root, directory, O_PATH | O_DIRECTORY, COPY_STRICT);
	if (fd < 0 && errno == ENOENT && r->target->plain)
		fd = make_parents(r, directory);
	if (fd < 0)
		return -1;
	if (r->parent >= 0)
		close(r->parent);
	free(r->parent_path);
	r->parent = fd;
	r->parent_path = steal_ptr(&directory);
	return fd;
}

/* ---- attributes ------------------------------------------------------------------------------------------------ */

/* Who is to own it: @uid and @gid are those of the stream. Return: whether anything is to be changed */
static bool owner(const struct copy_target *target, uint64_t uid, uint64_t gid, uid_t *new_uid, gid_t *new_gid)
{
	*new_uid = target->uid;
	*new_gid = target->gid;
	if (target->keep_owner && uid != target->from_uid) {
		*new_uid = (uid_t)uid;
		*new_gid = (gid_t)gid;
	}
	return target->set_owner || target->keep_owner;
}

static int finish(const struct receiver *r, int fd, const struct waiting *as, struct azm_err *err)
{
	uid_t uid;
	gid_t gid;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = as->mtime } };

	/* Before the mode: a change of the owner takes bits away. An id that is not mapped cannot own anything. */
	if (owner(r->target, as->uid, as->gid, &uid, &gid) && fchown(fd, uid, gid) < 0 && errno != EINVAL &&
		errno != EPERM)
		return err_sys(err, "set the owner of", as->path);
	if (fchmod(fd, as->mode & 01777) < 0)
		return err_sys(err, "set the mode of", as->path);
	return futimens(fd, times) < 0 && errno != EPERM ? err_sys(err, "set the time of", as->path) : 0;
}

static int pop(struct receiver *r, struct azm_err *err)
{
	struct waiting *top = &r->stack[--r->depth];
	cleanup_free char *path = top->path;
	cleanup_fd int fd = copy_open(r->root, path, O_RDONLY | O_DIRECTORY, COPY_STRICT);

	if (fd < 0) /* somebody took it away meanwhile */
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? 0 : err_sys(err, "finish", path);
	return finish(r, fd, top, err);
}

static bool lies_in(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* The directories that @path is not in are complete. NULL: all */
static int leave(struct receiver *r, const char *path, struct azm_err *err)
{
	while (r->depth > 0 && !(path && lies_in(path, r->stack[r->depth - 1].path)))
		if (pop(r, err) < 0)
			return -1;
	return 0;
}

/* ---- entries --------------------------------------------------------------------------------------------------- */

/* What is in the way of something that is no directory. Return: 0, 1 when it cannot be removed but written to
 * (a file that is a mount point), -1 with @err set */
static int clear(int dir, const char *name, const char *path, struct azm_err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "copy to", path);
	if (S_ISDIR(st.st_mode))
		return err_msg(err, EISDIR, "copy to", path, "a directory is not replaced by a file");
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EBUSY && S_ISREG(st.st_mode) ? 1 : err_sys(err, "replace", path);
}

static bool is_zero(const char *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static int write_bytes(struct receiver *r, int fd, const char *path, struct azm_err *err)
{
	ssize_t n;

	while ((n = tar_data(&r->reader, r->chunk, CHUNK, err)) > 0) {
		/* A hole where there is nothing: a file of the sandbox's may claim any size. */
		if (is_zero(r->chunk, (size_t)n) ? lseek(fd, n, SEEK_CUR) < 0 : write_full(fd, r->chunk, (size_t)n) < 0)
			return err_sys(err, "write", path);
		r->count->bytes += (uint64_t)n;
	}
	if (n < 0)
		return -1;
	return ftruncate(fd, (off_t)r->entry.size) < 0 ? err_sys(err, "write", path) : 0;
}

static int make_file(struct receiver *r, int dir, const char *path, struct azm_err *err)
{
	const char *name = last_part(path);
	const struct waiting as = { .path = (char *)(uintptr_t)path,
		.mode = r->entry.mode & 0777,
		.uid = r->entry.uid,
		.gid = r->entry.gid,
		.mtime = r->entry.mtime };
	int occupied = clear(dir, name, path, err);

	if (occupied < 0)
		return -1;
	cleanup_fd int fd = openat(dir, name,
		O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | (occupied ? O_TRUNC | O_NONBLOCK : O_CREAT | O_EXCL),
		0600);
	if (fd < 0)
		return err_sys(err, "write", path);
	return write_bytes(r, fd, path, err) < 0 ? -1 : finish(r, fd, &as, err);
}

static int make_directory(struct receiver *r, int dir, const char *path, struct azm_err *err)
{
	struct stat st;
	const char *name = last_part(path);

	if (mkdirat(dir, name, 0700) < 0) {
		if (errno != EEXIST)
			return err_sys(err, "make directory", path);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			return err_msg(err, ENOTDIR, "copy to", path, "a file or link is not replaced by a directory");
	}
	r->stack = xrealloc(r->stack, r->depth + 1, sizeof *r->stack);
	r->stack[r->depth++] = (struct waiting){ .path = xstrdup(path),
		.mode = r->entry.mode,
		.uid = r->entry.uid,
		.gid = r->entry.gid,
		.mtime = r->entry.mtime };
	return 0;
}

static int link_attributes(const struct receiver *r, int dir, const char *name)
{
	uid_t uid;
	gid_t gid;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = r->entry.mtime } };

	if (owner(r->target, r->entry.uid, r->entry.gid, &uid, &gid))
		(void)!fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
	utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_node(struct receiver *r, int dir, const char *path, struct azm_err *err)
{
	const char *name = last_part(path);
	int occupied = clear(dir, name, path, err);

	if (occupied != 0)
		return occupied < 0 ? -1 : err_code(err, EBUSY, "replace", path);
	int made = r->entry.type == TAR_LINK ? symlinkat(r->entry.target, dir, name)
					     : mkfifoat(dir, name, r->entry.mode & 0777);
	return made < 0 ? err_sys(err, "make", path) : link_attributes(r, dir, name);
}

/* Both names are the stream's, and both lie below the root. */
static int make_hard_link(struct receiver *r, int dir, const char *path, struct azm_err *err)
{
	const char *name = last_part(path);
	cleanup_free char *from = map_path(r, r->entry.target, err);

	if (!from)
		return -1;
	if (strcmp(from, path) == 0)
		return 0;
	cleanup_free char *above = xstrdup(from);
	char *slash = strrchr(above, '/');
	if (slash)
		*slash = '\0';
	cleanup_fd int source = copy_open(r->root, slash ? above : ".", O_PATH | O_DIRECTORY, COPY_STRICT);
	if (source < 0)
		return err_sys(err, "link to", from);
	int occupied = clear(dir, name, path, err);
	if (occupied != 0)
		return occupied < 0 ? -1 : err_code(err, EBUSY, "replace", path);
	return linkat(source, last_part(from), dir, name, 0) < 0 ? err_sys(err, "link to", from) : 0;
}

static int take_entry(struct receiver *r, struct azm_err *err)
{
	cleanup_free char *path = map_path(r, r->entry.path, err);

	if (!path || leave(r, path, err) < 0)
		return -1;
	if (r->entry.type == TAR_OTHER) {
		r->count->skipped++;
		return 0;
	}
	r->count->entries++;
	if (!*path) /* DST itself, which stays what it is */
		return 0;
	int dir = parent_of(r, path);
	if (dir < 0)
		return err_sys(err, "open the directory of", path);
	switch (r->entry.type) {
	case TAR_FILE:
		return make_file(r, dir, path, err);
	case TAR_DIRECTORY:
		return make_directory(r, dir, path, err);
	case TAR_HARD_LINK:
		return make_hard_link(r, dir, path, err);
	default:
		return make_node(r, dir, path, err);
	}
}

/* ---- the destination ------------------------------------------------------------------------------------------- */

static bool ends_with_slash(const char *path)
{
	size_t length = strlen(path);

	return length > 0 && path[length - 1] == '/';
}

/* DST without slashes behind it, taken apart. */
static char *above(const char *path, char **name)
{
	cleanup_free char *copy = xstrdup(path);
	size_t length = strlen(copy);

	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = '\0';
	char *slash = strrchr(copy, '/');
	*name = xstrdup(slash ? slash + 1 : copy);
	if (!slash)
		return xstrdup(".");
	slash[slash == copy] = '\0';
	return steal_ptr(&copy);
}

static int open_above(const struct copy_base *base, struct receiver *r, const char *path, struct azm_err *err)
{
	cleanup_free char *directory = above(path, &r->map);

	if (!*r->map || strcmp(r->map, ".") == 0 || strcmp(r->map, "..") == 0)
		return err_code(err, ENOENT, "copy to", r->target->path);
	r->root = copy_open(base->dir, directory, O_PATH | O_DIRECTORY, base->beneath ? COPY_BENEATH : COPY_FREE);
	return r->root < 0 ? err_sys(err, "copy to", r->target->path) : 0;
}

/* A file that is there: of a link, the file it leads to, except where a sandbox could have made the link. */
static int open_file(const struct copy_base *base, struct receiver *r, struct azm_err *err)
{
	char *real = base->beneath ? NULL : realpath(r->target->path, NULL);
	cleanup_free char *path = real ? real : xstrdup(r->target->path);

	return open_above(base, r, path, err);
}

static int open_destination(const struct copy_base *base, struct receiver *r, bool directory, struct azm_err *err)
{
	const struct copy_target *target = r->target;
	struct stat st;
	cleanup_fd int there = copy_open(base->dir, target->path, O_PATH, base->beneath ? COPY_BENEATH : COPY_FREE);

	/* A link that leads out of where the sandbox can write is no way; it can be replaced itself. */
	if (there < 0 && errno == EXDEV && base->beneath)
		there = copy_open(base->dir, target->path, O_PATH | O_NOFOLLOW, COPY_BENEATH);
	if (there < 0 && errno != ENOENT)
		return err_sys(err, "copy to", target->path);
	if (there >= 0 && fstat(there, &st) < 0)
		return err_sys(err, "copy to", target->path);
	if (there >= 0 && S_ISDIR(st.st_mode)) {
		r->root = steal_fd(&there);
		r->strip = target->contents && directory;
		r->map = xstrdup(target->name);
		return 0;
	}
	if (target->plain)
		return err_msg(err, there < 0 ? ENOENT : ENOTDIR, "copy to", target->path,
			"it must be a directory that exists");
	if (there >= 0 && directory)
		return err_msg(err, ENOTDIR, "copy to", target->path, "a directory cannot be copied over a file");
	if (there < 0 && !directory && ends_with_slash(target->path))
		return err_msg(err, ENOENT, "copy to", target->path, "there is no such directory");
	return there >= 0 ? open_file(base, r, err) : open_above(base, r, target->path, err);
}

static int receive_all(const struct copy_base *base, struct receiver *r, struct azm_err *err)
{
	char rest[4096];
	int more = tar_next(&r->reader, &r->entry, err);

	if (more < 0)
		return -1;
	if (open_destination(base, r, more && r->entry.type == TAR_DIRECTORY, err) < 0)
		return -1;
	for (; more > 0; more = tar_next(&r->reader, &r->entry, err))
		if (take_entry(r, err) < 0)
			return -1;
	if (more < 0 || leave(r, NULL, err) < 0)
		return -1;
	/* Archives are padded; whoever writes one must not find a broken pipe. */
	while (read(r->reader.fd, rest, sizeof rest) > 0)
		continue;
	return 0;
}

int copy_receive(const struct copy_base *base, int in, const struct copy_target *target, struct copy_count *count,
	struct azm_err *err)
{
	cleanup_free char *chunk = xcalloc(CHUNK, 1);
	cleanup_free struct receiver *r = xcalloc(1, sizeof *r);

	*r = (struct receiver){
		.reader = { .fd = in }, .target = target, .count = count, .root = -1, .parent = -1, .chunk = chunk
	};
	int result = receive_all(base, r, err);
	while (r->depth > 0)
		free(r->stack[--r->depth].path);
	free(r->stack);
	free(r->map);
	free(r->parent_path);
	cleanup_close_fd(&r->parent);
	cleanup_close_fd(&r->root);
	return result;
}

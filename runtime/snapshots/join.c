// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/join.c: see join.h.
 *
 * Theory of operation
 *
 * A recursion over merged directories (merged.h). Nothing of the sources is followed: every name is one component below
 * a descriptor, files are opened with O_NOFOLLOW and are what fstatat() said, FIFOs and sockets are made anew. The tree
 * was written by a sandbox, but nobody writes to it now: it is frozen, or its processes are.
 *
 * The attributes of a directory come last: its contents change its times, and a mode without permissions would keep us
 * out.
 */
#include "snapshots/join.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "snapshots/merged.h"
#include "snapshots/ready.h"

enum { XATTR_MAX = 65536, COPY_CHUNK = 1 << 20 };

/* A file with several names that was copied already. */
struct twin {
	dev_t dev;
	ino_t ino;
	char *path; /* below the target */
};

struct joining {
	enum join_how how;
	struct ready *ready;
	int top;     /* the target */
	void *twins; /* tsearch() */
	char *path;  /* of the directory at hand below the target, with a '/' behind it unless empty */
	unsigned depth;
};

static int cannot(const struct joining *j, const char *what, const char *name, struct azm_err *err)
{
	int code = errno;
	cleanup_free char *path = xasprintf("/%s%s", j->path, name);

	str_sanitise(path);
	return err_code(err, code, what, path);
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

/* Overlay's notes about the mount a layer was the upper one of, and its opaque mark, which is decided anew. */
static bool is_dropped(const char *name)
{
	static const char *const dropped[] = { "user.overlay.origin", "user.overlay.impure", "user.overlay.nlink",
		"user.overlay.uuid", "user.overlay.opaque" };

	for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
		if (strcmp(name, dropped[i]) == 0)
			return true;
	return false;
}

/* Labels of the host's policy are the host's to give; everything else is content. */
static bool is_content(const char *name)
{
	return (str_starts(name, "user.") && !is_dropped(name)) || strcmp(name, "security.capability") == 0 ||
	       str_starts(name, "system.posix_acl_");
}

static int copy_xattrs(int from, int to)
{
	cleanup_free char *names = xcalloc(XATTR_MAX, 1);
	cleanup_free char *value = NULL;
	ssize_t size = flistxattr(from, names, XATTR_MAX);

	if (size < 0)
		return errno == ENOTSUP ? 0 : -1;
	for (const char *name = names; name < names + size; name += strlen(name) + 1) {
		if (!is_content(name))
			continue;
		if (!value)
			value = xcalloc(XATTR_MAX, 1);
		ssize_t length = fgetxattr(from, name, value, XATTR_MAX);
		if (length < 0 && errno == ENODATA)
			continue;
		if (length < 0 || fsetxattr(to, name, value, (size_t)length, 0) < 0)
			return -1;
	}
	return 0;
}

/* Owner first: a change of it clears set-id bits and file capabilities. */
static int copy_attributes(int from, int to, const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	struct stat own;

	if (fstat(to, &own) < 0)
		return -1;
	if ((own.st_uid != st->st_uid || own.st_gid != st->st_gid) && fchown(to, st->st_uid, st->st_gid) < 0)
		return -1;
	return copy_xattrs(from, to) < 0 || fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0 ? -1 : 0;
}

int layer_like(int from, int to, struct azm_err *err)
{
	struct stat st;
	/* In case it is only a place (O_PATH). */
	cleanup_fd int readable = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return readable < 0 || fstat(readable, &st) < 0 || copy_attributes(readable, to, &st) < 0
		       ? err_sys(err, "copy the attributes of", "/")
		       : 0;
}

/* ---- regular files ----------------------------------------------------------------------------------------------- */

/* In the kernel where the two file systems allow it, else through a buffer. Return: 0, -1 with errno */
static int copy_range(int from, int to, off_t start, off_t end)
{
	cleanup_free char *buffer = NULL;
	off_t in = start, out = start;

	while (in < end) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - in), 0);
		if (n == 0)
			return 0; /* shorter than it was */
		if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
			return -1;
		if (n < 0)
			break;
	}
	if (in < end)
		buffer = xcalloc(COPY_CHUNK, 1);
	while (in < end) {
		ssize_t n = pread(from, buffer, end - in < COPY_CHUNK ? (size_t)(end - in) : COPY_CHUNK, in);
		if (n <= 0)
			return (int)n;
		for (ssize_t done = 0; done < n;) {
			ssize_t written = pwrite(to, buffer + done, (size_t)(n - done), in + done);
			if (written < 0)
				return -1;
			done += written;
		}
		in += n;
	}
	return 0;
}

static int copy_content(int from, int to, off_t size)
{
	off_t at = 0;

	if (size == 0 || ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) < 0)
		return -1;
	while (at < size) {
		off_t start = lseek(from, at, SEEK_DATA);
		if (start < 0 && errno == ENXIO)
			return 0; /* the rest is a hole */
		off_t end = start < 0 ? size : lseek(from, start, SEEK_HOLE);
		if (start < 0)
			start = at; /* a file system without holes */
		if (end < 0)
			end = size;
		if (copy_range(from, to, start, end) < 0)
			return -1;
		at = end;
	}
	return 0;
}

int layer_copy_file(int from, const struct stat *st, int to)
{
	return copy_content(from, to, st->st_size) < 0 || copy_attributes(from, to, st) < 0 ? -1 : 0;
}

static int copy_file(int in, const char *name, const struct stat *st, int target)
{
	struct stat seen;
	cleanup_fd int from = openat(in, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (from < 0 || fstat(from, &seen) < 0)
		return -1;
	if (seen.st_ino != st->st_ino || seen.st_dev != st->st_dev) {
		errno = ESTALE;
		return -1;
	}
	cleanup_fd int to = openat(target, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return to < 0 ? -1 : layer_copy_file(from, st, to);
}

/* ---- other objects ----------------------------------------------------------------------------------------------- */

static int copy_symlink(int in, const char *name, int target)
{
	char text[4096];
	ssize_t length = readlinkat(in, name, text, sizeof text - 1);

	if (length < 0)
		return -1;
	text[length] = '\0';
	return symlinkat(text, target, name);
}

static int copy_special(int in, const char *name, const struct stat *st, int target)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };
	bool is_link = S_ISLNK(st->st_mode);
	int made = is_link ? copy_symlink(in, name, target) : mknodat(target, name, st->st_mode & S_IFMT, st->st_rdev);
	struct stat own;

	if (made < 0 || fstatat(target, name, &own, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if ((own.st_uid != st->st_uid || own.st_gid != st->st_gid) &&
		fchownat(target, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!is_link && fchmodat(target, name, st->st_mode & 07777, 0) < 0)
		return -1;
	return utimensat(target, name, times, AT_SYMLINK_NOFOLLOW);
}

static int by_inode(const void *a, const void *b)
{
	const struct twin *left = a, *right = b;

	if (left->dev != right->dev)
		return left->dev < right->dev ? -1 : 1;
	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

static void free_twin(void *item)
{
	struct twin *twin = item;

	free(twin->path);
	free(twin);
}

/* The directory a path below the target lies in, by steps that the kernel takes. Return: descriptor, -1 with errno;
 * @path is what is left of it */
static int short_of(int top, const char **path)
{
	cleanup_fd int at = -1;

	while (strlen(*path) >= PATH_MAX) {
		char part[PATH_MAX];
		memcpy(part, *path, sizeof part - 1);
		part[sizeof part - 1] = '\0';
		char *slash = strrchr(part, '/'); /* no component is that long */
		if (!slash) {
			errno = ENAMETOOLONG;
			return -1;
		}
		*slash = '\0';
		int next = openat(at < 0 ? top : at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -1;
		if (at >= 0)
			close(at);
		at = next;
		*path += slash - part + 1;
	}
	return at >= 0 ? steal_fd(&at) : dup(top);
}

/* The first name of a file is remembered, the others are linked to it. Return: 1 when it was, 0 when it is to be made
 */
static int link_twin(struct joining *j, const char *name, const struct stat *st, int target)
{
	struct twin *twin = xcalloc(1, sizeof *twin);

	*twin = (struct twin){ st->st_dev, st->st_ino, xasprintf("%s%s", j->path, name) };
	struct twin **found = tsearch(twin, &j->twins, by_inode);
	if (!found) {
		free_twin(twin);
		errno = ENOMEM;
		return -1;
	}
	if (*found == twin)
		return 0;
	free_twin(twin);
	const char *first = (*found)->path;
	cleanup_fd int in = short_of(j->top, &first);
	return in < 0 || linkat(in, first, target, name, 0) < 0 ? -1 : 1;
}

static int place_object(
	struct joining *j, const struct merged_entry *entry, const char *name, int target, struct azm_err *err)
{
	int linked = 0;

	if (j->how == JOIN_LINK) {
		if (linkat(entry->in, name, target, name, 0) == 0)
			return 0;
		if (errno != EMLINK)
			return cannot(j, "link", name, err);
	} else if (entry->st.st_nlink > 1) {
		linked = link_twin(j, name, &entry->st, target);
	}
	if (linked != 0)
		return linked < 0 ? cannot(j, "copy", name, err) : 0;
	if (!S_ISREG(entry->st.st_mode))
		linked = copy_special(entry->in, name, &entry->st, target);
	else if (!j->ready || !ready_take(j->ready, &entry->st, target, name))
		linked = copy_file(entry->in, name, &entry->st, target);
	return linked < 0 ? cannot(j, "copy", name, err) : 0;
}

/* ---- directories ------------------------------------------------------------------------------------------------- */

static int join_directory(struct joining *j, const struct merged *from, int to, struct azm_err *err);

static int place_directory(
	struct joining *j, const struct merged_entry *entry, const char *name, int target, struct azm_err *err)
{
	char *outer = j->path;

	if (j->depth >= JOIN_DEPTH) {
		errno = ELOOP;
		return cannot(j, "copy directories deeper than 1000", name, err);
	}
	if (mkdirat(target, name, 0700) < 0)
		return cannot(j, "make", name, err);
	cleanup_fd int to = openat(target, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return cannot(j, "open", name, err);
	j->path = xasprintf("%s%s/", outer, name);
	j->depth++;
	int result = join_directory(j, &entry->merged, to, err);
	j->depth--;
	free(j->path);
	j->path = outer;
	if (result < 0)
		return -1;
	if ((entry->merged.cut && fsetxattr(to, "user.overlay.opaque", "y", 1, 0) < 0) ||
		copy_attributes(entry->merged.fds[0], to, &entry->st) < 0)
		return cannot(j, "set the attributes of", name, err);
	return 0;
}

static int place(struct joining *j, const struct merged_entry *entry, const char *name, int target, struct azm_err *err)
{
	switch (entry->kind) {
	case MERGED_WHITEOUT:
		return mknodat(target, name, S_IFCHR, 0) < 0 ? cannot(j, "white out", name, err) : 0;
	case MERGED_OBJECT:
		return place_object(j, entry, name, target, err);
	case MERGED_DIRECTORY:
		return place_directory(j, entry, name, target, err);
	case MERGED_NOTHING:
		break; /* it went away: nothing to be placed */
	}
	return 0;
}

static int join_directory(struct joining *j, const struct merged *from, int to, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (merged_names(from, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct merged_entry entry;
		if (merged_look(from, names.items[i], &entry, err) < 0)
			return -1;
		int result = place(j, &entry, names.items[i], to, err);
		merged_close(&entry.merged);
		if (result < 0)
			return -1;
	}
	return 0;
}

int layers_join(const int *roots, size_t count, int target, enum join_how how, struct ready *ready, struct azm_err *err)
{
	cleanup_merged struct merged merged = { 0 };
	char root[] = "";
	struct joining j = { .how = how, .ready = ready, .top = target, .path = root };

	raise_open_files(); /* two and more a level */
	if (merged_root(roots, count, &merged, err) < 0)
		return -1;
	int result = join_directory(&j, &merged, target, err);
	tdestroy(j.twins, free_twin);
	return result < 0 ? -1 : layer_like(merged.fds[0], target, err);
}

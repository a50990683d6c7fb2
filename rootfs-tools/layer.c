// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer.c: see layer.h.
 *
 * Theory of operation
 *
 * libarchive reads the tar (every dialect of it); this file decides what an entry does to the tree. A path is cleaned
 * as text first, as every tool does that reads layers: "a/../../b" is "b". Where that is in the tree, and what a
 * whiteout hides, is layer_tree.c's.
 *
 * libarchive converts the names of PAX headers from UTF-8 to the locale's encoding. This program stays in the C locale,
 * where that fails for all but ASCII and libarchive, with a warning, gives the bytes as they are, which is what we
 * want (in a UTF-8 locale it would compose accents, and so change names). Every other warning is an error here.
 *
 * On disk everything can be read and removed by its owner: directories keep u+rwx, files u+r, nothing is set-id;
 * devices are empty files. owners.h remembers the truth. Times of directories are set at the end, when nothing is put
 * into them any more; until then they wait in a temporary file.
 */
#include "rootfs-tools/layer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/content_book.h"
#include "rootfs-tools/layer_xattrs.h"
#include "rootfs-tools/scratch.h"

enum { CAPABILITY_MAX = 24 /* XATTR_CAPS_SZ_3 */ };

/* ---- what an entry becomes ------------------------------------------------------------------------------------- */

static struct timespec modified(const struct layer *l)
{
	if (!archive_entry_mtime_is_set(l->entry))
		return (struct timespec){ 0 };
	return (struct timespec){ .tv_sec = archive_entry_mtime(l->entry),
		.tv_nsec = archive_entry_mtime_nsec(l->entry) };
}

/* A file that its owner may not write cannot be given attributes either. */
static void set_xattr(int fd, mode_t mode, const char *name, const void *value, size_t size)
{
	if (fsetxattr(fd, name, value, size, 0) == 0 || errno != EACCES)
		return; /* not every file system has them */
	if (fchmod(fd, mode | S_IWUSR) == 0) {
		(void)fsetxattr(fd, name, value, size, 0);
		(void)fchmod(fd, mode);
	}
}

static void set_xattrs(const struct layer *l, int fd, mode_t mode, struct owner *owner)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(l->entry);
	while (archive_entry_xattr_next(l->entry, &name, &value, &size) == ARCHIVE_OK) {
		if (name && xattr_is_wanted(name))
			set_xattr(fd, mode, name, value, size);
		if (name && strcmp(name, CAPABILITY_XATTR) == 0 && size <= CAPABILITY_MAX) {
			owner->capability = value;
			owner->capability_size = size;
		}
	}
}

static int tick(void *context, struct azm_err *err)
{
	return stream_tick(((struct layer *)context)->stream, err);
}

/* Of a file that keeps nothing but its size. Return: as content_digest() */
static int note_content(struct layer *l, int fd)
{
	struct digest digest;
	struct stat st;
	int result = content_digest(l->archive, l->entry, &digest, tick, l, l->err);

	if (result != 0)
		return result;
	if (fstat(fd, &st) < 0 || ftruncate(fd, archive_entry_size(l->entry)) < 0)
		return err_sys(l->err, "make file", archive_entry_pathname(l->entry));
	content_book_put(l->target->contents, st.st_ino, &digest);
	return 0;
}

static int write_data(struct layer *l, int fd)
{
	const void *data;
	size_t size;
	la_int64_t offset, end = 0;
	int result;

	while ((result = archive_read_data_block(l->archive, &data, &size, &offset)) == ARCHIVE_OK) {
		while (size > 0) {
			ssize_t n = pwrite(fd, data, size, offset);
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return err_sys(l->err, "write", archive_entry_pathname(l->entry));
			data = (const char *)data + n;
			size -= (size_t)n;
			offset += n;
		}
		end = offset;
	}
	if (result != ARCHIVE_EOF)
		return 1; /* the archive's error */
	if (archive_entry_size(l->entry) > end && ftruncate(fd, archive_entry_size(l->entry)) < 0)
		return err_sys(l->err, "write", archive_entry_pathname(l->entry));
	return 0;
}

static int make_content(struct layer *l, int fd)
{
	const uint64_t size = (uint64_t)archive_entry_size(l->entry);

	if (size > l->target->size_left)
		return err_msg(l->err, EFBIG, "unpack", archive_entry_pathname(l->entry), "the files are too large");
	l->target->size_left -= size;
	return l->target->contents ? note_content(l, fd) : write_data(l, fd);
}

static int make_file(struct layer *l, const char *name, mode_t mode, struct owner *owner)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	const struct timespec times[2] = { modified(l), modified(l) };
	cleanup_fd int fd = openat(l->parent, name, flags, mode);

	if (fd < 0 && errno == EEXIST) {
		l->existed = true;
		if (layer_clear_name(l, name) < 0)
			return -1;
		fd = openat(l->parent, name, flags, mode);
	}
	if (fd < 0)
		return err_sys(l->err, "make file", name);
	int result = S_ISREG(owner->mode) ? make_content(l, fd) : 0; /* a device is an empty file */
	if (result != 0)
		return result;
	set_xattrs(l, fd, mode, owner);
	return futimens(fd, times) < 0 ? err_sys(l->err, "set the time of", name) : 0;
}

static void later(struct layer *l, const char *name)
{
	struct timespec time = modified(l);

	fprintf(l->times, "%lld %ld /%s/%s%c", (long long)time.tv_sec, time.tv_nsec, l->directory, name, '\0');
}

static int make_directory(struct layer *l, const char *name, mode_t mode, struct owner *owner)
{
	if (mkdirat(l->parent, name, mode) < 0) {
		struct stat there;
		if (errno != EEXIST || fstatat(l->parent, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(l->err, "make directory", name);
		if (!S_ISDIR(there.st_mode) && (layer_clear_name(l, name) < 0 || mkdirat(l->parent, name, mode) < 0))
			return l->err->code ? -1 : err_sys(l->err, "make directory", name);
		l->existed = true;
	}
	struct stat st;
	cleanup_fd int fd = openat(l->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || ((st.st_mode & 07777) != mode && fchmod(fd, mode) < 0))
		return err_sys(l->err, "make directory", name);
	if (l->target->overlay)
		number_set_add(&l->said, layer_inode(l, &st));
	set_xattrs(l, fd, mode, owner);
	later(l, name);
	return 0;
}

static int make_symlink(struct layer *l, const char *name)
{
	const struct timespec times[2] = { modified(l), modified(l) };
	const char *text = archive_entry_symlink(l->entry);

	if (!text || !*text)
		return err_msg(l->err, EINVAL, "make link", name, "the archive does not say where it leads");
	if (symlinkat(text, l->parent, name) < 0 &&
		(errno != EEXIST || layer_clear_name(l, name) < 0 || symlinkat(text, l->parent, name) < 0))
		return l->err->code ? -1 : err_sys(l->err, "make link", name);
	(void)utimensat(l->parent, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_fifo(struct layer *l, const char *name, mode_t mode)
{
	const struct timespec times[2] = { modified(l), modified(l) };

	if (mknodat(l->parent, name, S_IFIFO | mode, 0) < 0 &&
		(errno != EEXIST || layer_clear_name(l, name) < 0 || mknodat(l->parent, name, S_IFIFO | mode, 0) < 0))
		return l->err->code ? -1 : err_sys(l->err, "make fifo", name);
	(void)utimensat(l->parent, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* Where a name of the tar is below the root. Caller owns. */
static char *clean_path(const struct layer *l, const char *given)
{
	char *path = xstrdup(given);

	layer_clean_path(path);
	if (!l->target->below)
		return path;
	char *whole = xasprintf("%s%s%s", l->target->below, *path ? "/" : "", path);
	free(path);
	return whole;
}

/* A second name of a file of the tree, which must be there already. */
static int make_hard_link(struct layer *l, const char *path, const char *name)
{
	cleanup_free char *given = clean_path(l, archive_entry_hardlink(l->entry));
	char *directory;
	struct stat st, there;

	const char *target = layer_split(given, &directory);
	cleanup_fd int from = target ? resolve_in_root(l->target->root, directory, O_PATH | O_DIRECTORY) : -1;
	if (from < 0 || fstatat(from, target, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_msg(l->err, ENOENT, "make hard link", name, "there is no \"%s\" in the image",
			archive_entry_hardlink(l->entry));
	if (S_ISDIR(st.st_mode))
		return err_msg(l->err, EISDIR, "make hard link", name, "it names a directory");
	if (fstatat(l->parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		if (there.st_ino == st.st_ino && there.st_dev == st.st_dev)
			return 0;
		/* Removing may make the tree anew (layer_overlay.c): nothing of it may be open. */
		close(steal_fd(&from));
		if (layer_clear_name(l, name) < 0)
			return -1;
		from = resolve_in_root(l->target->root, directory, O_PATH | O_DIRECTORY);
		if (from < 0)
			return err_sys(l->err, "make hard link", name);
	}
	if (linkat(from, target, l->parent, name, 0) < 0)
		return err_sys(l->err, "make hard link", name);
	if (l->target->overlay)
		return layer_overlay_link(l, path, name, from, target, st.st_ino);
	return owner_log_add_link(l->target->owners, path, st.st_ino, l->err);
}

/* ---- one entry ------------------------------------------------------------------------------------------------- */

/* Where the tree says all and nothing else was ever said about that inode number, nothing is looked at. */
static int note_owner(struct layer *l, const char *name, const char *path, mode_t on_disk, const struct owner *owner)
{
	struct stat st;
	/* Over another owner of the layers below, root has to be named. */
	bool plain = owner_is_plain(owner, on_disk) && !(l->existed && l->target->overlay);

	if (plain && !l->existed && !l->target->removed)
		return 0;
	if (fstatat(l->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(l->err, "look at", name);
	return owner_log_add(l->target->owners, path, st.st_ino, owner, plain, l->err);
}

static int make_entry(struct layer *l, const char *name, mode_t on_disk, struct owner *owner)
{
	switch (owner->mode & S_IFMT) {
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
		return make_file(l, name, on_disk, owner);
	case S_IFDIR:
		return make_directory(l, name, on_disk, owner);
	case S_IFLNK:
		return make_symlink(l, name);
	case S_IFIFO:
		return make_fifo(l, name, on_disk);
	default:
		return err_msg(l->err, EINVAL, "unpack", name, "the archive has an entry of unknown type");
	}
}

static uint32_t id_of(la_int64_t id)
{
	return id < 0 || id > UINT32_MAX - 1 ? 0 : (uint32_t)id;
}

static struct owner owner_of(const struct layer *l)
{
	const struct owner *told = l->target->owner;

	return (struct owner){ .uid = told ? told->uid : id_of(archive_entry_uid(l->entry)),
		.gid = told ? told->gid : id_of(archive_entry_gid(l->entry)),
		.mode = archive_entry_mode(l->entry),
		.major = (uint32_t)archive_entry_rdevmajor(l->entry),
		.minor = (uint32_t)archive_entry_rdevminor(l->entry) };
}

static int apply_named(struct layer *l, const char *path, const char *directory, const char *name)
{
	struct owner owner = owner_of(l);
	mode_t on_disk = owner_mode_on_disk(owner.mode);

	if (l->target->whiteouts && str_starts(name, WHITEOUT))
		return layer_whiteout(l, directory, name);
	if (layer_enter(l, directory, true) < 0)
		return err_sys(l->err, "make directory", directory);
	if (layer_overlay_inherit(l) < 0)
		return -1;
	l->existed = false;
	int result =
		archive_entry_hardlink(l->entry) ? make_hard_link(l, path, name) : make_entry(l, name, on_disk, &owner);
	if (result != 0)
		return result;
	layer_remember(l, name);
	return archive_entry_hardlink(l->entry) ? 0 : note_owner(l, name, path, on_disk, &owner);
}

/* "." and what comes to the same: the tree itself. */
static int apply_root(struct layer *l)
{
	struct owner owner = owner_of(l);
	mode_t on_disk = owner_mode_on_disk(owner.mode);

	if (!S_ISDIR(owner.mode) || archive_entry_hardlink(l->entry))
		return err_msg(l->err, EINVAL, "unpack", "/", "the archive has something else than a directory for it");
	if (layer_enter(l, ".", true) < 0 || fchmod(l->target->root, on_disk) < 0)
		return err_sys(l->err, "unpack", "/");
	number_set_add(&l->said, l->root_inode);
	set_xattrs(l, l->target->root, on_disk, &owner);
	later(l, ".");
	l->existed = true;
	return note_owner(l, ".", ".", on_disk, &owner);
}

/* Return: 0; 1 when the archive has the error; -1 with the error set. */
static int apply_entry(struct layer *l)
{
	const char *given = archive_entry_pathname(l->entry);

	if (!given || !*given)
		return err_msg(l->err, EINVAL, "unpack", NULL, "an entry has no name");
	cleanup_free char *path = clean_path(l, given);
	if (l->target->below && strcmp(path, l->target->below) == 0)
		return 0; /* "." of what is unpacked into a directory */
	cleanup_free char *pieces = xstrdup(path);
	char *directory;
	const char *name = layer_split(pieces, &directory);
	return name ? apply_named(l, path, directory, name) : apply_root(l);
}

/* ---- the whole layer ------------------------------------------------------------------------------------------- */

static int set_times(struct layer *l)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	long long seconds;
	long nanoseconds;
	int begin;

	if (fflush(l->times) != 0 || fseek(l->times, 0, SEEK_SET) != 0)
		return err_sys(l->err, "keep the times of directories", NULL);
	while (getdelim(&line, &room, '\0', l->times) > 0) {
		if (sscanf(line, "%lld %ld %n", &seconds, &nanoseconds, &begin) != 2)
			continue;
		const struct timespec times[2] = { { seconds, nanoseconds }, { seconds, nanoseconds } };
		cleanup_fd int fd = resolve_in_root(l->target->root, line + begin, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		if (fd >= 0)
			(void)futimens(fd, times);
	}
	return 0;
}

static la_ssize_t next_bytes(struct archive *archive, void *context, const void **data)
{
	struct layer *l = context;
	ssize_t n = stream_next(l->stream, data, l->err);

	if (n < 0)
		archive_set_error(archive, EINVAL, "%s", "stream");
	return n;
}

/* The stream's own error says more than libarchive's about it. */
static int archive_failed(const struct layer *l)
{
	if (l->err->code)
		return -1;
	const char *text = archive_error_string(l->archive);
	return err_msg(l->err, EINVAL, "read", "the archive", "%s", text ? text : "it is damaged");
}

/* See above: only names that could not be converted are as good as any. */
static bool is_about_names(struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return text && strstr(text, "can't be converted from");
}

/* A tar that is cut off between two entries looks whole; where no digest tells, its end does. */
static int check_end(const struct layer *l)
{
	const void *data;
	ssize_t n;

	if (stream_is_verified(l->stream))
		return 0;
	while ((n = stream_next(l->stream, &data, l->err)) > 0)
		;
	if (n == 0 && !stream_ended_in_zeros(l->stream))
		return err_msg(l->err, EINVAL, "read", "the archive", "it ends too early");
	return n < 0 ? -1 : 0;
}

static int apply_all(struct layer *l)
{
	for (;;) {
		int result = archive_read_next_header(l->archive, &l->entry);
		if (result == ARCHIVE_EOF)
			return 0;
		if (result < ARCHIVE_WARN || (result == ARCHIVE_WARN && !is_about_names(l->archive)))
			return archive_failed(l);
		result = apply_entry(l);
		if (result > 0)
			return archive_failed(l);
		if (result < 0)
			return -1;
		l->target->files++;
	}
}

static int open_archive(struct layer *l)
{
	l->archive = archive_read_new();
	if (!l->archive || archive_read_support_format_tar(l->archive) != ARCHIVE_OK ||
		archive_read_support_format_empty(l->archive) != ARCHIVE_OK)
		return err_code(l->err, ENOMEM, "read", "the archive");
	return archive_read_open(l->archive, l, NULL, next_bytes, NULL) < ARCHIVE_WARN ? archive_failed(l) : 0;
}

int layer_apply(struct layer_target *target, struct stream *stream, struct azm_err *err)
{
	struct layer l = { .target = target, .stream = stream, .err = err, .parent = -1 };
	mode_t mask = umask(0); /* the modes asked for are the modes made */
	struct stat st = { 0 };
	int result = -1;

	err_clear(err);
	(void)!getrandom(&l.key, sizeof l.key, 0);
	(void)fstat(target->root, &st);
	l.root_inode = st.st_ino;
	cleanup_fd int times = scratch_file(target->scratch, err);
	l.times = times < 0 ? NULL : fdopen(times, "w+e");
	if (l.times)
		steal_fd(&times);
	if (l.times && open_archive(&l) == 0 && apply_all(&l) == 0 && set_times(&l) == 0 && check_end(&l) == 0)
		result = stream_finish(stream, err);
	archive_read_free(l.archive);
	layer_forget_parent(&l);
	number_set_free(&l.made);
	number_set_free(&l.directories);
	number_set_free(&l.seen);
	number_set_free(&l.said);
	number_set_free(&l.renumbered);
	cleanup_close_file(&l.times);
	umask(mask);
	return result;
}

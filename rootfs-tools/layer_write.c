// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_write.c: see layer_write.h.
 *
 * Theory of operation
 *
 * One walk over the tree, every directory's names sorted, writes an entry for each. A descriptor stays open for each
 * directory on the way down, nothing is named by more than one component, links are never followed.
 *
 * What is on disk belongs to the caller and has no set-id bits; what the image said instead is in the book of the tree
 * (owners.h). It holds for a file as long as the file is what unpacking made of it: the type, and for the mode, the
 * mode. In an overlay's upper directory, where nothing was unpacked, the book of the lower directory counts that has
 * the file the upper one covers: layer_lower.c finds it.
 */
#include "rootfs-tools/layer_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/layer_lower.h"
#include "rootfs-tools/layer_sink.h"
#include "rootfs-tools/layer_xattrs.h"
#include "rootfs-tools/number_set.h"
#include "rootfs-tools/tar_write.h"

enum { SPARSE_PARTS_MAX = 8192, SPARSE_LEAST = 64 * 1024, TICK_BYTES = 4 << 20 };

#define WHITEOUT     ".wh."
#define OPAQUE_ENTRY ".wh..wh..opq"

struct writer {
	const struct layer_write_source *source;
	const struct layer_write_options *options;
	struct layer_sink *sink;
	struct azm_err *err;
	uid_t caller;
	dev_t device;
	char path[PATH_MAX]; /* of the entry at hand, below the root */
	size_t length;
	struct number_set links; /* inode -> where its first name is in `names`, for files with several */
	struct tar_text names;
	struct tar_text header;
	uint64_t files, ticked;
	struct xattr_list xattrs; /* of the entry at hand */
};

/* A file and what is to be said of it. */
struct item {
	struct stat st;
	const char *name;
	struct owner owner;
	bool opaque; /* a directory that hides what is below it */
};

static int write_directory(struct writer *w, int dir, bool opaque);

/* ---- one entry to the sink ------------------------------------------------------------------------------------- */

static int tick(struct writer *w)
{
	uint64_t size = layer_sink_plain_size(w->sink);

	if (!w->options->tick || (size - w->ticked < TICK_BYTES && w->files % 64 != 0))
		return 0;
	w->ticked = size;
	return w->options->tick(w->options->context, size, w->files, w->err);
}

static int put(struct writer *w, const struct tar_entry *entry)
{
	w->header.size = 0;
	tar_put(&w->header, entry);
	return layer_sink_add(w->sink, w->header.data, w->header.size, w->err);
}

static int64_t entry_time(const struct writer *w, const struct stat *st)
{
	return w->options->clamp && st->st_mtime > w->options->epoch ? w->options->epoch : st->st_mtime;
}

static struct tar_entry entry_of(const struct writer *w, const struct item *item, enum tar_type type)
{
	return (struct tar_entry){ .path = w->path,
		.type = type,
		.mode = item->owner.mode & 07777,
		.uid = item->owner.uid,
		.gid = item->owner.gid,
		.mtime = entry_time(w, &item->st),
		.xattrs = w->xattrs.items,
		.xattr_count = w->xattrs.count };
}

static int read_xattrs(struct writer *w, int fd, const struct owner *owner)
{
	return xattr_list_read(&w->xattrs, fd, w->source->upper, owner, w->path, w->err);
}

/* ---- regular files --------------------------------------------------------------------------------------------- */

/* What a file's data is: pairs of offset and length. */
struct parts {
	uint64_t (*items)[2];
	size_t count;
	uint64_t bytes;
};

static void add_part(struct parts *parts, uint64_t offset, uint64_t length)
{
	parts->items = xrealloc(parts->items, parts->count + 1, sizeof *parts->items);
	parts->items[parts->count][0] = offset;
	parts->items[parts->count++][1] = length;
	parts->bytes += length;
}

/* Where there is something. Return: whether the file is worth being written as a sparse one. */
static bool find_parts(int fd, const struct stat *st, struct parts *parts)
{
	const uint64_t size = (uint64_t)st->st_size;
	off_t begin = 0;

	if ((uint64_t)st->st_blocks * 512 + SPARSE_LEAST > size)
		return false;
	while (parts->count < SPARSE_PARTS_MAX && (begin = lseek(fd, begin, SEEK_DATA)) >= 0) {
		off_t end = lseek(fd, begin, SEEK_HOLE);
		if (end < 0)
			return false;
		add_part(parts, (uint64_t)begin, (uint64_t)(end - begin));
		begin = end;
	}
	if (parts->count == SPARSE_PARTS_MAX || parts->bytes + SPARSE_LEAST > size)
		return false;
	/* A hole at the end is said by an empty part there, as GNU tar does. */
	if (parts->count == 0 || parts->items[parts->count - 1][0] + parts->items[parts->count - 1][1] < size)
		add_part(parts, size, 0);
	return true;
}

static int copy_part(struct writer *w, int fd, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		size_t room;
		void *to = layer_sink_reserve(w->sink, &room, w->err);
		if (!to)
			return -1;
		ssize_t n = TEMP_FAILURE_RETRY(pread(fd, to, length < room ? (size_t)length : room, (off_t)offset));
		if (n < 0)
			return err_sys(w->err, "read", w->path);
		if (n == 0)
			return err_msg(w->err, EBUSY, "read", w->path, "it became shorter meanwhile");
		layer_sink_commit(w->sink, (size_t)n);
		offset += (size_t)n;
		length -= (size_t)n;
		if (tick(w) < 0)
			return -1;
	}
	return 0;
}

static int write_sparse(struct writer *w, int fd, struct tar_entry *entry, const struct parts *parts)
{
	struct tar_text map = { 0 };

	tar_put_map(&map, (const uint64_t(*)[2])parts->items, parts->count);
	entry->sparse_size = entry->size;
	entry->size = map.size + parts->bytes;
	int result = put(w, entry) < 0 || layer_sink_add(w->sink, map.data, map.size, w->err) < 0 ? -1 : 0;
	for (size_t i = 0; result == 0 && i < parts->count; i++)
		result = copy_part(w, fd, parts->items[i][0], parts->items[i][1]);
	tar_text_free(&map);
	return result < 0 ? -1 : layer_sink_zeros(w->sink, tar_padding(parts->bytes), w->err);
}

static int write_data(struct writer *w, int fd, const struct item *item)
{
	struct tar_entry entry = entry_of(w, item, TAR_FILE);
	struct parts parts = { 0 };
	int result;

	entry.size = (uint64_t)item->st.st_size;
	if (find_parts(fd, &item->st, &parts))
		result = write_sparse(w, fd, &entry, &parts);
	else
		result = put(w, &entry) < 0 || copy_part(w, fd, 0, entry.size) < 0 ||
					 layer_sink_zeros(w->sink, tar_padding(entry.size), w->err) < 0
				 ? -1
				 : 0;
	free(parts.items);
	return result;
}

/* Another name of a file that is in the layer already. Return: 1 when it is one, 0, -1. */
static int try_hard_link(struct writer *w, const struct item *item)
{
	uint64_t offset;

	if (item->st.st_nlink < 2)
		return 0;
	if (!number_set_get(&w->links, item->st.st_ino, &offset)) {
		number_set_put(&w->links, item->st.st_ino, w->names.size);
		tar_text_add(&w->names, w->path, w->length + 1);
		return 0;
	}
	w->xattrs.count = 0;
	struct tar_entry entry = entry_of(w, item, TAR_HARD_LINK);
	entry.link = w->names.data + offset;
	return put(w, &entry) < 0 ? -1 : 1;
}

static int write_device(struct writer *w, const struct item *item)
{
	struct tar_entry entry = entry_of(w, item, S_ISCHR(item->owner.mode) ? TAR_CHAR : TAR_BLOCK_DEVICE);

	entry.major = item->owner.major;
	entry.minor = item->owner.minor;
	return put(w, &entry);
}

static int write_file(struct writer *w, int dir, const struct item *item)
{
	struct stat st;
	int linked = try_hard_link(w, item);

	if (linked != 0)
		return linked < 0 ? -1 : 0;
	w->xattrs.count = 0;
	if (!S_ISREG(item->owner.mode))
		return write_device(w, item);
	cleanup_fd int fd = openat(dir, item->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(w->err, "read", w->path);
	if (!S_ISREG(st.st_mode) || st.st_ino != item->st.st_ino || st.st_size != item->st.st_size)
		return err_msg(w->err, EBUSY, "read", w->path, "it was changed meanwhile");
	return read_xattrs(w, fd, &item->owner) < 0 ? -1 : write_data(w, fd, item);
}

/* ---- everything else ------------------------------------------------------------------------------------------- */

static int write_symlink(struct writer *w, int dir, const struct item *item)
{
	char text[PATH_MAX];
	ssize_t length = readlinkat(dir, item->name, text, sizeof text);

	if (length < 0 || (size_t)length >= sizeof text)
		return length < 0 ? err_sys(w->err, "read", w->path) : err_code(w->err, ENAMETOOLONG, "read", w->path);
	text[length] = '\0';
	w->xattrs.count = 0;
	struct tar_entry entry = entry_of(w, item, TAR_SYMLINK);
	entry.link = text;
	entry.mode = 0777;
	return put(w, &entry);
}

/* An empty file ".wh.NAME" in place of the entry at hand. */
static int write_whiteout(struct writer *w, const char *name)
{
	struct tar_entry entry = { .path = w->path, .type = TAR_FILE };
	const size_t begin = w->length - strlen(name);

	if (w->length + strlen(WHITEOUT) >= sizeof w->path)
		return err_code(w->err, ENAMETOOLONG, "write", w->path);
	memmove(w->path + begin + strlen(WHITEOUT), name, strlen(name) + 1);
	memcpy(w->path + begin, WHITEOUT, strlen(WHITEOUT));
	return put(w, &entry);
}

/* Behind a directory's own entry, in front of what is in it. */
static int write_opaque(struct writer *w)
{
	const size_t before = w->length;
	struct tar_entry entry = { .path = w->path, .type = TAR_FILE };

	if (before + strlen(OPAQUE_ENTRY) >= sizeof w->path)
		return err_code(w->err, ENAMETOOLONG, "write", w->path);
	memcpy(w->path + before, OPAQUE_ENTRY, sizeof OPAQUE_ENTRY);
	int result = put(w, &entry);
	w->path[before] = '\0';
	return result;
}

/* Whether what is remembered of a file holds for what is there now: a device was made as an empty file. */
static bool still_holds(const struct stat *st, const struct owner *owner)
{
	if (S_ISCHR(owner->mode) || S_ISBLK(owner->mode))
		return (st->st_mode & S_IFMT) == (owner->mode & S_IFMT) || (S_ISREG(st->st_mode) && st->st_size == 0);
	return (st->st_mode & S_IFMT) == (owner->mode & S_IFMT);
}

static int find_owner(struct writer *w, struct item *item, bool opaque)
{
	const struct layer_write_source *s = w->source;
	const struct stat *st = &item->st;
	struct owner recorded = { 0 };
	bool own = st->st_uid == w->caller;
	int found = s->tree.owners ? owner_book_find(s->tree.owners, w->path, &recorded, w->err) : 0;

	item->owner = (struct owner){ .uid = own ? s->own_uid : st->st_uid,
		.gid = own ? s->own_gid : st->st_gid,
		.mode = st->st_mode,
		.major = major(st->st_rdev),
		.minor = minor(st->st_rdev) };
	if (found == 0 && s->upper && own && !opaque)
		found = layer_lower_find(s->lowers, s->lower_count, w->path, st, &recorded, w->err);
	if (found <= 0 || !own || !still_holds(st, &recorded))
		return found < 0 ? -1 : 0;
	if ((st->st_mode & 07777) != owner_mode_on_disk(recorded.mode) && !S_ISLNK(st->st_mode)) /* was changed since */
		recorded.mode = (recorded.mode & S_IFMT) | (st->st_mode & 07777);
	item->owner = recorded;
	return 0;
}

static int write_subdirectory(struct writer *w, int dir, struct item *item, bool opaque)
{
	cleanup_fd int fd = openat(dir, item->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(w->err, "read", w->path);
	if (st.st_dev != w->device)
		return err_code(w->err, EXDEV, "read", w->path);
	if (read_xattrs(w, fd, &item->owner) < 0)
		return -1;
	item->opaque = w->source->upper && overlay_is_opaque(fd);
	if (w->length + 1 >= sizeof w->path)
		return err_code(w->err, ENAMETOOLONG, "write", w->path);
	w->path[w->length++] = '/';
	w->path[w->length] = '\0';
	const struct tar_entry entry = entry_of(w, item, TAR_DIRECTORY);
	if (put(w, &entry) < 0 || (item->opaque && write_opaque(w) < 0))
		return -1;
	return write_directory(w, fd, opaque || item->opaque);
}

static int write_fifo(struct writer *w, const struct item *item)
{
	w->xattrs.count = 0;
	const struct tar_entry entry = entry_of(w, item, TAR_FIFO);
	return put(w, &entry);
}

static int write_item(struct writer *w, int dir, struct item *item, bool opaque)
{
	if (w->source->upper && S_ISCHR(item->st.st_mode) && item->st.st_rdev == 0)
		return write_whiteout(w, item->name);
	if (str_starts(item->name, WHITEOUT)) {
		err_msg(w->err, EINVAL, "write", w->path,
			"in a layer, a name that begins with \"%s\" would hide a file", WHITEOUT);
		return err_hint(w->err, "rename or remove it");
	}
	if (find_owner(w, item, opaque) < 0)
		return -1;
	switch (item->st.st_mode & S_IFMT) {
	case S_IFREG:
		return write_file(w, dir, item);
	case S_IFDIR:
		return write_subdirectory(w, dir, item, opaque);
	case S_IFLNK:
		return write_symlink(w, dir, item);
	case S_IFIFO:
		return write_fifo(w, item);
	case S_IFCHR:
	case S_IFBLK:
		w->xattrs.count = 0;
		return write_device(w, item);
	default:
		return 0; /* a socket means nothing without its server */
	}
}

/* ---- a directory ----------------------------------------------------------------------------------------------- */

static int write_name(struct writer *w, int dir, const char *name, bool opaque)
{
	const size_t before = w->length, length = strlen(name);
	struct item item = { .name = name };

	if (before + length >= sizeof w->path)
		return err_code(w->err, ENAMETOOLONG, "write", w->path);
	memcpy(w->path + before, name, length + 1);
	w->length = before + length;
	if (fstatat(dir, name, &item.st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(w->err, "read", w->path);
	int result = write_item(w, dir, &item, opaque);
	w->length = before;
	w->path[before] = '\0';
	w->files++;
	return result < 0 ? -1 : tick(w);
}

/* What is in it; its path ends with a slash, or is empty. */
static int write_directory(struct writer *w, int dir, bool opaque)
{
	cleanup_str_list struct str_list names = { 0 };

	if (dir_names(dir, &names) < 0)
		return err_sys(w->err, "read", w->path);
	str_list_sort(&names);
	for (size_t i = 0; i < names.count; i++)
		if (write_name(w, dir, names.items[i], opaque) < 0)
			return -1;
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static int write_root(struct writer *w)
{
	struct item item = { .name = "." };

	if (fstat(w->source->tree.root, &item.st) < 0)
		return err_sys(w->err, "read", "the tree");
	if (!S_ISDIR(item.st.st_mode))
		return err_code(w->err, ENOTDIR, "read", "the tree");
	w->device = item.st.st_dev;
	if (find_owner(w, &item, false) < 0 || read_xattrs(w, w->source->tree.root, &item.owner) < 0)
		return -1;
	struct tar_entry entry = entry_of(w, &item, TAR_DIRECTORY);
	entry.path = "./";
	return put(w, &entry) < 0 ? -1 : write_directory(w, w->source->tree.root, false);
}

static int write_end(struct writer *w, struct layer_written *written)
{
	if (layer_sink_zeros(w->sink, 2 * (size_t)TAR_BLOCK, w->err) < 0)
		return -1;
	*written = (struct layer_written){ .plain_size = layer_sink_plain_size(w->sink), .files = w->files };
	return layer_sink_finish(w->sink, &written->digest, &written->size, &written->diff_id, w->err);
}

int layer_write(const struct layer_write_source *source, const struct layer_write_options *options, int fd,
	struct layer_written *written, struct azm_err *err)
{
	struct writer w = { .source = source, .options = options, .err = err, .caller = geteuid() };

	raise_open_files(); /* one a level: as deep as paths can be */
	w.sink = layer_sink_new(options->codec, options->level, fd, err);
	int result = w.sink && write_root(&w) == 0 ? write_end(&w, written) : -1;
	layer_sink_free(w.sink);
	number_set_free(&w.links);
	tar_text_free(&w.names);
	tar_text_free(&w.header);
	xattr_list_free(&w.xattrs);
	return result;
}

const char *layer_media_type(enum codec codec)
{
	switch (codec) {
	case CODEC_GZIP:
		return "application/vnd.oci.image.layer.v1.tar+gzip";
	case CODEC_ZSTD:
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	default:
		return "application/vnd.oci.image.layer.v1.tar";
	}
}

int layer_write_epoch(struct layer_write_options *options, struct azm_err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;

	options->clamp = text != NULL;
	if (!text)
		return 0;
	if (!str_to_u64(text, INT64_MAX, &seconds))
		return err_msg(err, EINVAL, "SOURCE_DATE_EPOCH", text, "is not a number of seconds since 1970");
	options->epoch = (time_t)seconds;
	return 0;
}

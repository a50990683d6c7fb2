// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/tar_read.c: see tar.h. Sources: POSIX pax; GNU tar's manual, "Basic Tar Format". */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "copy/tar.h"

static int damaged(struct azm_err *err, const char *why)
{
	return err_msg(err, EBADMSG, "read the tar stream", NULL, "%s", why);
}

static int read_block(struct tar_reader *reader, void *buffer, size_t size, struct azm_err *err)
{
	ssize_t n = read_full(reader->fd, buffer, size);

	if (n < 0)
		return err_sys(err, "read the tar stream", NULL);
	return (size_t)n == size ? 0 : err_msg(err, EPIPE, "read the tar stream", NULL, "it ended early");
}

ssize_t tar_data(struct tar_reader *reader, void *buffer, size_t size, struct azm_err *err)
{
	if (size > reader->left)
		size = (size_t)reader->left;
	if (size && read_block(reader, buffer, size, err) < 0)
		return -1;
	reader->left -= size;
	return (ssize_t)size;
}

static int skip_rest(struct tar_reader *reader, struct azm_err *err)
{
	char buffer[16384];

	reader->left += reader->padding;
	reader->padding = 0;
	while (reader->left)
		if (tar_data(reader, buffer, sizeof buffer, err) < 0)
			return -1;
	return 0;
}

/* Octal digits, blanks around them; or GNU's base 256 where the first bit says so. */
static bool number(const unsigned char *field, size_t size, uint64_t *value)
{
	size_t i = 0;

	*value = 0;
	if (field[0] == 0x80) {
		for (i = 1; i < size; i++) {
			if (*value >> 55)
				return false;
			*value = *value << 8 | field[i];
		}
		return true;
	}
	while (i < size && field[i] == ' ')
		i++;
	for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
		if (*value >> 60)
			return false;
		*value = *value << 3 | (uint64_t)(field[i] - '0');
	}
	return i == size || field[i] == ' ' || field[i] == '\0';
}

static bool sum_is_right(const unsigned char *block)
{
	uint64_t given;
	unsigned sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	return number(block + 148, 8, &given) && given == sum;
}

static bool all_zero(const unsigned char *block)
{
	for (size_t i = 0; i < TAR_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

/* The bytes of an entry that describes the next one, NUL-terminated. */
static char *read_extra(struct tar_reader *reader, uint64_t size, struct azm_err *err)
{
	if (size > TAR_EXTRA_MOST) {
		damaged(err, "a name or an extended header is too long");
		return NULL;
	}
	cleanup_free char *bytes = xcalloc((size_t)size + 1, 1);
	reader->left = size;
	reader->padding = (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
	if (tar_data(reader, bytes, (size_t)size, err) < 0 || skip_rest(reader, err) < 0)
		return NULL;
	return steal_ptr(&bytes);
}

static int take_path(char *path, const char *value, size_t length, struct azm_err *err)
{
	if (length >= TAR_PATH_MOST || memchr(value, '\0', length))
		return damaged(err, "a path is too long or holds a NUL");
	memcpy(path, value, length);
	path[length] = '\0';
	return 0;
}

/* What extended headers said; a zero length or a false flag: nothing. */
struct overrides {
	char path[TAR_PATH_MOST], target[TAR_PATH_MOST];
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size, uid, gid;
	int64_t mtime;
};

static int take_number(const char *value, uint64_t most, bool *has, uint64_t *number_out, struct azm_err *err)
{
	*has = true;
	return str_to_u64(value, most, number_out) ? 0 : damaged(err, "a number of an extended header is none");
}

static int take_record(struct overrides *o, const char *key, char *value, size_t length, struct azm_err *err)
{
	if (strcmp(key, "path") == 0)
		return take_path(o->path, value, length, err);
	if (strcmp(key, "linkpath") == 0)
		return take_path(o->target, value, length, err);
	if (strcmp(key, "size") == 0)
		return take_number(value, INT64_MAX, &o->has_size, &o->size, err);
	if (strcmp(key, "uid") == 0)
		return take_number(value, UINT32_MAX, &o->has_uid, &o->uid, err);
	if (strcmp(key, "gid") == 0)
		return take_number(value, UINT32_MAX, &o->has_gid, &o->gid, err);
	if (strcmp(key, "mtime") == 0) {
		o->has_mtime = true;
		o->mtime = strtoll(value, NULL, 10); /* the fraction is left out */
	}
	if (str_starts(key, "GNU.sparse."))
		return err_msg(err, EOPNOTSUPP, "read the tar stream", NULL, "sparse files are not supported");
	return 0;
}

static int take_records(struct overrides *o, char *text, size_t size, struct azm_err *err)
{
	while (size > 0) {
		char *blank;
		unsigned long length = strtoul(text, &blank, 10);
		if (*blank != ' ' || length < 5 || length > size || text[length - 1] != '\n' || blank >= text + length)
			return damaged(err, "an extended header is not well formed");
		text[length - 1] = '\0';
		char *key = blank + 1, *equals = strchr(key, '=');
		if (!equals || equals >= text + length)
			return damaged(err, "an extended header is not well formed");
		*equals = '\0';
		if (take_record(o, key, equals + 1, (size_t)(text + length - 1 - (equals + 1)), err) < 0)
			return -1;
		text += length;
		size -= length;
	}
	return 0;
}

static enum tar_type type_of(char flag, const char *path)
{
	size_t length = strlen(path);

	switch (flag) {
	case '0':
	case '7':
	case '\0': /* before POSIX, a directory was a file with a slash behind its name */
		return length && path[length - 1] == '/' && flag == '\0' ? TAR_DIRECTORY : TAR_FILE;
	case '1':
		return TAR_HARD_LINK;
	case '2':
		return TAR_LINK;
	case '5':
		return TAR_DIRECTORY;
	case '6':
		return TAR_FIFO;
	default:
		return TAR_OTHER;
	}
}

static void field_text(char *out, const unsigned char *field, size_t size)
{
	size_t length = strnlen((const char *)field, size);

	memcpy(out, field, length);
	out[length] = '\0';
}

/* The plain fields of a header. */
static int take_header(const unsigned char *block, struct tar_entry *entry, struct azm_err *err)
{
	uint64_t mode, mtime;
	char prefix[156];

	if (!number(block + 100, 8, &mode) || !number(block + 108, 8, &entry->uid) ||
		!number(block + 116, 8, &entry->gid) || !number(block + 124, 12, &entry->size) ||
		!number(block + 136, 12, &mtime) || entry->size > INT64_MAX || entry->uid > UINT32_MAX ||
		entry->gid > UINT32_MAX)
		return damaged(err, "a number of a header is none");
	entry->mode = (uint32_t)mode & 07777;
	entry->mtime = (int64_t)mtime;
	field_text(entry->path, block, 100);
	field_text(entry->target, block + 157, 100);
	field_text(prefix, block + 345, 155);
	if (memcmp(block + 257, "ustar\0", 6) == 0 && *prefix) {
		char name[101];
		memcpy(name, entry->path, sizeof name); /* field_text() left a NUL within */
		snprintf(entry->path, sizeof entry->path, "%s/%s", prefix, name);
	}
	return 0;
}

static void apply(const struct overrides *o, struct tar_entry *entry)
{
	if (*o->path)
		memcpy(entry->path, o->path, sizeof entry->path);
	if (*o->target)
		memcpy(entry->target, o->target, sizeof entry->target);
	if (o->has_size)
		entry->size = o->size;
	if (o->has_uid)
		entry->uid = o->uid;
	if (o->has_gid)
		entry->gid = o->gid;
	if (o->has_mtime)
		entry->mtime = o->mtime;
}

/* Return: 1 when it was a header about the next one, 0 when it is an entry, -1 */
static int take_extra(struct tar_reader *reader, char flag, uint64_t size, struct overrides *o, struct azm_err *err)
{
	if (!strchr("xgLK", flag) || flag == '\0')
		return 0;
	cleanup_free char *text = read_extra(reader, size, err);
	if (!text)
		return -1;
	int result = 0;
	if (flag == 'x')
		result = take_records(o, text, (size_t)size, err);
	else if (flag != 'g') /* 'g' says how the archive was made */
		result = take_path(flag == 'L' ? o->path : o->target, text, strnlen(text, (size_t)size), err);
	return result < 0 ? -1 : 1;
}

static int begin(struct tar_reader *reader, const unsigned char *block, const struct overrides *o,
	struct tar_entry *entry, struct azm_err *err)
{
	char flag = (char)block[156];

	if (flag == 'S')
		return err_msg(err, EOPNOTSUPP, "read the tar stream", NULL, "sparse files are not supported");
	apply(o, entry);
	entry->type = type_of(flag, entry->path);
	if (entry->type != TAR_FILE && entry->type != TAR_OTHER)
		entry->size = 0;
	if (!*entry->path)
		return damaged(err, "an entry has no name");
	reader->left = entry->size;
	reader->padding = (TAR_BLOCK - entry->size % TAR_BLOCK) % TAR_BLOCK;
	return 1;
}

static bool is_compressed(const unsigned char *bytes, size_t size)
{
	static const char *const magic[] = { "\x1f\x8b", "BZh", "\x28\xb5\x2f\xfd", "\xfd\x37zXZ" };

	for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
		if (size >= strlen(magic[i]) && memcmp(bytes, magic[i], strlen(magic[i])) == 0)
			return true;
	return false;
}

int tar_next(struct tar_reader *reader, struct tar_entry *entry, struct azm_err *err)
{
	unsigned char block[TAR_BLOCK];
	cleanup_free struct overrides *overrides = xcalloc(1, sizeof *overrides);

	if (skip_rest(reader, err) < 0)
		return -1;
	for (;;) {
		ssize_t n = read_full(reader->fd, block, sizeof block);
		if (n < 0)
			return err_sys(err, "read the tar stream", NULL);
		if (is_compressed(block, (size_t)n))
			return damaged(err, "it is compressed: decompress it first (zcat, xzcat, ...)");
		if ((size_t)n < sizeof block)
			return err_msg(err, EPIPE, "read the tar stream", NULL, "it ended early");
		if (all_zero(block))
			return 0;
		if (!sum_is_right(block))
			return damaged(err, "this is not a tar header");
		if (take_header(block, entry, err) < 0)
			return -1;
		int extra = take_extra(reader, (char)block[156], entry->size, overrides, err);
		if (extra < 0)
			return -1;
		if (extra == 0)
			return begin(reader, block, overrides, entry, err);
	}
}

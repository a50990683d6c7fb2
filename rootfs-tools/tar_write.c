// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tar_write.c: see tar_write.h.
 *
 * What is written is what Go's archive/tar writes for the same entry, the dialect every container tool reads: ustar
 * where its fields are wide enough, records of PAX in front where they are not (long names, names that are not ASCII,
 * large numbers, extended attributes, sparse files). No field depends on the machine or the time.
 */
#include "rootfs-tools/tar_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Largest numbers of eight and twelve octal digits, the last of which is NUL. */
#define OCTAL_8_MAX  07777777u
#define OCTAL_12_MAX 077777777777u

static void *grow(struct tar_text *text, size_t size)
{
	if (text->size + size > text->room) {
		text->room = 2 * (text->size + size);
		text->data = xrealloc(text->data, text->room, 1);
	}
	text->size += size;
	return text->data + text->size - size;
}

void tar_text_add(struct tar_text *text, const void *data, size_t size)
{
	if (size)
		memcpy(grow(text, size), data, size);
}

static void put_zeros(struct tar_text *text, size_t size)
{
	if (size)
		memset(grow(text, size), 0, size);
}

void tar_text_free(struct tar_text *text)
{
	free(text->data);
	*text = (struct tar_text){ 0 };
}

/* ---- records of PAX -------------------------------------------------------------------------------------------- */

/* "LENGTH KEY=VALUE\n", where the length counts its own digits. */
static void put_record(struct tar_text *text, const char *key, const void *value, size_t size)
{
	const size_t rest = strlen(key) + size + 3; /* blank, =, newline */
	size_t length = rest;
	char digits[24];

	for (int i = 0; i < 3; i++) /* one more digit may make it one longer, once */
		length = rest + (size_t)snprintf(digits, sizeof digits, "%zu", length);
	tar_text_add(text, digits, strlen(digits));
	tar_text_add(text, " ", 1);
	tar_text_add(text, key, strlen(key));
	tar_text_add(text, "=", 1);
	tar_text_add(text, value, size);
	tar_text_add(text, "\n", 1);
}

static void put_text_record(struct tar_text *text, const char *key, const char *value)
{
	put_record(text, key, value, strlen(value));
}

static void put_number_record(struct tar_text *text, const char *key, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%" PRId64, value);
	put_text_record(text, key, digits);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* Where a path is split into ustar's prefix and name: the length of the prefix, 0 when it needs none, -1 when it does
 * not fit. */
static ssize_t split_of(const char *path)
{
	const struct tar_header *h = NULL;
	size_t length = strlen(path);

	if (length <= sizeof h->name)
		return 0;
	for (size_t at = length - sizeof h->name - 1; at <= sizeof h->prefix && at + 1 < length; at++)
		if (at > 0 && path[at] == '/')
			return (ssize_t)at;
	return -1;
}

static void put_sparse_records(struct tar_text *records, const struct tar_entry *e)
{
	put_text_record(records, "GNU.sparse.major", "1");
	put_text_record(records, "GNU.sparse.minor", "0");
	put_text_record(records, "GNU.sparse.name", e->path);
	put_number_record(records, "GNU.sparse.realsize", (int64_t)e->sparse_size);
}

static void put_records(struct tar_text *records, const struct tar_entry *e)
{
	const struct tar_header *h = NULL;

	if (e->sparse_size)
		put_sparse_records(records, e);
	else if (!is_ascii(e->path) || split_of(e->path) < 0)
		put_text_record(records, "path", e->path);
	if (e->link && (!is_ascii(e->link) || strlen(e->link) > sizeof h->link))
		put_text_record(records, "linkpath", e->link);
	if (e->size > OCTAL_12_MAX && !e->one_block)
		put_number_record(records, "size", (int64_t)e->size);
	if (e->uid > OCTAL_8_MAX)
		put_number_record(records, "uid", (int64_t)e->uid);
	if (e->gid > OCTAL_8_MAX)
		put_number_record(records, "gid", (int64_t)e->gid);
	if (e->mtime < 0 || (uint64_t)e->mtime > OCTAL_12_MAX)
		put_number_record(records, "mtime", e->mtime);
	for (size_t i = 0; i < e->xattr_count; i++) {
		cleanup_free char *key = xasprintf("SCHILY.xattr.%s", e->xattrs[i].name);
		put_record(records, key, e->xattrs[i].value, e->xattrs[i].size);
	}
}

/* ---- headers --------------------------------------------------------------------------------------------------- */

/* A number that does not fit is in a record; the field says 0. */
static void set_octal(char *field, size_t length, uint64_t value)
{
	const uint64_t most = (1ull << (3 * (length - 1))) - 1;

	snprintf(field, length, "%0*" PRIo64, (int)length - 1, value > most ? 0 : value);
}

static void set_binary(char *field, size_t length, uint64_t value)
{
	for (size_t i = length - 1; i > 0; i--, value >>= 8)
		field[i] = (char)(value & 0xff);
	field[0] = (char)0x80;
}

static void copy_field(char *field, size_t room, const char *text, size_t length)
{
	memcpy(field, text, length < room ? length : room); /* a full field has no NUL */
}

/* The name for readers that know no PAX: its end, which is what tells files apart. */
static void set_name(struct tar_header *h, const char *path)
{
	ssize_t split = split_of(path);

	if (split > 0)
		copy_field(h->prefix, sizeof h->prefix, path, (size_t)split);
	const char *name = split > 0 ? path + split + 1 : path;
	size_t length = strlen(name);
	copy_field(h->name, sizeof h->name, length > sizeof h->name ? name + length - sizeof h->name : name, length);
}

static void put_header(struct tar_text *text, const struct tar_entry *e, const char *path, char type, uint64_t size)
{
	struct tar_header h = { .type = type };
	unsigned sum = 0;

	set_name(&h, path);
	set_octal(h.mode, sizeof h.mode, e->mode & 07777);
	set_octal(h.uid, sizeof h.uid, e->uid);
	set_octal(h.gid, sizeof h.gid, e->gid);
	if (e->one_block && size > OCTAL_12_MAX)
		set_binary(h.size, sizeof h.size, size);
	else
		set_octal(h.size, sizeof h.size, size);
	set_octal(h.mtime, sizeof h.mtime, e->mtime < 0 ? 0 : (uint64_t)e->mtime);
	if (e->link)
		copy_field(h.link, sizeof h.link, e->link, strlen(e->link));
	memcpy(h.magic, "ustar", sizeof h.magic);
	memcpy(h.version, "00", sizeof h.version);
	set_octal(h.major, sizeof h.major, e->major);
	set_octal(h.minor, sizeof h.minor, e->minor);
	memset(h.checksum, ' ', sizeof h.checksum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	set_octal(h.checksum, sizeof h.checksum - 1, sum); /* six digits, NUL, blank: as it was always done */
	tar_text_add(text, &h, sizeof h);
}

void tar_put(struct tar_text *text, const struct tar_entry *e)
{
	struct tar_text records = { 0 };

	put_records(&records, e);
	if (records.size) {
		const struct tar_entry extension = { .path = "PaxHeaders.0", .mode = 0644 };
		put_header(text, &extension, extension.path, 'x', records.size);
		tar_text_add(text, records.data, records.size);
		put_zeros(text, tar_padding(records.size));
	}
	put_header(text, e, e->sparse_size ? "GNUSparseFile.0" : e->path, (char)e->type, e->size);
	tar_text_free(&records);
}

static void put_line(struct tar_text *text, uint64_t number)
{
	char line[24];
	int length = snprintf(line, sizeof line, "%" PRIu64 "\n", number);

	tar_text_add(text, line, (size_t)length);
}

void tar_put_map(struct tar_text *text, const uint64_t (*parts)[2], size_t count)
{
	const size_t begin = text->size;

	put_line(text, count);
	for (size_t i = 0; i < count; i++) {
		put_line(text, parts[i][0]);
		put_line(text, parts[i][1]);
	}
	put_zeros(text, tar_padding(text->size - begin));
}

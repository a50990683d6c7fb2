// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tar_index.c: see tar_index.h. Formats: POSIX.1-2017 pax(1), "ustar Interchange Format"; GNU tar manual,
 * "Basic Tar Format". */
#include "rootfs-tools/tar_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

enum { NAME_LENGTH_MAX = 4096, EXTENSION_MAX = 64 * 1024, LINKS_MAX = 8 };

struct tar_file {
	char *name;
	char *link; /* a name in the archive; NULL: not a link */
	uint64_t offset, size;
};

struct tar_index {
	struct tar_file *files;
	size_t count, room;
};

/* What extended headers said about the next file. */
struct extension {
	char *name, *link;
	bool has_size;
	uint64_t size;
};

/* ---- one header ------------------------------------------------------------------------------------------------ */

/* Octal digits, or base 256 where the first bit is set. */
static bool parse_number(const char *field, size_t length, uint64_t *value)
{
	const unsigned char *bytes = (const unsigned char *)field;
	uint64_t number = 0;
	size_t i = 0;

	if (bytes[0] & 0x80) {
		if (bytes[0] != 0x80)
			return false; /* negative, or beyond all */
		for (i = 1; i < length; i++) {
			if (number >> 55)
				return false;
			number = number << 8 | bytes[i];
		}
		*value = number;
		return true;
	}
	while (i < length && bytes[i] == ' ')
		i++;
	for (; i < length && bytes[i] >= '0' && bytes[i] <= '7'; i++)
		number = number << 3 | (uint64_t)(bytes[i] - '0'); /* eleven digits at most */
	*value = number;
	return i == length || bytes[i] == ' ' || bytes[i] == '\0';
}

static bool checksum_is_right(const struct tar_header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	const size_t begin = offsetof(struct tar_header, checksum), end = begin + sizeof h->checksum;
	uint64_t said, sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= begin && i < end ? ' ' : bytes[i];
	return parse_number(h->checksum, sizeof h->checksum, &said) && said == sum;
}

static bool is_zero(const void *block)
{
	static const unsigned char zeros[TAR_BLOCK];

	return memcmp(block, zeros, TAR_BLOCK) == 0;
}

static char *header_name(const struct tar_header *h)
{
	bool ustar = memcmp(h->magic, "ustar", sizeof h->magic) == 0 && h->prefix[0];

	return xasprintf("%.*s%s%.*s", ustar ? (int)sizeof h->prefix : 0, h->prefix, ustar ? "/" : "",
		(int)sizeof h->name, h->name);
}

/* Without "./" and slashes in front and behind. */
static char *tidy_name(const char *name)
{
	while (name[0] == '/' || (name[0] == '.' && name[1] == '/'))
		name++;
	char *tidy = xstrdup(name);
	for (size_t length = strlen(tidy); length > 0 && tidy[length - 1] == '/';)
		tidy[--length] = '\0';
	return tidy;
}

/* ---- is it a root file system? --------------------------------------------------------------------------------- */

/* Of whole path, the part in front of the first slash. */
static bool is_root_directory(const char *name)
{
	static const char *const names[] = { "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32",
		"media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var", ".dockerenv" };
	size_t length = strcspn(name, "/");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == length && strncmp(name, names[i], length) == 0)
			return true;
	return false;
}

bool tar_begins(const unsigned char *data, size_t size)
{
	struct tar_header h;
	uint64_t length;

	if (size < TAR_BLOCK || is_zero(data))
		return false;
	memcpy(&h, data, sizeof h);
	return checksum_is_right(&h) && parse_number(h.size, sizeof h.size, &length);
}

bool tar_is_root(const unsigned char *data, size_t size)
{
	struct tar_header h;
	uint64_t length;

	while (size >= TAR_BLOCK) {
		memcpy(&h, data, sizeof h);
		if (is_zero(data) || !checksum_is_right(&h) || !parse_number(h.size, sizeof h.size, &length))
			return false;
		cleanup_free char *name = header_name(&h);
		cleanup_free char *tidy = tidy_name(name);
		if (!strchr("xgLK", h.type ? h.type : '0') && is_root_directory(tidy))
			return true;
		uint64_t step = TAR_BLOCK + (length + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
		if (step > size || length > size)
			return false;
		data += step;
		size -= (size_t)step;
	}
	return false;
}

/* ---- all headers ----------------------------------------------------------------------------------------------- */

static void forget_extension(struct extension *e)
{
	free(e->name);
	free(e->link);
	*e = (struct extension){ 0 };
}

static int damaged(struct azm_err *err)
{
	return err_msg(err, EINVAL, "read", "the archive", "not a tar, or it is damaged");
}

static void replace(char **text, const char *value)
{
	free(*text);
	*text = xstrdup(value);
}

/* One "LENGTH KEY=VALUE\n" after the other. */
static int parse_pax(char *text, size_t size, struct extension *e, struct azm_err *err)
{
	while (size > 0) {
		char *end;
		unsigned long length = strtoul(text, &end, 10);
		if (length < 5 || length > size || *end != ' ' || (size_t)(end - text) >= length ||
			text[length - 1] != '\n')
			return damaged(err);
		text[length - 1] = '\0';
		const char *key = end + 1;
		char *value = strchr(key, '=');
		if (!value || strlen(value) != (size_t)(text + length - 1 - value))
			return damaged(err); /* a NUL inside cuts the name of a file: nobody means that */
		*value++ = '\0';
		if (strcmp(key, "path") == 0)
			replace(&e->name, value);
		else if (strcmp(key, "linkpath") == 0)
			replace(&e->link, value);
		else if (strcmp(key, "size") == 0)
			e->has_size = str_to_u64(value, INT64_MAX, &e->size);
		else if (str_starts(key, "GNU.sparse."))
			return damaged(err);
		text += length;
		size -= length;
	}
	return 0;
}

static int read_extension(int fd, uint64_t offset, uint64_t size, char type, struct extension *e, struct azm_err *err)
{
	if (size > EXTENSION_MAX)
		return damaged(err);
	cleanup_free char *text = xcalloc(1, (size_t)size + 1);
	if (TEMP_FAILURE_RETRY(pread(fd, text, (size_t)size, (off_t)offset)) != (ssize_t)size)
		return damaged(err);
	if (type == 'x')
		return parse_pax(text, (size_t)size, e, err);
	if (type == 'L')
		replace(&e->name, text);
	if (type == 'K')
		replace(&e->link, text);
	return 0;
}

/* Where a symbolic link of a file leads, as a name in the archive: images have "../ID/layer.tar". */
static char *join_link(const char *name, const char *link)
{
	const char *slash = strrchr(name, '/');
	cleanup_free char *directory = slash ? xasprintf("%.*s", (int)(slash - name), name) : xstrdup("");

	while (str_starts(link, "../") || str_starts(link, "./")) {
		if (link[1] == '.') {
			char *last = strrchr(directory, '/');
			*(last ? last : directory) = '\0';
			link++;
		}
		link += 2;
	}
	return xasprintf("%s%s%s", directory, *directory ? "/" : "", link);
}

static int add_file(struct tar_index *index, const struct tar_header *h, const struct extension *e, uint64_t offset,
	uint64_t size, struct azm_err *err)
{
	cleanup_free char *given = e->name ? xstrdup(e->name) : header_name(h);
	cleanup_free char *link = e->link ? xstrdup(e->link) : xasprintf("%.*s", (int)sizeof h->link, h->link);

	if (index->count >= TAR_INDEX_MAX)
		return err_msg(err, E2BIG, "read", "the archive", "more files than an image has");
	if (strlen(given) > NAME_LENGTH_MAX || strlen(link) > NAME_LENGTH_MAX)
		return damaged(err);
	if (index->count == index->room) {
		index->room = index->room ? 2 * index->room : 64;
		index->files = xrealloc(index->files, index->room, sizeof *index->files);
	}
	struct tar_file *file = &index->files[index->count++];
	*file = (struct tar_file){ .name = tidy_name(given), .offset = offset, .size = size };
	if (h->type == '2')
		file->link = join_link(file->name, link);
	else if (h->type == '1')
		file->link = tidy_name(link);
	return 0;
}

/* The entry at *at. Return: 1 it was one, 0 the archive's end, -1 with @err. */
static int scan_one(
	struct tar_index *index, int fd, uint64_t end, uint64_t *at, struct extension *e, struct azm_err *err)
{
	struct tar_header h;
	uint64_t size;

	if (end - *at < TAR_BLOCK || TEMP_FAILURE_RETRY(pread(fd, &h, sizeof h, (off_t)*at)) != sizeof h)
		return damaged(err);
	if (is_zero(&h))
		return 0;
	if (!checksum_is_right(&h) || !parse_number(h.size, sizeof h.size, &size))
		return damaged(err);
	*at += TAR_BLOCK;
	bool extends = strchr("xgLK", h.type ? h.type : '0');
	bool plain = !h.type || h.type == '0' || h.type == '7';
	if (e->has_size && !extends)
		size = e->size;
	if (!extends && !plain)
		size = h.type == 'S' ? size : 0;
	if (size > end - *at)
		return damaged(err);
	int result = extends				       ? read_extension(fd, *at, size, h.type, e, err)
		     : plain || h.type == '1' || h.type == '2' ? add_file(index, &h, e, *at, size, err)
							       : 0;
	if (!extends)
		forget_extension(e);
	*at += (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	return result < 0 || *at > end ? (result < 0 ? -1 : damaged(err)) : 1;
}

struct tar_index *tar_index_new(int fd, uint64_t size, struct azm_err *err)
{
	struct tar_index *index = xcalloc(1, sizeof *index);
	struct extension e = { 0 };
	uint64_t at = 0;
	int result;

	do
		result = scan_one(index, fd, size, &at, &e, err);
	while (result > 0);
	forget_extension(&e);
	if (result == 0)
		return index;
	tar_index_free(index);
	return NULL;
}

void tar_index_free(struct tar_index *index)
{
	if (!index)
		return;
	for (size_t i = 0; i < index->count; i++) {
		free(index->files[i].name);
		free(index->files[i].link);
	}
	free(index->files);
	free(index);
}

static const struct tar_file *find(const struct tar_index *index, const char *name)
{
	for (size_t i = index->count; i > 0; i--)
		if (strcmp(index->files[i - 1].name, name) == 0)
			return &index->files[i - 1];
	return NULL;
}

bool tar_index_find(const struct tar_index *index, const char *name, uint64_t *offset, uint64_t *size)
{
	cleanup_free char *tidy = tidy_name(name);
	const struct tar_file *file = find(index, tidy);

	for (int links = 0; file && file->link; links++)
		file = links < LINKS_MAX ? find(index, file->link) : NULL;
	if (!file)
		return false;
	*offset = file->offset;
	*size = file->size;
	return true;
}

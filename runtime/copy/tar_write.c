// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/tar_write.c: see tar.h. Source: POSIX pax, "ustar Interchange Format" and "pax Extended Header". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "copy/tar.h"

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, target[100], magic[6],
		version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a header is a block");

static const char zeros[TAR_BLOCK];

/* What does not fit is said in the extended header before. */
static void octal(char *field, size_t size, uint64_t value)
{
	char text[24];
	int need = snprintf(text, sizeof text, "%0*llo", (int)size - 1, (unsigned long long)value);

	if ((size_t)need < size)
		memcpy(field, text, size);
}

static void text(char *field, size_t size, const char *value)
{
	memcpy(field, value, strnlen(value, size));
}

static void checksum(struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	unsigned sum = 0;

	memset(header->checksum, ' ', sizeof header->checksum);
	for (size_t i = 0; i < sizeof *header; i++)
		sum += bytes[i];
	snprintf(header->checksum, sizeof header->checksum, "%06o", sum & 0777777);
	header->checksum[7] = ' ';
}

static int write_header(int fd, const struct tar_entry *entry, char type, uint64_t size)
{
	struct header header = { .magic = "ustar", .version = { '0', '0' }, .type = type };

	text(header.name, sizeof header.name, entry->path);
	text(header.target, sizeof header.target, entry->target);
	octal(header.mode, sizeof header.mode, entry->mode);
	octal(header.uid, sizeof header.uid, entry->uid);
	octal(header.gid, sizeof header.gid, entry->gid);
	octal(header.size, sizeof header.size, size);
	octal(header.mtime, sizeof header.mtime, entry->mtime > 0 ? (uint64_t)entry->mtime : 0);
	checksum(&header);
	return write_full(fd, &header, sizeof header);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static size_t record(char *at, size_t room, const char *key, const char *value)
{
	size_t length = strlen(key) + strlen(value) + 3, digits = 1, total;

	for (;;) {
		total = length + digits;
		size_t need = (size_t)snprintf(NULL, 0, "%zu", total);
		if (need == digits)
			break;
		digits = need;
	}
	return (size_t)snprintf(at, room, "%zu %s=%s\n", total, key, value);
}

static size_t number_record(char *at, size_t room, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	return record(at, room, key, digits);
}

int tar_header(int fd, const struct tar_entry *entry)
{
	char extra[2 * TAR_PATH_MOST + 256];
	size_t used = 0;
	uint64_t size = entry->type == TAR_FILE ? entry->size : 0;

	if (strlen(entry->path) > sizeof((struct header *)0)->name)
		used += record(extra + used, sizeof extra - used, "path", entry->path);
	if (strlen(entry->target) > sizeof((struct header *)0)->target)
		used += record(extra + used, sizeof extra - used, "linkpath", entry->target);
	if (size >= 1ull << 33)
		used += number_record(extra + used, sizeof extra - used, "size", size);
	if (entry->uid >= 1 << 21)
		used += number_record(extra + used, sizeof extra - used, "uid", entry->uid);
	if (entry->gid >= 1 << 21)
		used += number_record(extra + used, sizeof extra - used, "gid", entry->gid);
	if (used) {
		struct tar_entry about = { .path = "././@PaxHeader", .mode = 0644 };
		if (write_header(fd, &about, 'x', used) < 0 || write_full(fd, extra, used) < 0 || tar_pad(fd, used) < 0)
			return -1;
	}
	return write_header(fd, entry, (char)entry->type, size);
}

int tar_pad(int fd, uint64_t size)
{
	size_t over = size % TAR_BLOCK;

	return over ? write_full(fd, zeros, TAR_BLOCK - over) : 0;
}

int tar_end(int fd)
{
	return write_full(fd, zeros, sizeof zeros) < 0 ? -1 : write_full(fd, zeros, sizeof zeros);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/files.c: see files.h */
#include "server/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

char *file_path(const char *cwd, const char *path)
{
	size_t size = strlen(cwd);

	if (*path == '/')
		return xstrdup(path);
	return xasprintf("%s%s%s", cwd, size && cwd[size - 1] == '/' ? "" : "/", path);
}

/* O_NONBLOCK: a FIFO or a device at this path must not stop the server. */
static int open_file(const char *path, struct stat *info)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, info) < 0)
		return -1;
	if (!S_ISREG(info->st_mode)) {
		errno = S_ISDIR(info->st_mode) ? EISDIR : EINVAL;
		return -1;
	}
	return steal_fd(&fd);
}

char *file_read(const char *path, size_t *size, struct stat *info)
{
	cleanup_fd int fd = open_file(path, info);

	return fd < 0 ? NULL : read_file(fd, FILE_MAX, size);
}

bool file_is_text(const char *bytes, size_t size)
{
	return text_is_utf8(bytes, size) && !memchr(bytes, '\0', size);
}

/* Stands for upstream's guess of the encoding: UTF-8 with something in it (the last character may be cut off), or a
 * byte order mark of the wide encodings. */
static bool seems_encoded_text(const unsigned char *bytes, size_t size)
{
	size_t wide = 0;

	if (size >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff)))
		return true;
	for (size_t i = 0; i < size;) {
		size_t length = text_utf8_length((const char *)bytes + i, size - i);
		if (!length && size - i >= 4)
			return false;
		wide += length > 1;
		i += length ? length : size - i;
	}
	return wide > 0;
}

/* binaryornot 0.4.4; the shares are compared in whole numbers: a > 0.3 is 10 a > 3. */
static bool looks_binary(const unsigned char *bytes, size_t size)
{
	size_t odd = 0, not_high = 0;
	bool marker = false;

	for (size_t i = 0; i < size; i++) {
		bool printable =
			(bytes[i] >= 0x20 && bytes[i] < 0x7f) || strchr("\n\r\t\f\b", bytes[i] ? bytes[i] : 'x');
		odd += !printable;
		not_high += bytes[i] < 0x7f;
		marker |= bytes[i] == 0x00 || bytes[i] == 0xff;
	}
	bool likely =
		(10 * odd > 3 * size && 100 * not_high < 5 * size) || (10 * odd > 8 * size && 10 * not_high > 8 * size);
	if (seems_encoded_text(bytes, size))
		return false;
	return likely || marker;
}

bool file_looks_binary(const char *path)
{
	unsigned char bytes[1024];
	size_t length = strlen(path);
	struct stat info;
	cleanup_fd int fd = open_file(path, &info);

	if (length >= 4 && strcmp(path + length - 4, ".pyc") == 0)
		return true;
	if (fd < 0)
		return false;
	ssize_t size = read_full(fd, bytes, sizeof bytes);
	return size > 0 && looks_binary(bytes, (size_t)size);
}

static void unify_newlines(char *text)
{
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (*in == '\r' && in[1] == '\n')
			continue;
		*out++ = *in == '\r' ? '\n' : *in;
	}
	*out = '\0';
}

struct file_lines file_lines_of(char *text)
{
	struct file_lines lines = { 0 };
	size_t count = 0;

	unify_newlines(text);
	for (const char *at = text; *at; count++) {
		at = strchrnul(at, '\n');
		at += *at == '\n';
	}
	lines.start = xcalloc(count + 1, sizeof *lines.start);
	lines.count = (int64_t)count;
	const char *at = text;
	for (size_t i = 0; i < count; i++) {
		lines.start[i] = at;
		at = strchrnul(at, '\n');
		at += *at == '\n';
	}
	lines.start[count] = at;
	return lines;
}

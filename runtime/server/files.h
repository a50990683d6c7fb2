// SPDX-License-Identifier: GPL-2.0-or-later
/* server/files.h: what the file actions share (spec: openhands 4). */
#pragma once
#include <jansson.h>
#include <sys/stat.h>

#include "server/text.h"

enum { FILE_MAX = 64 << 20 }; /* larger files are refused: they would be held in memory several times */

/** file_path() - @path itself when absolute, else below @cwd (not normalised). Caller owns. */
char *file_path(const char *cwd, const char *path);

/** file_looks_binary() - upstream's heuristic on the name and the first 1024 bytes; false when it cannot be read. */
bool file_looks_binary(const char *path);

/** file_read() - a regular file. Return: text, owned by the caller; NULL with errno (EISDIR, EFBIG, ENOENT, ...) */
char *file_read(const char *path, size_t *size, struct stat *info);

/** file_is_text() - whether it is UTF-8 without NUL, which is what the protocol can carry. */
bool file_is_text(const char *bytes, size_t size);

/* Lines of a text, each with its newline (the last may lack it). */
struct file_lines {
	const char **start; /* count + 1 entries: a line ends where the next one starts */
	int64_t count;
};

/** file_lines_of() - find the lines; newlines of other systems (\r\n, \r) become \n in place, as Python reads them. */
struct file_lines file_lines_of(char *text);

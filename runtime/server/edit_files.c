// SPDX-License-Identifier: GPL-2.0-or-later
/* server/edit_files.c: the editor's files: validation, reading and writing with the encoding they have. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/editor.h"
#include "server/files.h"
#include "server/new_file.h"

enum { NEW_FILE_MODE = 0664 };

static bool fail_reading(struct edit_result *result, const char *path)
{
	return edit_fail(
		result, "Ran into [Errno %d] %s: '%s' while trying to read %s", errno, strerror(errno), path, path);
}

bool edit_load(const char *path, struct text *text, struct encoding *encoding, struct edit_result *result)
{
	struct stat info;
	size_t size;

	if (stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > EDITOR_FILE_MAX)
		return edit_fail(result,
			"File validation failed for %s: File is too large (%.1fMB). Maximum allowed size is %dMB.",
			path, (double)info.st_size / (1 << 20), EDITOR_FILE_MAX >> 20);
	if (file_looks_binary(path))
		return edit_fail(result,
			"File validation failed for %s: File appears to be binary and this file type cannot be read "
			"or edited by this tool.",
			path);
	cleanup_free char *bytes = file_read(path, &size, &info);
	if (!bytes)
		return fail_reading(result, path);
	*encoding = encoding_decode(bytes, size, text);
	return true;
}

bool edit_store(const char *path, const struct text *text, struct encoding encoding, struct edit_result *result)
{
	cleanup_text struct text bytes = { 0 };
	uint32_t lacking;

	if (encoding_encode(encoding, text->bytes, text->size, &bytes, &lacking) < 0)
		return edit_fail(result,
			"Ran into '%s' codec can't encode character '\\u%04x': it is not in the file's encoding while "
			"trying to write to %s",
			encoding_name(encoding), (unsigned)lacking, path);
	if (file_write(path, bytes.bytes, bytes.size, NEW_FILE_MODE) < 0)
		return edit_fail(result, "Ran into [Errno %d] %s: '%s' while trying to write to %s", errno,
			strerror(errno), path, path);
	return true;
}

int64_t edit_count_lines(const struct text *text)
{
	int64_t count = 0;
	size_t at = 0;

	while (at < text->size) {
		const char *newline = memchr(text->bytes + at, '\n', text->size - at);
		at = newline ? (size_t)(newline + 1 - text->bytes) : text->size;
		count++;
	}
	return count;
}

size_t edit_line(const struct text *text, int64_t line)
{
	size_t at = 0;

	while (line-- > 1 && at < text->size) {
		const char *newline = memchr(text->bytes + at, '\n', text->size - at);
		at = newline ? (size_t)(newline + 1 - text->bytes) : text->size;
	}
	return at;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_read.c: the `read` action (spec: openhands 4.1): a range of lines, or an image, PDF or video as a data
 * URL. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "server/files.h"
#include "server/observation.h"
#include "server/server.h"

static const struct media {
	const char *extension, *type;
} media_types[] = {
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".jpeg", "image/jpeg" },
	{ ".bmp", "image/bmp" },
	{ ".gif", "image/gif" },
	{ ".pdf", "application/pdf" },
	{ ".mp4", "video/mp4" },
	{ ".webm", "video/webm" },
	{ ".ogg", "audio/ogg" },
	{ 0 },
};

static const char *media_type(const char *path)
{
	const char *extension = strrchr(path, '.');

	for (const struct media *media = media_types; extension && media->extension; media++)
		if (strcasecmp(media->extension, extension) == 0)
			return media->type;
	return NULL;
}

static void add_base64(struct text *out, const unsigned char *bytes, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		size_t left = size - i;
		unsigned group = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
				 (left > 2 ? bytes[i + 2] : 0);
		const char four[4] = { digits[group >> 18], digits[group >> 12 & 63],
			left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '=' };
		text_add(out, four, sizeof four);
	}
}

static json_t *media_observation(const char *path, const char *type, const char *bytes, size_t size)
{
	cleanup_text struct text url = { 0 };

	text_addf(&url, "data:%s;base64,", type);
	add_base64(&url, (const unsigned char *)bytes, size);
	return observation_read(path, url.bytes, url.size, "default");
}

static json_t *failed(const char *path, const char *cwd)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return observation_error("File not found: %s. Your current working directory is %s.", path, cwd);
	case EISDIR:
		return observation_error("Path is a directory: %s. You can only read files", path);
	case EINVAL:
		return observation_error("Not a regular file: %s", path);
	case EFBIG:
		return observation_error("File is too large to be read in one piece: %s", path);
	default:
		return observation_error("File could not be read: %s: %s", path, strerror(errno));
	}
}

static json_t *read_range(const char *path, const char *cwd, int64_t start, int64_t end)
{
	size_t size;
	struct stat info;
	cleanup_free char *bytes = file_read(path, &size, &info);
	const char *type = media_type(path);

	if (!bytes)
		return failed(path, cwd);
	if (type)
		return media_observation(path, type, bytes, size);
	if (!text_is_utf8(bytes, size))
		return observation_error("File could not be decoded as utf-8: %s.", path);
	if (!file_is_text(bytes, size))
		return observation_error("ERROR_BINARY_FILE");
	struct file_lines lines = file_lines_of(bytes);
	text_slice(lines.count, &start, &end);
	*(char *)lines.start[end] = '\0';
	json_t *observation = observation_read(path, lines.start[start], strlen(lines.start[start]), "default");
	free(lines.start);
	return observation;
}

void action_read(struct job *job, json_t *args)
{
	const char *path = NULL, *how = "default";
	json_int_t start = 0, end = -1;
	const char *cwd = session_cwd(job->server->session);

	if (!job_string(job, args, "path", &path) || !job_string(job, args, "impl_source", &how) ||
		!job_int(job, args, "start", &start) || !job_int(job, args, "end", &end))
		return;
	cleanup_free char *resolved = file_path(cwd, path);
	json_t *observation;
	/* Upstream looks at the path as it was given, from the server's own directory: a relative one passes. */
	if (*path == '/' && file_looks_binary(path))
		observation = observation_error("ERROR_BINARY_FILE");
	else if (strcmp(how, "oh_aci") == 0)
		observation = read_through_editor(&job->server->editor, path, json_object_get(args, "view_range"));
	else
		observation = read_range(resolved, cwd, start, end);
	job_done(job, observation);
}

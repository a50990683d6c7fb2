// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_write.c: the `write` action (spec: openhands 4.3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "server/files.h"
#include "server/new_file.h"
#include "server/observation.h"
#include "server/server.h"

enum { NEW_FILE_MODE = 0664 };

/* python's lines[i:] and lines[:i]: a negative number counts from the end */
static int64_t python_index(int64_t index, int64_t count)
{
	if (index < 0)
		index += count;
	return index < 0 ? 0 : index > count ? count : index;
}

/* Every piece between newlines gets one: "x" becomes "x\n", "" becomes "\n". */
static void add_pieces(struct text *out, const char *content, size_t size)
{
	text_add(out, content, size);
	text_add(out, "\n", 1);
}

static json_t *failed(const char *path)
{
	if (errno == ENOENT)
		return observation_error("File not found: %s", path);
	if (errno == EISDIR)
		return observation_error("Path is a directory: %s. You can only write to files", path);
	return observation_error("File could not be written: %s: %s", path, strerror(errno));
}

static json_t *write_all(const char *path, const struct text *text)
{
	return file_write(path, text->bytes, text->size, NEW_FILE_MODE) < 0 ? failed(path) : observation_write(path);
}

static json_t *write_existing(const char *path, char *old, const char *content, size_t size, int64_t start, int64_t end)
{
	cleanup_text struct text text = { 0 };
	struct file_lines lines = file_lines_of(old);
	int64_t first = start ? python_index(start, lines.count) : 0;
	int64_t last = end == -1 ? lines.count : python_index(end, lines.count);

	text_add(&text, old, (size_t)(lines.start[first] - old));
	add_pieces(&text, content, size);
	text_add(&text, lines.start[last], strlen(lines.start[last]));
	free(lines.start);
	return write_all(path, &text);
}

void action_write(struct job *job, json_t *args)
{
	const char *path = NULL;
	json_int_t start = 0, end = -1;
	json_t *content = json_object_get(args, "content");

	if (!job_string(job, args, "path", &path) || !job_int(job, args, "start", &start) ||
		!job_int(job, args, "end", &end))
		return;
	if (!json_is_string(content)) {
		job_fail(job, "argument \"content\" of the action is not a string");
		return;
	}
	cleanup_free char *resolved = file_path(session_cwd(job->server->session), path);
	const char *text = json_string_value(content);
	size_t size, text_size = json_string_length(content);
	struct stat info;
	cleanup_free char *old = NULL;
	json_t *observation;
	if (file_make_parents(resolved) < 0) {
		observation = failed(resolved);
	} else if ((old = file_read(resolved, &size, &info))) {
		if (file_is_text(old, size))
			observation = write_existing(resolved, old, text, text_size, start, end);
		else
			observation = observation_error("File could not be decoded as utf-8: %s", resolved);
	} else if (errno == ENOENT) {
		cleanup_text struct text fresh = { 0 };
		add_pieces(&fresh, text, text_size);
		observation = write_all(resolved, &fresh);
	} else {
		observation = failed(resolved);
	}
	job_done(job, observation);
}

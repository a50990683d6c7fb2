// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_write.c: the `write` action (spec: openhands 4.3).
 *
 * A file is replaced as a whole where nobody could tell the difference from writing into it (a regular file of ours,
 * with one name), so that a full disk or a kill leaves the old text. Otherwise it is rewritten in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/files.h"
#include "server/observation.h"
#include "server/server.h"

enum { NEW_FILE_MODE = 0664 };

static int make_parents(const char *path)
{
	cleanup_free char *prefix = xstrdup(path);

	for (char *slash = strchr(prefix + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(prefix, 0777) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

static int write_in_place(const char *path, const struct text *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, NEW_FILE_MODE);

	if (fd < 0 || write_full(fd, text->bytes, text->size) < 0)
		return -1;
	return ftruncate(fd, (off_t)text->size);
}

/* Return: 0, -1 with errno; in the latter case nothing has changed */
static int replace(const char *path, const struct text *text, mode_t mode)
{
	char target[PATH_MAX], directory[PATH_MAX];

	/* The target of a symbolic link is replaced, not the link. */
	if (!realpath(path, target)) {
		struct stat link;
		if (errno != ENOENT || lstat(path, &link) == 0 || strlen(path) >= sizeof target)
			return -1;
		snprintf(target, sizeof target, "%s", path);
	}
	snprintf(directory, sizeof directory, "%s", target);
	cleanup_fd int dir = open(dirname(directory), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	return write_file_at(dir, basename(target), text->bytes, text->size, mode);
}

static bool replaceable(const struct stat *info)
{
	return info->st_nlink == 1 && info->st_uid == geteuid() && info->st_gid == getegid();
}

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

static json_t *write_new(const struct options *options, const char *path, const struct text *text)
{
	if (replace(path, text, NEW_FILE_MODE) < 0 && write_in_place(path, text) < 0)
		return failed(path);
	/* In a sandbox with a single id there is nobody to give the file to: it is the user's already. */
	if (geteuid() == 0)
		(void)!chown(path, options->user_id, options->user_id);
	return observation_write(path);
}

static json_t *write_existing(const char *path, const struct stat *info, char *old, const char *content, size_t size,
	int64_t start, int64_t end)
{
	cleanup_text struct text text = { 0 };
	struct file_lines lines = file_lines_of(old);
	int64_t first = start ? python_index(start, lines.count) : 0;
	int64_t last = end == -1 ? lines.count : python_index(end, lines.count);

	text_add(&text, old, (size_t)(lines.start[first] - old));
	add_pieces(&text, content, size);
	text_add(&text, lines.start[last], strlen(lines.start[last]));
	free(lines.start);
	if (!replaceable(info) || replace(path, &text, info->st_mode & 07777) < 0)
		if (write_in_place(path, &text) < 0)
			return failed(path);
	return observation_write(path);
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
	if (make_parents(resolved) < 0) {
		observation = failed(resolved);
	} else if ((old = file_read(resolved, &size, &info))) {
		if (file_is_text(old, size))
			observation = write_existing(resolved, &info, old, text, text_size, start, end);
		else
			observation = observation_error("File could not be decoded as utf-8: %s", resolved);
	} else if (errno == ENOENT) {
		cleanup_text struct text fresh = { 0 };
		add_pieces(&fresh, text, text_size);
		observation = write_new(&job->server->options, resolved, &fresh);
	} else {
		observation = failed(resolved);
	}
	job_done(job, observation);
}

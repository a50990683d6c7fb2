// SPDX-License-Identifier: GPL-2.0-or-later
/* server/edit_show.c: what the editor shows: numbered lines, and the names in a directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/editor.h"

enum { SHOWN_MAX = 16000 /* characters */, NAMES_MAX = 100000 };

static const char file_clipped[] =
	"<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you. You should "
	"retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of "
	"what you are looking for.</NOTE>";
static const char directory_clipped[] =
	"<response clipped><NOTE>Due to the max output limit, only part of this directory has been shown to you. You "
	"should use `ls -la` instead to view large directories incrementally.</NOTE>";

/* Bytes of at most @limit characters at the start. */
static size_t clip(const char *bytes, size_t size, size_t limit)
{
	size_t at = 0;

	for (; at < size; at++)
		if (((unsigned char)bytes[at] & 0xc0) != 0x80 && limit-- == 0)
			break;
	return at;
}

void edit_list(struct text *out, const char *what, const char *bytes, size_t size, int64_t first)
{
	cleanup_text struct text shown = { 0 };
	size_t kept = clip(bytes, size, SHOWN_MAX);

	text_add(&shown, bytes, kept);
	if (kept < size)
		text_add(&shown, file_clipped, strlen(file_clipped));
	text_addf(out, "Here's the result of running `cat -n` on %s:\n", what);
	for (size_t at = 0; at <= shown.size; first++) {
		const char *newline = memchr(shown.bytes + at, '\n', shown.size - at);
		size_t length = newline ? (size_t)(newline - shown.bytes) - at : shown.size - at;
		text_addf(out, "%6lld\t", (long long)first);
		text_add(out, shown.bytes + at, length);
		text_add(out, "\n", 1);
		at += length + 1;
	}
}

/* The names in a directory that are not hidden, as paths; links to directories count as such. Return: hidden ones */
static size_t add_names(const char *path, int levels, struct str_list *paths)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t hidden = 0;

	if (dir)
		steal_fd(&fd);
	while (dir && (entry = dir_next(dir)) && paths->count < NAMES_MAX) {
		const char *name = entry->d_name;
		if (*name == '.') {
			hidden++;
			continue;
		}
		str_list_addf(paths, "%s%s%s", path, strcmp(path, "/") == 0 ? "" : "/", name);
		if (levels > 1) {
			cleanup_free char *below = xstrdup(paths->items[paths->count - 1]);
			add_names(below, levels - 1, paths);
		}
	}
	return hidden;
}

static bool is_directory(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode) && strcmp(path, "/") != 0;
}

/* The list is cut where upstream cuts the output of `find | sort`: before it adds a slash to directories. */
static void add_paths(struct text *out, const struct str_list *paths)
{
	size_t left = SHOWN_MAX;

	for (size_t i = 0; i < paths->count; i++) {
		const char *path = paths->items[i];
		size_t size = strlen(path), kept = clip(path, size, left);
		text_add(out, path, kept);
		if (kept < size || left == 0) {
			text_add(out, directory_clipped, strlen(directory_clipped));
			return;
		}
		for (size_t k = 0; k < size; k++)
			left -= ((unsigned char)path[k] & 0xc0) != 0x80;
		text_addf(out, "%s%s", is_directory(path) ? "/" : "", i + 1 < paths->count ? "\n" : "");
		left -= left > 0;
	}
}

bool edit_view_directory(const char *path, struct edit_result *result)
{
	cleanup_str_list struct str_list paths = { 0 };
	cleanup_fd int readable = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (readable < 0)
		return edit_fail(result, "find: '%s': %s", path, strerror(errno));
	str_list_add(&paths, path);
	size_t hidden = add_names(path, 2, &paths);
	str_list_sort(&paths);
	text_addf(&result->output,
		"Here's the files and directories up to 2 levels deep in %s, excluding hidden items:\n", path);
	add_paths(&result->output, &paths);
	if (hidden)
		text_addf(&result->output,
			"\n\n%zu hidden files/directories in this directory are excluded. You can use 'ls -la %s' to "
			"see them.",
			hidden, path);
	return true;
}

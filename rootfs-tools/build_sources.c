// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_sources.c: see build_sources.h. Patterns are matched a component at a time, against the names of
 * directories that are opened inside the root. */
#include "rootfs-tools/build_sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/glob.h"
#include "rootfs-tools/layer_internal.h"

#define PIVOT "/./"

bool copy_sources_hide(const struct copy_sources *s, const char *path)
{
	return (s->ignore && dockerignore_matches(s->ignore, path)) || dockerignore_matches(&s->exclude, path);
}

bool copy_sources_have_exceptions(const struct copy_sources *s)
{
	return (s->ignore && s->ignore->has_exceptions) || s->exclude.has_exceptions;
}

/* Whether nothing of a source is seen: of an ignored directory some files may be. */
static bool is_hidden(const struct copy_sources *s, const char *path)
{
	struct stat st;

	if (!copy_sources_hide(s, path))
		return false;
	cleanup_fd int fd = resolve_in_root(s->root, path, O_PATH | O_NOFOLLOW);
	return !copy_sources_have_exceptions(s) || fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode);
}

static int add_source(struct copy_sources *s, const char *path, struct azm_err *err)
{
	if (s->count >= SOURCES_MAX)
		return err_msg(err, E2BIG, "copy", path, "more than %d files match", SOURCES_MAX);
	const size_t length = strlen(path);
	char *copy = xstrdup(path);
	const char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	if (s->parents)
		name = copy + (s->kept < length ? s->kept : length);
	s->items = xrealloc(s->items, s->count + 1, sizeof *s->items);
	s->items[s->count++] = (struct copy_source){ copy, name };
	return 0;
}

/* ---- patterns --------------------------------------------------------------------------------------------------- */

static int match_below(struct copy_sources *s, const char *path, const char *pattern, struct azm_err *err);

/* The names in a directory that a component matches (NULL: all), sorted. What is no directory has none. */
static int list_names(
	struct copy_sources *s, const char *path, const char *component, struct str_list *names, struct azm_err *err)
{
	cleanup_str_list struct str_list all = { 0 };

	if (job_interrupted(s->job, err) < 0)
		return -1;
	cleanup_fd int dir = resolve_in_root(s->root, *path ? path : ".", O_RDONLY | O_DIRECTORY);
	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (dir < 0 || dir_names(dir, &all) < 0)
		return err_sys(err, "read the directory", path);
	for (size_t i = 0; i < all.count; i++)
		if (!component || glob_match(component, all.items[i], GLOB_PATHS))
			str_list_add(names, all.items[i]);
	str_list_sort(names);
	return 0;
}

static char *join(const char *path, const char *name)
{
	return xasprintf("%s%s%s", path, *path ? "/" : "", name);
}

/* One component of a pattern against the names in a directory. */
static int match_names(
	struct copy_sources *s, const char *path, const char *component, const char *rest, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (list_names(s, path, component, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *inner = join(path, names.items[i]);
		if (match_below(s, inner, rest, err) < 0)
			return -1;
	}
	return 0;
}

static bool is_directory(const struct copy_sources *s, const char *path)
{
	struct stat st;
	cleanup_fd int fd = resolve_in_root(s->root, path, O_PATH | O_NOFOLLOW);

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* "**": what follows it against a directory, and against all below it; links are not followed. */
static int match_everywhere(struct copy_sources *s, const char *path, const char *rest, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (match_below(s, path, rest, err) < 0)
		return -1;
	if (!*rest) /* all of it, then */
		return 0;
	if (list_names(s, path, NULL, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *inner = join(path, names.items[i]);
		if (is_directory(s, inner) && !is_hidden(s, inner) && match_everywhere(s, inner, rest, err) < 0)
			return -1;
	}
	return 0;
}

/* What the rest of a pattern matches below a path that is there. */
static int match_below(struct copy_sources *s, const char *path, const char *pattern, struct azm_err *err)
{
	if (pattern == s->pivot)
		s->kept = *path ? strlen(path) + 1 : 0;
	if (!*pattern)
		return is_hidden(s, path) ? 0 : add_source(s, path, err);
	const size_t length = strcspn(pattern, "/");
	const char *rest = pattern + length + (pattern[length] == '/');
	cleanup_free char *component = xasprintf("%.*s", (int)length, pattern);

	if (s->parents && strcmp(component, "**") == 0)
		return match_everywhere(s, path, rest, err);
	return match_names(s, path, component, rest, err);
}

/* ---- one source ------------------------------------------------------------------------------------------------- */

/* A source that is no pattern has to be there. */
static int add_plain(struct copy_sources *s, const char *path, struct azm_err *err)
{
	cleanup_fd int fd = *path ? resolve_in_root(s->root, path, O_PATH | O_NOFOLLOW) : s->root;

	if (!*path)
		steal_fd(&fd);
	else if (fd < 0 || is_hidden(s, path)) {
		err_msg(err, ENOENT, "copy", path, fd < 0 ? "there is no such file%s" : ".dockerignore leaves it out%s",
			s->ignore ? " in the context" : "");
		return -1;
	}
	return add_source(s, path, err);
}

/* In front of "/./" and behind it, each clean. Caller owns. */
static char *clean_pattern(const struct copy_sources *s, const char *text, size_t *kept)
{
	const char *pivot = s->parents ? strstr(text, PIVOT) : NULL;
	cleanup_free char *before = pivot ? xasprintf("%.*s", (int)(pivot - text), text) : xstrdup("");
	cleanup_free char *behind = xstrdup(pivot ? pivot + strlen(PIVOT) : text);

	layer_clean_path(before);
	layer_clean_path(behind);
	*kept = *before && *behind ? strlen(before) + 1 : strlen(before);
	return *before && *behind ? join(before, behind) : xstrdup(*before ? before : behind);
}

int copy_sources_add(struct copy_sources *s, const char *text, struct azm_err *err)
{
	cleanup_free char *path = clean_pattern(s, text, &s->kept);

	if (!glob_is_pattern(path))
		return add_plain(s, path, err);
	s->pivot = path + s->kept;
	int result = glob_check(path, err) < 0 ? -1 : match_below(s, "", path, err);
	s->pivot = NULL;
	return result;
}

void copy_sources_free(struct copy_sources *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].path);
	free(s->items);
	dockerignore_free(&s->exclude);
	*s = (struct copy_sources){ .root = -1 };
}

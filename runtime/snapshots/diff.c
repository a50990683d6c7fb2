// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/diff.c: see diff.h.
 *
 * Both sides are walked as merged directories (merged.h). Directories that are made of the same directories of the same
 * layers are the same, so only what the layers on top touched is looked at, however large the image.
 */
#include "snapshots/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "snapshots/join.h"
#include "snapshots/merged.h"

enum { BLOCK = 1 << 16 };

struct comparison {
	struct str_list *lines;
	char *path; /* of the directory at hand, with a '/' behind it */
	unsigned depth;
};

static bool is_there(const struct merged_entry *entry)
{
	return entry->kind == MERGED_OBJECT || entry->kind == MERGED_DIRECTORY;
}

static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool same_owner_and_mode(const struct stat *a, const struct stat *b)
{
	return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

static bool same_directories(const struct merged *a, const struct merged *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		struct stat left, right;
		if (fstat(a->fds[i], &left) < 0 || fstat(b->fds[i], &right) < 0 || !same_inode(&left, &right))
			return false;
	}
	return true;
}

static bool same_target(int left, int right, const char *name)
{
	char a[4096], b[4096];
	ssize_t length = readlinkat(left, name, a, sizeof a);

	return length >= 0 && readlinkat(right, name, b, sizeof b) == length && memcmp(a, b, (size_t)length) == 0;
}

/* Size and time are whoever wrote the file's to choose, so they prove nothing. What cannot be read has changed. */
static bool same_content(int left, int right, const char *name)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	cleanup_fd int a = openat(left, name, flags);
	cleanup_fd int b = openat(right, name, flags);
	cleanup_free char *bytes = xcalloc(2, BLOCK);

	while (a >= 0 && b >= 0) {
		ssize_t size = read_full(a, bytes, BLOCK);
		if (size < 0 || read_full(b, bytes + BLOCK, BLOCK) != size ||
			memcmp(bytes, bytes + BLOCK, (size_t)size) != 0)
			return false;
		if (size == 0)
			return true;
	}
	return false;
}

static bool same_object(const struct merged_entry *a, const struct merged_entry *b, const char *name)
{
	if (same_inode(&a->st, &b->st))
		return true;
	if (!same_owner_and_mode(&a->st, &b->st) || a->st.st_rdev != b->st.st_rdev)
		return false;
	if (S_ISLNK(a->st.st_mode))
		return same_target(a->in, b->in, name);
	if (a->st.st_size != b->st.st_size || a->st.st_mtim.tv_sec != b->st.st_mtim.tv_sec ||
		a->st.st_mtim.tv_nsec != b->st.st_mtim.tv_nsec)
		return false;
	return !S_ISREG(a->st.st_mode) || same_content(a->in, b->in, name);
}

static void say(const struct comparison *c, char kind, const char *name)
{
	str_list_addf(c->lines, "%c %s%s", kind, c->path, name);
}

static void unsay(const struct comparison *c)
{
	free(c->lines->items[--c->lines->count]);
	c->lines->items[c->lines->count] = NULL;
}

static int compare(struct comparison *c, const struct merged *before, const struct merged *after, struct azm_err *err);

static int compare_below(struct comparison *c, const char *name, const struct merged *before,
	const struct merged *after, struct azm_err *err)
{
	char *outer = c->path;

	if (c->depth >= JOIN_DEPTH)
		return err_code(err, ELOOP, "compare directories deeper than 1000", NULL);
	c->path = xasprintf("%s%s/", outer, name);
	c->depth++;
	int result = compare(c, before, after, err);
	c->depth--;
	free(c->path);
	c->path = outer;
	return result;
}

static int compare_names(struct comparison *c, const char *name, const struct merged_entry *before,
	const struct merged_entry *after, struct azm_err *err)
{
	static const struct merged nothing = { 0 };
	bool was_directory = before->kind == MERGED_DIRECTORY, is_directory = after->kind == MERGED_DIRECTORY;

	if (!is_there(after)) {
		if (is_there(before))
			say(c, 'D', name);
		return 0;
	}
	if (was_directory && is_directory) {
		if (same_directories(&before->merged, &after->merged))
			return 0;
		say(c, 'C', name);
		size_t said = c->lines->count;
		if (compare_below(c, name, &before->merged, &after->merged, err) < 0)
			return -1;
		if (c->lines->count == said && same_owner_and_mode(&before->st, &after->st))
			unsay(c);
		return 0;
	}
	if (!is_there(before) || was_directory || is_directory || !same_object(before, after, name))
		say(c, is_there(before) ? 'C' : 'A', name);
	return is_directory ? compare_below(c, name, &nothing, &after->merged, err) : 0;
}

static int compare(struct comparison *c, const struct merged *before, const struct merged *after, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (merged_names(before, &names, err) < 0 || merged_names(after, &names, err) < 0)
		return -1;
	str_list_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		struct merged_entry left, right = { 0 };
		int result = merged_look(before, names.items[i], &left, err);
		if (result == 0)
			result = merged_look(after, names.items[i], &right, err);
		if (result == 0)
			result = compare_names(c, names.items[i], &left, &right, err);
		merged_close(&left.merged);
		merged_close(&right.merged);
		if (result < 0)
			return -1;
	}
	return 0;
}

int layers_diff(const struct stack *before, const struct stack *after, struct str_list *lines, struct azm_err *err)
{
	cleanup_merged struct merged left = { 0 };
	cleanup_merged struct merged right = { 0 };
	char root[] = "/";
	struct comparison c = { .lines = lines, .path = root };

	raise_open_files();
	if (merged_root(before->fds, before->count, &left, err) < 0 ||
		merged_root(after->fds, after->count, &right, err) < 0)
		return -1;
	return compare(&c, &left, &right, err);
}

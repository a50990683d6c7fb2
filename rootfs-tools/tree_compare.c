// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tree_compare.c: see tree_compare.h.
 *
 * Both trees are written as layers, each by a thread into a pipe, and read entry by entry. Entries come in one order,
 * sorted within each directory, so two readers side by side see what only one of them has. Nothing is kept of what was
 * compared. The files that are wanted are empty, as large as they should be; what should be in them is known by digest.
 */
#include "rootfs-tools/tree_compare.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "mount/mount.h"

enum { BUFFER = 64 * 1024, WHAT_MAX = 128 };

struct side {
	struct layer_write_source source;
	int writer;
	pthread_t thread;
	bool runs;
	int reader;
	struct azm_err err;
	int result;
	struct archive *archive;
	struct archive_entry *entry; /* NULL: at the end */
};

static void *write_thread(void *argument)
{
	struct side *s = argument;
	const struct layer_write_options options = { .codec = CODEC_NONE };
	struct layer_written written;

	s->result = layer_write(&s->source, &options, s->writer, &written, &s->err);
	close(s->writer);
	return NULL;
}

static int start(struct side *s, const struct recorded_tree *tree, struct azm_err *err)
{
	int ends[2];

	s->source = (struct layer_write_source){ .tree = *tree };
	if (pipe_pair(ends, err) < 0)
		return -1;
	s->reader = ends[0];
	s->writer = ends[1];
	int code = pthread_create(&s->thread, NULL, write_thread, s);
	s->runs = code == 0;
	if (code) {
		close(s->writer);
		return err_code(err, code, "start a thread", NULL);
	}
	s->archive = archive_read_new();
	if (!s->archive || archive_read_support_format_tar(s->archive) != ARCHIVE_OK ||
		archive_read_open_fd(s->archive, s->reader, BUFFER) != ARCHIVE_OK)
		return err_code(err, ENOMEM, "read", "the tree");
	return 0;
}

/* Return: the writer's error in @err, where it has one. */
static int stop(struct side *s, int result, struct azm_err *err)
{
	archive_read_free(s->archive);
	cleanup_close_fd(&s->reader);
	if (s->runs)
		pthread_join(s->thread, NULL);
	if (s->runs && s->result < 0 && !err_is(&s->err, EPIPE)) {
		*err = s->err;
		return -1;
	}
	return result;
}

/* Warnings are about names that are not ASCII: see layer.c. */
static int next(struct side *s, struct azm_err *err)
{
	int result = archive_read_next_header(s->archive, &s->entry);

	if (result == ARCHIVE_EOF)
		s->entry = NULL;
	else if (result < ARCHIVE_WARN)
		return err_msg(err, EINVAL, "read", "the tree", "%s", archive_error_string(s->archive));
	return 0;
}

/* ---- two entries of one path ----------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool has_xattr(struct archive_entry *entry, const char *wanted, const void *data, size_t length)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		if (same_text(name, wanted))
			return size == length && memcmp(value, data, size) == 0;
	return false;
}

static bool same_xattrs(struct archive_entry *a, struct archive_entry *b)
{
	const char *name;
	const void *value;
	size_t size;
	bool same = archive_entry_xattr_reset(a) == archive_entry_xattr_reset(b);

	while (same && archive_entry_xattr_next(a, &name, &value, &size) == ARCHIVE_OK)
		same = has_xattr(b, name, value, size);
	return same;
}

static int tick(void *context, struct azm_err *err)
{
	return context ? job_tick(context, 0, err) : 0;
}

/* Return: 1 they are the same, 0, -1. */
static int same_content(struct side *a, const struct side *b, const struct tree_comparison *c, struct azm_err *err)
{
	const char *path = archive_entry_pathname(b->entry);
	struct digest digest;
	struct stat st;

	if (archive_entry_size(a->entry) != archive_entry_size(b->entry))
		return 0;
	cleanup_fd int fd = resolve_in_root(c->wanted.root, path, O_PATH | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "look at", path);
	int result = content_digest(a->archive, a->entry, &digest, tick, c->job, err);
	if (result > 0)
		return err_msg(err, EINVAL, "read", path, "it cannot be read");
	return result < 0 ? -1 : content_book_is(c->contents, st.st_ino, &digest);
}

static void add(char what[static WHAT_MAX], bool same, const char *name)
{
	size_t length = strlen(what);

	if (!same)
		snprintf(what + length, WHAT_MAX - length, "%s%s", length ? ", " : "", name);
}

static bool same_device(struct archive_entry *a, struct archive_entry *b)
{
	return archive_entry_rdevmajor(a) == archive_entry_rdevmajor(b) &&
	       archive_entry_rdevminor(a) == archive_entry_rdevminor(b);
}

/* All but the type; of a file with several names at the first of them. */
static int compare_files(
	struct side *f, struct side *w, struct tree_comparison *c, char what[static WHAT_MAX], struct azm_err *err)
{
	struct archive_entry *a = f->entry, *b = w->entry;
	int same = archive_entry_filetype(a) == AE_IFREG ? same_content(f, w, c, err) : 1;

	add(what, same_text(archive_entry_symlink(a), archive_entry_symlink(b)), "link");
	add(what, archive_entry_perm(a) == archive_entry_perm(b), "mode");
	add(what, archive_entry_uid(a) == archive_entry_uid(b) && archive_entry_gid(a) == archive_entry_gid(b),
		"owner");
	add(what, same_device(a, b), "device");
	add(what, same_xattrs(a, b), "attributes");
	add(what, archive_entry_filetype(a) == AE_IFDIR || archive_entry_mtime(a) == archive_entry_mtime(b), "time");
	add(what, same != 0, "content");
	return same < 0 ? -1 : 0;
}

static int compare_entries(struct side *f, struct side *w, struct tree_comparison *c, struct azm_err *err)
{
	struct archive_entry *a = f->entry, *b = w->entry;
	char what[WHAT_MAX] = "";

	if (archive_entry_filetype(a) != archive_entry_filetype(b)) {
		add(what, false, "type");
	} else {
		const char *first = archive_entry_hardlink(a);
		add(what, same_text(first, archive_entry_hardlink(b)), "hard link");
		if (!first && compare_files(f, w, c, what, err) < 0)
			return -1;
	}
	if (*what) {
		c->differences++;
		c->report(c->context, archive_entry_pathname(a), what);
	}
	return 0;
}

/* ---- side by side ---------------------------------------------------------------------------------------------- */

/* The order in which layers are written: names by their bytes, a directory in front of what is in it. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	/* The end of a name is before every other byte. */
	int left = *a == '/' ? 1 : *a ? (unsigned char)*a + 1 : 0;
	int right = *b == '/' ? 1 : *b ? (unsigned char)*b + 1 : 0;
	if (left <= 1 && right <= 1) /* "x" and "x/", a file and a directory of one name; "x/" and "x/y" */
		return *a && a[1] ? 1 : *b && b[1] ? -1 : 0;
	return left - right;
}

static int order(const struct side *f, const struct side *w)
{
	const char *root = "./";

	if (!f->entry || !w->entry)
		return f->entry ? -1 : 1;
	const char *a = archive_entry_pathname(f->entry), *b = archive_entry_pathname(w->entry);
	return compare_paths(strcmp(a, root) == 0 ? "" : a, strcmp(b, root) == 0 ? "" : b);
}

static int report_one(struct side *s, struct tree_comparison *c, const char *what, struct azm_err *err)
{
	c->differences++;
	c->report(c->context, archive_entry_pathname(s->entry), what);
	return next(s, err);
}

static int step(struct side *f, struct side *w, struct tree_comparison *c, struct azm_err *err)
{
	int which = order(f, w);

	c->files++;
	if (c->job && job_tick(c->job, 0, err) < 0)
		return -1;
	if (which < 0)
		return report_one(f, c, "added", err);
	if (which > 0)
		return report_one(w, c, "missing", err);
	return compare_entries(f, w, c, err) < 0 || next(f, err) < 0 || next(w, err) < 0 ? -1 : 0;
}

int tree_compare(struct tree_comparison *c, struct azm_err *err)
{
	struct side found = { .reader = -1 }, wanted = { .reader = -1 };

	c->files = c->differences = 0;
	int result = start(&found, &c->found, err) < 0 || start(&wanted, &c->wanted, err) < 0 ||
				     next(&found, err) < 0 || next(&wanted, err) < 0
			     ? -1
			     : 0;
	while (result == 0 && (found.entry || wanted.entry))
		result = step(&found, &wanted, c, err);
	result = stop(&found, result, err);
	return stop(&wanted, result, err);
}

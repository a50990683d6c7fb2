// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_layer.c: what the entries of a layer do to a tree, and what is remembered beside it
 * (rootfs-tools/layer.h, owners.h). What whole archives do, hostile ones too, is in tests/images/unpack.bats.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "rootfs-tools/content_book.h"
#include "rootfs-tools/layer.h"

struct world {
	char *path;
	int dir, root;
	struct layer_target target;
};

struct item {
	const char *path;
	mode_t mode; /* with the type; 0: a hard link */
	const char *text, *link;
	unsigned uid;
};

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct azm_err err = { 0 };

	*state = w;
	w->path = strdup("/tmp/azm-layer-XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(w->dir, "root", 0755);
	w->root = openat(w->dir, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->target = (struct layer_target){ .root = w->root,
		.scratch = w->dir,
		.whiteouts = true,
		.size_left = 1 << 30,
		.owners = owner_log_new(w->dir, &err) };
	return w->target.owners ? 0 : -1;
}

static int end_world(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };

	owner_log_free(w->target.owners);
	close(w->root);
	close(w->dir);
	int result = tree_remove_at(AT_FDCWD, w->path, &err);
	free(w->path);
	free(w);
	return result;
}

static void put_item(struct archive *a, const struct item *item)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, item->path);
	archive_entry_set_uid(entry, item->uid);
	archive_entry_set_mtime(entry, 1000000000, 0);
	if (item->mode)
		archive_entry_set_mode(entry, item->mode);
	if (item->link && S_ISLNK(item->mode))
		archive_entry_set_symlink(entry, item->link);
	else if (item->link)
		archive_entry_set_hardlink(entry, item->link);
	archive_entry_set_size(entry, item->text ? (la_int64_t)strlen(item->text) : 0);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	if (item->text)
		assert_int_equal(archive_write_data(a, item->text, strlen(item->text)), strlen(item->text));
	archive_entry_free(entry);
}

/* Apply a layer of these entries; the last one has no path. Return: of layer_apply(). */
static int apply(struct world *w, const struct item *items, struct azm_err *err)
{
	cleanup_fd int fd = openat(w->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct archive *a = archive_write_new();

	archive_write_set_format_pax_restricted(a);
	archive_write_set_bytes_in_last_block(a, 1);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (; items->path; items++)
		put_item(a, items);
	archive_write_free(a);
	struct stream_source source = { .fd = fd, .size = (uint64_t)lseek(fd, 0, SEEK_END) };
	struct stream *stream = stream_new(&source, err);
	assert_non_null(stream);
	int result = layer_apply(&w->target, stream, err);
	stream_close(stream);
	return result;
}

static void assert_applies(struct world *w, const struct item *items)
{
	struct azm_err err = { 0 };

	if (apply(w, items, &err) < 0) {
		err_print(&err, "test");
		fail();
	}
}

static bool there(const struct world *w, const char *path)
{
	struct stat st;

	return fstatat(w->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(const struct world *w, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(w->root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode;
}

static char *sidecar(const struct world *w)
{
	struct azm_err err = { 0 };

	assert_int_equal(owner_log_save(w->target.owners, w->root, w->dir, &err), 0);
	cleanup_fd int fd = openat(w->dir, "owners.mtree", O_RDONLY | O_CLOEXEC);
	char *text = read_file(fd, 1 << 20, NULL);
	assert_non_null(text);
	return text;
}

static void files_links_and_directories_are_made(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_applies(w,
		(const struct item[]){ { "./", S_IFDIR | 0755, NULL, NULL, 0 },
			{ "a/b/file", S_IFREG | 0640, "text", NULL, 0 }, { "a/other", 0, NULL, "a/b/file", 0 },
			{ "a/link", S_IFLNK | 0777, NULL, "b", 0 }, { "a/link/two", S_IFREG | 0600, "2", NULL, 0 },
			{ "/../../up", S_IFREG | 0644, "", NULL, 0 }, { "gone/../here", S_IFREG | 0644, "", NULL, 0 },
			{ "pipe", S_IFIFO | 0600, NULL, NULL, 0 }, { 0 } });
	assert_int_equal(mode_of(w, "a/b/file"), S_IFREG | 0640);
	assert_int_equal(mode_of(w, "pipe"), S_IFIFO | 0600);
	assert_true(there(w, "a/b/two") && there(w, "up") && there(w, "here") && !there(w, "gone"));
	assert_int_equal(fstatat(w->root, "a/other", &st, 0), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtime, 1000000000);
	assert_int_equal(fstatat(w->root, ".", &st, 0), 0);
	assert_int_equal(st.st_mtime, 1000000000);
}

static void what_was_there_is_replaced_but_not_followed(void **state)
{
	struct world *w = *state;

	assert_applies(
		w, (const struct item[]){ { "target", S_IFREG | 0600, "old", NULL, 0 },
			   { "name", S_IFLNK | 0777, NULL, "target", 0 }, { "name", S_IFREG | 0644, "newer", NULL, 0 },
			   { "dir/x", S_IFREG | 0644, "", NULL, 0 }, { "dir", S_IFLNK | 0777, NULL, "target", 0 },
			   { "dir", S_IFDIR | 0700, NULL, NULL, 0 }, { 0 } });
	assert_int_equal(mode_of(w, "name"), S_IFREG | 0644);
	assert_int_equal(mode_of(w, "target"), S_IFREG | 0600);
	assert_int_equal(mode_of(w, "dir"), S_IFDIR | 0700);
	assert_false(there(w, "dir/x"));
}

static void directories_are_found_again_whatever_came_in_their_way(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };
	char deep[400] = "";

	for (size_t i = 0; i + 3 < sizeof deep; i += 2)
		memcpy(deep + i, "d/f", sizeof "d/f");
	const struct item up_and_down[] = { { "a/b/c/one", S_IFREG | 0644, "", NULL, 0 },
		{ "a/b/two", S_IFREG | 0644, "", NULL, 0 }, { "a/bc/three", S_IFREG | 0644, "", NULL, 0 },
		{ "a/b/c/d/e/four", S_IFREG | 0644, "", NULL, 0 }, { "five", S_IFREG | 0644, "", NULL, 0 },
		{ deep, S_IFREG | 0644, "", NULL, 0 }, { "d/six", S_IFREG | 0644, "", NULL, 0 }, { 0 } };
	assert_applies(w, up_and_down);
	for (const struct item *item = up_and_down; item->path; item++)
		assert_int_equal(mode_of(w, item->path), S_IFREG | 0644);

	assert_applies(
		w, (const struct item[]){ { "a/b/c/first", S_IFREG | 0644, "", NULL, 0 },
			   { "x/y", S_IFDIR | 0755, NULL, NULL, 0 }, { "a/b/c/second", S_IFREG | 0644, "", NULL, 0 },
			   { "a/b", S_IFLNK | 0777, NULL, "../x", 0 }, { "a/b/c/third", S_IFREG | 0644, "", NULL, 0 },
			   { "a/b/y/fourth", S_IFREG | 0644, "", NULL, 0 },
			   { "a/out", S_IFLNK | 0777, NULL, "../../../..", 0 },
			   { "a/out/new/fifth", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	assert_true(there(w, "x/c/third") && there(w, "x/y/fourth") && there(w, "new/fifth"));
	assert_true(!there(w, "x/c/first") && !there(w, "x/c/second"));
	assert_int_equal(faccessat(w->dir, "new", F_OK, 0), -1);

	assert_int_equal(
		apply(w, (const struct item[]){ { "five/no", S_IFREG | 0644, "", NULL, 0 }, { 0 } }, &err), -1);
	assert_true(err_is(&err, ENOTDIR));
}

static void whiteouts_hide_what_is_below_and_only_that(void **state)
{
	struct world *w = *state;

	assert_applies(
		w, (const struct item[]){ { "d/one", S_IFREG | 0644, "", NULL, 0 },
			   { "d/two/old", S_IFREG | 0644, "", NULL, 0 }, { "e/old", S_IFREG | 0644, "", NULL, 0 },
			   { "f", S_IFREG | 0644, "", NULL, 0 }, { "g/old", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	/* d/two has no entry of its own in the layer that brings d/two/new; marks come after what they must not hide.
	 */
	assert_applies(
		w, (const struct item[]){ { "d/two/new", S_IFREG | 0644, "", NULL, 0 },
			   { "d/.wh..wh..opq", S_IFREG | 0644, "", NULL, 0 }, { "e/new", S_IFREG | 0644, "", NULL, 0 },
			   { ".wh.e", S_IFREG | 0644, "", NULL, 0 }, { ".wh.f", S_IFREG | 0644, "", NULL, 0 },
			   { "g", S_IFREG | 0644, "", NULL, 0 }, { ".wh.g", S_IFREG | 0644, "", NULL, 0 },
			   { ".wh.nothing", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	assert_true(there(w, "d/two/new") && !there(w, "d/two/old") && !there(w, "d/one"));
	assert_true(there(w, "e/new") && !there(w, "e/old") && !there(w, "f"));
	assert_int_equal(mode_of(w, "g") & S_IFMT, S_IFREG);
	assert_false(there(w, ".wh.f"));
}

static void a_whiteout_of_nothing_is_an_error(void **state)
{
	struct azm_err err = { 0 };

	assert_int_equal(apply(*state, (const struct item[]){ { "d/.wh.", S_IFREG, "", NULL, 0 }, { 0 } }, &err), 0);
	assert_int_equal(apply(*state, (const struct item[]){ { ".wh...", S_IFREG, "", NULL, 0 }, { 0 } }, &err), -1);
	assert_int_equal(apply(*state, (const struct item[]){ { ".wh.", S_IFREG, "", NULL, 0 }, { 0 } }, &err), -1);
}

static void owners_and_modes_are_remembered(void **state)
{
	struct world *w = *state;

	assert_applies(
		w, (const struct item[]){ { "su", S_IFREG | 04755, "x", NULL, 0 }, { "su2", 0, NULL, "su", 0 },
			   { "null", S_IFCHR | 0666, NULL, NULL, 0 }, { "d", S_IFDIR | 02000, NULL, NULL, 7 },
			   { "d/plain", S_IFREG | 0644, "", NULL, 0 }, { "l", S_IFLNK | 0777, NULL, "d", 0 },
			   { "l/a b", S_IFREG | 0644, "", NULL, 8 }, { "gone", S_IFREG | 0644, "", NULL, 9 }, { 0 } });
	assert_int_equal(mode_of(w, "su"), S_IFREG | 0755);
	assert_int_equal(mode_of(w, "null"), S_IFREG | 0666);
	assert_int_equal(mode_of(w, "d"), S_IFDIR | 0700);
	assert_applies(w, (const struct item[]){
				  { ".wh.su", S_IFREG, "", NULL, 0 }, { ".wh.gone", S_IFREG, "", NULL, 0 }, { 0 } });
	cleanup_free char *text = sidecar(w);
	assert_string_equal(text, "#mtree\n"
				  "./su2 type=file uid=0 gid=0 mode=4755\n"
				  "./null type=char uid=0 gid=0 mode=0666 device=0,0\n"
				  "./d type=dir uid=7 gid=0 mode=2000\n"
				  "./d/a\\040b type=file uid=8 gid=0 mode=0644\n");
}

static void a_directory_given_back_to_root_is_roots(void **state)
{
	struct world *w = *state;

	assert_applies(w, (const struct item[]){ { "d", S_IFDIR | 0755, NULL, NULL, 7 }, { 0 } });
	assert_applies(w, (const struct item[]){ { "d", S_IFDIR | 0755, NULL, NULL, 0 }, { 0 } });
	cleanup_free char *text = sidecar(w);
	assert_string_equal(text, "#mtree\n./d type=dir uid=7 gid=0 mode=0755\n./d type=dir uid=0 gid=0 mode=0755\n");
}

static void a_number_in_use_again_has_no_old_owner(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 50; i++) {
		assert_applies(w, (const struct item[]){ { "f", S_IFREG | 0644, "", NULL, 7 }, { 0 } });
		assert_applies(w, (const struct item[]){ { ".wh.f", S_IFREG, "", NULL, 0 }, { 0 } });
	}
	assert_applies(w, (const struct item[]){ { "f", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	cleanup_free char *text = sidecar(w);
	const char *last = strstr(text, "uid=7");
	for (const char *next = last; next; next = strstr(next + 1, "uid=7"))
		last = next;
	assert_true(!last || strstr(last, "uid=0"));
}

static void files_too_large_are_refused(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };

	w->target.size_left = 3;
	assert_int_equal(apply(w, (const struct item[]){ { "a", S_IFREG | 0644, "12", NULL, 0 }, { 0 } }, &err), 0);
	assert_int_equal(apply(w, (const struct item[]){ { "b", S_IFREG | 0644, "12", NULL, 0 }, { 0 } }, &err), -1);
	assert_true(err_is(&err, EFBIG));
}

static void content_is_known_by_its_digest_alone(void **state)
{
	struct world *w = *state;
	struct content_book book = { 0 };
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest, empty;
	struct stat st;

	hasher_add(hasher, "newer", 5);
	hasher_end(hasher, &digest);
	hasher_end(hasher_new(DIGEST_SHA256), &empty);
	w->target.contents = &book;
	assert_applies(
		w, (const struct item[]){ { "x", S_IFREG | 0644, "old", NULL, 0 },
			   { "x", S_IFREG | 0444, "newer", NULL, 0 }, { "y", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	assert_int_equal(fstatat(w->root, "x", &st, 0), 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_blocks, 0);
	assert_true(content_book_is(&book, st.st_ino, &digest) && !content_book_is(&book, st.st_ino, &empty));
	assert_int_equal(fstatat(w->root, "y", &st, 0), 0);
	assert_true(content_book_is(&book, st.st_ino, &empty));
	content_book_free(&book);
}

static void marks_are_files_where_there_are_no_layers(void **state)
{
	struct world *w = *state;

	w->target.whiteouts = false;
	assert_applies(w, (const struct item[]){ { "x", S_IFREG | 0644, "", NULL, 0 },
				  { ".wh.x", S_IFREG | 0644, "", NULL, 0 }, { 0 } });
	assert_true(there(w, "x") && there(w, ".wh.x"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_links_and_directories_are_made),
		TEST(what_was_there_is_replaced_but_not_followed),
		TEST(directories_are_found_again_whatever_came_in_their_way),
		TEST(whiteouts_hide_what_is_below_and_only_that),
		TEST(a_whiteout_of_nothing_is_an_error),
		TEST(owners_and_modes_are_remembered),
		TEST(a_directory_given_back_to_root_is_roots),
		TEST(a_number_in_use_again_has_no_old_owner),
		TEST(files_too_large_are_refused),
		TEST(content_is_known_by_its_digest_alone),
		TEST(marks_are_files_where_there_are_no_layers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

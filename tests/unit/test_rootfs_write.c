// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_write.c: what becomes of a tree, and of an overlay's upper directory, in a layer
 * (rootfs-tools/layer_write.h, owners.h). libarchive reads the result; that other tools do is tried in
 * tests/images/export.bats.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "rootfs-tools/layer_write.h"

struct world {
	char *path;
	int dir, tree; /* tree: below dir */
};

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	w->path = strdup("/tmp/azm-write-XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(w->dir, "tree", 0755);
	w->tree = openat(w->dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return w->tree < 0 ? -1 : 0;
}

static int end_world(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };

	close(w->tree);
	close(w->dir);
	int result = tree_remove_at(AT_FDCWD, w->path, &err);
	free(w->path);
	free(w);
	return result;
}

static void put_file(int dir, const char *name, mode_t mode, const char *text)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void put_directory(int dir, const char *name)
{
	assert_int_equal(mkdirat(dir, name, 0755), 0);
}

static void set_time(int dir, const char *name, time_t seconds)
{
	const struct timespec times[2] = { { seconds, 0 }, { seconds, 0 } };

	assert_int_equal(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static struct owner_book *book_of(int dir, const char *text)
{
	struct azm_err err = { 0 };

	(void)unlinkat(dir, OWNERS_FILE, 0); /* an earlier one may be open */
	put_file(dir, OWNERS_FILE, 0644, text);
	struct owner_book *book = owner_book_open(dir, &err);
	assert_non_null(book);
	return book;
}

/* Write the layer into a file of the world. Return: the file, at its beginning; -1. */
static int write_layer(const struct world *w, const struct layer_write_source *source, enum codec codec,
	struct layer_written *written, struct azm_err *err)
{
	const struct layer_write_options options = { .codec = codec };
	cleanup_fd int fd = openat(w->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	err_clear(err);
	if (layer_write(source, &options, fd, written, err) < 0)
		return -1;
	assert_int_equal(lseek(fd, 0, SEEK_CUR), (off_t)written->size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return steal_fd(&fd);
}

static struct archive *read_layer(int fd)
{
	struct archive *a = archive_read_new();

	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	assert_int_equal(archive_read_open_fd(a, fd, 65536), ARCHIVE_OK);
	return a;
}

/* A line an entry: what there is to say of it. */
static char *describe(struct archive *a)
{
	struct archive_entry *e;
	char *text = xstrdup("");
	int result;

	while ((result = archive_read_next_header(a, &e)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
		cleanup_free char *before = text;
		cleanup_free char *mode = archive_entry_hardlink(e) ? xasprintf("=%s", archive_entry_hardlink(e))
								    : xasprintf("%o", archive_entry_mode(e));
		text = xasprintf("%s%s %s %d:%d %d%s%s\n", before, archive_entry_pathname(e), mode,
			(int)archive_entry_uid(e), (int)archive_entry_gid(e), (int)archive_entry_size(e),
			archive_entry_symlink(e) ? " " : "", archive_entry_symlink(e) ? archive_entry_symlink(e) : "");
	}
	assert_int_equal(result, ARCHIVE_EOF);
	archive_read_free(a);
	return text;
}

static void assert_layer(const struct world *w, const struct layer_write_source *source, const char *wanted)
{
	struct layer_written written;
	struct azm_err err;
	cleanup_fd int fd = write_layer(w, source, CODEC_NONE, &written, &err);

	assert_string_equal(err.text, "");
	assert_true(fd >= 0);
	assert_true(digest_equal(&written.digest, &written.diff_id));
	cleanup_free char *found = describe(read_layer(fd));
	assert_string_equal(found, wanted);
}

/* ---- a whole tree ---------------------------------------------------------------------------------------------- */

static void test_tree_is_sorted(void **state)
{
	struct world *w = *state;

	put_directory(w->tree, "b");
	put_file(w->tree, "b/2", 0755, "two");
	put_file(w->tree, "b/1", 0600, "");
	put_file(w->tree, "b.x", 0644, "x");
	put_directory(w->tree, "a");
	assert_int_equal(symlinkat("../etc", w->tree, "a/link"), 0);
	assert_int_equal(mknodat(w->tree, "fifo", S_IFIFO | 0640, 0), 0);
	assert_int_equal(linkat(w->tree, "b/2", w->tree, "c", 0), 0);
	const struct layer_write_source source = { .tree.root = w->tree };
	assert_layer(w, &source,
		"./ 40755 0:0 0\na/ 40755 0:0 0\na/link 120777 0:0 0 ../etc\nb/ 40755 0:0 0\nb/1 100600 0:0 0\n"
		"b/2 100755 0:0 3\nb.x 100644 0:0 1\nc =b/2 0:0 0\nfifo 10640 0:0 0\n");
}

static void test_what_is_remembered_is_given_back(void **state)
{
	struct world *w = *state;

	put_directory(w->tree, "home");
	put_file(w->tree, "home/a b", 0644, "mine");
	put_file(w->tree, "null", 0666, "");
	put_file(w->tree, "passwd", 0755, "set-id");
	put_file(w->tree, "was-null", 0666, "a file by now");
	put_file(w->tree, "was-secret", 0644, "opened since");
	struct owner_book *book = book_of(w->dir, "#mtree\n./home type=dir uid=1000 gid=100 mode=0700\n"
						  "./home/a\\040b type=file uid=1000 gid=3000000 mode=0644\n"
						  "./null type=char uid=0 gid=5 mode=0666 device=1,3\n"
						  "./was-null type=char uid=0 gid=5 mode=0666 device=1,3\n"
						  "./was-secret type=file uid=7 gid=8 mode=0000\n"
						  "./passwd type=file uid=9 gid=9 mode=04755\n"
						  "./passwd type=file uid=0 gid=42 mode=04755\n"
						  ". type=dir uid=3 gid=3 mode=0755\n");
	assert_int_equal(fchmodat(w->tree, "home", 0700, 0), 0);
	const struct layer_write_source source = { .tree = { w->tree, book } };
	assert_layer(w, &source,
		"./ 40755 3:3 0\nhome/ 40700 1000:100 0\nhome/a b 100644 1000:3000000 4\nnull 20666 0:5 0\n"
		"passwd 104755 0:42 6\nwas-null 100666 0:0 13\nwas-secret 100644 7:8 12\n");
	owner_book_free(book);
}

static void test_a_damaged_record_is_an_error(void **state)
{
	struct world *w = *state;
	static const char *const lines[] = { "./f uid=0 gid=0 mode=0644\n", "./f type=file uid=x gid=0 mode=0644\n",
		"./f type=file uid=0 gid=0 mode=9\n", "./f type=what uid=0 gid=0 mode=0644\n",
		"./f type=char uid=0 gid=0 mode=0644 device=1\n", "./f type=file uid=0 gid=4294967296 mode=0644\n",
		"./f type=file mode=0644 xattr.security.capability=!\n", "./f type=file mode=0644 unknown=1\n" };

	put_file(w->tree, "f", 0644, "");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct owner_book *book = book_of(w->dir, lines[i]);
		const struct layer_write_source source = { .tree = { w->tree, book } };
		struct layer_written written;
		struct azm_err err;
		assert_int_equal(write_layer(w, &source, CODEC_NONE, &written, &err), -1);
		assert_true(err_is(&err, EINVAL));
		owner_book_free(book);
	}
}

static void test_long_and_strange_names(void **state)
{
	struct world *w = *state;
	char name[201], path[NAME_MAX * 4];

	memset(name, 'n', 200);
	name[200] = '\0';
	put_directory(w->tree, name);
	snprintf(path, sizeof path, "%s/%s", name, name);
	put_file(w->tree, path, 0644, "deep");
	put_file(w->tree, "\xc3\xa4\xff \n", 0644, "");
	snprintf(path, sizeof path, "%s/l", name);
	assert_int_equal(symlinkat(name, w->tree, path), 0);
	cleanup_free char *wanted = xasprintf("./ 40755 0:0 0\n%s/ 40755 0:0 0\n%s/l 120777 0:0 0 %s\n"
					      "%s/%s 100644 0:0 4\n\xc3\xa4\xff \n 100644 0:0 0\n",
		name, name, name, name, name);
	const struct layer_write_source source = { .tree.root = w->tree };
	assert_layer(w, &source, wanted);
}

static void test_sparse_files_stay_sparse(void **state)
{
	struct world *w = *state;
	struct layer_written written;
	struct azm_err err;
	struct archive_entry *e;
	char text[7] = "";

	put_file(w->tree, "s", 0644, "begin");
	cleanup_fd int file = openat(w->tree, "s", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(file, "middle", 6, 100 << 20), 6);
	assert_int_equal(ftruncate(file, 300 << 20), 0);
	const struct layer_write_source source = { .tree.root = w->tree };
	cleanup_fd int fd = write_layer(w, &source, CODEC_NONE, &written, &err);
	assert_true(fd >= 0);
	assert_in_range(written.size, 1024, 64 * 1024);
	struct archive *a = read_layer(fd);
	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(e), "s");
	assert_int_equal(archive_entry_size(e), 300 << 20);
	put_file(w->dir, "back", 0644, "");
	cleanup_fd int back = openat(w->dir, "back", O_RDWR | O_CLOEXEC);
	assert_int_equal(archive_read_data_into_fd(a, back), ARCHIVE_OK);
	assert_int_equal(pread(back, text, 6, 100 << 20), 6);
	assert_string_equal(text, "middle");
	archive_read_free(a);
}

static void test_attributes(void **state)
{
	struct world *w = *state;
	struct layer_written written;
	struct azm_err err;
	struct archive_entry *e;
	const char *name;
	const void *value;
	size_t size;

	put_file(w->tree, "f", 0644, "");
	cleanup_fd int file = openat(w->tree, "f", O_RDONLY | O_CLOEXEC);
	if (fsetxattr(file, "user.kept", "v", 1, 0) < 0)
		skip(); /* a file system without them */
	assert_int_equal(fsetxattr(file, "user.overlay.opaque", "y", 1, 0), 0);
	struct owner_book *book =
		book_of(w->dir, "./f type=file uid=0 gid=0 mode=0644 xattr.security.capability=AQAAAg==\n");
	const struct layer_write_source source = { .tree = { w->tree, book } };
	cleanup_fd int fd = write_layer(w, &source, CODEC_NONE, &written, &err);
	struct archive *a = read_layer(fd);
	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
	assert_int_equal(archive_entry_xattr_reset(e), 2);
	while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK)
		if (strcmp(name, "user.kept") == 0)
			assert_memory_equal(value, "v", 1);
		else
			assert_memory_equal(value, "\1\0\0\2", 4);
	archive_read_free(a);
	owner_book_free(book);
}

static void test_a_whiteouts_name_is_refused(void **state)
{
	struct world *w = *state;
	struct layer_written written;
	struct azm_err err;

	put_file(w->tree, ".wh.x", 0644, "");
	const struct layer_write_source source = { .tree.root = w->tree };
	assert_int_equal(write_layer(w, &source, CODEC_NONE, &written, &err), -1);
	assert_true(err_is(&err, EINVAL));
	assert_non_null(strstr(err.text, ".wh.x"));
}

/* ---- the same bytes -------------------------------------------------------------------------------------------- */

static void fill_with_noise(int dir, const char *name, size_t size)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	cleanup_free unsigned char *data = malloc(size);
	uint32_t noise = 1;

	for (size_t i = 0; i < size; i++) {
		noise = noise * 1664525u + 1013904223u;
		data[i] = (unsigned char)(i % 8192 < 4096 ? noise >> 24 : i / 8192); /* half of it can be compressed */
	}
	assert_int_equal(write_full(fd, data, size), 0);
}

static void test_compressed_and_the_same_again(void **state)
{
	struct world *w = *state;
	const struct layer_write_source source = { .tree.root = w->tree };
	struct layer_written plain, first, again;
	struct azm_err err;

	fill_with_noise(w->tree, "noise", (6 << 20) + 12345);
	close(write_layer(w, &source, CODEC_NONE, &plain, &err));
	for (enum codec codec = CODEC_GZIP; codec <= CODEC_ZSTD; codec++) {
		cleanup_fd int fd = write_layer(w, &source, codec, &first, &err);
		close(write_layer(w, &source, codec, &again, &err));
		assert_true(digest_equal(&first.digest, &again.digest));
		assert_true(digest_equal(&first.diff_id, &plain.diff_id));
		assert_int_equal(first.plain_size, plain.size);
		assert_in_range(first.size, plain.size / 3, plain.size * 3 / 4);
		cleanup_free char *found = describe(read_layer(fd));
		assert_string_equal(found, "./ 40755 0:0 0\nnoise 100644 0:0 6303801\n");
	}
}

static void test_times_are_clamped(void **state)
{
	struct world *w = *state;
	const struct layer_write_source source = { .tree.root = w->tree };
	struct layer_write_options options = { .codec = CODEC_NONE };
	struct layer_written written;
	struct azm_err err = { 0 };
	struct archive_entry *e;
	cleanup_fd int fd = openat(w->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	put_file(w->tree, "new", 0644, "");
	put_file(w->tree, "old", 0644, "");
	set_time(w->tree, "new", 2000000000);
	set_time(w->tree, "old", 5);
	setenv("SOURCE_DATE_EPOCH", "1000", 1);
	assert_int_equal(layer_write_epoch(&options, &err), 0);
	assert_int_equal(layer_write(&source, &options, fd, &written, &err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	struct archive *a = read_layer(fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(archive_read_next_header(a, &e), ARCHIVE_OK);
		assert_int_equal(archive_entry_mtime(e), i == 2 ? 5 : 1000);
	}
	archive_read_free(a);
	setenv("SOURCE_DATE_EPOCH", "soon", 1);
	assert_int_equal(layer_write_epoch(&options, &err), -1);
	unsetenv("SOURCE_DATE_EPOCH");
	assert_int_equal(layer_write_epoch(&options, &err), 0);
	assert_false(options.clamp);
}

/* ---- an overlay's upper directory ------------------------------------------------------------------------------ */

static void put_opaque(int dir, const char *name)
{
	put_directory(dir, name);
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0)
		skip(); /* a file system without them */
}

static void put_whiteout(int dir, const char *name)
{
	assert_int_equal(mknodat(dir, name, S_IFCHR | 0, makedev(0, 0)), 0);
}

static void test_upper(void **state)
{
	struct world *w = *state;
	const struct layer_write_source source = { .tree.root = w->tree, .upper = true };

	put_opaque(w->tree, "fresh");
	put_file(w->tree, "fresh/f", 0644, "f");
	put_directory(w->tree, "etc");
	put_whiteout(w->tree, "etc/gone");
	put_whiteout(w->tree, "all");
	assert_layer(w, &source,
		"./ 40755 0:0 0\n.wh.all 100000 0:0 0\netc/ 40755 0:0 0\netc/.wh.gone 100000 0:0 0\n"
		"fresh/ 40755 0:0 0\nfresh/.wh..wh..opq 100000 0:0 0\nfresh/f 100644 0:0 1\n");
}

static void test_upper_with_redirections_is_refused(void **state)
{
	struct world *w = *state;
	const struct layer_write_source source = { .tree.root = w->tree, .upper = true };
	struct layer_written written;
	struct azm_err err;

	put_directory(w->tree, "d");
	cleanup_fd int fd = openat(w->tree, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsetxattr(fd, "user.overlay.redirect", "/etc", 4, 0) < 0)
		skip(); /* a file system without them */
	assert_int_equal(write_layer(w, &source, CODEC_NONE, &written, &err), -1);
	assert_true(err_is(&err, EINVAL));
}

/* Two lower directories, l1 above l0, each with a book. */
static void make_lowers(const struct world *w, struct recorded_tree lowers[2])
{
	static const char *const names[] = { "l1", "l0" };
	static const char *const lines[] = { "./top type=file uid=11 gid=11 mode=0644\n",
		"./both type=file uid=10 gid=10 mode=0644\n./hidden type=file uid=10 gid=10 mode=0644\n"
		"./dir/f type=file uid=10 gid=10 mode=0644\n./deep type=file uid=10 gid=10 mode=04755\n" };

	for (int i = 0; i < 2; i++) {
		put_directory(w->dir, names[i]);
		lowers[i].root = openat(w->dir, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		lowers[i].owners = book_of(w->dir, lines[i]);
	}
	put_file(lowers[0].root, "top", 0644, "");
	put_file(lowers[0].root, "both", 0644, "root's here");
	put_whiteout(lowers[0].root, "hidden");
	put_opaque(lowers[0].root, "dir");
	put_file(lowers[1].root, "both", 0644, "");
	put_file(lowers[1].root, "hidden", 0644, "");
	put_directory(lowers[1].root, "dir");
	put_file(lowers[1].root, "dir/f", 0644, "");
	put_file(lowers[1].root, "deep", 0755, "");
}

static void test_copied_up_files_keep_their_owners(void **state)
{
	struct world *w = *state;
	struct recorded_tree lowers[2];
	static const char *const files[] = { "both", "hidden", "new", "top" };

	make_lowers(w, lowers);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		put_file(w->tree, files[i], 0644, "");
	put_file(w->tree, "deep", 0700, "");
	put_directory(w->tree, "dir");
	put_file(w->tree, "dir/f", 0644, "");
	const struct layer_write_source source = { .tree.root = w->tree,
		.upper = true,
		.lowers = lowers,
		.lower_count = 2,
		.own_uid = 1000,
		.own_gid = 1001 };
	assert_layer(w, &source,
		"./ 40755 0:0 0\nboth 100644 0:0 0\ndeep 100700 10:10 0\ndir/ 40755 0:0 0\n"
		"dir/f 100644 1000:1001 0\nhidden 100644 1000:1001 0\nnew 100644 1000:1001 0\ntop 100644 11:11 0\n");
	for (int i = 0; i < 2; i++) {
		close(lowers[i].root);
		owner_book_free(lowers[i].owners);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tree_is_sorted),
		TEST(test_what_is_remembered_is_given_back),
		TEST(test_a_damaged_record_is_an_error),
		TEST(test_long_and_strange_names),
		TEST(test_sparse_files_stay_sparse),
		TEST(test_attributes),
		TEST(test_a_whiteouts_name_is_refused),
		TEST(test_compressed_and_the_same_again),
		TEST(test_times_are_clamped),
		TEST(test_upper),
		TEST(test_upper_with_redirections_is_refused),
		TEST(test_copied_up_files_keep_their_owners),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

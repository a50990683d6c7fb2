// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_layers.c: layers without a kernel that mounts them: merged views, copies, unions,
 * differences.
 *
 * What the kernel shows of the results is tested by tests/cli/snapshot.bats and tests/cli/subuid.bats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "snapshots/diff.h"
#include "snapshots/join.h"
#include "snapshots/layers.h"
#include "snapshots/merged.h"
#include "tests/unit/runtime_fixture.h"

static void directory(const char *path)
{
	assert_return_code(mkdir(path, 0755), errno);
}

static void white_out(const char *path)
{
	assert_return_code(mknod(path, S_IFCHR, 0), errno);
}

static void make_opaque(const char *path)
{
	assert_return_code(setxattr(path, "user.overlay.opaque", "y", 1, 0), errno);
}

static bool is_opaque(const char *path)
{
	char value = 0;

	return getxattr(path, "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static bool is_whiteout(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_return_code(fd, errno);
	return fd;
}

/* join(): the named layers, top-most first (a NULL ends them), into the new directory "out" */
static int join_into_out(enum join_how how, const char *const *names, struct azm_err *err)
{
	int roots[8];
	size_t count = 0;

	directory("out");
	cleanup_fd int out = open_directory("out");
	for (; names[count]; count++)
		roots[count] = open_directory(names[count]);
	int result = layers_join(roots, count, out, how, NULL, err);
	for (size_t i = 0; i < count; i++)
		close(roots[i]);
	return result;
}

static void a_union_is_a_layer_of_its_own(void **state)
{
	struct azm_err err = { 0 };
	struct stat a, b;

	(void)state;
	directory("top");
	directory("low");
	directory("low/gone");
	put_text("low/gone/file", "");
	white_out("top/gone"); /* the whiteout stays: the image may have it, too */
	directory("low/both");
	put_text("low/both/old", "old");
	put_text("low/both/same", "low");
	directory("top/both");
	put_text("top/both/same", "top");
	directory("low/replaced");
	put_text("low/replaced/old", "");
	directory("top/replaced");
	make_opaque("top/replaced");
	put_text("top/replaced/new", "");
	white_out("low/back"); /* deleted, then made anew: what the image has there stays hidden */
	directory("top/back");
	put_text("low/kind", "a file");
	directory("top/kind");
	put_text("low/only", "low");
	assert_return_code(chmod("top/both", 0711), errno);
	assert_ok(join_into_out(JOIN_LINK, (const char *const[]){ "top", "low", NULL }, &err), &err);

	assert_true(is_whiteout("out/gone"));
	assert_true(exists("out/both/old") && exists("out/both/same") && !is_opaque("out/both"));
	assert_true(stat("out/both/same", &a) == 0 && stat("top/both/same", &b) == 0 && a.st_ino == b.st_ino);
	assert_true(stat("out/both", &a) == 0 && (a.st_mode & 07777) == 0711);
	assert_true(is_opaque("out/replaced") && exists("out/replaced/new") && !exists("out/replaced/old"));
	assert_true(is_opaque("out/back") && is_opaque("out/kind"));
	assert_true(stat("out/only", &a) == 0 && a.st_nlink == 2);
}

static void make_every_kind(const char *root)
{
	const struct timespec times[] = { { 1000000000, 123456789 }, { 1100000000, 987654321 } };
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "in/socket" };

	directory(root);
	put_text("in/file", "content");
	assert_return_code(chmod("in/file", 06751), errno);
	assert_return_code(setxattr("in/file", "user.mark", "value", 5, 0), errno);
	assert_return_code(setxattr("in/file", "user.overlay.origin", "x", 1, 0), errno);
	assert_return_code(utimensat(AT_FDCWD, "in/file", times, 0), errno);
	assert_return_code(link("in/file", "in/twin"), errno);
	assert_return_code(symlink("/nowhere", "in/link"), errno);
	assert_return_code(utimensat(AT_FDCWD, "in/link", times, AT_SYMLINK_NOFOLLOW), errno);
	assert_return_code(mkfifo("in/fifo", 0600), errno);
	assert_return_code(chmod("in/fifo", 0620), errno);
	cleanup_fd int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(listener, (struct sockaddr *)&address, sizeof address), errno);
	white_out("in/whiteout");
	directory("in/directory");
	make_opaque("in/directory");
	put_text("in/directory/inner", "");
	cleanup_fd int sparse = open("in/sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_return_code(pwrite(sparse, "x", 1, 64 << 20), errno);
}

static void a_copy_is_the_same_and_nobody_else_s(void **state)
{
	struct azm_err err = { 0 };
	struct stat a = { 0 }, b = { 0 }, twin = { 0 };
	char value[8];

	(void)state;
	make_every_kind("in");
	assert_ok(join_into_out(JOIN_COPY, (const char *const[]){ "in", NULL }, &err), &err);
	assert_true(stat("in/file", &a) == 0 && stat("out/file", &b) == 0 && stat("out/twin", &twin) == 0);
	assert_true(a.st_ino != b.st_ino && b.st_ino == twin.st_ino && b.st_nlink == 2);
	assert_true(a.st_mode == b.st_mode && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
		    a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
	assert_int_equal(getxattr("out/file", "user.mark", value, sizeof value), 5);
	assert_int_equal(getxattr("out/file", "user.overlay.origin", value, sizeof value), -1);
	assert_true(lstat("out/link", &b) == 0 && S_ISLNK(b.st_mode) && b.st_mtim.tv_sec == 1100000000);
	assert_true(lstat("out/fifo", &b) == 0 && S_ISFIFO(b.st_mode) && (b.st_mode & 07777) == 0620);
	assert_true(lstat("out/socket", &b) == 0 && S_ISSOCK(b.st_mode));
	assert_true(is_whiteout("out/whiteout") && is_opaque("out/directory") && exists("out/directory/inner"));
	assert_true(stat("out/sparse", &b) == 0 && b.st_size == (64 << 20) + 1 && b.st_blocks < 2048);
	put_text("in/file", "changed");
	cleanup_fd int copy = open("out/file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(copy, value, 7), 7);
	assert_memory_equal(value, "content", 7);
}

static void names_of_one_file_are_one_file_however_deep(void **state)
{
	enum { LEVELS = 20, LENGTH = 250 }; /* more than a path may have */
	struct azm_err err = { 0 };
	char name[LENGTH + 1] = { 0 };
	struct stat a, b;

	(void)state;
	memset(name, 'd', LENGTH);
	directory("deep");
	put_text("deep/shallow", "twin");
	cleanup_fd int at = open_directory("deep");
	for (int i = 0; i < LEVELS; i++) {
		assert_return_code(mkdirat(at, name, 0755), errno);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_return_code(next, errno);
		close(at);
		at = next;
	}
	cleanup_fd int first = openat(at, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_return_code(first, errno);
	assert_return_code(linkat(at, "a", at, "b", 0), errno);
	assert_ok(join_into_out(JOIN_COPY, (const char *const[]){ "deep", NULL }, &err), &err);

	cleanup_fd int out = open_directory("out");
	for (int i = 0; i < LEVELS; i++) {
		int next = openat(out, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_return_code(next, errno);
		close(out);
		out = next;
	}
	assert_return_code(fstatat(out, "a", &a, 0), errno);
	assert_return_code(fstatat(out, "b", &b, 0), errno);
	assert_true(a.st_ino == b.st_ino && a.st_nlink == 2);
}

static void links_of_a_layer_are_not_followed(void **state)
{
	struct azm_err err = { 0 };
	struct stat st;

	(void)state;
	directory("outside");
	put_text("outside/file", "secret");
	directory("in");
	assert_return_code(symlink("../outside", "in/directory"), errno);
	assert_return_code(symlink("../outside/file", "in/file"), errno);
	assert_ok(join_into_out(JOIN_COPY, (const char *const[]){ "in", NULL }, &err), &err);
	assert_true(lstat("out/directory", &st) == 0 && S_ISLNK(st.st_mode));
	assert_true(lstat("out/file", &st) == 0 && S_ISLNK(st.st_mode));
}

static void directories_too_deep_are_an_error(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	directory("in");
	cleanup_fd int start = open_directory(".");
	assert_return_code(chdir("in"), errno);
	for (int i = 0; i <= JOIN_DEPTH; i++)
		assert_true(mkdir("d", 0755) == 0 && chdir("d") == 0);
	assert_return_code(fchdir(start), errno);
	assert_refused(join_into_out(JOIN_COPY, (const char *const[]){ "in", NULL }, &err), &err, ELOOP);
}

static void put_old(const char *path, const char *text)
{
	const struct timespec times[] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	put_text(path, text);
	assert_return_code(utimensat(AT_FDCWD, path, times, 0), errno);
}

static void differences_are_said_as_docker_says_them(void **state)
{
	static const char *const expected[] = { "C /changed", "C /dir", "A /dir/new", "D /dir/old", "C /forged",
		"C /kind", "A /kind/below", "C /mode", "A /new", "A /new/deep", "A /new/deep/file", "D /whole" };
	struct azm_err err = { 0 };
	cleanup_str_list struct str_list lines = { 0 };

	(void)state;
	directory("base");
	directory("base/dir");
	put_text("base/dir/old", "");
	put_text("base/changed", "1");
	directory("base/mode");
	put_text("base/kind", "");
	directory("base/whole");
	put_text("base/whole/file", "");
	directory("base/same");
	put_text("base/same/file", "");
	directory("top");
	directory("top/dir");
	white_out("top/dir/old");
	put_text("top/dir/new", "");
	put_text("top/changed", "22");
	directory("top/mode");
	assert_return_code(chmod("top/mode", 0700), errno);
	directory("top/kind");
	put_text("top/kind/below", "");
	directory("top/new");
	directory("top/new/deep");
	put_text("top/new/deep/file", "");
	white_out("top/whole");
	white_out("top/never-there");
	directory("top/same"); /* copied up by a change that was undone */
	put_old("base/copied", "1");
	put_old("top/copied", "1");
	put_old("base/forged", "1");
	put_old("top/forged", "2"); /* with the size and the time it had */
	int stack[] = { open_directory("top"), open_directory("base") };
	assert_ok(layers_diff(&(struct stack){ stack + 1, 1 }, &(struct stack){ stack, 2 }, &lines, &err), &err);
	for (size_t i = 0; i < lines.count || i < sizeof expected / sizeof *expected; i++) {
		assert_true(i < lines.count && i < sizeof expected / sizeof *expected);
		assert_string_equal(lines.items[i], expected[i]);
	}
	close(stack[0]);
	close(stack[1]);
}

static void only_paths_of_ours_are_layers_of_ours(void **state)
{
	static const struct {
		const char *path;
		bool own;
	} rows[] = {
		{ "/s/layers/0123456789abcdef0123456789abcdef/tree", true },
		{ "/s/layers/0123456789abcdef0123456789abcdef", false },
		{ "/s/layers/0123456789abcdef0123456789abcdef/tree/x", false },
		{ "/s/layers/0123456789abcdef0123456789abcdeg/tree", false },
		{ "/s/layers/../0123456789abcdef0123456789abcd/tree", false },
		{ "/s/layersX0123456789abcdef0123456789abcdef/tree", false },
		{ "/other/layers/0123456789abcdef0123456789abcdef/tree", false },
		{ "", false },
	};
	char path[] = "/s/layers";
	struct layers layers = { .path = path, .dir = -1, .lock = -1 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_free char *id = layers_own(&layers, rows[i].path);
		assert_int_equal(id != NULL, rows[i].own);
	}
}

/* Its layers could be any; nothing is removed. */
static void a_sandbox_that_cannot_be_looked_at_keeps_all_layers(void **state)
{
	struct azm_err err = { 0 };
	struct state store;
	cleanup_layers struct layers layers = LAYERS_NONE;
	cleanup_str_list struct str_list names = { 0 };

	(void)state;
	if (geteuid() == 0)
		skip(); /* may look at everything */
	open_state(&store);
	assert_ok(layers_open(&store, &layers, &err), &err);
	str_list_add(&names, "tree");
	cleanup_free char *id = layers_new(&layers, &names, NULL, &err);
	assert_non_null(id);
	cleanup_free char *tree = layers_path(&layers, id);
	layers_close(&layers);
	assert_return_code(mkdirat(store.sandboxes, "closed", 0), errno);
	assert_refused(layers_gc(&store, &err), &err, EACCES);
	assert_true(exists(tree));
	assert_return_code(unlinkat(store.sandboxes, "closed", AT_REMOVEDIR), errno);
	assert_int_equal(layers_gc(&store, &err), 1);
	assert_false(exists(tree));
	state_close(&store);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)
	const struct CMUnitTest tests[] = {
		ROW(a_union_is_a_layer_of_its_own),
		ROW(a_copy_is_the_same_and_nobody_else_s),
		ROW(names_of_one_file_are_one_file_however_deep),
		ROW(links_of_a_layer_are_not_followed),
		ROW(directories_too_deep_are_an_error),
		ROW(differences_are_said_as_docker_says_them),
		ROW(only_paths_of_ours_are_layers_of_ours),
		ROW(a_sandbox_that_cannot_be_looked_at_keeps_all_layers),
	};

	return cmocka_run_group_tests_name("layers", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_mount_stack.c: files of layers that are not mounted are those that the overlay shows.
 *
 * Every test runs on this kernel and as on older ones: see run_mount_tests().
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
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/str.h"
#include "tests/unit/mount_fixture.h"

static const char *const layers[] = { "top", "middle", "base" };
enum { LAYERS = sizeof layers / sizeof *layers };

static struct stack open_layers(void)
{
	struct stack stack = { .fds = xcalloc(LAYERS, sizeof *stack.fds), .count = LAYERS };

	for (size_t i = 0; i < LAYERS; i++) {
		stack.fds[i] = open(layers[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(stack.fds[i] >= 0);
	}
	return stack;
}

static void white_out(const char *path)
{
	assert_return_code(mknod(path, S_IFCHR, makedev(0, 0)), errno);
}

static void make_opaque(const char *path)
{
	assert_return_code(setxattr(path, "user.overlay.opaque", "y", 1, 0), errno);
}

static void make_layers(void)
{
	static const char *const directories[] = { "top", "middle", "base", "base/etc", "base/usr", "base/usr/bin",
		"base/gone", "base/again", "base/again/deep", "base/back", "middle/etc", "middle/usr", "middle/usr/bin",
		"top/again", "top/back", "middle/file-below", "base/file-below", "top/etc" };

	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		make_dir(directories[i]);
	put("base/etc/passwd", "base");
	put("middle/etc/passwd", "middle");
	put("base/etc/group", "base");
	put("base/usr/bin/sh", "base");
	put("middle/usr/bin/sudo", "middle");
	make_link("usr/bin", "top/bin");
	make_link("/usr/bin/../bin/sh", "middle/usr/bin/ash");
	make_link("../../../../../../canary", "top/out");
	make_link("loop", "top/loop");
	put("base/gone/file", "");
	white_out("middle/gone");
	put("base/again/old", "");
	put("base/again/deep/old", "");
	put("top/again/new", "top");
	make_opaque("top/again");
	put("base/back/old", "");
	white_out("top/etc/group");
	put("top/was-a-directory", "top");
}

static const char *read_stack(const struct stack *stack, const char *path)
{
	static char text[64];
	cleanup_free char *read = stack_read(stack, path, sizeof text - 1, NULL);

	if (!read)
		return errno_name(errno);
	snprintf(text, sizeof text, "%s", read);
	return text;
}

static void test_the_upper_most_layer_wins(void **state)
{
	static const struct {
		const char *path, *text;
	} rows[] = {
		{ "/etc/passwd", "middle" },
		{ "etc//./passwd", "middle" },
		{ "/etc/group", "ENOENT" }, /* whiteout */
		{ "/usr/bin/sh", "base" },
		{ "/usr/bin/sudo", "middle" },
		{ "/bin/sh", "base" }, /* a link of the top layer to a directory of the others */
		{ "/bin/sudo", "middle" },
		{ "/bin/ash", "base" },		    /* links across layers, absolute and with ".." */
		{ "/bin/../etc/passwd", "ENOENT" }, /* /usr/etc: ".." of what a link led to, as the kernel sees it */
		{ "/etc/../usr/bin/sh", "base" },   /* ".." where a layer has nothing */
		{ "/../../etc/passwd", "middle" },  /* no further up than the root */
		{ "/gone/file", "ENOENT" },	    /* a deleted directory */
		{ "/again/old", "ENOENT" },	    /* an opaque one */
		{ "/again/deep/old", "ENOENT" },    /* and below it */
		{ "/again/new", "top" },
		{ "/out/file", "ENOENT" }, /* never outside */
		{ "/loop", "ELOOP" },
		{ "/etc/passwd/x", "ENOTDIR" },
		{ "/etc", "EISDIR" },
		{ "/was-a-directory", "top" },
		{ "", "EISDIR" },
	};
	(void)state;
	make_layers();
	struct stack stack = open_layers();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(read_stack(&stack, rows[i].path), rows[i].text) != 0)
			fail_msg("%s: %s, not %s", rows[i].path, read_stack(&stack, rows[i].path), rows[i].text);
	stack_close(&stack);
}

static void test_a_file_hides_the_directory_below(void **state)
{
	struct stat st;

	(void)state;
	make_layers();
	assert_return_code(rmdir("middle/file-below"), errno);
	put("middle/file-below", "middle");
	put("base/file-below/inner", "");
	struct stack stack = open_layers();
	assert_string_equal(read_stack(&stack, "/file-below"), "middle");
	assert_string_equal(read_stack(&stack, "/file-below/inner"), "ENOTDIR");
	cleanup_fd int root = stack_open(&stack, "/", O_PATH);
	cleanup_fd int back = stack_open(&stack, "/back", O_PATH | O_DIRECTORY);
	assert_true(root >= 0 && back >= 0 && fstat(back, &st) == 0 && S_ISDIR(st.st_mode));
	assert_int_equal(stack_open(&stack, "/nothing", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	stack_close(&stack);
}

/* The same paths through a real overlay of the same layers. */
static void compare(void *unused)
{
	static const char *const paths[] = { "/etc/passwd", "/etc/group", "/bin/sh", "/bin/ash", "/gone/file",
		"/again/old", "/again/new", "/usr/bin/sudo", "/out/file", "/was-a-directory" };
	char *expected[sizeof paths / sizeof *paths];
	struct mount_plan plan = default_plan();

	(void)unused;
	make_layers();
	plan.lowers = xcalloc(LAYERS, sizeof *plan.lowers);
	plan.lower_count = LAYERS;
	struct stack stack = open_layers();
	for (size_t i = 0; i < LAYERS; i++)
		plan.lowers[i] = host(layers[i]);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		expected[i] = stack_read(&stack, paths[i], 64, NULL);
	enter(&plan);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		EXPECT(strcmp(expected[i] ? expected[i] : "", get(paths[i])) == 0, "%s: %s", paths[i], get(paths[i]));
}

static void test_it_agrees_with_the_kernel(void **state)
{
	(void)state;
	in_namespaces(compare, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNT_TEST(test_the_upper_most_layer_wins),
		MOUNT_TEST(test_a_file_hides_the_directory_below),
		MOUNT_TEST(test_it_agrees_with_the_kernel),
	};

	return run_mount_tests(tests, sizeof tests / sizeof *tests);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_ready.c: which copies that were made ahead still count when the sandbox stands still.
 *
 * On a file system where nothing may be copied ahead none counts: then every row expects "no".
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "snapshots/ready.h"
#include "tests/unit/runtime_fixture.h"

/* What happens to in/file between its copy and the moment it is asked for. */
static void nothing(void)
{
}

static void write_same_size(void)
{
	cleanup_fd int fd = open("in/file", O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "C", 1, 0), 1);
}

static void set_time_back(void)
{
	struct stat st;

	assert_return_code(stat("in/file", &st), errno);
	write_same_size();
	const struct timespec times[] = { st.st_atim, st.st_mtim };
	assert_return_code(utimensat(AT_FDCWD, "in/file", times, 0), errno);
}

static void make_longer(void)
{
	assert_return_code(truncate("in/file", 100), errno);
}

static void change_mode(void)
{
	assert_return_code(chmod("in/file", 0640), errno);
}

static void set_attribute(void)
{
	assert_return_code(setxattr("in/file", "user.other", "x", 1, 0), errno);
}

static void add_name(void)
{
	assert_return_code(link("in/file", "in/other"), errno);
}

static void replace_it(void)
{
	put_text("in/new", "content");
	assert_return_code(rename("in/new", "in/file"), errno);
}

static void store_into_it(void)
{
	cleanup_fd int fd = open("in/file", O_RDWR | O_CLOEXEC);
	char *memory = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(memory != MAP_FAILED);
	*memory = 'C';
	munmap(memory, 1);
}

/* Its name and that of the directory do not matter. */
static void move_its_directory(void)
{
	assert_return_code(rename("in", "away"), errno);
	assert_return_code(rename("away", "in"), errno);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until a round that begins now knows the file for an old one. */
static void let_it_settle(const char *path)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	struct stat st;

	assert_return_code(lstat(path, &st), errno);
	while (now_ms() < (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000 + 50)
		nanosleep(&moment, NULL);
}

static void begin(struct ready *ready)
{
	struct azm_err err = { 0 };
	cleanup_fd int layer = -1;

	assert_return_code(mkdir("layer", 0755), errno);
	layer = open("layer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(ready_begin(ready, layer, &err), &err);
	if (ready->layer >= 0)
		ready->layer = steal_fd(&layer); /* as long as the test */
}

static void end(struct ready *ready)
{
	struct azm_err err = { 0 };
	int layer = ready->layer;

	assert_ok(ready_end(ready, &err), &err);
	if (layer >= 0)
		close(layer);
	assert_int_equal(access("layer/ready", F_OK), -1);
}

/* One round over "in". @mapped: a name that is said to be mapped; NULL */
static void go_round(struct ready *ready, const char *mapped)
{
	if (!ready_round(ready))
		return;
	cleanup_fd int in = open("in", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mapped)
		str_list_add(&ready->mapped.names, mapped);
	ready_walk(ready, in);
}

static bool take(struct ready *ready, const char *path, const char *name)
{
	struct stat st;

	assert_return_code(lstat(path, &st), errno);
	return ready_take(ready, &st, AT_FDCWD, name);
}

static void a_copy_counts_while_its_file_is_the_same([[maybe_unused]] void **state)
{
	static const struct {
		const char *name;
		void (*change)(void);
		bool counts;
	} rows[] = {
		{ "nothing", nothing, true },
		{ "moved directory", move_its_directory, true },
		{ "write", write_same_size, false },
		{ "write, times set back", set_time_back, false },
		{ "truncate", make_longer, false },
		{ "chmod", change_mode, false },
		{ "xattr", set_attribute, false },
		{ "link", add_name, false },
		{ "replaced", replace_it, false },
		{ "mapping", store_into_it, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct ready ready;
		assert_return_code(mkdir("in", 0755), errno);
		put_text("in/file", "content");
		let_it_settle("in/file");
		begin(&ready);
		go_round(&ready, NULL);
		rows[i].change();
		bool counts = take(&ready, "in/file", "taken");
		if (counts != (rows[i].counts && ready.table))
			fail_msg("%s: %d", rows[i].name, counts);
		if (counts) {
			struct stat a = { 0 }, b = { 0 };
			assert_true(stat("in/file", &a) == 0 && stat("taken", &b) == 0 && a.st_ino != b.st_ino);
			assert_true(a.st_mode == b.st_mode && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && b.st_size == 7);
		}
		end(&ready);
		assert_int_equal(system("rm -rf in layer taken"), 0);
	}
}

static void a_mapped_file_stays_behind_under_all_its_names([[maybe_unused]] void **state)
{
	struct ready ready;

	assert_return_code(mkdir("in", 0755), errno);
	put_text("in/mapped", "content");
	assert_return_code(link("in/mapped", "in/a-twin"), errno);
	put_text("in/file", "content");
	put_text("in/half", "content");
	assert_return_code(link("in/half", "elsewhere"), errno); /* a name the walk does not see */
	let_it_settle("in/half");
	begin(&ready);
	go_round(&ready, "mapped");
	assert_false(take(&ready, "in/mapped", "taken"));
	assert_false(take(&ready, "in/a-twin", "taken"));
	assert_false(take(&ready, "in/half", "taken"));
	assert_int_equal(take(&ready, "in/file", "taken"), ready.table != NULL);
	end(&ready);
}

static void nothing_is_followed_and_only_files_are_copied([[maybe_unused]] void **state)
{
	struct ready ready;

	assert_return_code(mkdir("in", 0755), errno);
	assert_return_code(mkdir("outside", 0755), errno);
	put_text("outside/secret", "secret");
	assert_return_code(symlink("../outside", "in/directory"), errno);
	assert_return_code(symlink("../outside/secret", "in/link"), errno);
	assert_return_code(mkfifo("in/fifo", 0600), errno);
	put_text("in/sparse", "");
	assert_return_code(truncate("in/sparse", (off_t)1 << 40), errno);
	let_it_settle("in/sparse");
	begin(&ready);
	go_round(&ready, NULL);
	assert_false(take(&ready, "outside/secret", "taken"));
	assert_false(take(&ready, "in/link", "taken"));
	assert_false(take(&ready, "in/fifo", "taken"));
	assert_int_equal(take(&ready, "in/sparse", "taken"), ready.table != NULL);
	end(&ready);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)
	const struct CMUnitTest tests[] = {
		ROW(a_copy_counts_while_its_file_is_the_same),
		ROW(a_mapped_file_stays_behind_under_all_its_names),
		ROW(nothing_is_followed_and_only_files_are_copied),
	};

	return cmocka_run_group_tests_name("ready", tests, NULL, NULL);
}

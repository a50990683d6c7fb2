// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_seccomp_cache.c: the cache of compiled profiles never hands out anything but what was put in. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "seccomp/profile_cache.h"
#include "seccomp/seccomp.h"
#include "tests/unit/seccomp_fixture.h"

static char cached_name[300];
static unsigned cached_count;

static void note_cached(int dirfd, const char *name)
{
	(void)dirfd;
	if (str_starts(name, "seccomp-")) {
		snprintf(cached_name, sizeof cached_name, "%s", name);
		cached_count++;
	}
}

static unsigned count_cached(const struct fixture *f)
{
	cached_count = 0;
	for_each_file(f, note_cached);
	return cached_count;
}

static bool same_program(const struct filter *a, const struct filter *b)
{
	return a->count == b->count && memcmp(a->insns, b->insns, a->count * sizeof *a->insns) == 0;
}

static void the_second_use_comes_from_the_cache(void **state)
{
	struct fixture *f = *state;
	struct filter first = { 0 }, second = { 0 };
	struct azm_err err = { 0 };
	struct stat before, after;

	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, 0, &first, &err), 0);
	assert_int_equal(count_cached(f), 1);
	assert_int_equal(fstatat(f->dirfd, cached_name, &before, 0), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, 0, &second, &err), 0);
	assert_true(same_program(&first, &second));
	assert_int_equal(fstatat(f->dirfd, cached_name, &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* not compiled and written again */
	filter_free(&first);
	filter_free(&second);
}

static void other_capabilities_flags_or_text_are_other_entries(void **state)
{
	struct fixture *f = *state;
	struct filter out = { 0 };
	struct azm_err err = { 0 };
	cleanup_free char *text = xasprintf("%s\n", docker_style);

	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, 0, &out, &err), 0);
	filter_free(&out);
	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, ADMIN, &out, &err), 0);
	assert_int_equal(ask(&out, SYS_mount, 0, 0, 0), ALLOW);
	filter_free(&out);
	assert_int_equal(compile_text(f, docker_style, f->dirfd, FILTER_EMULATE_ROOT, 0, &out, &err), 0);
	assert_int_equal(ask(&out, SYS_setresuid, 0, 0, 0), ERRNO(0));
	filter_free(&out);
	assert_int_equal(compile_text(f, text, f->dirfd, 0, 0, &out, &err), 0);
	filter_free(&out);
	assert_int_equal(count_cached(f), 4);
}

static const char key[] = "a key";
static const struct sock_filter two[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_K, ALLOW) };

static void every_damaged_byte_is_noticed(void **state)
{
	struct fixture *f = *state;
	const struct filter stored = { two, 2, false };
	struct filter out = { 0 };
	size_t size;

	profile_cache_store(f->dirfd, key, sizeof key, &stored);
	assert_true(profile_cache_load(f->dirfd, key, sizeof key, &out));
	assert_true(same_program(&stored, &out));
	filter_free(&out);
	assert_int_equal(count_cached(f), 1);

	cleanup_fd int fd = openat(f->dirfd, cached_name, O_RDONLY | O_CLOEXEC);
	cleanup_free char *file = read_file(fd, 1 << 20, &size);
	assert_non_null(file);
	for (size_t i = 0; i < size; i++) {
		file[i] ^= 0x10;
		assert_int_equal(write_file_at(f->dirfd, cached_name, file, size, 0600), 0);
		assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
		file[i] ^= 0x10;
	}
	for (size_t length = 0; length < size; length++) {
		assert_int_equal(write_file_at(f->dirfd, cached_name, file, length, 0600), 0);
		assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
	}
	assert_int_equal(write_file_at(f->dirfd, cached_name, file, size, 0600), 0);
	assert_true(profile_cache_load(f->dirfd, key, sizeof key, &out));
	filter_free(&out);
}

static void a_damaged_cache_is_compiled_anew(void **state)
{
	struct fixture *f = *state;
	struct filter out = { 0 };
	struct azm_err err = { 0 };

	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, 0, &out, &err), 0);
	filter_free(&out);
	assert_int_equal(count_cached(f), 1);
	assert_int_equal(write_file_at(f->dirfd, cached_name, "garbage", 7, 0600), 0);
	assert_int_equal(compile_text(f, docker_style, f->dirfd, 0, 0, &out, &err), 0);
	assert_int_equal(ask(&out, SYS_mount, 0, 0, 0), ERRNO(EPERM));
	filter_free(&out);
}

static void programs_the_kernel_would_refuse_are_not_taken(void **state)
{
	static const struct sock_filter bad[][2] = {
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), BPF_STMT(BPF_RET | BPF_K, 0) }, /* beyond seccomp_data */
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, 0) },  /* unaligned */
		{ BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), BPF_STMT(BPF_RET | BPF_K, 0) },  /* not for seccomp */
		{ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0) }, /* jumps out */
		{ BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), BPF_STMT(BPF_RET | BPF_K, 0) },	/* jumps back */
		{ BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0) },	/* runs off the end */
	};
	struct fixture *f = *state;
	struct filter out = { 0 };

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const struct filter stored = { bad[i], 2, false };
		profile_cache_store(f->dirfd, key, sizeof key, &stored);
		assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
	}
}

static void files_others_could_have_written_are_not_taken(void **state)
{
	struct fixture *f = *state;
	const struct filter stored = { two, 2, false };
	struct filter out = { 0 };

	profile_cache_store(f->dirfd, key, sizeof key, &stored);
	assert_int_equal(count_cached(f), 1);
	assert_int_equal(fchmodat(f->dirfd, cached_name, 0620, 0), 0);
	assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
	assert_int_equal(fchmodat(f->dirfd, cached_name, 0600, 0), 0);
	assert_int_equal(renameat(f->dirfd, cached_name, f->dirfd, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", f->dirfd, cached_name), 0);
	assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
	assert_int_equal(unlinkat(f->dirfd, cached_name, 0), 0);
	assert_int_equal(mkfifoat(f->dirfd, cached_name, 0600), 0);
	assert_false(profile_cache_load(f->dirfd, key, sizeof key, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_second_use_comes_from_the_cache),
		TEST(other_capabilities_flags_or_text_are_other_entries),
		TEST(every_damaged_byte_is_noticed),
		TEST(a_damaged_cache_is_compiled_anew),
		TEST(programs_the_kernel_would_refuse_are_not_taken),
		TEST(files_others_could_have_written_are_not_taken),
	};

	return cmocka_run_group_tests_name("compiled seccomp profiles", tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/replay.c: a fuzz target as a test: every file of its corpus, which holds one seed for each form of input
 * and every input that once did harm. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/fuzz/fuzz.h"

/* Of the target: "make check" runs in a directory that has tests/. */
static char *corpus_path(void)
{
	const char *name = program_invocation_short_name;

	return xasprintf("tests/fuzz/corpus/%s", str_starts(name, "test_fuzz_") ? name + strlen("test_fuzz_") : name);
}

static void its_corpus_does_no_harm(void **state)
{
	cleanup_free char *path = corpus_path();
	cleanup_dir DIR *dir = opendir(path);
	unsigned files = 0;

	(void)state;
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		size_t size;
		cleanup_fd int file = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		cleanup_free char *bytes = entry->d_name[0] == '.' ? NULL : read_file(file, 1 << 20, &size);
		if (!bytes)
			continue;
		LLVMFuzzerTestOneInput((const uint8_t *)bytes, size);
		files++;
	}
	assert_true(files > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(its_corpus_does_no_harm) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of unpacking: an archive that becomes too much is stopped where it does. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/tree.h"
#include "server/zip.h"

struct place {
	char path[32];
	int dir, archive;
};

/* A directory with two files of a thousand bytes, and an archive of them. */
static int set_up(void **state)
{
	static struct place place;
	struct azm_err err = { 0 };
	char bytes[1000] = { 0 };

	snprintf(place.path, sizeof place.path, "/tmp/azm-zip-XXXXXX");
	assert_non_null(mkdtemp(place.path));
	place.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(place.dir, "from", 0700), 0);
	int from = openat(place.dir, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(write_file_at(from, "a", bytes, sizeof bytes, 0600), 0);
	assert_int_equal(write_file_at(from, "b", bytes, sizeof bytes, 0600), 0);
	close(from);
	char path[64];
	snprintf(path, sizeof path, "%s/from", place.path);
	place.archive = memfd_create("zip", MFD_CLOEXEC);
	assert_int_equal(zip_create(place.archive, path, &err), 0);
	lseek(place.archive, 0, SEEK_SET);
	assert_int_equal(mkdirat(place.dir, "to", 0700), 0);
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };

	close(place->archive);
	close(place->dir);
	return tree_remove_at(AT_FDCWD, place->path, &err);
}

static int extract(const struct place *place, uint64_t bytes, uint64_t entries, struct azm_err *err)
{
	const struct zip_limits limits = { bytes, entries };
	int to = openat(place->dir, "to", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = zip_extract(place->archive, to, &limits, err);

	close(to);
	return result;
}

static void bytes_are_limited(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct stat info;

	assert_int_equal(extract(place, 1999, 10, &err), -1);
	assert_int_equal(err.code, EFBIG);
	assert_int_equal(fstatat(place->dir, "to/a", &info, 0) + fstatat(place->dir, "to/b", &info, 0), -1);
}

static void members_are_limited(void **state)
{
	struct azm_err err = { 0 };

	assert_int_equal(extract(*state, 1 << 20, 1, &err), -1);
	assert_int_equal(err.code, EFBIG);
}

static void what_fits_is_unpacked(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct stat info;

	assert_int_equal(extract(place, 2000, 2, &err), 0);
	assert_int_equal(fstatat(place->dir, "to/b", &info, 0), 0);
	assert_int_equal(info.st_size, 1000);
}

static void limits_grow_with_the_archive(void **state)
{
	(void)state;
	assert_int_equal(zip_limits_for(0).bytes, 1ull << 30);
	assert_true(zip_limits_for(1 << 20).bytes > zip_limits_for(0).bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_are_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(members_are_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_fits_is_unpacked, set_up, tear_down),
		cmocka_unit_test(limits_grow_with_the_archive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

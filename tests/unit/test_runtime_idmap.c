// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_idmap.c: the lines of id maps, and the ranges of /etc/subuid (idmap.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "idmap.h"
#include "tests/unit/runtime_fixture.h"

/* What the kernel would make of the lines. Return: the outside id of @inside, -1 when it is not mapped; fails when the
 * lines overlap on either side. */
static int64_t mapped(const char *lines, uint32_t inside)
{
	int64_t found = -1;
	unsigned in, out, count;
	int length;

	for (; sscanf(lines, "%u %u %u\n%n", &in, &out, &count, &length) == 3; lines += length) {
		assert_true(count > 0);
		if (inside >= in && inside - in < count) {
			assert_true(found < 0);
			found = (int64_t)out + (inside - in);
		}
	}
	assert_string_equal(lines, "");
	return found;
}

static void every_id_has_one_place_and_the_user_is_the_networks_0(void **state)
{
	static const uint32_t users[] = { 0, 1, 2, 1000, 65533, 65534, 65535 };

	(void)state;
	for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
		char text[128];
		cleanup_free bool *used = xcalloc(65536, sizeof *used);
		idmap_keep_id_lines(text, sizeof text, users[i]);
		assert_int_equal(mapped(text, users[i]), 0);
		assert_int_equal(mapped(text, 65536), -1);
		for (uint32_t id = 0; id < 65536; id++) {
			int64_t out = mapped(text, id);
			assert_true(out >= 0 && out < 65536 && !used[out]);
			used[out] = true;
		}
	}
}

static void the_lines_are_the_shortest(void **state)
{
	char text[128];

	(void)state;
	idmap_keep_id_lines(text, sizeof text, 0);
	assert_string_equal(text, "0 0 1\n1 1 65535\n");
	idmap_keep_id_lines(text, sizeof text, 1000);
	assert_string_equal(text, "0 1 1000\n1000 0 1\n1001 1001 64535\n");
	idmap_keep_id_lines(text, sizeof text, 65535);
	assert_string_equal(text, "0 1 65535\n65535 0 1\n");
}

static void the_first_large_enough_range_of_the_user_is_taken(void **state)
{
	static const struct {
		const char *text; /* %u: the caller's number */
		uint32_t start;	  /* 0: no range */
	} rows[] = {
		{ "", 0 },
		{ "agent:100000:65536\n", 100000 },
		{ "agent:100000:65535", 100000 },
		{ "%u:200000:65536\n", 200000 },
		{ "other:1:65536\nagent:300000:65536\n", 300000 },
		{ "agent:100000:65534\nagent:400000:70000\n", 400000 },
		{ "agent:100000:65536\n%u:200000:65536\n", 100000 },
		{ "agents:100000:65536\nagen:100000:65536\nAGENT:100000:65536\n", 0 },
		{ "agent:4294901760:65535\n", 4294901760u },
		{ "agent:4294901761:65535\n", 0 }, /* would end at 2^32: -1 is no id */
		{ "agent:4294967296:65536\n", 0 },
		{ "agent:0:18446744073709551615\n", 0 },
		{ "agent:-1:65536\nagent:1x:65536\nagent: 1:65536\nagent:1:65536x\nagent:1:\nagent::65536\n", 0 },
		{ "agent\nagent:\nagent:1\n:\n::\n\n", 0 },
		{ "agent:100000:65536:x\n", 0 },
		{ "# agent:1:65536\nagent:500000:65536\n", 500000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *number = strstr(rows[i].text, "%u");
		cleanup_free char *text =
			number ? xasprintf("%.*s%u%s", (int)(number - rows[i].text), rows[i].text, getuid(), number + 2)
			       : xstrdup(rows[i].text);
		uint32_t start = 0, count = 0;
		put_text("subuid", text);
		if (subids_find_range("subuid", "agent", &start, &count) != (rows[i].start != 0))
			fail_msg("row %zu: %s", i, text);
		assert_int_equal(start, rows[i].start);
		assert_true(!start || count >= 65535);
	}
}

static void a_file_that_is_not_there_has_no_range(void **state)
{
	uint32_t start, count;

	(void)state;
	assert_false(subids_find_range("nothing", "agent", &start, &count));
	put("binary", "\0agent:1:65536\n", 15);
	assert_false(subids_find_range("binary", "agent", &start, &count));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_id_has_one_place_and_the_user_is_the_networks_0),
		cmocka_unit_test(the_lines_are_the_shortest),
		cmocka_unit_test_setup_teardown(
			the_first_large_enough_range_of_the_user_is_taken, enter_directory, leave_directory),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_not_there_has_no_range, enter_directory, leave_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_dns_synthetic.c: addresses that stand for names: one for each, found both ways, never given to
 * another name while it could still be remembered, and never more of them than allowed. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "netns/synthetic.h"

enum { RANGE = 1 << (32 - SYNTHETIC_PREFIX) };

static struct synthetic *make(size_t names)
{
	struct azm_err err = { 0 };
	struct synthetic *map = synthetic_new(names, &err);

	assert_non_null(map);
	return map;
}

static const char *numbered(unsigned number)
{
	static char name[32];

	(void)snprintf(name, sizeof name, "n%u.example.org", number);
	return name;
}

static void a_name_keeps_its_address(void **state)
{
	struct synthetic *map = make(SYNTHETIC_NAMES);
	uint32_t first, second, again;

	(void)state;
	assert_true(synthetic_address(map, "a.org", 0, &first));
	assert_true(synthetic_address(map, "b.org", 0, &second));
	assert_true(synthetic_address(map, "a.org", 1000000, &again));
	assert_int_equal(first, again);
	assert_int_not_equal(first, second);
	assert_true(synthetic_contains(first));
	assert_string_equal(synthetic_name(map, first, 0), "a.org");
	assert_string_equal(synthetic_name(map, second, 0), "b.org");
	assert_null(synthetic_name(map, second + 1, 0));
	assert_null(synthetic_name(map, 0, 0));
	synthetic_free(map);
}

static void the_range_has_two_ends(void **state)
{
	(void)state;
	assert_false(synthetic_contains(SYNTHETIC_BASE - 1));
	assert_true(synthetic_contains(SYNTHETIC_BASE));
	assert_true(synthetic_contains(SYNTHETIC_BASE + RANGE - 1));
	assert_false(synthetic_contains(SYNTHETIC_BASE + RANGE));
	assert_false(synthetic_contains(0));
}

static void a_full_map_forgets_only_what_is_old(void **state)
{
	struct synthetic *map = make(3);
	uint32_t first, address;

	(void)state;
	assert_true(synthetic_address(map, "a.org", 0, &first));
	assert_true(synthetic_address(map, "b.org", 10, &address));
	assert_true(synthetic_address(map, "c.org", 20, &address));
	assert_false(synthetic_address(map, "d.org", SYNTHETIC_KEEP_MS - 1, &address));
	assert_true(synthetic_address(map, "d.org", SYNTHETIC_KEEP_MS, &address));
	assert_int_not_equal(address, first);
	assert_null(synthetic_name(map, first, 0));
	/* b.org is the oldest now, and too young to go */
	assert_false(synthetic_address(map, "e.org", SYNTHETIC_KEEP_MS + 9, &address));
	synthetic_free(map);
}

static void use_keeps_a_name(void **state)
{
	struct synthetic *map = make(2);
	uint32_t connected, looked_up, address;

	(void)state;
	assert_true(synthetic_address(map, "connected.org", 0, &connected));
	assert_true(synthetic_address(map, "looked-up.org", 0, &looked_up));
	assert_non_null(synthetic_name(map, connected, SYNTHETIC_KEEP_MS));
	assert_true(synthetic_address(map, "looked-up.org", SYNTHETIC_KEEP_MS, &looked_up));
	assert_false(synthetic_address(map, "new.org", SYNTHETIC_KEEP_MS + 1, &address));
	assert_true(synthetic_address(map, "new.org", 2 * SYNTHETIC_KEEP_MS, &address));
	assert_null(synthetic_name(map, connected, 0));
	assert_non_null(synthetic_name(map, looked_up, 0));
	synthetic_free(map);
}

/* Once around the range and on, with a name that stays: its address is never handed out again, nobody's is before the
 * whole range was. */
static void an_address_comes_back_last(void **state)
{
	struct synthetic *map = make(16);
	static uint8_t seen[RANGE];
	uint32_t kept, address;
	int64_t now = 0;

	(void)state;
	assert_true(synthetic_address(map, "kept.org", 0, &kept));
	for (unsigned i = 0; i < RANGE - 3; i++) {
		now += SYNTHETIC_KEEP_MS;
		assert_true(synthetic_address(map, numbered(i), now, &address));
		assert_non_null(synthetic_name(map, kept, now));
		assert_true(address > SYNTHETIC_BASE && address < SYNTHETIC_BASE + RANGE - 1);
		assert_int_not_equal(address, kept);
		assert_int_equal(seen[address - SYNTHETIC_BASE]++, 0);
	}
	assert_true(synthetic_address(map, numbered(RANGE), now + SYNTHETIC_KEEP_MS, &address));
	assert_int_equal(seen[address - SYNTHETIC_BASE], 1);
	assert_int_not_equal(address, kept);
	synthetic_free(map);
}

static void a_flood_of_names_stays_bounded(void **state)
{
	struct synthetic *map = make(SYNTHETIC_NAMES);
	unsigned given = 0;
	uint32_t address;

	(void)state;
	for (unsigned i = 0; i < 3 * SYNTHETIC_NAMES; i++)
		given += synthetic_address(map, numbered(i), 0, &address);
	assert_int_equal(given, SYNTHETIC_NAMES);
	assert_true(synthetic_address(map, numbered(5), 0, &address));
	assert_string_equal(synthetic_name(map, address, 0), numbered(5));
	synthetic_free(map);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_keeps_its_address),
		cmocka_unit_test(the_range_has_two_ends),
		cmocka_unit_test(a_full_map_forgets_only_what_is_old),
		cmocka_unit_test(use_keeps_a_name),
		cmocka_unit_test(an_address_comes_back_last),
		cmocka_unit_test(a_flood_of_names_stays_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

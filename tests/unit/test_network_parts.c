// SPDX-License-Identifier: GPL-2.0-or-later
/* The parts of a network that need no namespace: subnets, leases, hints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/hints.h"
#include "netns/lease.h"
#include "netns/subnet.h"
#include "network_fixture.h"

struct subnet_case {
	const char *name;
	struct subnet taken[4];
	struct subnet expected;
};

static const struct subnet_case subnet_cases[] = {
	{ "no routes", { { 0 } }, { IP(10, 111, 0, 0), 16 } },
	{ "a default route says nothing", { { 0, 0 } }, { IP(10, 111, 0, 0), 16 } },
	{ "nor do the two halves a VPN makes of it", { { 0, 1 }, { IP(128, 0, 0, 0), 1 } }, { IP(10, 111, 0, 0), 16 } },
	{ "one host inside", { { IP(10, 111, 200, 7), 32 } }, { IP(10, 112, 0, 0), 16 } },
	{ "host bits set in a route", { { IP(10, 111, 200, 7), 16 } }, { IP(10, 112, 0, 0), 16 } },
	{ "a whole site in 10/8", { { IP(10, 0, 0, 0), 8 } }, { IP(172, 31, 0, 0), 16 } },
	{ "10/8 and 172.16/12", { { IP(10, 0, 0, 0), 8 }, { IP(172, 16, 0, 0), 12 } }, { IP(192, 168, 200, 0), 24 } },
	{ "all of RFC 1918", { { IP(10, 0, 0, 0), 8 }, { IP(172, 16, 0, 0), 12 }, { IP(192, 168, 0, 0), 16 } },
		{ IP(100, 96, 0, 0), 16 } },
	{ "everything", { { 0, 2 }, { IP(64, 0, 0, 0), 2 }, { IP(128, 0, 0, 0), 2 }, { IP(192, 0, 0, 0), 2 } },
		{ IP(203, 0, 113, 0), 24 } },
	{ "a length that cannot be", { { IP(10, 111, 0, 0), 33 }, { IP(10, 111, 0, 0), ~0u } },
		{ IP(10, 111, 0, 0), 16 } },
};

static void subnet_avoids_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof subnet_cases / sizeof *subnet_cases; i++) {
		const struct subnet_case *row = &subnet_cases[i];
		struct subnet chosen = subnet_choose(row->taken, 4, SUBNET_LARGEST);

		if (chosen.base != row->expected.base || chosen.prefix != row->expected.prefix)
			fail_msg("%s: chose %08x/%u", row->name, chosen.base, chosen.prefix);
		assert_true(subnet_valid(&chosen));
	}
}

static void subnet_from_elsewhere_is_checked(void **state)
{
	static const struct subnet bad[] = {
		{ 0, 0 },
		{ IP(10, 111, 0, 1), 16 },
		{ IP(10, 0, 0, 0), 8 },
		{ IP(10, 110, 0, 0), 15 },
		{ IP(10, 111, 0, 0), 30 },
		{ IP(10, 111, 0, 0), 48 },
		{ IP(8, 8, 0, 0), 16 },
		{ IP(127, 0, 0, 0), 16 },
		{ IP(169, 254, 0, 0), 16 },
		{ IP(172, 32, 0, 0), 16 },
		{ IP(203, 0, 112, 0), 23 },
		{ IP(203, 0, 114, 0), 24 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (subnet_valid(&bad[i]))
			fail_msg("%08x/%u was accepted", bad[i].base, bad[i].prefix);
}

static void a_small_subnet_is_found_between_larger_ones(void **state)
{
	const struct subnet taken[] = { { IP(10, 111, 0, 0), 22 }, { IP(10, 111, 4, 0), 24 },
		{ IP(10, 111, 8, 9), 32 } };
	struct subnet chosen = subnet_choose(taken, 3, 22);

	(void)state;
	assert_int_equal(chosen.base, IP(10, 111, 12, 0));
	assert_int_equal(chosen.prefix, 22);
	assert_true(subnet_valid(&chosen));
}

static void subnets_are_parsed_and_checked(void **state)
{
	static const struct {
		const char *text, *reason; /* NULL: it is good */
	} rows[] = {
		{ "10.5.0.0/24", NULL },
		{ "172.16.0.0/16", NULL },
		{ "192.168.7.8/29", NULL },
		{ "100.64.0.0/20", NULL },
		{ "", "not an IPv4 subnet" },
		{ "10.5.0.0", "not an IPv4 subnet" },
		{ "10.5.0.0/", "not an IPv4 subnet" },
		{ "/24", "not an IPv4 subnet" },
		{ "10.5.0/24", "not an IPv4 subnet" },
		{ "10.5.0.0.0/24", "not an IPv4 subnet" },
		{ "10.5.0.256/24", "not an IPv4 subnet" },
		{ "010.5.0.0/24", "not an IPv4 subnet" },
		{ "10.5.0.0/33", "not an IPv4 subnet" },
		{ "10.5.0.0/-1", "not an IPv4 subnet" },
		{ "10.5.0.0/24x", "not an IPv4 subnet" },
		{ "10.5.0.0/24/24", "not an IPv4 subnet" },
		{ " 10.5.0.0/24", "not an IPv4 subnet" },
		{ "10.5.0.0/255.255.255.0", "not an IPv4 subnet" },
		{ "fd00::/64", "not an IPv4 subnet" },
		{ "100000000000000000000000.5.0.0/24", "not an IPv4 subnet" },
		{ "10.5.0.1/24", "host bits; the subnet of that address is 10.5.0.0/24" },
		{ "10.0.0.0/8", "too large" },
		{ "0.0.0.0/0", "too large" },
		{ "10.5.0.0/30", "too small" },
		{ "10.5.0.7/32", "too small" },
		{ "8.8.8.0/24", "not a private range" },
		{ "127.0.0.0/16", "not a private range" },
		{ "169.254.0.0/16", "not a private range" },
		{ "198.18.0.0/16", "not a private range" },
		{ "224.0.0.0/24", "not a private range" },
		{ "172.32.0.0/16", "not a private range" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct subnet subnet = { 0 };
		struct azm_err err = { 0 };
		char text[SUBNET_TEXT_MAX];

		if ((subnet_parse(rows[i].text, &subnet, &err) == 0) != (rows[i].reason == NULL))
			fail_msg("\"%s\": %s", rows[i].text, err.reason);
		if (rows[i].reason) {
			if (!strstr(err.reason, rows[i].reason))
				fail_msg("\"%s\": %s", rows[i].text, err.reason);
			continue;
		}
		subnet_text(&subnet, text);
		assert_string_equal(text, rows[i].text);
		assert_true(subnet_valid(&subnet));
	}
}

static void subnet_of_this_host(void **state)
{
	cleanup_subnet_list struct subnet_list routes = { 0 };
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(subnet_host_routes(&routes, &err), 0);
	struct subnet subnet = subnet_choose(routes.items, routes.count, SUBNET_LARGEST);
	assert_true(subnet_valid(&subnet));
	for (size_t i = 0; i < routes.count; i++)
		assert_false(routes.items[i].prefix > 1 && subnet_overlap(&subnet, &routes.items[i]));
}

static void addresses_of_a_subnet(void **state)
{
	const struct subnet large = { IP(10, 111, 0, 0), 16 }, small = { IP(192, 168, 200, 0), 24 };

	(void)state;
	assert_int_equal(subnet_gateway(&large), IP(10, 111, 0, 1));
	assert_int_equal(large.base + SUBNET_FIRST_LEASE, IP(10, 111, 0, 2));
	assert_int_equal(large.base + subnet_last_lease(&large), IP(10, 111, 255, 254));
	assert_int_equal(small.base + subnet_last_lease(&small), IP(192, 168, 200, 254));
}

static void leases_differ_until_none_is_left(void **state)
{
	struct world *world = *state;
	struct azm_err err = { 0 };
	cleanup_fd int a = lease_open(world->live, "leases", &err), b = lease_open(world->live, "leases", &err);
	uint32_t lease = 0;

	assert_int_equal(lease_take(a, 2, 4, 3, &lease, &err), 0);
	assert_int_equal(lease, 3);
	assert_int_equal(lease_take(b, 2, 4, 3, &lease, &err), 0);
	assert_int_equal(lease, 4);
	assert_int_equal(lease_take(b, 2, 4, 3, &lease, &err), 0);
	assert_int_equal(lease, 4); /* its own again: a lease belongs to the open file, one a supervisor */
	lease_drop(b, 4);
	assert_int_equal(lease_take(a, 2, 3, 1000003, &lease, &err), 0);

	cleanup_fd int c = lease_open(world->live, "leases", &err);
	assert_int_equal(lease_take(a, 2, 2, 2, &lease, &err), 0);
	assert_int_equal(lease_take(a, 4, 4, 4, &lease, &err), 0);
	assert_int_equal(lease_take(c, 2, 4, 2, &lease, &err), -1);
	assert_true(err_is(&err, EUSERS));
}

static int hold_lease(struct world *world, void *argument)
{
	const int *ready = argument;
	struct azm_err err;
	uint32_t lease;
	int fd = lease_open(world->live, "leases", &err);

	CHECK(fd >= 0 && lease_take(fd, 7, 7, 7, &lease, &err) == 0);
	CHECK(write(*ready, "", 1) == 1);
	pause();
	return 0;
}

static void lease_of_a_killed_process_is_free(void **state)
{
	struct world *world = *state;
	struct azm_err err = { 0 };
	uint32_t lease;
	int ends[2];
	char byte;

	assert_int_equal(pipe(ends), 0);
	pid_t child = spawn(hold_lease, world, &ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	cleanup_fd int fd = lease_open(world->live, "leases", &err);
	assert_int_equal(lease_take(fd, 7, 7, 7, &lease, &err), -1);
	kill(child, SIGKILL);
	finish(child);
	assert_int_equal(lease_take(fd, 7, 7, 7, &lease, &err), 0);
	close(ends[0]);
	close(ends[1]);
}

static void hints_name_the_remedy(void **state)
{
	static const struct {
		int (*hint)(struct azm_err *err);
		int code;
		const char *text; /* NULL: nothing to say */
	} rows[] = {
		{ hint_namespaces, EPERM, "azm-sandbox doctor" },
		{ hint_namespaces, ENOSPC, "max_user_namespaces" },
		{ hint_namespaces, EUSERS, "max_user_namespaces" },
		{ hint_namespaces, EINVAL, "kernel" },
		{ hint_namespaces, EIO, NULL },
		{ hint_links, EOPNOTSUPP, "modprobe" },
		{ hint_links, EXFULL, "1023" },
		{ hint_links, ENODEV, NULL },
		{ hint_filter, EPROTONOSUPPORT, "nftables" },
		{ hint_filter, EOPNOTSUPP, "families ip and bridge" },
		{ hint_filter, EAFNOSUPPORT, "CONFIG_NF_TABLES_BRIDGE" },
		{ hint_filter, ENOENT, "modprobe" },
		{ hint_filter, EPERM, "security policy" },
		{ hint_filter, ENOBUFS, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };

		err_code(&err, rows[i].code, "step", NULL);
		assert_int_equal(rows[i].hint(&err), -1);
		assert_true(rows[i].text ? strstr(err.hint, rows[i].text) != NULL : err.hint[0] == '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subnet_avoids_routes),
		cmocka_unit_test(subnet_from_elsewhere_is_checked),
		cmocka_unit_test(a_small_subnet_is_found_between_larger_ones),
		cmocka_unit_test(subnets_are_parsed_and_checked),
		cmocka_unit_test(subnet_of_this_host),
		cmocka_unit_test(addresses_of_a_subnet),
		cmocka_unit_test_setup_teardown(leases_differ_until_none_is_left, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(lease_of_a_killed_process_is_free, world_setup, world_teardown),
		cmocka_unit_test(hints_name_the_remedy),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules for requests without a key (server/origin.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "server/origin.h"

static void an_origin_is_ours_when_it_names_the_host_and_port(void **state)
{
	(void)state;
	assert_true(origin_is_ours("http://127.0.0.1:3000", "127.0.0.1:3000"));
	assert_true(origin_is_ours("https://Box.example:1", "box.example:1"));
	assert_false(origin_is_ours("http://127.0.0.1:3001", "127.0.0.1:3000"));
	assert_false(origin_is_ours("http://evil.example", "127.0.0.1:3000"));
	assert_false(origin_is_ours("http://127.0.0.1:3000.evil.example", "127.0.0.1:3000"));
	assert_false(origin_is_ours("null", "127.0.0.1:3000"));
	assert_false(origin_is_ours("http://127.0.0.1:3000", NULL));
}

static void addresses_and_private_names_are_local(void **state)
{
	static const char *const local[] = { "127.0.0.1", "127.0.0.1:30000", "[::1]:80", "[fe80::1]", "localhost:1",
		"LOCALHOST", "sandbox", "host.docker.internal:3000", "a.localhost:5", "box.local", "nas.home.arpa",
		NULL };

	(void)state;
	for (size_t i = 0; local[i]; i++)
		assert_true(host_is_local(local[i]));
}

static void names_that_public_dns_could_have_are_not_local(void **state)
{
	static const char *const foreign[] = { "evil.example", "evil.example:80", "127.0.0.1.evil.example", "1.2.3.4.5",
		"localhost.evil.example", "evillocal.host", ".internal", "localhost.", "", ":80", "[::1", "[]",
		"[::1]x", "127.0.0.1:99999", "127.0.0.1:", "a:b:c", NULL };

	(void)state;
	for (size_t i = 0; foreign[i]; i++)
		assert_false(host_is_local(foreign[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_origin_is_ours_when_it_names_the_host_and_port),
		cmocka_unit_test(addresses_and_private_names_are_local),
		cmocka_unit_test(names_that_public_dns_could_have_are_not_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

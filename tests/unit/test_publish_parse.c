// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish_parse.c: every form of -p that is accepted, every one that is refused and the words of the
 * refusal. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/netns.h"

struct good {
	const char *text, *default_ip, *address; /* NULL for none */
	int family;
	unsigned host_port, port, count;
};

static const struct good good[] = {
	{ "8000", NULL, NULL, AF_UNSPEC, 0, 8000, 1 },
	{ ":8000", NULL, NULL, AF_UNSPEC, 0, 8000, 1 },
	{ "0:8000", NULL, NULL, AF_UNSPEC, 0, 8000, 1 },
	{ "80:8000", NULL, NULL, AF_UNSPEC, 80, 8000, 1 },
	{ "80:8000/tcp", NULL, NULL, AF_UNSPEC, 80, 8000, 1 },
	{ "80:8000/TCP", NULL, NULL, AF_UNSPEC, 80, 8000, 1 },
	{ "1:65535", NULL, NULL, AF_UNSPEC, 1, 65535, 1 },
	{ "localhost:80:8000", NULL, NULL, AF_UNSPEC, 80, 8000, 1 },
	{ "127.0.0.1:80:8000", NULL, "127.0.0.1", AF_INET, 80, 8000, 1 },
	{ "127.9.8.7:80:8000", NULL, "127.9.8.7", AF_INET, 80, 8000, 1 },
	{ "127.0.0.1::8000", NULL, "127.0.0.1", AF_INET, 0, 8000, 1 },
	{ "127.0.0.1:0:8000", NULL, "127.0.0.1", AF_INET, 0, 8000, 1 },
	{ "[::1]:80:8000", NULL, "::1", AF_INET6, 80, 8000, 1 },
	{ "[::1]::8000", NULL, "::1", AF_INET6, 0, 8000, 1 },
	{ "[127.0.0.1]:80:8000", NULL, "127.0.0.1", AF_INET, 80, 8000, 1 },
	{ "8000-8009", NULL, NULL, AF_UNSPEC, 0, 8000, 10 },
	{ ":8000-8009", NULL, NULL, AF_UNSPEC, 0, 8000, 10 },
	{ "0:8000-8000", NULL, NULL, AF_UNSPEC, 0, 8000, 1 },
	{ "9000-9009:8000-8009", NULL, NULL, AF_UNSPEC, 9000, 8000, 10 },
	{ "9000:8000-8009", NULL, NULL, AF_UNSPEC, 9000, 8000, 10 },
	{ "127.0.0.1:9000-9001:8000-8001/tcp", NULL, "127.0.0.1", AF_INET, 9000, 8000, 2 },
	{ "65534-65535:1-2", NULL, NULL, AF_UNSPEC, 65534, 1, 2 },
	{ "1-65535", NULL, NULL, AF_UNSPEC, 0, 1, 65535 },
	{ "80:8000", "", NULL, AF_UNSPEC, 80, 8000, 1 },
	{ "80:8000", "127.0.0.1", "127.0.0.1", AF_INET, 80, 8000, 1 },
	{ "80:8000", "::1", "::1", AF_INET6, 80, 8000, 1 },
	{ "80:8000", "[::1]", "::1", AF_INET6, 80, 8000, 1 },
	/* what the argument says wins over the environment */
	{ "[::1]:80:8000", "127.0.0.1", "::1", AF_INET6, 80, 8000, 1 },
	{ "localhost:80:8000", "0.0.0.0", NULL, AF_UNSPEC, 80, 8000, 1 },
};

static void accepted_forms_become_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		const struct good *row = &good[i];
		struct publish_rule *rules = NULL;
		struct azm_err err = { 0 };
		size_t count = 0;
		char address[INET6_ADDRSTRLEN] = "";

		if (publish_parse(row->text, row->default_ip, false, &rules, &count, &err) < 0)
			fail_msg("%s: %s", row->text, err.reason);
		assert_int_equal(count, row->count);
		for (unsigned j = 0; j < count; j++) {
			assert_int_equal(rules[j].family, row->family);
			assert_int_equal(rules[j].port, row->port + j);
			assert_int_equal(rules[j].host_port, row->host_port ? row->host_port + j : 0);
			assert_false(rules[j].any_user);
			assert_null(rules[j].unix_path);
		}
		if (row->address)
			assert_non_null(inet_ntop(row->family, &rules[0].address, address, sizeof address));
		assert_string_equal(address, row->address ? row->address : "");
		publish_rules_free(rules, count);
	}
}

/* Text, and a piece of the reason. */
static const char *const bad[][2] = {
	{ "", "not a number" },
	{ ":", "not a number" },
	{ "80:", "not a number" },
	{ "0", "cannot be 0" },
	{ "80:0", "cannot be 0" },
	{ "65536", "not a number" },
	{ "80:65536", "not a number" },
	{ "65536:80", "not a number" },
	{ "99999999999999999999:80", "not a number" },
	{ "-1:80", "not a number" },
	{ "+80:80", "not a number" },
	{ " 80:80", "not a number" },
	{ "0x50:80", "not a number" },
	{ "80:http", "not a number" },
	{ "80-:80", "not a number" },
	{ "80:80-", "not a number" },
	{ "80:1-2-3", "not a number" },
	{ "80:90-80", "run backwards" },
	{ "0-5:80-85", "cannot be 0" },
	{ "9000-9001:8000-8002", "2 host ports for 3" },
	{ "9000-9001:8000", "2 host ports for 1" },
	{ "65535:80-81", "would end at 65536" },
	{ "80:80/udp", "datagram" },
	{ "80:80/UDP", "datagram" },
	{ "80:80/sctp", "only TCP" },
	{ "80:80/", "only TCP" },
	{ "80:80/tcp/udp", "only TCP" },
	{ "127.0.0.1:80", "no host port after the address" },
	{ "[::1]:80", "[IPv6]:HOST:PORT" },
	{ "[::1]", "[IPv6]:HOST:PORT" },
	{ "[::1", "[IPv6]:HOST:PORT" },
	{ "[::1]80:80", "[IPv6]:HOST:PORT" },
	{ "[::1]:80:80:80", "too many colons" },
	{ "::1:80:80", "too many colons" },
	{ "1:2:3:4", "too many colons" },
	{ "::80", "is empty" },
	{ "127.0.0.256:80:80", "not an IP address" },
	{ "127.1:80:80", "not an IP address" },
	{ "example.org:80:80", "not an IP address" },
	{ "[::1%lo]:80:80", "not an IP address" },
	{ "[::ffff:127.0.0.1]:80:80", "as IPv4" },
	{ "0.0.0.0:80:80", "not a loopback address" },
	{ "192.168.1.1:80:80", "not a loopback address" },
	{ "[::]:80:80", "not a loopback address" },
	{ "[fe80::1]:80:80", "not a loopback address" },
	{ "unix:", "expected unix:PATH:PORT" },
	{ "unix:/run/a", "expected unix:PATH:PORT" },
	{ "unix::80", "expected unix:PATH:PORT" },
	{ "unix:/run/a:", "not a number" },
	{ "unix:/run/a:0", "cannot be 0" },
	{ "unix:/run/a:80-81", "range" },
	{ "unix:/run/a:80/tcp", "not a number" },
	{ "unix:/run/a\nb:80", "control characters" },
};

static void malformed_text_is_refused_with_its_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct publish_rule *rules = NULL;
		struct azm_err err = { 0 };
		size_t count = 0;

		if (publish_parse(bad[i][0], NULL, false, &rules, &count, &err) == 0)
			fail_msg("\"%s\" was accepted", bad[i][0]);
		if (!strstr(err.reason, bad[i][1]))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i][0], err.reason, bad[i][1]);
		assert_int_equal(count, 0);
		assert_null(rules);
	}
}

static void a_non_loopback_address_needs_the_switch_and_the_error_names_it(void **state)
{
	static const char *const texts[] = { "0.0.0.0:80:80", "10.1.2.3:80:80", "[::]:80:80", "[2001:db8::1]:80:80" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct publish_rule *rules = NULL;
		struct azm_err err = { 0 };
		size_t count = 0;

		assert_int_equal(publish_parse(texts[i], NULL, false, &rules, &count, &err), -1);
		assert_non_null(strstr(err.hint, "--allow-non-loopback"));
		assert_int_equal(publish_parse(texts[i], NULL, true, &rules, &count, &err), 0);
		assert_int_equal(count, 1);
		publish_rules_free(rules, count);
	}
}

static void the_address_of_the_environment_is_under_the_same_rule(void **state)
{
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;

	(void)state;
	assert_int_equal(publish_parse("80:80", "0.0.0.0", false, &rules, &count, &err), -1);
	assert_non_null(strstr(err.hint, "--allow-non-loopback"));
	assert_int_equal(publish_parse("80:80", "nonsense", true, &rules, &count, &err), -1);
	assert_int_equal(count, 0);
}

static void unix_rules_keep_their_path(void **state)
{
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;
	static char path[PATH_MAX + 1];

	(void)state;
	assert_int_equal(publish_parse("unix:/run/user/1/a:b.sock:8000", "0.0.0.0", false, &rules, &count, &err), 0);
	assert_int_equal(rules[0].family, AF_UNIX);
	assert_int_equal(rules[0].port, 8000);
	assert_string_equal(rules[0].unix_path, "/run/user/1/a:b.sock");

	/* A path may be longer than sun_path, but not than a path. */
	memset(path, 'x', PATH_MAX);
	cleanup_free char *too_long = xasprintf("unix:%s:80", path);
	path[1000] = '\0';
	cleanup_free char *longer = xasprintf("unix:%s:80", path);
	assert_int_equal(publish_parse(too_long, NULL, false, &rules, &count, &err), -1);
	assert_non_null(strstr(err.reason, "at most 4095 bytes"));
	assert_int_equal(publish_parse(longer, NULL, false, &rules, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(rules[1].unix_path, path);
	publish_rules_free(rules, count);
}

static void a_rule_as_text_is_the_same_rule_again(void **state)
{
	static const char *const texts[][2] = {
		{ "8000", "localhost::8000" },
		{ "80:8000", "localhost:80:8000" },
		{ "127.0.0.1::8000", "127.0.0.1::8000" },
		{ "[::1]:80:8000/tcp", "[::1]:80:8000" },
		{ "unix:/run/a:b:80", "unix:/run/a:b:80" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct publish_rule *rules = NULL;
		struct azm_err err = { 0 };
		size_t count = 0;

		assert_int_equal(publish_parse(texts[i][0], NULL, false, &rules, &count, &err), 0);
		if (rules[0].family != AF_UNIX && !rules[0].host_port)
			rules[0].host_port = 30001; /* found by publish_bind() */
		cleanup_free char *text = publish_rule_text(&rules[0]);
		assert_string_equal(text, texts[i][1]);
		assert_int_equal(publish_parse(text, "0.0.0.0", false, &rules, &count, &err), 0);
		cleanup_free char *again = publish_rule_text(&rules[1]);
		assert_string_equal(again, text);
		publish_rules_free(rules, count);
	}
}

static void rules_are_appended(void **state)
{
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;

	(void)state;
	assert_int_equal(publish_parse("1-3", NULL, false, &rules, &count, &err), 0);
	assert_int_equal(publish_parse("bad", NULL, false, &rules, &count, &err), -1);
	assert_int_equal(publish_parse("[::1]:7:9", NULL, false, &rules, &count, &err), 0);
	assert_int_equal(count, 4);
	assert_int_equal(rules[2].port, 3);
	assert_int_equal(rules[3].port, 9);
	publish_rules_free(rules, count);
}

static void endless_text_is_refused(void **state)
{
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;
	char text[5000];

	(void)state;
	memset(text, '1', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(publish_parse(text, NULL, false, &rules, &count, &err), -1);
	memset(text, ':', sizeof text - 1);
	assert_int_equal(publish_parse(text, NULL, false, &rules, &count, &err), -1);
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_forms_become_rules),
		cmocka_unit_test(malformed_text_is_refused_with_its_reason),
		cmocka_unit_test(a_non_loopback_address_needs_the_switch_and_the_error_names_it),
		cmocka_unit_test(the_address_of_the_environment_is_under_the_same_rule),
		cmocka_unit_test(unix_rules_keep_their_path),
		cmocka_unit_test(a_rule_as_text_is_the_same_rule_again),
		cmocka_unit_test(rules_are_appended),
		cmocka_unit_test(endless_text_is_refused),
	};

	return cmocka_run_group_tests_name("publish_parse", tests, NULL, NULL);
}

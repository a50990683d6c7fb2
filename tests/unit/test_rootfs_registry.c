// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_registry.c: what registries and configuration files say, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <curl/curl.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/credentials.h"
#include "rootfs-tools/registries_conf.h"
#include "rootfs-tools/registry_internal.h"
#include "rootfs-tools/registry_text.h"

static const char *shown(const char *text)
{
	return text ? text : "-";
}

static void challenges_are_read([[maybe_unused]] void **state)
{
	static const struct {
		const char *text, *expected; /* basic bearer realm service scope */
	} cases[] = {
		{ "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull\"",
			"0 1 https://a/t s repository:x:pull" },
		{ "bearer REALM = \"https://a/t\" , Service=s", "0 1 https://a/t s -" },
		{ "Basic realm=\"here\"", "1 0 - - -" },
		{ "Basic realm=\"here\", Bearer realm=\"https://a\"", "1 1 https://a - -" },
		{ "Bearer realm=\"https://a\", Basic realm=\"here\"", "1 1 https://a - -" },
		{ "Bearer realm=\"https://a\", Bearer realm=\"https://b\",service=x", "0 1 https://a - -" },
		{ "Negotiate YWJj==, Bearer realm=\"https://a\"", "0 1 https://a - -" },
		{ "Bearer realm=\"q\\\"uoted\\\\\"", "0 1 q\"uoted\\ - -" },
		{ "Bearer realm=\"open", "0 1 - - -" },
		{ "Bearer realm=", "0 1 - - -" },
		{ "Bearer", "0 1 - - -" },
		{ ", ,Bearer  realm=a,,service=b", "0 1 a b -" },
		{ "Digest realm=x, nonce=\"Bearer realm=y\"", "0 0 - - -" },
		{ "", "0 0 - - -" },
		{ "\"\x01\xff=", "0 0 - - -" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cleanup_challenge struct challenge c;
		challenge_parse(cases[i].text, &c);
		cleanup_free char *found = xasprintf(
			"%d %d %s %s %s", c.basic, c.bearer, shown(c.realm), shown(c.service), shown(c.scope));
		assert_string_equal(found, cases[i].expected);
	}
}

static void ranges_are_read([[maybe_unused]] void **state)
{
	static const char *const wrong[] = { "", "bytes", "bytes 1-2", "bytes 2-1/3", "bytes 0-3/3", "bytes -1/3",
		"octets 0-1/2", "bytes 0-1/2x", "bytes 99999999999999999999-99999999999999999999/*", "bytes 0 -1/2" };
	uint64_t first, last, total;

	assert_true(content_range_parse("bytes 100-199/200", &first, &last, &total));
	assert_int_equal(first, 100);
	assert_int_equal(last, 199);
	assert_int_equal(total, 200);
	assert_true(content_range_parse("bytes 0-0/*", &first, &last, &total));
	assert_true(total == UINT64_MAX);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_false(content_range_parse(wrong[i], &first, &last, &total));
	assert_true(upload_range_parse("0-1023", &first) && first == 1024);
	assert_true(upload_range_parse("bytes=0-9", &first) && first == 10);
	assert_true(upload_range_parse("0-0", &first) && first == 0);
	assert_false(upload_range_parse("5-9", &first));
	assert_false(upload_range_parse("0-", &first));
}

static void retry_after_is_read([[maybe_unused]] void **state)
{
	struct curl_api api;
	struct azm_err err = { 0 };

	assert_int_equal(curl_api_load(&api, &err), 0);
	assert_int_equal(retry_after_parse("30", 0, api.curl_getdate), 30);
	assert_int_equal(retry_after_parse("Thu, 01 Jan 1970 00:01:00 GMT", 20, api.curl_getdate), 40);
	assert_int_equal(retry_after_parse("Thu, 01 Jan 1970 00:01:00 GMT", 100, api.curl_getdate), 0);
	assert_int_equal(retry_after_parse("-5", 0, api.curl_getdate), -1);
	assert_int_equal(retry_after_parse("soon", 0, api.curl_getdate), -1);
}

static void tokens_are_read([[maybe_unused]] void **state)
{
	static const struct {
		const char *text, *token;
		uint64_t seconds;
	} cases[] = {
		{ "{\"token\":\"abc\"}", "abc", 60 },
		{ "{\"access_token\":\"abc\",\"expires_in\":300}", "abc", 300 },
		{ "{\"token\":\"\",\"access_token\":\"x\",\"expires_in\":-1}", "x", 60 },
		{ "{\"token\":\"x\",\"expires_in\":99999999999}", "x", 24 * 3600 },
		{ "{\"token\":\"a\\r\\nX: y\"}", NULL, 0 },
		{ "{\"token\":\"a\\u0000b\"}", NULL, 0 },
		{ "{\"token\":\"\\u00e4\"}", NULL, 0 },
		{ "{\"token\":7}", NULL, 0 },
		{ "[]", NULL, 0 },
		{ "", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct azm_err err = { 0 };
		cleanup_free char *token = NULL;
		uint64_t seconds;
		int result = token_parse(cases[i].text, strlen(cases[i].text), &token, &seconds, &err);
		assert_int_equal(result, cases[i].token ? 0 : -1);
		if (cases[i].token) {
			assert_string_equal(token, cases[i].token);
			assert_int_equal(seconds, cases[i].seconds);
		}
	}
}

static void encodings_go_both_ways([[maybe_unused]] void **state)
{
	static const char *const texts[] = { "a", "ab", "abc", "azm:pass word", "\xff\xfe~" };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		cleanup_free char *encoded = base64_encode(texts[i]);
		cleanup_free char *decoded = base64_decode(encoded);
		assert_string_equal(decoded, texts[i]);
	}
	assert_null(base64_decode(""));
	assert_null(base64_decode("YQ="));
	assert_null(base64_decode("Y!=="));
	assert_null(base64_decode("YQBi")); /* a NUL */
	cleanup_free char *url = url_encode("repository:a/b:pull,push ~");
	assert_string_equal(url, "repository%3Aa%2Fb%3Apull%2Cpush%20~");
}

static void credentials_of(const char *document, const char *host, const char *path, const char *expected)
{
	cleanup_credentials struct credentials c;
	cleanup_free char *helper = NULL;
	bool known = credentials_parse(document, strlen(document), host, path, &c, &helper);
	cleanup_free char *found = xasprintf("%d %s %s %s %s %s", known, shown(c.user), shown(c.password),
		shown(c.refresh_token), shown(c.bearer), shown(helper));

	assert_string_equal(found, expected);
}

static void login_files_are_read([[maybe_unused]] void **state)
{
	/* u:p, v:q, a: without a colon */
	static const char file[] =
		"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"},\"quay.io/group\":{\"auth\":\"djpx\"},"
		"\"quay.io\":{\"auth\":\"dTpw\"},\"bad.io\":{\"auth\":\"YQ==\"},\"none.io\":{},"
		"\"t.io\":{\"identitytoken\":\"r\"},\"b.io\":{\"registrytoken\":\"b\"}},"
		"\"credHelpers\":{\"help.io\":\"one\"},\"credsStore\":\"all\"}";

	credentials_of(file, "docker.io", "library/x", "1 u p - - -");
	credentials_of(file, "quay.io", "group/x", "1 v q - - -");
	credentials_of(file, "quay.io", "group2/x", "1 u p - - -");
	credentials_of(file, "t.io", "x", "1 - - r - -");
	credentials_of(file, "b.io", "x", "1 - - - b -");
	credentials_of(file, "help.io", "x", "1 - - - - one");
	credentials_of(file, "bad.io", "x", "1 - - - - all");
	credentials_of(file, "none.io", "x", "1 - - - - all");
	credentials_of("{\"auths\":{\"a.io\":{\"auth\":\"dTpw\"}}}", "b.io", "x", "0 - - - - -");
	credentials_of("{\"auths\":[],\"credHelpers\":7}", "b.io", "x", "0 - - - - -");
	credentials_of("not json", "b.io", "x", "0 - - - - -");
}

static void loopback_is_known([[maybe_unused]] void **state)
{
	static const char *const yes[] = { "localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]",
		"[::1]:5" };
	static const char *const no[] = { "127.0.0.1.evil.com", "127.evil.com", "localhost.evil.com", "0.0.0.0",
		"10.0.0.1", "[::2]", "::1", "", "[::1].evil.com:1x" };

	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		assert_true(host_is_loopback(yes[i]));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		assert_false(host_is_loopback(no[i]));
}

static void registries_are_found([[maybe_unused]] void **state)
{
	static const char file[] = "unqualified-search-registries = [\"a\",\n \"b\"]\n"
				   "[[registry]]\nprefix = \"docker.io\" # hub\nlocation=\"m.io/hub\"\n"
				   "[[registry.mirror]]\nlocation = 'one.io'\ninsecure=true\n"
				   "[[registry]]\nlocation = \"docker.io/library\"\nblocked = true\n"
				   "[other]\nlocation = 7\n[[registry]]\nprefix = \"*.corp\"\ninsecure = true\n";
	cleanup_registries_conf struct registries_conf conf = { 0 };
	struct azm_err err = { 0 };

	assert_int_equal(registries_conf_add(&conf, "f", file, &err), 0);
	const struct registry_rule *rule = registries_conf_find(&conf, "docker.io/me/x");
	assert_string_equal(rule->place.location, "m.io/hub");
	assert_int_equal(rule->mirror_count, 1);
	assert_string_equal(rule->mirrors[0].location, "one.io");
	assert_true(rule->mirrors[0].insecure && !rule->place.insecure);
	assert_true(registries_conf_find(&conf, "docker.io/library/x")->blocked);
	assert_false(registries_conf_find(&conf, "docker.io/libraryx/x")->blocked);
	assert_null(registries_conf_find(&conf, "docker.iox/x"));
	assert_true(registries_conf_find(&conf, "a.b.corp:5000/x")->place.insecure);
	assert_null(registries_conf_find(&conf, "corp/x"));
}

static void registries_that_are_wrong([[maybe_unused]] void **state)
{
	static const char *const wrong[] = { "[[registry]]\nblocked = true", "[[registry.mirror]]\n", "words",
		"[[registry]]\nlocation = x", "[[registry]]\nlocation = \"x\" y", "[[registry]]\ninsecure = 1",
		"[[registry]]\nlocation = \"x\"\n[[registry.mirror]]\ninsecure = true" };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		cleanup_registries_conf struct registries_conf conf = { 0 };
		struct azm_err err = { 0 };
		assert_int_equal(registries_conf_add(&conf, "f", wrong[i], &err), -1);
		assert_true(err.reason[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges_are_read),
		cmocka_unit_test(ranges_are_read),
		cmocka_unit_test(retry_after_is_read),
		cmocka_unit_test(tokens_are_read),
		cmocka_unit_test(encodings_go_both_ways),
		cmocka_unit_test(login_files_are_read),
		cmocka_unit_test(loopback_is_known),
		cmocka_unit_test(registries_are_found),
		cmocka_unit_test(registries_that_are_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

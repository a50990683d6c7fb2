// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_sniff.c: what the first bytes of a connection say about its host, whole and byte by byte, and
 * every way to say two things at once. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "netns/sniff.h"

struct text_case {
	const char *bytes;
	enum sniff_result result;
	const char *host;
	unsigned port;
};

static const struct text_case texts[] = {
	/* HTTP */
	{ "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_NAMED, "a.example", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", SNIFF_NAMED, "a.example", 8080 },
	{ "GET / HTTP/1.1\r\nAccept: */*\r\nhOST:\t A.Example \r\nX: y\r\n\r\nbody", SNIFF_NAMED, "A.Example", 0 },
	{ "GET / HTTP/1.1\nHost: a.example\n\n", SNIFF_NAMED, "a.example", 0 },
	{ "\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_NAMED, "a.example", 0 },
	{ "GET / HTTP/1.1\r\nHost: [::1]:81\r\n\r\n", SNIFF_NAMED, "::1", 81 },
	{ "GET / HTTP/1.1\r\nHost: [fe80::1]\r\n\r\n", SNIFF_NAMED, "fe80::1", 0 },
	{ "PROPFIND /x HTTP/1.1\r\nHost: a\r\n\r\n", SNIFF_NAMED, "a", 0 },
	{ "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_NAMED, "a.example", 0 },
	{ "GET http://A.example:81/x HTTP/1.1\r\nHost: a.Example\r\n\r\n", SNIFF_NAMED, "A.example", 81 },
	{ "GET http://a.example?x HTTP/1.0\r\n\r\n", SNIFF_NAMED, "a.example", 0 },
	{ "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", SNIFF_NAMED, "a.example", 443 },
	{ "GET / HTTP/1.0\r\n\r\n", SNIFF_SILENT, "", 0 },
	{ "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", SNIFF_SILENT, "", 0 },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SNIFF_SILENT, "", 0 },
	/* more than one reading */
	{ "GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost : b.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost:\r\n b.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nX: y\rHost: b.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example:x\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example:99999\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET / b HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	{ "GET http:///x HTTP/1.1\r\nHost: a.example\r\n\r\n", SNIFF_GARBLED, "", 0 },
	/* the host is kept as it was said: whoever compares refuses what is no name */
	{ "GET http://a.example@b.example/ HTTP/1.1\r\n\r\n", SNIFF_NAMED, "a.example@b.example", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example%00.b\r\n\r\n", SNIFF_NAMED, "a.example%00.b", 0 },
	{ "GET / HTTP/1.1\r\nHost: 2130706433\r\n\r\n", SNIFF_NAMED, "2130706433", 0 },
	/* other protocols, at the first byte or line that shows it */
	{ "SSH-2.0-OpenSSH_9.2\r\n", SNIFF_OTHER, "", 0 },
	{ "PING\r\n", SNIFF_OTHER, "", 0 },
	{ "EHLO a.example\r\n", SNIFF_OTHER, "", 0 },
	{ "GET /\r\n", SNIFF_OTHER, "", 0 },
	{ "*1\r\n$4\r\nPING\r\n", SNIFF_OTHER, "", 0 },
	{ "@RSYNCD: 31.0\n", SNIFF_OTHER, "", 0 },
	{ "\r\n\r\n\x01", SNIFF_OTHER, "", 0 },
	{ "AMQP\x01\x01", SNIFF_OTHER, "", 0 },
	{ "AVERYLONGWORDTHATISNOMETHODOFANYBODY", SNIFF_OTHER, "", 0 },
	/* half of something */
	{ "", SNIFF_MORE, "", 0 },
	{ "\r\n", SNIFF_MORE, "", 0 },
	{ "GET", SNIFF_MORE, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.example\r\n", SNIFF_MORE, "", 0 },
	{ "GET / HTTP/1.1\r\nHost: a.exam", SNIFF_MORE, "", 0 },
};

static void check(const void *bytes, size_t size, const struct text_case *expected)
{
	struct sniffed sniffed;
	enum sniff_result result = sniff(bytes, size, false, &sniffed);

	if (result != expected->result || strcmp(sniffed.host, expected->host) != 0 || sniffed.port != expected->port)
		fail_msg("%zu bytes of \"%s\": result %d (%d), host \"%s\", port %u, %s", size, expected->bytes,
			(int)result, (int)expected->result, sniffed.host, sniffed.port, sniffed.why ? sniffed.why : "");
	assert_int_equal(result == SNIFF_GARBLED, sniffed.why != NULL);
}

static void text_protocols(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		check(texts[i].bytes, strlen(texts[i].bytes), &texts[i]);
}

/* However a message is cut, the answer is MORE until it is the final one, which then stays. */
static void arrives_byte_by_byte(const uint8_t *bytes, size_t size)
{
	struct sniffed whole, part;
	enum sniff_result final = sniff(bytes, size, false, &whole);
	bool settled = false;

	for (size_t i = 0; i <= size; i++) {
		enum sniff_result result = sniff(bytes, i, false, &part);
		if (result == SNIFF_MORE) {
			assert_false(settled);
			continue;
		}
		settled = true;
		assert_int_equal(result, final);
		assert_string_equal(part.host, whole.host);
	}
}

static void text_in_segments(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		arrives_byte_by_byte((const uint8_t *)texts[i].bytes, strlen(texts[i].bytes));
}

static void http_with_a_nul(void **state)
{
	static const char header[] = "GET / HTTP/1.1\r\nHost: a.example\0.b.example\r\n\r\n";
	static const char target[] = "GET http://a\0b/ HTTP/1.1\r\n\r\n";
	struct sniffed sniffed;

	(void)state;
	assert_int_equal(sniff((const uint8_t *)header, sizeof header - 1, false, &sniffed), SNIFF_GARBLED);
	assert_int_equal(sniff((const uint8_t *)target, sizeof target - 1, false, &sniffed), SNIFF_OTHER);
}

/* ---- TLS ------------------------------------------------------------------------------------------------------ */

struct hello {
	uint8_t bytes[70000];
	size_t size;
};

static void put(struct hello *hello, const void *bytes, size_t size)
{
	memcpy(hello->bytes + hello->size, bytes, size);
	hello->size += size;
}

static void put_number(struct hello *hello, size_t bytes, size_t number)
{
	while (bytes--)
		hello->bytes[hello->size++] = (uint8_t)(number >> (8 * bytes));
}

static void put_server_name(struct hello *hello, const char *name, size_t length)
{
	put_number(hello, 2, 0);
	put_number(hello, 2, length + 5);
	put_number(hello, 2, length + 3);
	put_number(hello, 1, 0);
	put_number(hello, 2, length);
	put(hello, name, length);
}

/* A ClientHello with @names server names (each an extension), as one handshake message without records. */
static struct hello *message(const char *name, size_t length, unsigned names, size_t padding)
{
	struct hello *hello = calloc(1, sizeof *hello);
	static const uint8_t random[32];
	size_t extensions = names * (length + 9) + padding + 4 + 5;

	assert_non_null(hello);
	put_number(hello, 1, 1);
	put_number(hello, 3, 2 + 32 + 1 + 4 + 2 + 2 + extensions);
	put_number(hello, 2, 0x0303);
	put(hello, random, sizeof random);
	put_number(hello, 1, 0);
	put_number(hello, 2, 2);
	put_number(hello, 2, 0x1301);
	put_number(hello, 2, 0x0100);
	put_number(hello, 2, extensions);
	put_number(hello, 2, 21); /* padding */
	put_number(hello, 2, padding);
	for (size_t i = 0; i < padding; i++)
		put_number(hello, 1, 0);
	for (unsigned i = 0; i < names; i++)
		put_server_name(hello, name, length);
	put_number(hello, 2, 0xff01);
	put_number(hello, 2, 1);
	put_number(hello, 1, 0);
	return hello;
}

/* The message in records of at most @most bytes. */
static struct hello *records(struct hello *of, size_t most)
{
	struct hello *hello = calloc(1, sizeof *hello);

	assert_non_null(hello);
	for (size_t at = 0; at < of->size; at += most) {
		size_t size = of->size - at < most ? of->size - at : most;
		put_number(hello, 1, 22);
		put_number(hello, 2, 0x0301);
		put_number(hello, 2, size);
		put(hello, of->bytes + at, size);
	}
	free(of);
	return hello;
}

static void expect_tls(struct hello *hello, enum sniff_result expected, const char *host)
{
	struct sniffed sniffed;

	assert_int_equal(sniff(hello->bytes, hello->size, false, &sniffed), expected);
	assert_int_equal(sniffed.protocol, SNIFF_TLS);
	assert_string_equal(sniffed.host, host);
	if (hello->size < 4000)
		arrives_byte_by_byte(hello->bytes, hello->size);
	free(hello);
}

static void tls_server_name(void **state)
{
	(void)state;
	expect_tls(records(message("a.example", 9, 1, 100), 16384), SNIFF_NAMED, "a.example");
	expect_tls(records(message("a.example", 9, 1, 12000), 16384), SNIFF_NAMED, "a.example");
	expect_tls(records(message("", 0, 0, 0), 16384), SNIFF_SILENT, "");
}

static void tls_in_many_records(void **state)
{
	(void)state;
	for (size_t most = 1; most < 200; most++)
		expect_tls(records(message("a.example", 9, 1, 50), most), SNIFF_NAMED, "a.example");
}

static void tls_that_says_two_things(void **state)
{
	(void)state;
	expect_tls(records(message("a.example", 9, 2, 0), 16384), SNIFF_GARBLED, "");
	expect_tls(records(message("a.example\0b", 11, 1, 0), 16384), SNIFF_GARBLED, "");
	expect_tls(records(message("", 0, 1, 0), 16384), SNIFF_GARBLED, "");
	/* longer than anybody's */
	expect_tls(records(message("a.example", 9, 1, 20000), 16384), SNIFF_GARBLED, "");
}

static void tls_with_lengths_that_do_not_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < 80; i++) {
		struct hello *hello = records(message("a.example", 9, 1, 0), 16384);
		struct sniffed sniffed;
		for (unsigned value = 0; value < 256; value++) {
			hello->bytes[i] = (uint8_t)value;
			enum sniff_result result = sniff(hello->bytes, hello->size, true, &sniffed);
			assert_true(result != SNIFF_MORE);
			assert_true(result == SNIFF_NAMED || !*sniffed.host);
		}
		free(hello);
	}
}

static void tls_behind_another_record(void **state)
{
	static const uint8_t warning[] = { 21, 3, 1, 0, 2, 1, 90 }, empty[] = { 22, 3, 1, 0, 0 };
	struct sniffed sniffed;

	(void)state;
	assert_int_equal(sniff(warning, sizeof warning, false, &sniffed), SNIFF_GARBLED);
	assert_int_equal(sniff(empty, sizeof empty, false, &sniffed), SNIFF_GARBLED);
}

/* ---- ends ----------------------------------------------------------------------------------------------------- */

static void what_breaks_off(void **state)
{
	struct sniffed sniffed;
	static const uint8_t half[] = { 22, 3, 1 };

	(void)state;
	assert_int_equal(sniff((const uint8_t *)"", 0, true, &sniffed), SNIFF_OTHER);
	assert_int_equal(sniff((const uint8_t *)"GE", 2, true, &sniffed), SNIFF_OTHER);
	assert_int_equal(sniff((const uint8_t *)"GET / HTTP/1.1\r\nHo", 18, true, &sniffed), SNIFF_GARBLED);
	assert_int_equal(sniff(half, sizeof half, true, &sniffed), SNIFF_GARBLED);
}

static void what_never_ends(void **state)
{
	static const char beginning[] = "GET / HTTP/1.1\r\nX: ";
	static uint8_t request[SNIFF_MOST + 10];
	struct sniffed sniffed;

	(void)state;
	memset(request, 'x', sizeof request);
	for (size_t i = 0; i < sizeof beginning - 1; i++)
		request[i] = (uint8_t)beginning[i];
	assert_int_equal(sniff(request, SNIFF_MOST - 1, false, &sniffed), SNIFF_MORE);
	assert_int_equal(sniff(request, SNIFF_MOST, false, &sniffed), SNIFF_GARBLED);
	memset(request, '\n', sizeof request);
	assert_int_equal(sniff(request, SNIFF_MOST, false, &sniffed), SNIFF_OTHER);
}

static void refusals(void **state)
{
	size_t size;
	const char *text = sniff_refusal(SNIFF_HTTP, &size);
	const char *body = strstr(text, "\r\n\r\n") + 4;
	const char *length = strstr(text, "Content-Length: ") + 16;

	(void)state;
	assert_int_equal(strtoul(length, NULL, 10), strlen(body));
	assert_int_equal(size, strlen(text));
	const uint8_t *alert = sniff_refusal(SNIFF_TLS, &size);
	assert_int_equal(size, 7);
	assert_int_equal(alert[0], 21);
	assert_int_equal(alert[5], 2); /* fatal */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_protocols),
		cmocka_unit_test(text_in_segments),
		cmocka_unit_test(http_with_a_nul),
		cmocka_unit_test(tls_server_name),
		cmocka_unit_test(tls_in_many_records),
		cmocka_unit_test(tls_that_says_two_things),
		cmocka_unit_test(tls_with_lengths_that_do_not_fit),
		cmocka_unit_test(tls_behind_another_record),
		cmocka_unit_test(what_breaks_off),
		cmocka_unit_test(what_never_ends),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

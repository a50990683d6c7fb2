// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_proxy.c: URLs of a site's proxy, what is sent to it, and what it may answer. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netns/egress_proxy.h"

static const struct {
	const char *url, *host;
	unsigned port;
	const char *authorization, *display;
} good[] = {
	{ "http://proxy.example:3128", "proxy.example", 3128, "", "http://proxy.example:3128" },
	{ "HTTP://Proxy.Example.:80/", "proxy.example", 80, "", "http://proxy.example:80" },
	{ "http://10.0.0.1:8080", "10.0.0.1", 8080, "", "http://10.0.0.1:8080" },
	{ "http://[2001:db8::1]:8080", "2001:db8::1", 8080, "", "http://[2001:db8::1]:8080" },
	/* RFC 7617's own example */
	{ "http://Aladdin:open%20sesame@p.example:1", "p.example", 1,
		"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "http://p.example:1" },
	{ "http://u@p.example:1", "p.example", 1, "Basic dTo=", "http://p.example:1" },
	{ "http://u:p@ss:w@p.example:1", "p.example", 1, "Basic dTpwQHNzOnc=", "http://p.example:1" },
	{ "http://u:%c3%bc@p.example:1", "p.example", 1, "Basic dTrDvA==", "http://p.example:1" },
};

static const char *const refused[] = { "", "proxy.example:3128", "https://proxy.example:3128", "http://",
	"http://proxy.example", "http://proxy.example:", "http://proxy.example:0", "http://proxy.example:65536",
	"http://proxy.example:80x", "http://:80", "http://proxy.example:80/path", "http://proxy.example:80?q",
	"http://a b:80", "http://2130706433:80", "http://[::1:80", "http://[nonsense]:80", "http://u:p%zz@h.example:1",
	"http://u:p%0d%0aX@h.example:1", "http://u:%00@h.example:1", "http://us%3aer:p@h.example:1",
	"http://u:p%4@h.example:1", "http://h.example:1\r\nX: y" };

static void urls_that_are_taken(void **state)
{
	struct egress_proxy proxy;
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		char *display = egress_proxy_display(good[i].url);
		assert_int_equal(egress_proxy_parse(good[i].url, &proxy, &err), 0);
		assert_string_equal(proxy.host, good[i].host);
		assert_int_equal(proxy.port, good[i].port);
		assert_string_equal(proxy.authorization, good[i].authorization);
		assert_string_equal(display, good[i].display);
		free(display);
	}
}

static void urls_that_are_refused(void **state)
{
	struct egress_proxy proxy;

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct azm_err err = { 0 };
		if (egress_proxy_parse(refused[i], &proxy, &err) == 0)
			fail_msg("taken: %s", refused[i]);
		assert_int_equal(err.code, EINVAL);
	}
}

static void an_error_does_not_repeat_the_password(void **state)
{
	struct egress_proxy proxy;
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(egress_proxy_parse("http://user:secret@host", &proxy, &err), -1);
	assert_null(strstr(err.text, "secret"));
	assert_null(strstr(err.reason, "secret"));
	assert_null(strstr(err.hint, "secret"));
	char *display = egress_proxy_display("http://user:secret@host");
	assert_null(strstr(display, "secret"));
	free(display);
}

static void credentials_that_are_too_long(void **state)
{
	struct egress_proxy proxy;
	struct azm_err err = { 0 };
	char url[4000] = "http://u:";

	(void)state;
	memset(url + strlen(url), 'x', 499 - 1);
	snprintf(url + strlen(url), 20, "@h.example:1");
	assert_int_equal(egress_proxy_parse(url, &proxy, &err), 0);
	assert_true(strlen(proxy.authorization) < sizeof proxy.authorization);
	char request[PROXY_REQUEST_MOST] = "";
	char name[HOST_NAME_SIZE];
	memset(name, 'a', HOST_NAME_MAX_TEXT);
	name[HOST_NAME_MAX_TEXT] = '\0';
	assert_true(egress_proxy_request(&proxy, name, 65535, request) < sizeof request);
	memset(url + 9, 'x', 600);
	snprintf(url + 609, 20, "@h.example:1");
	assert_int_equal(egress_proxy_parse(url, &proxy, &err), -1);
}

static void requests(void **state)
{
	struct egress_proxy proxy = { 0 };
	char request[PROXY_REQUEST_MOST] = "";

	(void)state;
	size_t size = egress_proxy_request(&proxy, "a.example", 443, request);
	assert_int_equal(size, strlen(request));
	assert_string_equal(request, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
	snprintf(proxy.authorization, sizeof proxy.authorization, "Basic eA==");
	egress_proxy_request(&proxy, "2001:db8::1", 22, request);
	assert_string_equal(request, "CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n"
				     "Proxy-Authorization: Basic eA==\r\n\r\n");
}

static void answers(void **state)
{
	static const struct {
		const char *bytes;
		int result;
		size_t rest;
		unsigned status;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", 1, 0, 200 },
		{ "HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0", 1, 7, 200 },
		{ "HTTP/1.1 407 Proxy Authentication Required\r\nX: y\r\n\r\n", 1, 0, 407 },
		{ "HTTP/1.1 200\r\n\r\n", 1, 0, 200 },
		{ "", 0, 0, 0 },
		{ "HTT", 0, 0, 0 },
		{ "HTTP/1.1 200 OK\r\nVia", 0, 0, 0 },
		{ "SSH-2.0-x\r\n", -1, 0, 0 },
		{ "HTTP/2 200\r\n\r\n", -1, 0, 0 },
		{ "HTTP/1.1 2000 OK\r\n\r\n", -1, 0, 0 },
		{ "HTTP/1.1 2x0 OK\r\n\r\n", -1, 0, 0 },
		{ "HTTP/1.\r\n\r\n", -1, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = strlen(cases[i].bytes), length = 0;
		unsigned status = 0;
		int result = egress_proxy_answer(cases[i].bytes, size, &length, &status);
		if (result != cases[i].result ||
			(result == 1 && (length != size - cases[i].rest || status != cases[i].status)))
			fail_msg("\"%s\": %d, %zu bytes, status %u", cases[i].bytes, result, length, status);
	}
}

static void an_answer_that_never_ends(void **state)
{
	static const char beginning[] = "HTTP/1.1 200 OK\r\nX: ";
	static char bytes[PROXY_ANSWER_MOST + 1];
	size_t length;
	unsigned status;

	(void)state;
	memset(bytes, 'x', PROXY_ANSWER_MOST);
	for (size_t i = 0; i < sizeof beginning - 1; i++)
		bytes[i] = beginning[i];
	assert_int_equal(egress_proxy_answer(bytes, PROXY_ANSWER_MOST - 1, &length, &status), 0);
	assert_int_equal(egress_proxy_answer(bytes, PROXY_ANSWER_MOST, &length, &status), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_that_are_taken),
		cmocka_unit_test(urls_that_are_refused),
		cmocka_unit_test(an_error_does_not_repeat_the_password),
		cmocka_unit_test(credentials_that_are_too_long),
		cmocka_unit_test(requests),
		cmocka_unit_test(answers),
		cmocka_unit_test(an_answer_that_never_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_proxy.c: see egress_proxy.h. The bytes of an answer are a stranger's: bounded, and only its status line
 * and its end are looked at. */
#include "netns/egress_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static const char scheme[] = "http://";

enum { CREDENTIALS_MOST = 500 };

static int bad(struct azm_err *err, const char *why)
{
	err_msg(err, EINVAL, "use the egress proxy", NULL, "%s", why);
	return err_hint(err, "it is written http://[USER:PASSWORD@]HOST:PORT");
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c | 0x20) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* Percent escapes; false when one is broken or makes a control character. */
static bool decode(const char *text, size_t length, char *out, size_t *size)
{
	*size = 0;
	for (size_t i = 0; i < length; i++) {
		int c = (unsigned char)text[i];
		if (text[i] == '%') {
			int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		out[(*size)++] = (char)c;
	}
	return true;
}

static void base64(const char *bytes, size_t size, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		uint32_t group = 0;
		for (size_t j = 0; j < 3; j++)
			group = group << 8 | (i + j < size ? (unsigned char)bytes[i + j] : 0);
		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 63];
		*out++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
		*out++ = i + 2 < size ? digits[group & 63] : '=';
	}
	*out = '\0';
}

/* RFC 7617: a user has no colon, so the first one ends it. */
static bool credentials(const char *text, size_t length, struct egress_proxy *proxy)
{
	static const char basic[] = "Basic ";
	char plain[CREDENTIALS_MOST + 1];
	size_t user = 0, password = 0;
	const char *colon = memchr(text, ':', length);
	size_t user_length = colon ? (size_t)(colon - text) : length;

	if (length > CREDENTIALS_MOST || !decode(text, user_length, plain, &user) || memchr(plain, ':', user))
		return false;
	plain[user] = ':';
	if (colon && !decode(colon + 1, length - user_length - 1, plain + user + 1, &password))
		return false;
	memcpy(proxy->authorization, basic, sizeof basic);
	base64(plain, user + 1 + password, proxy->authorization + strlen(basic));
	explicit_bzero(plain, sizeof plain);
	return true;
}

static bool address_or_name(const char *text, size_t length, char host[static HOST_NAME_SIZE])
{
	struct in6_addr scratch;
	char copy[HOST_NAME_SIZE];

	if (length >= sizeof copy)
		return false;
	snprintf(copy, sizeof copy, "%.*s", (int)length, text);
	if (length > 2 && copy[0] == '[' && copy[length - 1] == ']') {
		copy[length - 1] = '\0';
		snprintf(host, HOST_NAME_SIZE, "%s", copy + 1);
		return inet_pton(AF_INET6, host, &scratch) == 1;
	}
	if (inet_pton(AF_INET, copy, &scratch) == 1) {
		snprintf(host, HOST_NAME_SIZE, "%s", copy);
		return true;
	}
	return host_name_normalise(text, length, host) == NULL;
}

int egress_proxy_parse(const char *url, struct egress_proxy *proxy, struct azm_err *err)
{
	*proxy = (struct egress_proxy){ 0 };
	if (strncasecmp(url, scheme, strlen(scheme)) != 0)
		return bad(err, "it does not begin with http://");
	const char *authority = url + strlen(scheme);
	size_t length = strcspn(authority, "/?#");
	if (authority[length] && strcmp(authority + length, "/") != 0)
		return bad(err, "a proxy has no path");
	const char *at = memrchr(authority, '@', length);
	if (at && !credentials(authority, (size_t)(at - authority), proxy))
		return bad(err, "its user and password are not to be understood");
	const char *host = at ? at + 1 : authority;
	const char *end = authority + length;
	const char *colon = memrchr(host, ':', (size_t)(end - host));
	uint64_t port = 0;
	cleanup_free char *digits = colon ? xasprintf("%.*s", (int)(end - colon - 1), colon + 1) : NULL;
	if (!digits || !str_to_u64(digits, UINT16_MAX, &port) || port == 0)
		return bad(err, "its port is missing");
	if (!address_or_name(host, (size_t)(colon - host), proxy->host))
		return bad(err, "its host is neither a name nor an address");
	proxy->port = (uint16_t)port;
	return 0;
}

char *egress_proxy_display(const char *url)
{
	struct egress_proxy proxy;
	struct azm_err ignored;

	if (egress_proxy_parse(url, &proxy, &ignored) < 0)
		return xstrdup("(not a proxy)");
	bool v6 = strchr(proxy.host, ':') != NULL;
	return xasprintf("http://%s%s%s:%u", v6 ? "[" : "", proxy.host, v6 ? "]" : "", proxy.port);
}

size_t egress_proxy_request(
	const struct egress_proxy *proxy, const char *host, uint16_t port, char request[static PROXY_REQUEST_MOST])
{
	bool v6 = strchr(host, ':') != NULL;
	const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
	const char *field = proxy->authorization[0] ? "Proxy-Authorization: " : "";

	int size = snprintf(request, PROXY_REQUEST_MOST, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n%s%s%s\r\n",
		open, host, close, port, open, host, close, port, field, proxy->authorization, *field ? "\r\n" : "");
	return (size_t)size;
}

int egress_proxy_answer(const char *bytes, size_t size, size_t *length, unsigned *status)
{
	static const char start[] = "HTTP/1.";
	size_t known = size < strlen(start) ? size : strlen(start);

	if (memcmp(bytes, start, known) != 0)
		return -1;
	const char *end = memmem(bytes, size, "\r\n\r\n", 4);
	if (!end)
		return size < PROXY_ANSWER_MOST ? 0 : -1;
	/* "HTTP/1.1 200": a digit, a blank, three digits, and then no fourth. */
	const char *code = bytes + strlen(start) + 2;
	if (end - bytes < 12 || code[-1] != ' ')
		return -1;
	*status = 0;
	for (int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return -1;
		*status = *status * 10 + (unsigned)(code[i] - '0');
	}
	if (code[3] != ' ' && code[3] != '\r')
		return -1;
	*length = (size_t)(end - bytes) + 4;
	return 1;
}

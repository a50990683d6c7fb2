// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_proxy.h: a site's HTTP proxy, asked with CONNECT (RFC 9110 section 9.3.6). Pure: text and bytes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/host_name.h"

enum { PROXY_ANSWER_MOST = 8192, PROXY_REQUEST_MOST = 2048 };

struct egress_proxy {
	char host[HOST_NAME_SIZE]; /* a name, or an address without brackets */
	uint16_t port;
	char authorization[700]; /* "Basic ..." or empty */
};

/**
 * egress_proxy_parse() - read http://[USER[:PASSWORD]@]HOST:PORT[/]
 *
 * Percent escapes in USER and PASSWORD are decoded. Errors never repeat them. Return: 0, or -1 with @err (EINVAL)
 */
[[gnu::nonnull]] int egress_proxy_parse(const char *url, struct egress_proxy *proxy, struct azm_err *err);

/** egress_proxy_display() - the URL without user and password, for people and logs; caller owns. @url: any text. */
[[gnu::nonnull]] char *egress_proxy_display(const char *url);

/**
 * egress_proxy_request() - the bytes that ask for a tunnel
 * @host:	normalised name, or an address as text (IPv6 without brackets)
 *
 * Return: their number
 */
[[gnu::nonnull]] size_t egress_proxy_request(
	const struct egress_proxy *proxy, const char *host, uint16_t port, char request[static PROXY_REQUEST_MOST]);

/**
 * egress_proxy_answer() - is the proxy's answer complete?
 * @bytes:	all that has arrived; what follows the answer belongs to the tunnel
 * @length:	set to the answer's length when it is complete
 * @status:	set to its status code then
 *
 * Return: 1 complete, 0 more is needed, -1 it is no answer of a proxy
 */
[[gnu::nonnull]] int egress_proxy_answer(const char *bytes, size_t size, size_t *length, unsigned *status);

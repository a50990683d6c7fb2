// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/sniff.h: which host does a client say it wants, in the first bytes of a connection?
 *
 * TLS names it in the ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), HTTP/1 in the request line or in Host
 * (RFC 9112 section 3.2). Any other protocol is left alone. Pure: bytes in, verdict out.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns/host_name.h"

enum {
	SNIFF_MOST = 32768, /* more than any ClientHello, and what servers take for a request line with its headers */
	SNIFF_TEXT = 320,   /* an authority: a name, a port, brackets */
};

enum sniff_result {
	SNIFF_MORE,    /* what is there could still become TLS or HTTP: ask again with more */
	SNIFF_OTHER,   /* neither */
	SNIFF_SILENT,  /* TLS or HTTP that names no host */
	SNIFF_NAMED,   /* it names one */
	SNIFF_GARBLED, /* TLS or HTTP made so that two readers may see two hosts in it */
};

enum sniff_protocol { SNIFF_TLS = 1, SNIFF_HTTP };

struct sniffed {
	enum sniff_protocol protocol;
	char host[SNIFF_TEXT]; /* as it was said, without port; NUL-terminated, the bytes checked to hold no NUL */
	uint16_t port;	       /* that was said; 0: none */
	const char *why;       /* of SNIFF_GARBLED, a literal */
};

/**
 * sniff() - look at the bytes a client has sent so far
 * @last:	there will not be more: SNIFF_MORE is not an answer
 *
 * The same bytes and more give the same answer, unless it was SNIFF_MORE.
 */
[[gnu::nonnull]] enum sniff_result sniff(const uint8_t *bytes, size_t size, bool last, struct sniffed *out);

/** sniff_refusal() - what a client of that protocol understands as "no": a TLS alert, an HTTP 403. Static bytes. */
const void *sniff_refusal(enum sniff_protocol protocol, size_t *size);

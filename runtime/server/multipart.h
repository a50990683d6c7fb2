// SPDX-License-Identifier: GPL-2.0-or-later
/* server/multipart.h: the parts of a multipart/form-data body, as its bytes arrive. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "server/text.h"

enum { MULTIPART_HEADERS_MAX = 8 << 10 };

/* Called from multipart_take(), which must not be freed by them. */
struct multipart_events {
	void (*begin)(void *context, const char *name, const char *filename); /* filename: NULL if there is none */
	void (*bytes)(void *context, const char *bytes, size_t size);	      /* of the part that began last */
	void (*end)(void *context);
};

struct multipart {
	const struct multipart_events *events;
	void *context;
	enum { MULTIPART_DATA, MULTIPART_DELIMITER, MULTIPART_HEADERS, MULTIPART_ENDED, MULTIPART_BAD } state;
	struct text delimiter; /* "\r\n--" and the boundary */
	struct text held;      /* what may be the start of a delimiter, or a line or header that is not complete */
	bool in_part;
};

/**
 * multipart_begin() - prepare for a body
 * @content_type: value of the header, may be NULL
 *
 * Return: false: it is not multipart/form-data with a boundary
 */
bool multipart_begin(
	struct multipart *multipart, const char *content_type, const struct multipart_events *events, void *context);

/** multipart_take() - the next bytes. Return: false: the body is malformed, nothing more will come of it */
bool multipart_take(struct multipart *multipart, const char *bytes, size_t size);

/** multipart_ended() - whether the closing delimiter was seen. */
bool multipart_ended(const struct multipart *multipart);

void multipart_free(struct multipart *multipart);

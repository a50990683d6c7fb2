// SPDX-License-Identifier: GPL-2.0-or-later
/* server/body.h: what a client sent with a request: in memory while it is small, in a file without a name beyond that,
 * so that many clients sending much do not fill the memory. */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "server/text.h"

enum {
	BODY_MAX = 64 << 20, /* of a body that is kept; endpoints that take it in pieces have their own limit */
	BODY_IN_MEMORY = 256 << 10,
};

/* Starts as { 0 }. */
struct body {
	struct text text; /* the whole, or nothing once it is in the file */
	int file;	  /* valid while @size exceeds BODY_IN_MEMORY */
	uint64_t size;
};

/** body_add() - append. Return: 0, -1 with errno when it cannot be stored. */
int body_add(struct body *body, const char *bytes, size_t size);

/** body_json() - parse it. @flags: as json_loadb()'s. Return: a reference, or NULL with @error set */
json_t *body_json(const struct body *body, size_t flags, json_error_t *error);

void body_free(struct body *body);

/** file_nameless() - an empty file for this process alone, on disk where there is one, else in memory. -1 with errno.
 */
int file_nameless(void);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/query.c: see query.h */
#include "server/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/server.h"

static bool invalid(struct request *request, const char *name, const char *wanted)
{
	cleanup_free char *reason = xasprintf("%s: %s", name, wanted);

	request_invalid(request, reason);
	return false;
}

bool query_int(struct request *request, const char *name, int64_t least, int64_t most, int64_t *value)
{
	const char *text = request_query(request, name);
	char *rest;

	if (!text)
		return true;
	errno = 0;
	long long number = strtoll(text, &rest, 10);
	if (!*text || *rest || errno || number < least || number > most)
		return invalid(request, name, "a whole number in the allowed range is required");
	*value = number;
	return true;
}

bool query_choice(struct request *request, const char *name, const char *const choices[], unsigned *index)
{
	const char *text = request_query(request, name);

	if (!text)
		return true;
	for (unsigned i = 0; choices[i]; i++) {
		if (strcmp(choices[i], text) == 0) {
			*index = i;
			return true;
		}
	}
	return invalid(request, name, "it is none of the allowed values");
}

const char *query_path(struct request *request, const char *name)
{
	const char *path = request_query(request, name);

	if (path && *path == '/')
		return path;
	if (path)
		request_fail(request, 400, "Path must be absolute");
	else
		invalid(request, name, "the parameter is required");
	return NULL;
}

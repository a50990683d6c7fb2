// SPDX-License-Identifier: GPL-2.0-or-later
/* base/json_out.c: see json_out.h */
#include "base/json_out.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

enum { ESCAPE_SIZE = sizeof "\\u0000" - 1 };

/* The code of the DEL or C1 character at @s, in UTF-8; 0 for any other. jansson has made sure that it is UTF-8. */
static unsigned control_at(const unsigned char *s)
{
	if (*s == 0x7f)
		return *s;
	return s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0 ? s[1] : 0;
}

char *json_escaped(const json_t *value, size_t flags)
{
	cleanup_free char *text = json_dumps(value, flags);
	size_t controls = 0;

	if (!text)
		return NULL;
	for (const unsigned char *s = (const unsigned char *)text; *s; s++)
		controls += control_at(s) != 0;
	if (!controls)
		return steal_ptr(&text);
	/* Outside of strings there is nothing but ASCII. */
	char *escaped = xcalloc(strlen(text) + controls * ESCAPE_SIZE + 1, 1), *to = escaped;
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		unsigned code = control_at(s);
		if (code) {
			to += snprintf(to, ESCAPE_SIZE + 1, "\\u%04X", code);
			s += code > 0x7f;
		} else {
			*to++ = (char)*s;
		}
	}
	return escaped;
}

int json_print(json_t *value, size_t flags, FILE *out)
{
	cleanup_free char *text = json_escaped(value, flags);

	json_decref(value);
	return text && fprintf(out, "%s\n", text) >= 0 ? 0 : -1;
}

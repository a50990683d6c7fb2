// SPDX-License-Identifier: GPL-2.0-or-later
/* base/json_out.h: JSON that people may look at, in a terminal.
 *
 * RFC 8259 lets DEL and the C1 controls (U+0080 to U+009F) stand in a string as they are, and jansson writes them so.
 * Some terminals obey them: U+009B begins what ESC [ begins. Names of files, labels and variables come from images and
 * sandboxes. Everything else that is UTF-8 stays readable.
 */
#pragma once
#include <jansson.h>
#include <stdio.h>

/** json_escaped() - as json_dumps(), with DEL and C1 as \u007F, \u009B. Return: allocated; NULL as there */
char *json_escaped(const json_t *value, size_t flags);

/** json_print() - the same as a line on @out. The reference is taken over. Return: 0, -1 when nothing was written */
int json_print(json_t *value, size_t flags, FILE *out);

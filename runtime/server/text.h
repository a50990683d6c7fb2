// SPDX-License-Identifier: GPL-2.0-or-later
/* server/text.h: growing text, and the text rules of the wire protocol. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing byte string; starts as { 0 }. Out of memory ends the program (base/str.h). */
struct text {
	char *bytes; /* NUL-terminated once anything was added */
	size_t size, room;
};

#define cleanup_text [[gnu::cleanup(text_free)]]

void text_add(struct text *text, const char *bytes, size_t size);
[[gnu::format(printf, 2, 3)]] void text_addf(struct text *text, const char *format, ...);
/** text_add_code_point() - append in UTF-8; what is not a character becomes U+FFFD. */
void text_add_code_point(struct text *text, uint32_t code);
/** text_trim_blanks() - drop blanks at the end. */
void text_trim_blanks(struct text *text);
/** text_take() - the string, owned by the caller (never NULL); @text is empty afterwards. */
char *text_take(struct text *text);
void text_free(struct text *text);

/** text_strip() - remove white space at both ends, in place. Return: @string. */
char *text_strip(char *string);
char *text_strip_left(char *string);
char *text_strip_right(char *string);

/** text_remove_prefix() - @string after @prefix if it starts with it, else @string. */
const char *text_remove_prefix(const char *string, const char *prefix);

/**
 * text_limit() - the length limit of an observation (spec: openhands 3.9)
 * @string:	allocated UTF-8; consumed
 *
 * Longer than 30000 characters: the first and the last 15000, with a notice between them.
 *
 * Return: allocated text
 */
char *text_limit(char *string);

/** text_from_double() - a number as Python prints a float: 1.0, 2.5, 1e+16. Return: @buffer. */
char *text_from_double(double value, char buffer[static 32]);

/** text_is_utf8() - whether all bytes form well-formed UTF-8. */
bool text_is_utf8(const char *bytes, size_t size);
/** text_utf8_length() - bytes of the well-formed UTF-8 sequence at the start; 0 if there is none. */
size_t text_utf8_length(const char *bytes, size_t size);

/**
 * text_slice() - which lines a read or write with a range means (spec: openhands 4.1)
 * @lines:	number of lines there are
 * @start, @end: as in the action: 0-based, end exclusive, end -1 = to the end; replaced by the range to take
 */
void text_slice(int64_t lines, int64_t *start, int64_t *end);

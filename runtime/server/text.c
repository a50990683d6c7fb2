// SPDX-License-Identifier: GPL-2.0-or-later
/* server/text.c: see text.h */
#include "server/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static void reserve(struct text *text, size_t more)
{
	size_t needed = text->size + more + 1;

	if (needed <= text->room)
		return;
	size_t room = text->room ? text->room : 64;
	while (room < needed)
		room *= 2;
	text->bytes = xrealloc(text->bytes, room, 1);
	text->room = room;
}

void text_add(struct text *text, const char *bytes, size_t size)
{
	reserve(text, size);
	if (size)
		memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	text->bytes[text->size] = '\0';
}

void text_addf(struct text *text, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	if (size > 0) {
		reserve(text, (size_t)size);
		vsnprintf(text->bytes + text->size, (size_t)size + 1, format, again);
		text->size += (size_t)size;
	}
	va_end(again);
	va_end(args);
}

void text_add_code_point(struct text *text, uint32_t code)
{
	char out[4];
	size_t size = 0;

	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || code == 0)
		code = 0xfffd;
	if (code < 0x80) {
		out[size++] = (char)code;
	} else if (code < 0x800) {
		out[size++] = (char)(0xc0 | code >> 6);
	} else if (code < 0x10000) {
		out[size++] = (char)(0xe0 | code >> 12);
		out[size++] = (char)(0x80 | (code >> 6 & 0x3f));
	} else {
		out[size++] = (char)(0xf0 | code >> 18);
		out[size++] = (char)(0x80 | (code >> 12 & 0x3f));
		out[size++] = (char)(0x80 | (code >> 6 & 0x3f));
	}
	if (code >= 0x80)
		out[size++] = (char)(0x80 | (code & 0x3f));
	text_add(text, out, size);
}

void text_trim_blanks(struct text *text)
{
	while (text->size && text->bytes[text->size - 1] == ' ')
		text->bytes[--text->size] = '\0';
}

char *text_take(struct text *text)
{
	char *bytes = text->bytes ? text->bytes : xstrdup("");

	*text = (struct text){ 0 };
	return bytes;
}

void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

/* White space as Python's str.strip() sees it in ASCII. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

char *text_strip_left(char *string)
{
	size_t skip = 0;

	while (is_space(string[skip]))
		skip++;
	memmove(string, string + skip, strlen(string + skip) + 1);
	return string;
}

char *text_strip_right(char *string)
{
	size_t size = strlen(string);

	while (size && is_space(string[size - 1]))
		size--;
	string[size] = '\0';
	return string;
}

char *text_strip(char *string)
{
	return text_strip_left(text_strip_right(string));
}

const char *text_remove_prefix(const char *string, const char *prefix)
{
	return str_starts(string, prefix) ? string + strlen(prefix) : string;
}

static bool starts_character(char byte)
{
	return (byte & 0xc0) != 0x80;
}

char *text_limit(char *string)
{
	enum { LIMIT = 30000, HALF = LIMIT / 2 };
	static const char notice[] = "\n[... Observation truncated due to length ...]\n";
	size_t size = strlen(string), count = 0, head = 0, tail = size;

	for (size_t i = 0; i < size; i++) {
		if (starts_character(string[i]) && count++ == HALF)
			head = i;
	}
	if (count <= LIMIT)
		return string;
	for (size_t left = HALF; left; left--)
		while (!starts_character(string[--tail]))
			;
	struct text out = { 0 };
	text_add(&out, string, head);
	text_add(&out, notice, sizeof notice - 1);
	text_add(&out, string + tail, size - tail);
	free(string);
	return text_take(&out);
}

char *text_from_double(double value, char buffer[static 32])
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(buffer, 32, "%.*g", digits, value);
		if (strtod(buffer, NULL) == value) /* the shortest text that reads back the same, as Python's repr */
			break;
	}
	if (isfinite(value) && !strpbrk(buffer, ".e"))
		snprintf(buffer + strlen(buffer), 3, ".0");
	return buffer;
}

size_t text_utf8_length(const char *bytes, size_t size)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)bytes;

	if (!size)
		return 0;
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	if (length < 2 || length > size)
		return length > size ? 0 : length;
	uint32_t code = s[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	return code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : length;
}

bool text_is_utf8(const char *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t length = text_utf8_length(bytes + i, size - i);
		if (!length)
			return false;
		i += length;
	}
	return true;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

void text_slice(int64_t lines, int64_t *start, int64_t *end)
{
	int64_t first = clamp(*start, 0, lines);

	if (*end == -1) {
		/* (4,-1) of five lines is the last line, and a start beyond the end is nothing. */
		*start = first;
		*end = lines;
		return;
	}
	int64_t last = *end < 0 ? 0 : *end > lines ? lines : *end;
	*start = clamp(lines - 2 < first ? lines - 2 : first, 0, lines);
	*end = clamp(last > *start + 1 ? last : *start + 1, 0, lines);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/encoding.c: see encoding.h */
#include "server/encoding.h"

#include <string.h>

enum { BYTE_ORDER_MARK = 0xfeff, SURROGATE_FIRST = 0xd800, SURROGATE_LOW = 0xdc00, SURROGATE_END = 0xe000 };

static uint32_t unit_at(const unsigned char *bytes, size_t i, bool big)
{
	return big ? (uint32_t)bytes[i] << 8 | bytes[i + 1] : (uint32_t)bytes[i + 1] << 8 | bytes[i];
}

/* UTF-8 of any code point, NUL included: see text_add_code_point(). */
static void add_character(struct text *text, uint32_t code)
{
	if (code)
		text_add_code_point(text, code);
	else
		text_add(text, "", 1);
}

/* Return: whether it is well-formed UTF-16 after its mark */
static bool decode_utf16(const unsigned char *bytes, size_t size, bool big, struct text *text)
{
	if (size % 2)
		return false;
	for (size_t i = 2; i < size; i += 2) {
		uint32_t code = unit_at(bytes, i, big);
		if (code >= SURROGATE_FIRST && code < SURROGATE_END) {
			uint32_t low = i + 4 <= size ? unit_at(bytes, i + 2, big) : 0;
			if (code >= SURROGATE_LOW || low < SURROGATE_LOW || low >= SURROGATE_END)
				return false;
			code = 0x10000 + ((code - SURROGATE_FIRST) << 10) + (low - SURROGATE_LOW);
			i += 2;
		}
		add_character(text, code);
	}
	return true;
}

static void decode_latin1(const unsigned char *bytes, size_t size, struct text *text)
{
	for (size_t i = 0; i < size; i++)
		add_character(text, bytes[i]);
}

/* Newlines as Python reads them. Return: whether each was \r\n */
static bool unify_newlines(struct text *text)
{
	size_t out = 0, pairs = 0, others = 0;

	for (size_t in = 0; in < text->size; in++) {
		char c = text->bytes[in];
		bool pair = c == '\r' && in + 1 < text->size && text->bytes[in + 1] == '\n';
		in += pair;
		pairs += pair;
		others += !pair && (c == '\n' || c == '\r');
		text->bytes[out++] = c == '\r' ? '\n' : c;
	}
	text->size = out;
	if (text->bytes)
		text->bytes[out] = '\0';
	return pairs && !others;
}

struct encoding encoding_decode(const char *bytes, size_t size, struct text *text)
{
	const unsigned char *b = (const unsigned char *)bytes;
	bool little = size >= 2 && b[0] == 0xff && b[1] == 0xfe, big = size >= 2 && b[0] == 0xfe && b[1] == 0xff;
	struct encoding encoding = { .kind = ENCODING_LATIN1 };

	text_add(text, "", 0);
	if ((little || big) && decode_utf16(b, size, big, text)) {
		encoding.kind = big ? ENCODING_UTF16_BE : ENCODING_UTF16_LE;
	} else if (text->size = 0, text_is_utf8(bytes, size)) {
		encoding.kind = ENCODING_UTF8;
		text_add(text, bytes, size);
	} else {
		decode_latin1(b, size, text);
	}
	encoding.crlf = unify_newlines(text);
	return encoding;
}

/* Code point of the well-formed sequence at @s. */
static uint32_t code_point(const char *s, size_t length)
{
	uint32_t code = length == 1 ? (unsigned char)*s : (unsigned char)*s & (0xffu >> (length + 1));

	for (size_t i = 1; i < length; i++)
		code = code << 6 | ((unsigned char)s[i] & 0x3fu);
	return code;
}

static void add_unit(struct text *bytes, uint32_t unit, bool big)
{
	const char pair[2] = { (char)(big ? unit >> 8 : unit), (char)(big ? unit : unit >> 8) };

	text_add(bytes, pair, 2);
}

/* Return: whether the encoding has the character */
static bool encode_character(struct encoding encoding, uint32_t code, struct text *bytes)
{
	bool big = encoding.kind == ENCODING_UTF16_BE;

	if (encoding.kind == ENCODING_UTF8) {
		add_character(bytes, code);
	} else if (encoding.kind == ENCODING_LATIN1) {
		text_add(bytes, (const char[]){ (char)code }, 1);
		return code < 0x100;
	} else if (code < 0x10000) {
		add_unit(bytes, code, big);
	} else {
		add_unit(bytes, SURROGATE_FIRST + ((code - 0x10000) >> 10), big);
		add_unit(bytes, SURROGATE_LOW + ((code - 0x10000) & 0x3ff), big);
	}
	return true;
}

int encoding_encode(struct encoding encoding, const char *text, size_t size, struct text *bytes, uint32_t *lacking)
{
	text_add(bytes, "", 0);
	if (encoding.kind == ENCODING_UTF8 && !encoding.crlf) {
		text_add(bytes, text, size);
		return 0;
	}
	if (encoding.kind == ENCODING_UTF16_LE || encoding.kind == ENCODING_UTF16_BE)
		encode_character(encoding, BYTE_ORDER_MARK, bytes);
	for (size_t i = 0; i < size;) {
		size_t length = text_utf8_length(text + i, size - i);
		uint32_t code = length ? code_point(text + i, length) : 0xfffd;
		if (code == '\n' && encoding.crlf)
			encode_character(encoding, '\r', bytes);
		if (!encode_character(encoding, code, bytes)) {
			*lacking = code;
			return -1;
		}
		i += length ? length : 1;
	}
	return 0;
}

const char *encoding_name(struct encoding encoding)
{
	static const char *const names[] = {
		[ENCODING_UTF8] = "utf-8",
		[ENCODING_UTF16_LE] = "utf-16-le",
		[ENCODING_UTF16_BE] = "utf-16-be",
		[ENCODING_LATIN1] = "latin-1",
	};

	return names[encoding.kind];
}

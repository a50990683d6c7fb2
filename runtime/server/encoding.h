// SPDX-License-Identifier: GPL-2.0-or-later
/* server/encoding.h: text files that need not be UTF-8, as the editor reads and writes them back (spec: openhands 4.4).
 */
#pragma once
#include <stdbool.h>

#include "server/text.h"

/* How the bytes of a file stand for text, so that a change of one line leaves the others as they are. */
struct encoding {
	enum { ENCODING_UTF8, ENCODING_UTF16_LE, ENCODING_UTF16_BE, ENCODING_LATIN1 } kind;
	bool crlf; /* every line ends in \r\n */
};

/**
 * encoding_decode() - bytes as UTF-8 text with \n between lines
 * @text:	empty; set. It may hold NUL characters.
 *
 * UTF-8; UTF-16 with a byte order mark; anything else is taken for Latin-1, in which every byte is a character and
 * comes back unchanged.
 */
struct encoding encoding_decode(const char *bytes, size_t size, struct text *text);

/** encoding_encode() - the reverse. Return: 0, -1: @text has a character the encoding lacks, *lacking is set */
int encoding_encode(struct encoding encoding, const char *text, size_t size, struct text *bytes, uint32_t *lacking);

/** encoding_name() - as Python calls it. */
const char *encoding_name(struct encoding encoding);

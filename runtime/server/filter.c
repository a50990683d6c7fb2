// SPDX-License-Identifier: GPL-2.0-or-later
/* server/filter.c: see filter.h */
#include "server/filter.h"

#include <stdint.h>
#include <string.h>
#include <vterm.h>

#include "server/text.h"

enum { ESCAPE = 0x1b, CANCEL = 0x18, SUBSTITUTE = 0x1a, PASS_MAX = 4096, DIGITS_MAX = 9 };
enum { MARKS_MAX = VTERM_MAX_CHARS_PER_CELL - 1, SEPARATORS_MAX = 15 };

/* In libvterm.a, but not in its public header. */
int vterm_unicode_is_combining(uint32_t code);

static void pass(struct filter *filter, const char *bytes, size_t size)
{
	while (size) {
		size_t part = size < PASS_MAX ? size : PASS_MAX;
		filter->pass(filter->context, bytes, part);
		bytes += part;
		size -= part;
	}
}

static void pass_character(struct filter *filter, const char *bytes, size_t size)
{
	memcpy(filter->last, bytes, size);
	filter->last_size = size;
	filter->marks = 0;
	pass(filter, bytes, size);
}

static void replace_partial(struct filter *filter)
{
	filter->partial_size = 0;
	pass_character(filter, "\xef\xbf\xbd", 3);
}

static uint32_t decode(const char *bytes, size_t length)
{
	uint32_t code = (unsigned char)bytes[0] & (0xffu >> (length + 1));

	for (size_t i = 1; i < length; i++)
		code = code << 6 | ((unsigned char)bytes[i] & 0x3fu);
	return code;
}

static void take_character(struct filter *filter, size_t length)
{
	uint32_t code = decode(filter->partial, length);

	if (code < 0xa0)
		return;
	if (!vterm_unicode_is_combining(code))
		pass_character(filter, filter->partial, length);
	else if (filter->last_size && filter->marks++ < MARKS_MAX)
		pass(filter, filter->partial, length);
}

/* A byte of a character outside ASCII. */
static void take_wide(struct filter *filter, char byte)
{
	bool continues = ((unsigned char)byte & 0xc0) == 0x80;

	if (filter->partial_size && !continues)
		replace_partial(filter);
	filter->partial[filter->partial_size++] = byte;
	unsigned char lead = (unsigned char)filter->partial[0];
	size_t wanted = lead < 0xc2 || lead > 0xf4 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	if (filter->partial_size < wanted)
		return;
	size_t length = text_utf8_length(filter->partial, filter->partial_size);
	filter->partial_size = 0;
	if (length)
		take_character(filter, length);
	else
		replace_partial(filter);
}

static void take_control(struct filter *filter, char byte)
{
	if (byte == ESCAPE)
		filter->state = FILTER_ESCAPE;
	else if (byte == CANCEL || byte == SUBSTITUTE)
		filter->state = FILTER_TEXT;
	if (filter->state == FILTER_TEXT)
		filter->last_size = 0;
	pass(filter, &byte, 1);
}

static void repeat(struct filter *filter)
{
	int count = filter->parameter ? filter->parameter : 1;

	for (int i = 0; filter->last_size && i < count && i < filter->repeat_max; i++)
		pass(filter, filter->last, filter->last_size);
}

/* A printable byte of a control sequence. */
static void take_csi(struct filter *filter, char byte)
{
	bool digit = byte >= '0' && byte <= '9';
	bool separator = byte == ';' || byte == ':';

	if (separator && filter->separators == SEPARATORS_MAX)
		return;
	filter->separators += separator;
	filter->digits = digit ? filter->digits + 1 : 0;
	if (filter->digits > DIGITS_MAX) {
		filter->digits = DIGITS_MAX;
		return;
	}
	if (digit && !filter->more && !filter->special)
		filter->parameter = filter->parameter * 10 + byte - '0';
	filter->more |= separator;
	filter->special |= byte < '0' || (byte >= '<' && byte <= '?');
	if (byte < '@') {
		pass(filter, &byte, 1);
		return;
	}
	filter->state = FILTER_TEXT;
	/* libvterm sees a harmless colour instead of REP: the sequence was handed on up to here and has to end. */
	pass(filter, byte == 'b' ? "m" : &byte, 1);
	if (byte == 'b' && !filter->special)
		repeat(filter);
	else
		filter->last_size = 0;
	if (byte == 'J' && !filter->special && filter->parameter == 3)
		filter->erase_saved(filter->context);
}

/* libvterm takes "ESC - [" for the beginning of a control sequence, too. */
static void take_escape(struct filter *filter, char byte)
{
	bool intermediate = byte <= '/';

	filter->state = intermediate ? FILTER_ESCAPE : FILTER_TEXT;
	if (byte == '[') {
		filter->state = FILTER_CSI;
		filter->parameter = filter->digits = filter->separators = 0;
		filter->more = filter->special = false;
	} else {
		filter->last_size = 0;
	}
	pass(filter, &byte, 1);
}

static bool is_printable(char byte)
{
	return byte >= 0x20 && byte < 0x7f;
}

static size_t printable_run(const char *bytes, size_t size)
{
	size_t run = 0;

	while (run < size && is_printable(bytes[run]))
		run++;
	return run;
}

void filter_write(struct filter *filter, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		char byte = bytes[i];
		if (byte & 0x80) {
			take_wide(filter, byte);
			i++;
			continue;
		}
		if (filter->partial_size)
			replace_partial(filter);
		if (!is_printable(byte)) {
			take_control(filter, byte);
			i++;
		} else if (filter->state != FILTER_TEXT) {
			(filter->state == FILTER_CSI ? take_csi : take_escape)(filter, byte);
			i++;
		} else {
			size_t run = printable_run(bytes + i, size - i);
			pass(filter, bytes + i, run - 1);
			pass_character(filter, bytes + i + run - 1, 1);
			i += run;
		}
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/multipart.c: see multipart.h
 *
 * RFC 7578 and 2046. A part ends at CR LF "--" BOUNDARY. The carriage return is the only one in a delimiter, so bytes
 * that began like a delimiter and go on differently are data as a whole: none of them but the first could begin
 * another. What stands before the first delimiter is a part nobody wants.
 */
#include "server/multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"

enum { BOUNDARY_MAX = 200, PADDING_MAX = 200 };

/* ---- header values ---- */

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* A token or a quoted string at *at, which is moved behind it. Caller owns. */
static char *take_value(const char **at)
{
	struct text value = { 0 };
	const char *from = *at;

	if (*from != '"') {
		size_t size = strcspn(from, "; \t\r\n");
		text_add(&value, from, size);
		*at = from + size;
		return text_take(&value);
	}
	for (from++; *from && *from != '"'; from++) {
		/* Browsers escape a quote as %22 and send backslashes as they are. */
		if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
			from++;
		text_add(&value, from, 1);
	}
	*at = from + (*from == '"');
	return text_take(&value);
}

/* The value of a parameter of a header line such as `form-data; name="x"`, decoded where it is an extended one (RFC
 * 5987). NULL: there is none. Caller owns.
 */
static char *find_parameter(const char *line, const char *name)
{
	size_t size = strlen(name);

	for (const char *at = strchr(line, ';'); at && *at == ';';) {
		at = skip_blanks(at + 1);
		bool wanted = strncasecmp(at, name, size) == 0 && skip_blanks(at + size)[0] == '=';
		at += strcspn(at, "=;");
		if (*at != '=')
			continue;
		at = skip_blanks(at + 1);
		cleanup_free char *value = take_value(&at);
		if (wanted)
			return steal_ptr(&value);
		at += strcspn(at, ";");
	}
	return NULL;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* UTF-8''percent%20encoded, in place. Return: @value, NULL if it is something else */
static char *decode_extended(char *value)
{
	if (strncasecmp(value, "utf-8'", 6) != 0)
		return NULL;
	const char *in = strchr(value + 6, '\'');
	char *out = value;
	for (in = in ? in + 1 : ""; *in; in++) {
		int high = *in == '%' ? hex_digit(in[1]) : -1, low = high >= 0 ? hex_digit(in[2]) : -1;
		*out = *in;
		if (low >= 0) {
			*out = (char)(high * 16 + low);
			in += 2;
		}
		out++;
	}
	*out = '\0';
	return value;
}

static char *find_filename(const char *line)
{
	cleanup_free char *extended = find_parameter(line, "filename*");

	if (extended && decode_extended(extended))
		return steal_ptr(&extended);
	return find_parameter(line, "filename");
}

bool multipart_begin(
	struct multipart *multipart, const char *content_type, const struct multipart_events *events, void *context)
{
	static const char wanted[] = "multipart/form-data";

	*multipart = (struct multipart){ .events = events, .context = context };
	if (!content_type || strncasecmp(content_type, wanted, sizeof wanted - 1) != 0)
		return false;
	cleanup_free char *boundary = find_parameter(content_type, "boundary");
	if (!boundary || !*boundary || strlen(boundary) > BOUNDARY_MAX || boundary[strcspn(boundary, "\r\n")])
		return false;
	text_addf(&multipart->delimiter, "\r\n--%s", boundary);
	text_add(&multipart->held, "\r\n", 2); /* as if a line had ended before the body */
	return true;
}

/* ---- states; each takes some bytes and says how many ---- */

static size_t bad(struct multipart *multipart, size_t size)
{
	multipart->state = MULTIPART_BAD;
	return size;
}

static void give(struct multipart *multipart, const char *bytes, size_t size)
{
	if (size && multipart->in_part)
		multipart->events->bytes(multipart->context, bytes, size);
}

static void found_delimiter(struct multipart *multipart)
{
	multipart->held.size = 0;
	multipart->state = MULTIPART_DELIMITER;
	if (multipart->in_part)
		multipart->events->end(multipart->context);
	multipart->in_part = false;
}

/* What is held was the start of a delimiter: does it go on as one? */
static size_t continue_delimiter(struct multipart *multipart, const char *bytes, size_t size)
{
	struct text *held = &multipart->held;
	const struct text *delimiter = &multipart->delimiter;
	size_t taken = delimiter->size - held->size < size ? delimiter->size - held->size : size;

	if (memcmp(delimiter->bytes + held->size, bytes, taken) != 0) {
		give(multipart, held->bytes, held->size);
		held->size = 0;
		return 0;
	}
	text_add(held, bytes, taken);
	if (held->size == delimiter->size)
		found_delimiter(multipart);
	return taken;
}

/* Where a delimiter begins, the last one perhaps cut off by the end; @size: nowhere. Looking for its first byte is
 * faster than memmem(), whose speed depends on the bytes.
 */
static size_t find_delimiter(const struct text *delimiter, const char *bytes, size_t size)
{
	const char *end = bytes + size;

	for (const char *at = bytes; (at = memchr(at, '\r', (size_t)(end - at))); at++) {
		size_t left = (size_t)(end - at);
		if (memcmp(at, delimiter->bytes, left < delimiter->size ? left : delimiter->size) == 0)
			return size - left;
	}
	return size;
}

static size_t take_data(struct multipart *multipart, const char *bytes, size_t size)
{
	const struct text *delimiter = &multipart->delimiter;

	if (multipart->held.size)
		return continue_delimiter(multipart, bytes, size);
	size_t at = find_delimiter(delimiter, bytes, size);
	give(multipart, bytes, at);
	if (size - at >= delimiter->size) {
		found_delimiter(multipart);
		return at + delimiter->size;
	}
	text_add(&multipart->held, bytes + at, size - at);
	return size;
}

/* Collect up to and with @end. Return: bytes taken; *complete is set when @end was found */
static size_t collect(
	struct multipart *multipart, const char *bytes, size_t size, const char *end, size_t limit, bool *complete)
{
	struct text *held = &multipart->held;
	size_t before = held->size, room = limit > before ? limit - before : 0;

	text_add(held, bytes, size < room ? size : room);
	const char *found = memmem(held->bytes, held->size, end, strlen(end));
	*complete = found;
	if (found) {
		held->size = (size_t)(found - held->bytes) + strlen(end);
		held->bytes[held->size] = '\0';
		return held->size - before;
	}
	return held->size < limit ? size : bad(multipart, size);
}

static size_t take_delimiter(struct multipart *multipart, const char *bytes, size_t size)
{
	bool complete;

	if (multipart->held.size + size >= 2) {
		const char first = multipart->held.size > 0 ? multipart->held.bytes[0] : bytes[0];
		const char second =
			multipart->held.size > 1 ? multipart->held.bytes[1] : bytes[1 - multipart->held.size];
		if (first == '-' && second == '-') {
			multipart->state = MULTIPART_ENDED;
			return size;
		}
	}
	size_t taken = collect(multipart, bytes, size, "\r\n", PADDING_MAX, &complete);
	if (!complete)
		return taken;
	if (skip_blanks(multipart->held.bytes)[0] != '\r')
		return bad(multipart, size);
	multipart->state = MULTIPART_HEADERS; /* the line's end is kept: headers may be missing altogether */
	text_free(&multipart->held);
	text_add(&multipart->held, "\r\n", 2);
	return taken;
}

static void begin_part(struct multipart *multipart)
{
	static const char wanted[] = "Content-Disposition:";
	cleanup_free char *name = NULL, *filename = NULL;
	bool found = false;

	for (char *line = multipart->held.bytes; line && *line;) {
		char *end = strstr(line, "\r\n");
		if (end)
			*end = '\0';
		if (strncasecmp(line, wanted, sizeof wanted - 1) == 0 && !found) {
			found = true;
			name = find_parameter(line, "name");
			filename = find_filename(line);
		}
		line = end ? end + 2 : NULL;
	}
	multipart->held.size = 0;
	multipart->state = MULTIPART_DATA;
	multipart->in_part = true;
	multipart->events->begin(multipart->context, name ? name : "", filename);
}

static size_t take_headers(struct multipart *multipart, const char *bytes, size_t size)
{
	bool complete;
	size_t taken = collect(multipart, bytes, size, "\r\n\r\n", MULTIPART_HEADERS_MAX, &complete);

	if (!complete)
		return taken;
	if (memchr(multipart->held.bytes, '\0', multipart->held.size))
		return bad(multipart, size);
	memmove(multipart->held.bytes, multipart->held.bytes + 2, multipart->held.size - 1); /* with the NUL */
	begin_part(multipart);
	return taken;
}

bool multipart_take(struct multipart *multipart, const char *bytes, size_t size)
{
	while (size && multipart->state < MULTIPART_ENDED) {
		size_t taken = multipart->state == MULTIPART_DATA	 ? take_data(multipart, bytes, size)
			       : multipart->state == MULTIPART_DELIMITER ? take_delimiter(multipart, bytes, size)
									 : take_headers(multipart, bytes, size);
		bytes += taken;
		size -= taken;
	}
	return multipart->state != MULTIPART_BAD;
}

bool multipart_ended(const struct multipart *multipart)
{
	return multipart->state == MULTIPART_ENDED;
}

void multipart_free(struct multipart *multipart)
{
	text_free(&multipart->delimiter);
	text_free(&multipart->held);
}

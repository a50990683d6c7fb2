// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/sniff.c: see sniff.h.
 *
 * Theory of operation
 *
 * What a connection is shows in its first bytes: a TLS record of the handshake, or a line "TOKEN TARGET HTTP/x". As
 * soon as a byte rules both out, it is some other protocol and none of our business. A connection that could still
 * become one of the two is SNIFF_MORE: nobody answers half a ClientHello or half a line, so nothing waits for that.
 *
 * A message that two readers may understand differently (two Host lines, a folded one, a target that contradicts Host,
 * two server names) is SNIFF_GARBLED: the server might see another host in it than we do.
 *
 * HTTP/2 with prior knowledge ("PRI * HTTP/2.0") keeps its names in compressed headers; it counts as HTTP that names no
 * host. So does TLS without a server name. Both go where the rule said, to the address that was checked.
 */
#include "netns/sniff.h"

#include <string.h>

#include "base/str.h"

enum {
	RECORD_HEADER = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_FIRST = 20, /* change_cipher_spec */
	RECORD_LAST = 24,  /* heartbeat */
	RECORD_MOST = 1 << 14,
	CLIENT_HELLO = 1,
	HELLO_HEADER = 4,
	EXTENSION_SERVER_NAME = 0,
	METHOD_MOST = 32
};

static enum sniff_result garbled(struct sniffed *out, const char *why)
{
	out->why = why;
	out->host[0] = '\0';
	return SNIFF_GARBLED;
}

/* ---- TLS ------------------------------------------------------------------------------------------------------ */

/* Bytes that are taken from the front. */
struct span {
	const uint8_t *at;
	size_t left;
};

/* A number of @size bytes; false when there are not so many. */
static bool take_number(struct span *span, size_t size, size_t *number)
{
	if (span->left < size)
		return false;
	*number = 0;
	for (size_t i = 0; i < size; i++)
		*number = *number << 8 | span->at[i];
	span->at += size;
	span->left -= size;
	return true;
}

/* A vector behind a length of @size bytes. */
static bool take_vector(struct span *span, size_t size, struct span *vector)
{
	size_t length;

	if (!take_number(span, size, &length) || span->left < length)
		return false;
	*vector = (struct span){ span->at, length };
	span->at += length;
	span->left -= length;
	return true;
}

/* Text as it was said. False: it would be cut or end early. */
static bool keep_host(struct sniffed *out, const void *text, size_t length)
{
	if (length == 0 || length >= sizeof out->host || memchr(text, '\0', length))
		return false;
	memcpy(out->host, text, length);
	out->host[length] = '\0';
	return true;
}

/* RFC 6066 section 3: a list of names, of which only one type was ever defined, and that one may occur once. */
static enum sniff_result server_name(struct span extension, struct sniffed *out)
{
	struct span list, name;
	size_t type;

	if (out->host[0] || !take_vector(&extension, 2, &list) || extension.left)
		return garbled(out, "a server name extension that is not one");
	if (!take_number(&list, 1, &type) || type != 0 || !take_vector(&list, 2, &name) || list.left)
		return garbled(out, "several server names, or of an unknown kind");
	return keep_host(out, name.at, name.left) ? SNIFF_NAMED : garbled(out, "a server name that is not text");
}

static enum sniff_result client_hello(struct span hello, struct sniffed *out)
{
	struct span skipped, extensions, extension;
	size_t type;
	enum sniff_result result = SNIFF_SILENT;

	if (hello.left < 2 + 32)
		return garbled(out, "a ClientHello cut short");
	hello.at += 2 + 32; /* version, random */
	hello.left -= 2 + 32;
	if (!take_vector(&hello, 1, &skipped) || !take_vector(&hello, 2, &skipped) || !take_vector(&hello, 1, &skipped))
		return garbled(out, "a ClientHello cut short");
	if (!hello.left)
		return SNIFF_SILENT; /* before extensions were invented */
	if (!take_vector(&hello, 2, &extensions) || hello.left)
		return garbled(out, "a ClientHello whose lengths do not fit");
	while (extensions.left) {
		if (!take_number(&extensions, 2, &type) || !take_vector(&extensions, 2, &extension))
			return garbled(out, "extensions whose lengths do not fit");
		if (type == EXTENSION_SERVER_NAME)
			result = server_name(extension, out);
		if (result == SNIFF_GARBLED)
			return result;
	}
	return result;
}

/* Records are only an envelope: a ClientHello may be cut into several anywhere. */
static enum sniff_result tls(const uint8_t *bytes, size_t size, struct sniffed *out)
{
	uint8_t message[RECORD_MOST];
	size_t have = 0, need = HELLO_HEADER;

	if (size < 3)
		return SNIFF_MORE; /* it could still be something else */
	out->protocol = SNIFF_TLS;
	for (size_t at = 0; have < need;) {
		if (size - at >= 1 && bytes[at] != RECORD_HANDSHAKE)
			return garbled(out, "TLS that does not begin with a ClientHello");
		if (size - at < RECORD_HEADER)
			return SNIFF_MORE;
		size_t length = (size_t)bytes[at + 3] << 8 | bytes[at + 4];
		if (bytes[at + 1] != 3 || length == 0 || length > RECORD_MOST)
			return garbled(out, "a TLS record that is not one");
		at += RECORD_HEADER;
		size_t here = size - at < length ? size - at : length;
		if (have + here > sizeof message)
			here = sizeof message - have;
		memcpy(message + have, bytes + at, here);
		have += here;
		at += here;
		if (have >= 1 && message[0] != CLIENT_HELLO)
			return garbled(out, "TLS that does not begin with a ClientHello");
		if (have >= HELLO_HEADER)
			need = HELLO_HEADER + ((size_t)message[1] << 16 | (size_t)message[2] << 8 | (size_t)message[3]);
		if (need > sizeof message)
			return garbled(out, "a ClientHello of unusual length");
		if (have < need && here < length)
			return SNIFF_MORE;
	}
	return client_hello((struct span){ message + HELLO_HEADER, need - HELLO_HEADER }, out);
}

/* ---- HTTP/1 --------------------------------------------------------------------------------------------------- */

static bool is_token(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool equal_text(const char *a, size_t a_length, const char *b)
{
	return a_length == strlen(b) && strncasecmp(a, b, a_length) == 0;
}

/* HOST, HOST:PORT, [IPv6], [IPv6]:PORT */
static bool keep_authority(struct sniffed *out, const char *text, size_t length)
{
	const char *colon = length ? memrchr(text, ':', length) : NULL;
	const char *bracket = length && text[0] == '[' ? memchr(text, ']', length) : NULL;
	size_t host = colon ? (size_t)(colon - text) : length;
	uint64_t port = 0;

	if (length && text[0] == '[') {
		if (!bracket || (bracket + 1 < text + length && bracket[1] != ':'))
			return false;
		colon = bracket + 1 < text + length ? bracket + 1 : NULL;
		host = (size_t)(bracket - text) - 1;
		text++;
		length--;
	}
	if (colon) {
		char digits[8] = "";
		size_t count = (size_t)(text + length - colon) - 1;
		if (count >= sizeof digits)
			return false;
		memcpy(digits, colon + 1, count);
		if (count && !str_to_u64(digits, UINT16_MAX, &port))
			return false;
	}
	out->port = (uint16_t)port;
	return keep_host(out, text, host);
}

/* scheme://authority/..., and for CONNECT the authority alone. Return: false when it is not to be understood. */
static bool keep_target(
	struct sniffed *out, const char *method, size_t method_length, const char *target, size_t length)
{
	const char *scheme = length ? memmem(target, length, "://", 3) : NULL;
	const char *authority = target;

	if (equal_text(method, method_length, "CONNECT"))
		return keep_authority(out, target, length);
	if (!length || target[0] == '/' || target[0] == '*' || !scheme)
		return true;
	authority = scheme + 3;
	length -= (size_t)(authority - target);
	for (size_t i = 0; i < length; i++)
		if (strchr("/?#\\", authority[i]))
			length = i;
	return keep_authority(out, authority, length);
}

/* One header line without its end. */
static enum sniff_result header(struct sniffed *out, const char *line, size_t length, bool *host_seen)
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon ? (size_t)(colon - line) : length;
	struct sniffed said = *out;

	if (memchr(line, '\r', length) || memchr(line, '\0', length))
		return garbled(out, "a header with a character that ends it for some");
	if (line[0] == ' ' || line[0] == '\t')
		return garbled(out, "a folded header");
	while (name && (line[name - 1] == ' ' || line[name - 1] == '\t'))
		name--;
	if (!equal_text(line, name, "Host"))
		return SNIFF_MORE;
	if (*host_seen || !colon || colon != line + name)
		return garbled(out, *host_seen ? "two Host headers" : "a Host header that is not one");
	*host_seen = true;
	const char *value = colon + 1, *end = line + length;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (value == end)
		return SNIFF_MORE; /* allowed where there is no host */
	if (!keep_authority(&said, value, (size_t)(end - value)))
		return garbled(out, "a Host header that is not one");
	/* The target decides for a server (RFC 9112 section 3.2.2), but one that looks at Host would see another. */
	if (out->host[0] && strcasecmp(out->host, said.host) != 0)
		return garbled(out, "a Host header that contradicts the target");
	if (!out->host[0])
		*out = said;
	return SNIFF_MORE;
}

/* The request line is [@line, @end). SNIFF_MORE: it is HTTP, go on with the headers. */
static enum sniff_result request_line(struct sniffed *out, const char *line, size_t length)
{
	const char *space = memchr(line, ' ', length), *last = memrchr(line, ' ', length);

	if (!space || !last || length - (size_t)(last + 1 - line) < 5 || memcmp(last + 1, "HTTP/", 5) != 0)
		return SNIFF_OTHER;
	out->protocol = SNIFF_HTTP;
	const char *target = space;
	while (target < last && *target == ' ')
		target++;
	while (last > target && last[-1] == ' ')
		last--;
	size_t size = (size_t)(last - target);
	if (memchr(target, ' ', size) || memchr(target, '\0', size) || memchr(target, '\r', size))
		return garbled(out, "a request line with blanks in its target");
	if (equal_text(line, (size_t)(space - line), "PRI"))
		return SNIFF_SILENT;
	return keep_target(out, line, (size_t)(space - line), target, size)
		       ? SNIFF_MORE
		       : garbled(out, "a request target that is not one");
}

/* Could these bytes, which hold no end of line, become a request line? */
static bool may_be_request(const uint8_t *bytes, size_t size)
{
	size_t method = 0;

	while (method < size && is_token(bytes[method]))
		method++;
	if (method > METHOD_MOST || (method < size && (method == 0 || bytes[method] != ' ')))
		return false;
	for (size_t i = method; i < size; i++)
		if (bytes[i] < ' ' && bytes[i] != '\r')
			return false;
	return true;
}

static enum sniff_result http(const uint8_t *bytes, size_t size, struct sniffed *out)
{
	bool host_seen = false, first = true;
	size_t at = 0;

	/* Servers skip empty lines in front. */
	while (at < size && (bytes[at] == '\r' || bytes[at] == '\n'))
		at++;
	for (;;) {
		const char *line = (const char *)bytes + at;
		const char *end = memchr(line, '\n', size - at);
		if (!end)
			return first && !may_be_request(bytes + at, size - at) ? SNIFF_OTHER : SNIFF_MORE;
		size_t length = (size_t)(end - line);
		if (length && line[length - 1] == '\r')
			length--;
		if (!first && length == 0)
			return out->host[0] ? SNIFF_NAMED : SNIFF_SILENT;
		if (first && !may_be_request(bytes + at, length))
			return SNIFF_OTHER;
		enum sniff_result result =
			first ? request_line(out, line, length) : header(out, line, length, &host_seen);
		if (result != SNIFF_MORE)
			return result;
		first = false;
		at += (size_t)(end - line) + 1;
	}
}

/* ---- both ----------------------------------------------------------------------------------------------------- */

static bool is_tls(const uint8_t *bytes, size_t size)
{
	return bytes[0] >= RECORD_FIRST && bytes[0] <= RECORD_LAST && (size < 2 || bytes[1] == 3) &&
	       (size < 3 || bytes[2] <= 4);
}

enum sniff_result sniff(const uint8_t *bytes, size_t size, bool last, struct sniffed *out)
{
	*out = (struct sniffed){ 0 };
	if (size == 0)
		return last ? SNIFF_OTHER : SNIFF_MORE;
	enum sniff_result result = is_tls(bytes, size) ? tls(bytes, size, out) : http(bytes, size, out);
	if (result != SNIFF_MORE)
		return result;
	if (size < SNIFF_MOST && !last) {
		out->host[0] = '\0';
		return SNIFF_MORE;
	}
	/* What had not even begun to be a request may be any protocol. */
	if (out->protocol == 0)
		return SNIFF_OTHER;
	return garbled(out, last ? "a greeting that breaks off" : "a greeting of unusual length");
}

const void *sniff_refusal(enum sniff_protocol protocol, size_t *size)
{
	/* A record: alert, TLS 1.2, 2 bytes: fatal, access_denied. */
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 49 };
	static const char forbidden[] = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 58\r\n"
					"Connection: close\r\n\r\n"
					"azm-sandbox: the egress rules do not allow this host here\n";

	*size = protocol == SNIFF_TLS ? sizeof alert : sizeof forbidden - 1;
	return protocol == SNIFF_TLS ? (const void *)alert : forbidden;
}

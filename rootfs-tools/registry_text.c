// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_text.c: see registry_text.h. */
#include "rootfs-tools/registry_text.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"

enum { VALUE_MAX = 4096, TOKEN_MAX = 64 << 10, COMPLAINT_MAX = 200, TOKEN_SECONDS = 60, TOKEN_SECONDS_MAX = 24 * 3600 };

#define cleanup_json [[gnu::cleanup(release_json)]]

static void release_json(json_t **object)
{
	json_decref(*object);
}

/* ---- challenges ------------------------------------------------------------------------------------------------ */

static size_t token_length(const char *text)
{
	size_t length = 0;

	while (text[length] && (isalnum((unsigned char)text[length]) || strchr("!#$%&'*+-.^_`|~", text[length])))
		length++;
	return length;
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* A token or a quoted text at *at, which moves behind it. NULL: neither, or too long. Caller owns. */
static char *take_value(const char **at)
{
	char value[VALUE_MAX];
	size_t length = 0;
	const char *p = *at;

	if (*p != '"') {
		length = token_length(p);
		*at = p + length;
		return length > 0 && length < VALUE_MAX ? strndup(p, length) : NULL;
	}
	for (p++; *p && *p != '"' && length < VALUE_MAX - 1; p++) {
		if (*p == '\\' && p[1])
			p++;
		value[length++] = *p;
	}
	*at = p + (*p == '"');
	value[length] = '\0';
	return *p == '"' ? xstrdup(value) : NULL;
}

static void keep_parameter(struct challenge *challenge, const char *name, size_t length, char *value)
{
	const struct {
		const char *name;
		char **member;
	} known[] = {
		{ "realm", &challenge->realm },
		{ "service", &challenge->service },
		{ "scope", &challenge->scope },
	};

	for (size_t i = 0; value && i < sizeof known / sizeof *known; i++) {
		if (strlen(known[i].name) != length || strncasecmp(name, known[i].name, length) != 0 ||
			*known[i].member)
			continue;
		*known[i].member = value;
		return;
	}
	free(value);
}

/* name=value at *at? */
static bool take_parameter(struct challenge *challenge, bool ours, const char **at)
{
	size_t length = token_length(*at);
	const char *p = skip_blanks(*at + length);

	if (length == 0 || *p != '=')
		return false;
	const char *name = *at;
	p = skip_blanks(p + 1);
	char *value = take_value(&p);
	if (ours)
		keep_parameter(challenge, name, length, value);
	else
		free(value);
	*at = p;
	return true;
}

void challenge_parse(const char *text, struct challenge *challenge)
{
	bool ours = false; /* the parameters that follow are the first bearer's */

	*challenge = (struct challenge){ 0 };
	while (*(text += strspn(text, " \t,"))) {
		size_t length = token_length(text);
		if (length == 0) { /* nothing that belongs here */
			text++;
			continue;
		}
		if (take_parameter(challenge, ours, &text))
			continue;
		ours = length == 6 && strncasecmp(text, "Bearer", 6) == 0 && !challenge->bearer;
		challenge->bearer |= ours;
		challenge->basic |= length == 5 && strncasecmp(text, "Basic", 5) == 0;
		text += length;
	}
}

void challenge_free(struct challenge *challenge)
{
	free(challenge->realm);
	free(challenge->service);
	free(challenge->scope);
	*challenge = (struct challenge){ 0 };
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* Decimal digits at *at, which moves behind them. */
static bool take_number(const char **at, uint64_t *number)
{
	char digits[24];
	size_t length = strspn(*at, "0123456789");

	if (length == 0 || length >= sizeof digits)
		return false;
	memcpy(digits, *at, length);
	digits[length] = '\0';
	*at += length;
	return str_to_u64(digits, INT64_MAX, number);
}

bool content_range_parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	const char *at = text + strlen("bytes ");

	if (strncasecmp(text, "bytes ", strlen("bytes ")) != 0 || !take_number(&at, first) || *at++ != '-' ||
		!take_number(&at, last) || *at++ != '/')
		return false;
	*total = UINT64_MAX;
	return (strcmp(at, "*") == 0 || (take_number(&at, total) && !*at)) && *first <= *last && *last < *total;
}

bool upload_range_parse(const char *text, uint64_t *had)
{
	const char *at = str_starts(text, "bytes=") ? text + strlen("bytes=") : text;
	uint64_t first, last;

	if (!take_number(&at, &first) || *at++ != '-' || !take_number(&at, &last) || *at || first != 0)
		return false;
	*had = last + 1;
	/* An upload that has nothing yet is "0-0" too: the reference registry's way. The first byte is sent again. */
	if (last == 0)
		*had = 0;
	return true;
}

int64_t retry_after_parse(const char *text, time_t now, time_t (*date)(const char *, const time_t *))
{
	uint64_t seconds;

	if (str_to_u64(text, INT32_MAX, &seconds))
		return (int64_t)seconds;
	time_t when = date(text, NULL);
	if (when == (time_t)-1)
		return -1;
	return when > now ? (int64_t)(when - now) : 0;
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

bool is_field_text(const char *text)
{
	if (!*text || *text == ' ')
		return false;
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

int token_parse(const char *text, size_t size, char **token, uint64_t *seconds, struct azm_err *err)
{
	json_error_t error;
	cleanup_json json_t *object = json_loadb(text, size, 0, &error);
	const char *found = json_string_value(json_object_get(object, "token"));
	const json_t *expires = json_object_get(object, "expires_in");

	*token = NULL;
	if (!found || !*found)
		found = json_string_value(json_object_get(object, "access_token"));
	if (!found || strlen(found) > TOKEN_MAX || !is_field_text(found))
		return err_msg(err, EBADMSG, "log in", NULL, "the token server's answer has no usable token in it");
	*token = xstrdup(found);
	*seconds = TOKEN_SECONDS;
	if (json_is_integer(expires) && json_integer_value(expires) > 0)
		*seconds = (uint64_t)json_integer_value(expires);
	if (*seconds > TOKEN_SECONDS_MAX)
		*seconds = TOKEN_SECONDS_MAX;
	return 0;
}

char *registry_complaint(const char *text, size_t size)
{
	json_error_t error;
	cleanup_json json_t *object = text ? json_loadb(text, size, 0, &error) : NULL;
	const json_t *first = json_array_get(json_object_get(object, "errors"), 0);
	const char *message = json_string_value(json_object_get(first, "message"));
	const char *code = json_string_value(json_object_get(first, "code"));

	if (!message || !*message)
		message = json_string_value(json_object_get(object, "details")); /* of token servers */
	if (!message || !*message)
		message = code;
	if (!message)
		return NULL;
	char *complaint = strndup(message, COMPLAINT_MAX);
	if (complaint)
		str_sanitise(complaint);
	return complaint;
}

char *media_type_of(const char *content_type)
{
	char *type = strndup(content_type, strcspn(content_type, "; \t"));

	if (!type)
		abort(); /* out of memory */
	for (char *c = type; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return type;
}

/* ---- encodings ------------------------------------------------------------------------------------------------- */

char *url_encode(const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *result = xcalloc(3, strlen(text) + 1), *out = result;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (isalnum(c) || strchr("-._~", c)) {
			*out++ = (char)c;
		} else {
			*out++ = '%';
			*out++ = hex[c >> 4];
			*out++ = hex[c & 15];
		}
	}
	return result;
}

char *base64_encode(const char *text)
{
	size_t size = strlen(text);
	char *result = xcalloc(1, (size + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)result, (const unsigned char *)text, (int)size);
	return result;
}

char *base64_decode(const char *text)
{
	size_t size = strlen(text), padding = 0;

	while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
		padding++;
	if (size == 0 || size > VALUE_MAX * 4 || size % 4 != 0)
		return NULL;
	char *result = xcalloc(1, size + 1);
	int length = EVP_DecodeBlock((unsigned char *)result, (const unsigned char *)text, (int)size);
	if (length < 0 || memchr(result, '\0', (size_t)length - padding)) {
		free(result);
		return NULL;
	}
	result[(size_t)length - padding] = '\0';
	return result;
}

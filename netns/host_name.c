// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/host_name.c: see host_name.h. */
#include "netns/host_name.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { LABEL_MAX = 63, USER_TEXT_MAX = 4 * HOST_NAME_SIZE };

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of a label: characters that are never part of a name, whatever the locale. */
static const char *check_character(char c)
{
	if ((c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_')
		return NULL;
	switch (c) {
	case '\0':
		return "it holds a NUL";
	case '%':
		return "\"%\" is not part of a host name";
	case '@':
		return "a user before \"@\" is not part of a host name";
	case ' ':
	case '\t':
	case '\r':
	case '\n':
		return "blanks are not part of a host name";
	case ':':
		return "\":\" is not part of a host name";
	case '/':
		return "\"/\" is not part of a host name";
	case '*':
		return "\"*\" can only be the first label of a rule";
	default:
		return "a host name has letters, digits, \"-\" and \"_\" only";
	}
}

/* As inet_aton(3) and browsers see it: all digits, or hexadecimal after 0x. */
static bool is_number(const char *label)
{
	if (label[0] == '0' && label[1] == 'x')
		return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
	return label[strspn(label, "0123456789")] == '\0';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* @name is in lower case and without its trailing dot. */
static const char *check_labels(const char *name, size_t length)
{
	size_t start = 0;

	for (size_t i = 0; i <= length; i++) {
		if (i < length && name[i] != '.') {
			const char *wrong = check_character(name[i]);
			if (wrong)
				return wrong;
			continue;
		}
		if (i == start)
			return "a label of the name is empty";
		if (i - start > LABEL_MAX)
			return "a label is longer than 63 bytes";
		if (i < length)
			start = i + 1;
	}
	return is_number(name + start) ? "a name that ends in a number is an IPv4 address to some programs" : NULL;
}

const char *host_name_normalise(const char *text, size_t length, char name[static HOST_NAME_SIZE])
{
	const char *wrong = NULL;

	name[0] = '\0';
	if (length > 0 && text[length - 1] == '.')
		length--;
	if (length == 0)
		return "the name is empty";
	if (length > HOST_NAME_MAX_TEXT)
		return "the name is longer than 253 bytes";
	for (size_t i = 0; i < length; i++)
		name[i] = lower(text[i]);
	name[length] = '\0';
	wrong = check_labels(name, length);
	if (wrong)
		name[0] = '\0';
	return wrong;
}

/* What the registries do not hand out either; in packets such names are seen and harmless. */
static const char *check_hyphens(const char *name)
{
	for (const char *label = name; label; label = strchr(label, '.')) {
		label += *label == '.';
		size_t length = strcspn(label, ".");
		if (label[0] == '-' || label[length - 1] == '-')
			return "a label begins or ends with a hyphen";
	}
	return NULL;
}

static bool has_alabel(const char *name)
{
	for (const char *label = name; label; label = strchr(label, '.')) {
		label += *label == '.';
		if (strncmp(label, "xn--", 4) == 0)
			return true;
	}
	return false;
}

static const char *convert(const char *text, size_t length, char name[static HOST_NAME_SIZE])
{
	char copy[USER_TEXT_MAX];
	cleanup_free char *ascii = NULL;

	if (length >= sizeof copy)
		return "the name is longer than 253 bytes";
	memcpy(copy, text, length);
	copy[length] = '\0';
	int result = idn2_to_ascii_8z(copy, &ascii, IDN2_NONTRANSITIONAL);
	if (result != IDN2_OK)
		return idn2_strerror(result);
	return host_name_normalise(ascii, strlen(ascii), name);
}

/* libidn2 drops what it thinks invisible, blanks included, so everything of ASCII is looked at before. */
static const char *check_ascii(const char *text, size_t length, bool *ascii)
{
	*ascii = true;
	for (size_t i = 0; i < length; i++) {
		const char *wrong = text[i] == '.' ? NULL : check_character(lower(text[i]));
		if ((unsigned char)text[i] >= 0x80)
			*ascii = false;
		else if (wrong)
			return wrong;
	}
	return NULL;
}

const char *host_name_of_user(const char *text, size_t length, char name[static HOST_NAME_SIZE])
{
	bool ascii;
	const char *wrong = check_ascii(text, length, &ascii);

	name[0] = '\0';
	if (!wrong)
		wrong = ascii ? host_name_normalise(text, length, name) : convert(text, length, name);
	if (!wrong && ascii && has_alabel(name)) {
		char again[HOST_NAME_SIZE];
		wrong = convert(name, strlen(name), again);
	}
	if (!wrong)
		wrong = check_hyphens(name);
	if (wrong)
		name[0] = '\0';
	return wrong;
}

bool host_name_below(const char *name, const char *domain)
{
	size_t length = strlen(name), tail = strlen(domain);

	return length > tail + 1 && name[length - tail - 1] == '.' && strcmp(name + length - tail, domain) == 0;
}

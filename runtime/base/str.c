// SPDX-License-Identifier: GPL-2.0-or-later
/* base/str.c: see str.h */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *or_abort(void *memory)
{
	static const char message[] = "azm: out of memory\n";

	if (!memory) {
		(void)!write(STDERR_FILENO, message, sizeof message - 1);
		_exit(125);
	}
	return memory;
}

void *xcalloc(size_t count, size_t size)
{
	return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *old, size_t count, size_t size)
{
	return or_abort(reallocarray(old, count ? count : 1, size));
}

char *xstrdup(const char *text)
{
	return or_abort(strdup(text));
}

[[gnu::format(printf, 1, 0)]] static char *format_text(const char *format, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	return or_abort(text);
}

char *xasprintf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	char *text = format_text(format, args);
	va_end(args);
	return text;
}

static void list_push(struct str_list *list, char *owned)
{
	list->items = xrealloc(list->items, list->count + 2, sizeof *list->items);
	list->items[list->count++] = owned;
	list->items[list->count] = NULL;
}

void str_list_add(struct str_list *list, const char *text)
{
	list_push(list, xstrdup(text));
}

void str_list_addf(struct str_list *list, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	list_push(list, format_text(format, args));
	va_end(args);
}

void str_list_split(struct str_list *list, const char *text, char separator)
{
	for (;;) {
		const char *end = strchrnul(text, separator);
		list_push(list, or_abort(strndup(text, (size_t)(end - text))));
		if (!*end)
			return;
		text = end + 1;
	}
}

void str_list_free(struct str_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct str_list){ 0 };
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void str_list_sort(struct str_list *list)
{
	size_t kept = 0;

	if (list->count == 0)
		return;
	qsort(list->items, list->count, sizeof *list->items, by_text);
	for (size_t i = 0; i < list->count; i++) {
		if (kept && strcmp(list->items[kept - 1], list->items[i]) == 0)
			free(list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
	list->items[kept] = NULL;
}

bool str_list_sorted_has(const struct str_list *list, const char *text)
{
	return list->count && bsearch(&text, list->items, list->count, sizeof *list->items, by_text);
}

static const char *parse_digits(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t sum = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return NULL;
		sum = sum * 10 + digit;
	}
	if (sum > max)
		return NULL;
	*value = sum;
	return text;
}

bool str_to_u64(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t parsed;
	const char *end = parse_digits(text, max, &parsed);

	if (!end || *end)
		return false;
	*value = parsed;
	return true;
}

bool str_to_bytes(const char *text, uint64_t *value)
{
	uint64_t number;
	unsigned shift = 0;
	const char *end = parse_digits(text, INT64_MAX, &number);

	if (!end)
		return false;
	switch (*end | 0x20) {
	case 'g':
		shift = 30;
		break;
	case 'm':
		shift = 20;
		break;
	case 'k':
		shift = 10;
		break;
	case 'b':
		break;
	default:
		if (*end)
			return false;
	}
	if (*end && end[1])
		return false;
	if (number > (uint64_t)INT64_MAX >> shift)
		return false;
	*value = number << shift;
	return true;
}

const char *str_size(uint64_t bytes, char text[static STR_SIZE_TEXT])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		value /= 1024;
	snprintf(text, STR_SIZE_TEXT, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return text;
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Length of the well-formed, printable UTF-8 sequence at @s (not overlong, no surrogate, no C1 control); 0 if none. */
static size_t utf8_printable(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	size_t length = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	uint32_t code = length ? s[0] & (0xffu >> (length + 1)) : 0;

	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	if (!length || code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return length;
}

static void sanitise(char *text, bool keep_lines)
{
	unsigned char *s = (unsigned char *)text;

	while (*s) {
		if ((*s >= 0x20 && *s < 0x7f) || (keep_lines && (*s == '\n' || *s == '\t'))) {
			s++;
			continue;
		}
		size_t length = utf8_printable(s);
		if (!length) {
			*s = '?';
			length = 1;
		}
		s += length;
	}
}

void str_sanitise(char *text)
{
	sanitise(text, false);
}

void str_sanitise_lines(char *text)
{
	sanitise(text, true);
}

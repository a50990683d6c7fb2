// SPDX-License-Identifier: GPL-2.0-or-later
/* base/str.h: small helpers for text: lists, bounded numbers, terminal-safe output. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing list of strings, always NULL-terminated so that it can serve as argv or envp. */
struct str_list {
	char **items; /* NULL while empty */
	size_t count;
};

#define cleanup_str_list [[gnu::cleanup(str_list_free)]]

/** str_list_add() - append a copy. Out of memory aborts: the lists are small and made at start-up. */
void str_list_add(struct str_list *list, const char *text);

/** str_list_addf() - append a formatted text. */
[[gnu::format(printf, 2, 3)]] void str_list_addf(struct str_list *list, const char *format, ...);

/** str_list_split() - append the pieces of @text between @separator; empty pieces are kept. */
void str_list_split(struct str_list *list, const char *text, char separator);

/** str_list_free() - release all items; the list is empty afterwards. */
void str_list_free(struct str_list *list);

/** str_list_sort() - by bytes, each text once. */
void str_list_sort(struct str_list *list);

/** str_list_sorted_has() - whether a sorted list has a text. */
bool str_list_sorted_has(const struct str_list *list, const char *text);

/** xstrdup(), xasprintf(), xcalloc() - as the C library's; out of memory aborts with one line. Caller owns. */
char *xstrdup(const char *text);
[[gnu::format(printf, 1, 2)]] char *xasprintf(const char *format, ...);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t count, size_t size);

/**
 * str_to_u64() - a whole decimal number and nothing else
 *
 * No sign, blank, "0x" or trailing text; at most @max. Leading zeros are accepted.
 *
 * Return: true and *value set, else false
 */
bool str_to_u64(const char *text, uint64_t max, uint64_t *value);

/** str_to_bytes() - a size as Docker writes it: digits with an optional b, k, m or g (any case); at most INT64_MAX. */
bool str_to_bytes(const char *text, uint64_t *value);

enum { STR_SIZE_TEXT = 16 };

/** str_size() - "0 B", "1.4 MiB": a number of bytes for people. Return: @text */
const char *str_size(uint64_t bytes, char text[static STR_SIZE_TEXT]);

bool str_starts(const char *text, const char *prefix);

/** str_sanitise() - replace every control character (C0, DEL) in place, so that the text cannot drive a terminal.
 * UTF-8 passes, but C1 controls written in UTF-8 (U+0080..U+009F) and bytes that are not UTF-8 become '?'.
 */
void str_sanitise(char *text);

/** str_sanitise_lines() - the same, keeping newlines and tabs. */
void str_sanitise_lines(char *text);

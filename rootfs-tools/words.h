// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/words.h: the words of a Dockerfile's line: splitting, quotes, variables, JSON lists.
 *
 * As BuildKit has them (frontend/dockerfile/shell and parser): ${x} ${x:-y} ${x-y} ${x:+y} ${x+y} ${x:?y} ${x?y}
 * ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}. Depth and length are bounded.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum { WORD_MAX = 1 << 18, WORD_DEPTH_MAX = 16 };

struct word_scope {
	char escape;
	/* The value of a variable; NULL: it is not set. */
	const char *(*value)(void *context, const char *name);
	void *context;
};

/**
 * word_expand() - replace variables, take quotes and escapes away
 *
 * Return: owned by the caller; NULL with @err (EINVAL: a quote or brace without its end, a variable that ${x:?y}
 * demands; E2BIG)
 */
[[gnu::nonnull]] char *word_expand(const char *word, const struct word_scope *scope, struct azm_err *err);

/** word_expand_text() - of a here-document: quotes are text; a backslash counts before $, ` and itself. */
[[gnu::nonnull]] char *word_expand_text(const char *text, const struct word_scope *scope, struct azm_err *err);

/** words_split() - append the words between blanks; quoted blanks and escaped ones do not count. Nothing is taken away.
 */
[[gnu::nonnull]] void words_split(const char *text, char escape, struct str_list *words);

/** words_split_blanks() - append the words between blanks, whatever is quoted. */
[[gnu::nonnull]] void words_split_blanks(const char *text, struct str_list *words);

/**
 * words_json() - a JSON list of strings
 *
 * Return: 1 and @words filled; 0 @text is no JSON list; -1 it is one, but not of strings only, or holds a NUL
 */
[[gnu::nonnull]] int words_json(const char *text, struct str_list *words);

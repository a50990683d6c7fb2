// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/glob.c: see glob.h.
 *
 * Theory of operation
 *
 * The pattern becomes a row of tokens. While the text is read letter by letter, a set says which tokens may come next;
 * so no star is ever tried again, and "*a*a*a*b" costs no more than its length times that of the text. A letter is a
 * character of UTF-8, or a byte that is none.
 */
#include "rootfs-tools/glob.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

enum token_kind { T_LETTER, T_ANY, T_CLASS, T_STAR, T_DIRECTORIES, T_REST, T_END };

struct token {
	enum token_kind kind;
	uint32_t letter;
	const char *class; /* behind its '[' */
};

/* The next letter; *text is moved behind it. */
static uint32_t take_letter(const char **text)
{
	const unsigned char *c = (const unsigned char *)*text;
	unsigned more = c[0] >= 0xf0 && c[0] < 0xf5 ? 3 : c[0] >= 0xe0 ? 2 : c[0] >= 0xc2 ? 1 : 0;
	uint32_t letter = more == 3 ? c[0] & 7u : more == 2 ? c[0] & 15u : c[0] & 31u;

	if (c[0] < 0x80 || more == 0 || c[0] >= 0xf5) {
		*text += 1;
		return c[0] < 0x80 ? c[0] : 0x110000u + c[0];
	}
	for (unsigned i = 1; i <= more; i++) {
		if ((c[i] & 0xc0) != 0x80) {
			*text += 1;
			return 0x110000u + c[0];
		}
		letter = letter << 6 | (c[i] & 63u);
	}
	*text += 1 + more;
	return letter;
}

/* A letter of a class, escapes taken away. Return: false at the end of the text or where none may be. */
static bool take_class_letter(const char **at, uint32_t *letter)
{
	if (**at == '\0' || **at == '-' || **at == ']')
		return false;
	if (**at == '\\' && *++*at == '\0')
		return false;
	*letter = take_letter(at);
	return true;
}

/* Go through a class; *at is moved behind its ']'. @found: whether @letter is in it. Return: false: not a class. */
static bool read_class(const char **at, uint32_t letter, bool *found)
{
	bool negated = **at == '^', any = false;

	*at += negated;
	for (bool first = true; first || **at != ']'; first = false) {
		uint32_t low, high;
		if (!take_class_letter(at, &low))
			return false;
		high = low;
		if (**at == '-') {
			++*at;
			if (!take_class_letter(at, &high) || high < low)
				return false;
		}
		any = any || (letter >= low && letter <= high);
	}
	++*at;
	*found = any != negated;
	return true;
}

static enum token_kind star_kind(const char **at, int flags)
{
	if (!(flags & GLOB_DOUBLE_STAR) || **at != '*')
		return T_STAR;
	while (**at == '*')
		++*at;
	if (**at == '/')
		++*at;
	return **at ? T_DIRECTORIES : T_REST;
}

/* One token; *at is moved behind it. Return: false: not a pattern. */
static bool take_token(const char **at, int flags, struct token *token)
{
	bool ignored;

	*token = (struct token){ .kind = T_LETTER };
	switch (**at) {
	case '*':
		++*at;
		token->kind = star_kind(at, flags);
		return true;
	case '?':
		++*at;
		token->kind = T_ANY;
		return true;
	case '[':
		token->kind = T_CLASS;
		token->class = ++*at;
		return read_class(at, 0, &ignored);
	case '\\':
		if (*++*at == '\0')
			return false;
		break;
	default:
		break;
	}
	token->letter = take_letter(at);
	return true;
}

int glob_check(const char *pattern, struct azm_err *err)
{
	struct token token;

	if (strlen(pattern) > GLOB_MAX)
		return err_msg(err, E2BIG, "use the pattern", NULL, "it is longer than %d bytes", GLOB_MAX);
	for (const char *at = pattern; *at;)
		if (!take_token(&at, 0, &token))
			return err_msg(err, EINVAL, "use the pattern", pattern,
				"a '[' without its end, or '\\' before nothing");
	return 0;
}

bool glob_is_pattern(const char *text)
{
	return strpbrk(text, "*?[\\") != NULL;
}

/* The token may come next; and the one behind it, when it may match nothing. */
static void enter(const struct token *tokens, bool *set, size_t at)
{
	for (;; at++) {
		set[at] = true;
		if (tokens[at].kind != T_STAR && tokens[at].kind != T_DIRECTORIES && tokens[at].kind != T_REST)
			return;
	}
}

/* What may come after @letter, when the token @at was expected. */
static void step(const struct token *tokens, size_t at, uint32_t letter, int flags, bool *next)
{
	const struct token *token = &tokens[at];
	const char *class = token->class;
	bool may = letter != '/' || !(flags & GLOB_PATHS), found = false;

	switch (token->kind) {
	case T_LETTER:
		found = token->letter == letter;
		break;
	case T_ANY:
		found = may;
		break;
	case T_CLASS:
		found = may && read_class(&class, letter, &found) && found;
		break;
	case T_STAR:
		if (may)
			enter(tokens, next, at);
		return;
	case T_DIRECTORIES: /* whole names only: what follows begins behind a '/' */
		next[at] = true;
		found = letter == '/';
		break;
	case T_REST:
		enter(tokens, next, at);
		return;
	case T_END:
		return;
	}
	if (found)
		enter(tokens, next, at + 1);
}

bool glob_match(const char *pattern, const char *text, int flags)
{
	size_t count = 0;
	cleanup_free struct token *tokens = xcalloc(strlen(pattern) + 1, sizeof *tokens);

	for (const char *at = pattern; *at; count++)
		if (!take_token(&at, flags, &tokens[count]))
			return false;
	tokens[count].kind = T_END;
	cleanup_free bool *sets = xcalloc(2 * (count + 1), sizeof *sets);
	bool *now = sets, *next = sets + count + 1;
	enter(tokens, now, 0);
	while (*text) {
		uint32_t letter = take_letter(&text);
		memset(next, 0, (count + 1) * sizeof *next);
		for (size_t i = 0; i < count; i++)
			if (now[i])
				step(tokens, i, letter, flags, next);
		bool *swapped = now;
		now = next;
		next = swapped;
	}
	return now[count];
}

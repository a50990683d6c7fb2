// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/words.c: see words.h.
 *
 * One reader goes over the word and writes what it means. A "${x:-y}" is read by the same code up to its brace, so that
 * y may hold variables and quotes. Its output is bounded: with "ENV x=$x$x" thirty lines would be gigabytes.
 */
#include "rootfs-tools/words.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs-tools/glob.h"

struct text {
	char *data;
	size_t size;
};

struct reader {
	const char *at;
	const struct word_scope *scope;
	struct azm_err *err;
	unsigned depth;
	size_t written; /* by all levels */
	bool raw;	/* a here-document: quotes are text */
	bool pattern;	/* escapes stay: the pattern needs them */
};

static int put(struct reader *r, struct text *out, const char *data, size_t size)
{
	if (size > WORD_MAX - r->written)
		return err_msg(
			r->err, E2BIG, "replace variables", NULL, "the result is longer than %d bytes", WORD_MAX);
	if (size == 0)
		return 0;
	r->written += size;
	out->data = xrealloc(out->data, out->size + size + 1, 1);
	memcpy(out->data + out->size, data, size);
	out->size += size;
	out->data[out->size] = '\0';
	return 0;
}

static int put_text(struct reader *r, struct text *out, const char *text)
{
	return put(r, out, text, strlen(text));
}

/* ---- variables -------------------------------------------------------------------------------------------------- */

/* The name of a variable, NULL: none begins here; owned by the caller. */
static char *take_name(struct reader *r)
{
	size_t length = 0;

	if (isalpha((unsigned char)*r->at) || *r->at == '_')
		while (isalnum((unsigned char)r->at[length]) || r->at[length] == '_')
			length++;
	else if (isdigit((unsigned char)*r->at) || (*r->at && strchr("@*#?-!", *r->at)))
		length = 1; /* the shell's own: never set here */
	if (length == 0)
		return NULL;
	char *name = xasprintf("%.*s", (int)length, r->at);
	r->at += length;
	return name;
}

static const char *value_of(const struct reader *r, const char *name)
{
	return r->scope->value(r->scope->context, name);
}

static int read_until(struct reader *r, const char *stops, struct text *out);

/* The rest of a "${x...": what stands up to one of @stops, replaced; the stop is left. Owned by the caller. */
static char *take_operand(struct reader *r, const char *stops)
{
	struct text text = { 0 };

	if (++r->depth > WORD_DEPTH_MAX) {
		err_msg(r->err, E2BIG, "replace variables", NULL, "they are nested more than %d deep", WORD_DEPTH_MAX);
		return NULL;
	}
	if (read_until(r, stops, &text) < 0) {
		free(text.data);
		return NULL;
	}
	r->depth--;
	return text.data ? text.data : xstrdup("");
}

static int missing_brace(struct reader *r)
{
	return err_msg(r->err, EINVAL, "replace variables", NULL, "\"${\" without its \"}\"");
}

static int close_brace(struct reader *r)
{
	if (*r->at != '}')
		return missing_brace(r);
	r->at++;
	return 0;
}

/* Take from the front or the end of @value what the pattern matches. */
static int put_without(
	struct reader *r, struct text *out, const char *value, const char *pattern, bool front, bool longest)
{
	const size_t length = strlen(value);

	if (glob_check(pattern, r->err) < 0)
		return -1;
	for (size_t i = 0; i <= length; i++) {
		size_t taken = longest ? length - i : i;
		cleanup_free char *piece =
			front ? xasprintf("%.*s", (int)taken, value) : xstrdup(value + length - taken);
		if (glob_match(pattern, piece, 0))
			return front ? put_text(r, out, value + taken) : put(r, out, value, length - taken);
	}
	return put_text(r, out, value);
}

static int put_replaced(
	struct reader *r, struct text *out, const char *value, const char *pattern, const char *replacement, bool all)
{
	if (glob_check(pattern, r->err) < 0)
		return -1;
	while (*value) {
		size_t taken = strlen(value);
		for (; taken > 0; taken--) {
			cleanup_free char *piece = xasprintf("%.*s", (int)taken, value);
			if (glob_match(pattern, piece, 0))
				break;
		}
		if ((taken ? put_text(r, out, replacement) : put(r, out, value, 1)) < 0)
			return -1;
		value += taken ? taken : 1;
		if (taken && !all)
			return put_text(r, out, value);
	}
	return 0;
}

/* Every piece of a value is tried: that time is bounded, too. */
enum { MATCHED_MAX = 512, PATTERN_MAX = 128 };

/* The pattern of an operator, escapes kept; owned by the caller. */
static char *take_pattern(struct reader *r, const char *stops, const char *name, const char *value)
{
	const bool before = r->pattern;

	r->pattern = true;
	char *pattern = take_operand(r, stops);
	r->pattern = before;
	if (pattern && (strlen(pattern) > PATTERN_MAX || (value && strlen(value) > MATCHED_MAX))) {
		err_msg(r->err, E2BIG, "replace variables", name,
			"a pattern of more than %d bytes, or a value of more than %d", PATTERN_MAX, MATCHED_MAX);
		free(steal_ptr(&pattern));
	}
	return pattern;
}

/* ${x#p} ${x##p} ${x%p} ${x%%p} */
static int expand_cut(struct reader *r, const char *name, struct text *out)
{
	const char how = *r->at++;
	const bool longest = *r->at == how;
	const char *value = value_of(r, name);

	r->at += longest;
	cleanup_free char *pattern = take_pattern(r, "}", name, value);
	if (!pattern || close_brace(r) < 0)
		return -1;
	return value ? put_without(r, out, value, pattern, how == '#', longest) : 0;
}

/* ${x/p/r} ${x//p/r} */
static int expand_replace(struct reader *r, const char *name, struct text *out)
{
	const char *value = value_of(r, name);
	const bool all = r->at[1] == '/';

	r->at += all ? 2 : 1;
	cleanup_free char *pattern = take_pattern(r, "/}", name, value);
	if (!pattern)
		return -1;
	r->at += *r->at == '/';
	cleanup_free char *replacement = take_operand(r, "}");
	if (!replacement || close_brace(r) < 0)
		return -1;
	return value ? put_replaced(r, out, value, pattern, replacement, all) : 0;
}

/* ${x:-y} and its relatives. */
static int expand_choice(struct reader *r, const char *name, struct text *out)
{
	const bool colon = *r->at == ':';
	const char how = r->at[colon];
	const char *value = value_of(r, name);

	if (colon && value && !*value)
		value = NULL;
	if (!how || !strchr("-+?", how))
		return err_msg(r->err, EINVAL, "replace variables", name,
			"\"%.*s\" is none of :- :+ :? - + ? # ## %% %%%% / //", colon + 1, r->at);
	r->at += colon + 1;
	cleanup_free char *operand = take_operand(r, "}");
	if (!operand || close_brace(r) < 0)
		return -1;
	if (how == '+')
		return value ? put_text(r, out, operand) : 0;
	if (how == '?' && !value)
		return err_msg(r->err, EINVAL, "replace variables", name, "%s", *operand ? operand : "it is not set");
	return put_text(r, out, value ? value : operand);
}

static int expand_braces(struct reader *r, struct text *out)
{
	cleanup_free char *name = take_name(r);

	if (!name)
		return *r->at ? err_msg(r->err, EINVAL, "replace variables", NULL, "\"${\" without a name")
			      : missing_brace(r);
	switch (*r->at) {
	case '}': {
		const char *value = value_of(r, name);
		r->at++;
		return value ? put_text(r, out, value) : 0;
	}
	case '\0':
		return missing_brace(r);
	case '#':
	case '%':
		return expand_cut(r, name, out);
	case '/':
		return expand_replace(r, name, out);
	default:
		return expand_choice(r, name, out);
	}
}

/* Behind a '$'. */
static int expand_variable(struct reader *r, struct text *out)
{
	if (*r->at == '{') {
		r->at++;
		return expand_braces(r, out);
	}
	cleanup_free char *name = take_name(r);
	if (!name)
		return put(r, out, "$", 1);
	const char *value = value_of(r, name);
	return value ? put_text(r, out, value) : 0;
}

/* ---- quotes ----------------------------------------------------------------------------------------------------- */

static int missing_quote(struct reader *r, char quote)
{
	return err_msg(r->err, EINVAL, "replace variables", NULL, "a %c without its partner", quote);
}

static int read_single(struct reader *r, struct text *out)
{
	size_t length = strcspn(r->at, "'");

	if (!r->at[length])
		return missing_quote(r, '\'');
	int result = put(r, out, r->at, length);
	r->at += length + 1;
	return result;
}

static int read_double(struct reader *r, struct text *out)
{
	for (;;) {
		const char c = *r->at;
		if (!c)
			return missing_quote(r, '"');
		r->at++;
		if (c == '"')
			return 0;
		int result;
		if (c == '$') {
			result = expand_variable(r, out);
		} else if (c == r->scope->escape && *r->at) {
			/* The escape stays, but in front of what would mean something. */
			bool special = *r->at == '"' || *r->at == '$' || *r->at == r->scope->escape;
			result = special ? put(r, out, r->at, 1) : put(r, out, r->at - 1, 2);
			r->at++;
		} else {
			result = put(r, out, &c, 1);
		}
		if (result < 0)
			return -1;
	}
}

/* An escape outside of quotes. */
static int read_escape(struct reader *r, struct text *out)
{
	const char c = *r->at;

	if (!c)
		return r->raw ? put(r, out, r->at - 1, 1) : 0;
	r->at++;
	if (r->pattern)
		return put(r, out, "\\", 1) < 0 ? -1 : put(r, out, &c, 1);
	if (!r->raw || strchr("$`\\}", c))
		return put(r, out, &c, 1);
	return c == '\n' ? 0 : put(r, out, r->at - 2, 2);
}

/* Up to one of @stops, or the end. */
static int read_until(struct reader *r, const char *stops, struct text *out)
{
	int result = 0;

	while (result == 0 && *r->at && !strchr(stops, *r->at)) {
		const char c = *r->at++;
		if (c == '\'' && !r->raw)
			result = read_single(r, out);
		else if (c == '"' && !r->raw)
			result = read_double(r, out);
		else if (c == '$')
			result = expand_variable(r, out);
		else if (c == r->scope->escape)
			result = read_escape(r, out);
		else
			result = put(r, out, &c, 1);
	}
	return result;
}

static char *expand(const char *word, const struct word_scope *scope, bool raw, struct azm_err *err)
{
	struct reader r = { .at = word, .scope = scope, .err = err, .raw = raw };
	struct text out = { 0 };

	if (read_until(&r, "", &out) < 0) {
		free(out.data);
		return NULL;
	}
	return out.data ? out.data : xstrdup("");
}

char *word_expand(const char *word, const struct word_scope *scope, struct azm_err *err)
{
	return expand(word, scope, false, err);
}

char *word_expand_text(const char *text, const struct word_scope *scope, struct azm_err *err)
{
	const struct word_scope backslash = { .escape = '\\', .value = scope->value, .context = scope->context };

	return expand(text, &backslash, true, err);
}

/* ---- splitting -------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The length of the word that begins at @text. */
static size_t word_length(const char *text, char escape)
{
	char quote = 0;
	size_t i = 0;

	for (; text[i] && (quote || !is_blank(text[i])); i++) {
		if (text[i] == escape && quote != '\'' && text[i + 1])
			i++;
		else if (quote && text[i] == quote)
			quote = 0;
		else if (!quote && (text[i] == '\'' || text[i] == '"'))
			quote = text[i];
	}
	return i;
}

void words_split(const char *text, char escape, struct str_list *words)
{
	for (;;) {
		while (is_blank(*text))
			text++;
		if (!*text)
			return;
		size_t length = word_length(text, escape);
		str_list_addf(words, "%.*s", (int)length, text);
		text += length;
	}
}

void words_split_blanks(const char *text, struct str_list *words)
{
	for (;;) {
		size_t length = 0;
		while (is_blank(*text))
			text++;
		if (!*text)
			return;
		while (text[length] && !is_blank(text[length]))
			length++;
		str_list_addf(words, "%.*s", (int)length, text);
		text += length;
	}
}

static void json_release(json_t **json)
{
	json_decref(*json);
}

int words_json(const char *text, struct str_list *words)
{
	while (is_blank(*text))
		text++;
	if (*text != '[')
		return 0;
	[[gnu::cleanup(json_release)]] json_t *list = json_loads(text, JSON_ALLOW_NUL, NULL);
	if (!list)
		return 0;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item) || strlen(json_string_value(item)) != json_string_length(item))
			return -1;
		str_list_add(words, json_string_value(item));
	}
	return 1;
}

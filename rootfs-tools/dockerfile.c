// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/dockerfile.c: see dockerfile.h.
 *
 * Theory of operation
 *
 * Lines are joined where they are continued, comments between them left out. What comes out is a name, flags and the
 * rest, which the instruction's row in a table says how to read. Here-documents are named in the line and follow it.
 */
#include "rootfs-tools/dockerfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "rootfs-tools/dockerfile_internal.h"
#include "rootfs-tools/words.h"

enum { FLAGS_MAX = 64 };

int dockerfile_fail(const struct dockerfile *file, unsigned line, struct azm_err *err, const char *format, ...)
{
	cleanup_free char *where = xasprintf("%s:%u", file->name, line);
	char reason[sizeof err->reason];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof reason, format, args);
	va_end(args);
	return err_msg(err, EINVAL, where, NULL, "%s", reason);
}

const char *instruction_flag(const struct instruction *instruction, const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = 0; i < instruction->flags.count; i++) {
		const char *flag = instruction->flags.items[i];
		if (strncmp(flag, name, length) == 0 && (flag[length] == '\0' || flag[length] == '='))
			return flag[length] ? flag + length + 1 : "";
	}
	return NULL;
}

void instruction_free(struct instruction *instruction)
{
	free(instruction->text);
	str_list_free(&instruction->flags);
	str_list_free(&instruction->args);
	for (size_t i = 0; i < instruction->heredoc_count; i++) {
		free(instruction->heredocs[i].name);
		free(instruction->heredocs[i].token);
		free(instruction->heredocs[i].text);
	}
	free(instruction->heredocs);
	*instruction = (struct instruction){ 0 };
}

void dockerfile_free(struct dockerfile *file)
{
	for (size_t i = 0; i < file->count; i++)
		instruction_free(&file->items[i]);
	free(file->items);
	free(file->name);
	*file = (struct dockerfile){ 0 };
}

static char *trim_end(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && strchr(" \t\r\v\f\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* ---- flags ------------------------------------------------------------------------------------------------------ */

/* The row's flag of that name, NULL: it has none. */
static const char *find_flag(const struct instruction_row *row, const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof row->flags / sizeof *row->flags && row->flags[i]; i++)
		if (strncmp(row->flags[i], name, length) == 0 &&
			(row->flags[i][length] == '\0' || row->flags[i][length] == '='))
			return row->flags[i];
	return NULL;
}

static int add_flag(struct parser *p, struct instruction *instruction, char *flag)
{
	const size_t length = strcspn(flag, "=");
	const char *value = flag[length] ? flag + length + 1 : NULL;
	const char *known = length ? find_flag(&instruction_rows[instruction->kind], flag, length) : NULL;
	const char *kind = instruction_name(instruction->kind);

	if (!known)
		return fail(p, "%s has no flag --%.*s", kind, (int)length, flag);
	if (known[length] == '=' && !(value && *value))
		return fail(p, "%s --%s needs a value", kind, flag);
	if (known[length] == '\0' && value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return fail(p, "%s --%.*s is true or false", kind, (int)length, flag);
	cleanup_free char *name = xasprintf("%.*s", (int)length, flag);
	if (instruction_flag(instruction, name) && !strchr(known, '*'))
		return fail(p, "%s --%s is given twice", kind, name);
	if (known[length] == '=')
		str_list_add(&instruction->flags, flag);
	else if (!value || *value == 't')
		str_list_add(&instruction->flags, name);
	return 0;
}

/* A word without its quotes; *rest is moved behind it. Owned by the caller. */
static char *take_flag(const char **rest, char escape)
{
	const char *at = *rest;
	char *out = xcalloc(strlen(at) + 1, 1), *end = out;
	char quote = 0;

	for (; *at && (quote || !isspace((unsigned char)*at)); at++) {
		if (quote ? *at == quote : *at == '\'' || *at == '"')
			quote = quote ? 0 : *at;
		else
			*end++ = *at == escape && quote != '\'' && at[1] ? *++at : *at;
	}
	*rest = skip_blanks(at);
	return out;
}

static int take_flags(struct parser *p, struct instruction *instruction, const char **rest)
{
	while (str_starts(*rest, "--")) {
		cleanup_free char *flag = take_flag(rest, p->file->escape);
		if (!flag[2])
			return 0;
		if (instruction->flags.count >= FLAGS_MAX)
			return fail(p, "more than %d flags", FLAGS_MAX);
		if (add_flag(p, instruction, flag + 2) < 0)
			return -1;
	}
	return 0;
}

/* ---- here-documents --------------------------------------------------------------------------------------------- */

/* The delimiter's name without quotes, NULL when it is none; owned by the caller. */
static char *heredoc_name(const char *text, bool *quoted)
{
	char *name = xcalloc(strlen(text) + 1, 1), *end = name;
	char quote = 0;

	*quoted = false;
	for (; *text; text++) {
		if (quote ? *text == quote : *text == '\'' || *text == '"') {
			quote = quote ? 0 : *text;
			*quoted = true;
		} else if (*text == '\\' && !quote && text[1]) {
			*end++ = *++text;
			*quoted = true;
		} else if (!quote && strchr("<>()|&;$`", *text)) {
			break; /* an expression of the shell */
		} else {
			*end++ = *text;
		}
	}
	if (!*text && !quote && end != name)
		return name;
	free(name);
	return NULL;
}

static char *next_line(struct parser *p)
{
	char *line = p->at, *end = line ? strchr(line, '\n') : NULL;

	if (!line)
		return NULL;
	p->next++;
	p->at = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	return line;
}

/* A text that grows by pieces: the time is that of its length. */
struct growing {
	char *data;
	size_t size, room;
};

static void grow(struct growing *text, const char *piece, size_t length)
{
	if (!text->data || text->size + length + 1 > text->room) {
		text->room = 2 * (text->size + length + 1);
		text->data = xrealloc(text->data, text->room, 1);
	}
	memcpy(text->data + text->size, piece, length);
	text->size += length;
	text->data[text->size] = '\0';
}

/* The lines up to the delimiter. Return: owned by the caller; NULL with the error set. */
static char *heredoc_text(struct parser *p, const char *name, bool tabs)
{
	const size_t length = strlen(name);
	struct growing text = { 0 };

	grow(&text, "", 0);
	for (char *line; (line = next_line(p));) {
		if (tabs)
			line += strspn(line, "\t");
		if (strncmp(line, name, length) == 0 && (line[length] == '\0' || strcmp(line + length, "\r") == 0))
			return text.data;
		grow(&text, line, strlen(line));
		grow(&text, "\n", 1);
	}
	free(text.data);
	fail(p, "the here-document has no end: \"%s\" does not follow", name);
	return NULL;
}

static int add_heredoc(struct parser *p, struct instruction *instruction, const char *token)
{
	const char *at = token + strspn(token, "0123456789");
	bool quoted;

	if (!str_starts(at, "<<"))
		return 0;
	at += 2;
	bool tabs = *at == '-';
	cleanup_free char *name = heredoc_name(at + tabs, &quoted);
	if (!name)
		return 0;
	if (p->nested)
		return fail(p, "a here-document cannot stand in ONBUILD");
	if (instruction->heredoc_count >= DOCKERFILE_HEREDOCS_MAX)
		return fail(p, "more than %d here-documents", DOCKERFILE_HEREDOCS_MAX);
	char *text = heredoc_text(p, name, tabs);
	if (!text)
		return -1;
	instruction->heredocs =
		xrealloc(instruction->heredocs, instruction->heredoc_count + 1, sizeof *instruction->heredocs);
	instruction->heredocs[instruction->heredoc_count++] =
		(struct heredoc){ .name = steal_ptr(&name), .token = xstrdup(token), .text = text, .expand = !quoted };
	return 0;
}

static int take_heredocs(struct parser *p, struct instruction *instruction, const char *rest)
{
	cleanup_str_list struct str_list words = { 0 };

	if (!instruction_rows[instruction->kind].heredocs || instruction->exec || !strstr(rest, "<<"))
		return 0;
	words_split(rest, '\\', &words);
	for (size_t i = 0; i < words.count; i++)
		if (add_heredoc(p, instruction, words.items[i]) < 0)
			return -1;
	return 0;
}

/* ---- instructions ----------------------------------------------------------------------------------------------- */

static int find_kind(struct parser *p, const char *text, size_t length)
{
	for (size_t i = 0; i < instruction_row_count; i++)
		if (strlen(instruction_rows[i].name) == length &&
			strncasecmp(instruction_rows[i].name, text, length) == 0)
			return (int)i;
	return fail(p, "\"%.*s\" is not an instruction", length < 64 ? (int)length : 64, text);
}

/* @text: without blanks at its ends. */
int parse_instruction(struct parser *p, char *text, struct instruction *instruction)
{
	const size_t length = strcspn(text, " \t\v\f\r");
	const int kind = find_kind(p, text, length);

	if (kind < 0)
		return -1;
	*instruction =
		(struct instruction){ .kind = (enum instruction_kind)kind, .line = p->line, .text = xstrdup(text) };
	const char *rest = skip_blanks(text + length);
	if (take_flags(p, instruction, &rest) < 0)
		return -1;
	if (!*rest)
		return fail(p, "%s needs something behind it", instruction_rows[kind].name);
	if (instruction_rows[kind].parse(p, instruction, rest) < 0)
		return -1;
	return take_heredocs(p, instruction, rest);
}

static int check_place(struct parser *p, const struct instruction *instruction, bool *from)
{
	*from = *from || instruction->kind == DF_FROM;
	return *from || instruction->kind == DF_ARG ? 0
						    : fail(p, "%s before the first FROM: only ARG can stand there",
							      instruction_name(instruction->kind));
}

static int add_instruction(struct parser *p, char *text, bool *from)
{
	struct dockerfile *file = p->file;

	if (file->count >= DOCKERFILE_INSTRUCTIONS_MAX)
		return fail(p, "more than %d instructions", DOCKERFILE_INSTRUCTIONS_MAX);
	file->items = xrealloc(file->items, file->count + 1, sizeof *file->items);
	struct instruction *instruction = &file->items[file->count++];
	*instruction = (struct instruction){ 0 };
	return parse_instruction(p, text, instruction) < 0 ? -1 : check_place(p, instruction, from);
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static bool is_comment(const char *line)
{
	return *skip_blanks(line) == '#';
}

/* Whether a line goes on: the escape at its end, blanks behind it not counted, is cut off. Two of them are none. */
static bool take_continuation(char *line, size_t *size, char escape)
{
	size_t length = *size;

	while (length > 0 && strchr(" \t\r", line[length - 1]))
		length--;
	if (length == 0 || line[length - 1] != escape || (length > 1 && line[length - 2] == escape))
		return false;
	line[length - 1] = '\0';
	*size = length - 1;
	return true;
}

/* The line and those that continue it. Owned by the caller. */
static char *join_lines(struct parser *p, const char *line)
{
	struct growing whole = { 0 };

	grow(&whole, line, strlen(line));
	while (take_continuation(whole.data, &whole.size, p->file->escape)) {
		const char *more;
		while ((more = next_line(p)) && (is_comment(more) || !*skip_blanks(more)))
			;
		if (!more)
			break;
		grow(&whole, more, strlen(more));
	}
	return trim_end(whole.data);
}

/* ---- directives ------------------------------------------------------------------------------------------------- */

static int set_directive(struct parser *p, const char *name, size_t length, const char *value, unsigned *seen)
{
	static const char *const names[] = { "syntax", "escape", "check" };
	unsigned which = 0;

	while (which < 3 && (strlen(names[which]) != length || strncasecmp(names[which], name, length) != 0))
		which++;
	if (which == 3)
		return 1;
	if (*seen & 1u << which)
		return fail(p, "only one \"# %s=\" can be given", names[which]);
	*seen |= 1u << which;
	if (which == 0 && !str_starts(value, "docker/dockerfile") && !str_starts(value, "docker.io/docker/dockerfile"))
		return fail(p, "the syntax \"%.64s\" is not known, only docker/dockerfile is", value);
	if (which == 1) {
		if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
			return fail(p, "\"# escape=\" must be \\ or `");
		p->file->escape = *value;
	}
	return 0;
}

/* "# name=value" in the first lines. Return: 1 it is none, 0, -1. */
static int take_directive(struct parser *p, const char *line, unsigned *seen)
{
	const char *at = skip_blanks(line);

	if (*at != '#')
		return 1;
	at = skip_blanks(at + 1);
	size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	const char *equals = skip_blanks(at + length);
	if (length == 0 || *equals != '=')
		return 1;
	cleanup_free char *value = trim_end(xstrdup(skip_blanks(equals + 1)));
	return set_directive(p, at, length, value, seen);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static int parse_lines(struct parser *p)
{
	bool from = false, head = true;
	unsigned seen = 0;

	for (char *line; (line = next_line(p));) {
		p->line = p->next;
		int directive = head ? take_directive(p, line, &seen) : 1;
		if (directive < 0)
			return -1;
		head = head && directive == 0;
		if (is_comment(line) || !*skip_blanks(line))
			continue;
		cleanup_free char *whole = join_lines(p, line);
		char *text = whole + strspn(whole, " \t\r\v\f");
		if (*text && add_instruction(p, text, &from) < 0)
			return -1;
	}
	return from ? 0 : fail(p, "there is no FROM");
}

int dockerfile_parse(const char *text, size_t size, const char *name, struct dockerfile *file, struct azm_err *err)
{
	cleanup_dockerfile struct dockerfile result = { .name = xstrdup(name), .escape = '\\' };
	struct parser p = { .file = &result, .line = 1, .err = err };

	if (size > DOCKERFILE_MAX)
		return err_msg(err, E2BIG, name, NULL, "larger than %d bytes", DOCKERFILE_MAX);
	if (memchr(text, '\0', size))
		return err_msg(err, EINVAL, name, NULL, "it is not a text");
	cleanup_free char *lines = xcalloc(size + 1, 1);
	memcpy(lines, text, size);
	p.at = lines + (str_starts(lines, "\xef\xbb\xbf") ? 3 : 0);
	if (parse_lines(&p) < 0)
		return -1;
	*file = result;
	result = (struct dockerfile){ 0 };
	return 0;
}

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
#include "rootfs-tools/words.h"

enum { FLAGS_MAX = 64 };

struct parser {
	struct dockerfile *file;
	char *at;	 /* the next line; NULL: there is none. Lines end in NUL when they have been read */
	unsigned next;	 /* number of the line that was read last, from 1 */
	unsigned line;	 /* of the instruction that is being read */
	unsigned nested; /* in an ONBUILD */
	struct azm_err *err;
};

struct instruction_row {
	const char *name;
	/* The text behind the flags, which is not empty. */
	int (*parse)(struct parser *p, struct instruction *instruction, const char *rest);
	bool heredocs;
	const char *flags[8]; /* "name": yes or no, "name=": has a value, "name=*": and may be given again */
};

static const struct instruction_row rows[];

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

#define fail(p, ...) dockerfile_fail((p)->file, (p)->line, (p)->err, __VA_ARGS__)

const char *instruction_name(enum instruction_kind kind)
{
	return rows[kind].name;
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

static void instruction_free(struct instruction *instruction)
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

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\v\f");
}

static char *trim_end(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && strchr(" \t\r\v\f\n", text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* ---- what follows the flags ------------------------------------------------------------------------------------- */

static int parse_text(struct parser *p, struct instruction *instruction, const char *rest)
{
	(void)p;
	str_list_add(&instruction->args, rest);
	return 0;
}

/* A JSON list, or what @otherwise makes of it. */
static int parse_json_or(struct parser *p, struct instruction *instruction, const char *rest,
	int (*otherwise)(struct parser *, struct instruction *, const char *))
{
	switch (words_json(rest, &instruction->args)) {
	case 1:
		instruction->exec = true;
		return 0;
	case 0:
		return otherwise(p, instruction, rest);
	default:
		return fail(p, "the list of %s may hold strings only", instruction_name(instruction->kind));
	}
}

static int parse_command(struct parser *p, struct instruction *instruction, const char *rest)
{
	return parse_json_or(p, instruction, rest, parse_text);
}

static int parse_run(struct parser *p, struct instruction *instruction, const char *rest)
{
	if (parse_command(p, instruction, rest) < 0)
		return -1;
	return instruction->args.count ? 0 : fail(p, "RUN needs a command");
}

static int parse_words(struct parser *p, struct instruction *instruction, const char *rest)
{
	(void)p;
	words_split_blanks(rest, &instruction->args);
	return 0;
}

static int parse_volume(struct parser *p, struct instruction *instruction, const char *rest)
{
	if (parse_json_or(p, instruction, rest, parse_words) < 0)
		return -1;
	for (size_t i = 0; i < instruction->args.count; i++)
		if (!*instruction->args.items[i])
			return fail(p, "VOLUME needs a path");
	return 0;
}

static int parse_copy(struct parser *p, struct instruction *instruction, const char *rest)
{
	if (parse_json_or(p, instruction, rest, parse_words) < 0)
		return -1;
	return instruction->args.count >= 2
		       ? 0
		       : fail(p, "%s needs at least one source and a target", instruction_name(instruction->kind));
}

static int parse_shell(struct parser *p, struct instruction *instruction, const char *rest)
{
	if (words_json(rest, &instruction->args) != 1 || instruction->args.count == 0)
		return fail(p, "SHELL needs a list of strings: SHELL [\"/bin/bash\", \"-c\"]");
	instruction->exec = true;
	return 0;
}

/* NAME VALUE, the whole rest of the line. */
static int parse_old_pair(struct parser *p, struct instruction *instruction, const char *rest)
{
	size_t length = strcspn(rest, " \t\v\f\r");
	const char *value = skip_blanks(rest + length);

	if (!*value)
		return fail(p, "%s needs a name and a value: NAME=VALUE", instruction_name(instruction->kind));
	str_list_addf(&instruction->args, "%.*s", (int)length, rest);
	str_list_add(&instruction->args, value);
	return 0;
}

static int parse_pairs(struct parser *p, struct instruction *instruction, const char *rest)
{
	cleanup_str_list struct str_list words = { 0 };

	words_split(rest, p->file->escape, &words);
	if (!strchr(words.items[0], '='))
		return parse_old_pair(p, instruction, rest);
	for (size_t i = 0; i < words.count; i++) {
		const char *equals = strchr(words.items[i], '=');
		if (!equals)
			return fail(p, "\"%s\" is not of the form NAME=VALUE", words.items[i]);
		if (equals == words.items[i])
			return fail(p, "\"%s\" has no name", words.items[i]);
		str_list_addf(&instruction->args, "%.*s", (int)(equals - words.items[i]), words.items[i]);
		str_list_add(&instruction->args, equals + 1);
	}
	return 0;
}

static bool is_variable_name(const char *name, size_t length)
{
	if (length == 0 || isdigit((unsigned char)*name))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return true;
}

static int parse_arg(struct parser *p, struct instruction *instruction, const char *rest)
{
	words_split(rest, p->file->escape, &instruction->args);
	for (size_t i = 0; i < instruction->args.count; i++) {
		const char *word = instruction->args.items[i];
		if (!is_variable_name(word, strcspn(word, "=")))
			return fail(p, "\"%s\" is neither NAME nor NAME=VALUE", word);
	}
	return 0;
}

static int parse_from(struct parser *p, struct instruction *instruction, const char *rest)
{
	words_split_blanks(rest, &instruction->args);
	const struct str_list *words = &instruction->args;
	if (words->count != 1 && !(words->count == 3 && strcasecmp(words->items[1], "as") == 0))
		return fail(p, "FROM needs an image, or an image AS a name");
	if (words->count == 1)
		return 0;
	char *name = words->items[2];
	for (char *c = name; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (!islower((unsigned char)*name) || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")])
		return fail(p, "\"%s\" is not the name of a stage: letters, digits, '-', '_' and '.'", name);
	if (strcmp(name, "scratch") == 0 || strcmp(name, "context") == 0)
		return fail(p, "no stage can be called %s", name);
	free(words->items[1]);
	instruction->args.items[1] = name;
	instruction->args.items[--instruction->args.count] = NULL;
	return 0;
}

static int parse_healthcheck(struct parser *p, struct instruction *instruction, const char *rest)
{
	size_t length = strcspn(rest, " \t\v\f\r");
	const char *behind = skip_blanks(rest + length);

	if (length == 4 && strncasecmp(rest, "NONE", 4) == 0) {
		if (*behind || instruction->flags.count)
			return fail(p, "HEALTHCHECK NONE takes nothing else");
		str_list_add(&instruction->args, "NONE");
		return 0;
	}
	if (length != 3 || strncasecmp(rest, "CMD", 3) != 0)
		return fail(p, "HEALTHCHECK needs CMD or NONE");
	if (!*behind)
		return fail(p, "HEALTHCHECK CMD needs a command");
	str_list_add(&instruction->args, "CMD");
	return parse_command(p, instruction, behind);
}

static int parse_instruction(struct parser *p, char *text, struct instruction *instruction);

/* Kept as text, as an image's configuration has it; read once to see whether it can be. */
static int parse_onbuild(struct parser *p, struct instruction *instruction, const char *rest)
{
	struct instruction trigger = { 0 };
	cleanup_free char *copy = xstrdup(rest);

	p->nested++;
	int result = p->nested > 1 ? fail(p, "ONBUILD ONBUILD is not possible") : parse_instruction(p, copy, &trigger);
	p->nested--;
	if (result == 0 && (trigger.kind == DF_FROM || trigger.kind == DF_MAINTAINER))
		result = fail(p, "ONBUILD %s is not possible", instruction_name(trigger.kind));
	instruction_free(&trigger);
	return result < 0 ? -1 : parse_text(p, instruction, rest);
}

static const struct instruction_row rows[] = {
	[DF_ADD] = { "ADD", parse_copy, true, { "chown=", "chmod=", "link", "exclude=*" } },
	[DF_ARG] = { "ARG", parse_arg, false, { NULL } },
	[DF_CMD] = { "CMD", parse_command, false, { NULL } },
	[DF_COPY] = { "COPY", parse_copy, true, { "from=", "chown=", "chmod=", "link", "exclude=*", "parents" } },
	[DF_ENTRYPOINT] = { "ENTRYPOINT", parse_command, false, { NULL } },
	[DF_ENV] = { "ENV", parse_pairs, false, { NULL } },
	[DF_EXPOSE] = { "EXPOSE", parse_words, false, { NULL } },
	[DF_FROM] = { "FROM", parse_from, false, { "platform=" } },
	[DF_HEALTHCHECK] = { "HEALTHCHECK", parse_healthcheck, false,
		{ "interval=", "timeout=", "start-period=", "start-interval=", "retries=" } },
	[DF_LABEL] = { "LABEL", parse_pairs, false, { NULL } },
	[DF_MAINTAINER] = { "MAINTAINER", parse_text, false, { NULL } },
	[DF_ONBUILD] = { "ONBUILD", parse_onbuild, false, { NULL } },
	[DF_RUN] = { "RUN", parse_run, true, { "mount=*", "network=", "security=" } },
	[DF_SHELL] = { "SHELL", parse_shell, false, { NULL } },
	[DF_STOPSIGNAL] = { "STOPSIGNAL", parse_text, false, { NULL } },
	[DF_USER] = { "USER", parse_text, false, { NULL } },
	[DF_VOLUME] = { "VOLUME", parse_volume, false, { NULL } },
	[DF_WORKDIR] = { "WORKDIR", parse_text, false, { NULL } },
};

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
	const char *known = length ? find_flag(&rows[instruction->kind], flag, length) : NULL;
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

	if (!rows[instruction->kind].heredocs || instruction->exec || !strstr(rest, "<<"))
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
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strlen(rows[i].name) == length && strncasecmp(rows[i].name, text, length) == 0)
			return (int)i;
	return fail(p, "\"%.*s\" is not an instruction", length < 64 ? (int)length : 64, text);
}

/* @text: without blanks at its ends. */
static int parse_instruction(struct parser *p, char *text, struct instruction *instruction)
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
		return fail(p, "%s needs something behind it", rows[kind].name);
	if (rows[kind].parse(p, instruction, rest) < 0)
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

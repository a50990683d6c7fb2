// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/instructions.c: the instructions of a Dockerfile: which flags each has, and how what follows them is
 * read; see dockerfile.h. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/cleanup.h"
#include "rootfs-tools/dockerfile_internal.h"
#include "rootfs-tools/words.h"

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

const struct instruction_row instruction_rows[] = {
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

const size_t instruction_row_count = sizeof instruction_rows / sizeof *instruction_rows;

const char *instruction_name(enum instruction_kind kind)
{
	return instruction_rows[kind].name;
}

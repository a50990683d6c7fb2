// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_dockerfile.c: any text as a Dockerfile, its words, a .dockerignore and a pattern. */
#include "base/cleanup.h"
#include "rootfs-tools/dockerfile.h"
#include "rootfs-tools/dockerignore.h"
#include "rootfs-tools/glob.h"
#include "rootfs-tools/words.h"
#include "tests/fuzz/fuzz.h"

static const char *value(void *context, const char *name)
{
	return strcmp(name, "E") == 0 ? "" : strlen(name) == 1 ? context : NULL;
}

static void check_word(const char *word, char escape)
{
	char set[] = "some/value.of\\it";
	const struct word_scope scope = { .escape = escape, .value = value, .context = set };
	struct azm_err err = { 0 };
	cleanup_free char *meaning = word_expand(word, &scope, &err);

	must((meaning != NULL) == (err.code == 0));
	must(!meaning || strlen(meaning) <= WORD_MAX);
}

static void check_instruction(const struct instruction *instruction, char escape)
{
	must(instruction->line > 0 && *instruction->text && !strchr(instruction->text, '\n'));
	for (size_t i = 0; i < instruction->args.count; i++)
		check_word(instruction->args.items[i], escape);
	for (size_t i = 0; i < instruction->heredoc_count; i++) {
		const struct word_scope scope = { .escape = '\\', .value = value, .context = (char[]){ "x" } };
		struct azm_err err = { 0 };
		cleanup_free char *text = word_expand_text(instruction->heredocs[i].text, &scope, &err);
		must((text != NULL) == (err.code == 0));
		must(strstr(instruction->text, instruction->heredocs[i].token));
	}
	switch (instruction->kind) {
	case DF_FROM:
		must(instruction->args.count == 1 || instruction->args.count == 2);
		break;
	case DF_ENV:
	case DF_LABEL:
		must(instruction->args.count >= 2 && instruction->args.count % 2 == 0);
		break;
	case DF_COPY:
	case DF_ADD:
		must(instruction->args.count >= 2);
		break;
	case DF_CMD:
	case DF_ENTRYPOINT:
	case DF_VOLUME:
		must(instruction->exec || instruction->args.count >= 1);
		break;
	default:
		must(instruction->args.count >= 1);
	}
}

static void check_file(const char *text, size_t size)
{
	cleanup_dockerfile struct dockerfile file = { 0 };
	struct azm_err err = { 0 };

	if (dockerfile_parse(text, size, "Dockerfile", &file, &err) < 0) {
		must(err.code && !file.items);
		return;
	}
	must(file.count > 0 && file.count <= DOCKERFILE_INSTRUCTIONS_MAX);
	for (size_t i = 0; i < file.count; i++)
		check_instruction(&file.items[i], file.escape);
}

static void check_patterns(const char *text)
{
	cleanup_dockerignore struct dockerignore ignore = { 0 };
	struct azm_err err = { 0 };

	if (dockerignore_parse(text, ".dockerignore", &ignore, &err) == 0)
		(void)dockerignore_matches(&ignore, "src/some/file.c");
	if (!glob_is_pattern(text))
		must(glob_check(text, &err) == 0 || strlen(text) > GLOB_MAX);
	if (glob_check(text, &err) == 0 && !glob_is_pattern(text))
		must(glob_match(text, text, GLOB_PATHS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_file(text, size);
	check_word(text, '\\');
	check_patterns(text);
	free(text);
	return 0;
}

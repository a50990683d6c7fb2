// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/dockerfile.h: the text of a Dockerfile as a list of instructions.
 *
 * The syntax is that of docker/dockerfile:1: parser directives, continued lines, here-documents, the shell and the JSON
 * form, flags. Variables are replaced later (words.h), when their values are known. What is not known is an error with
 * the name of the file and the line; nothing is passed over.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum { DOCKERFILE_MAX = 1 << 20, DOCKERFILE_INSTRUCTIONS_MAX = 4096, DOCKERFILE_HEREDOCS_MAX = 64 };

enum instruction_kind {
	DF_ADD,
	DF_ARG,
	DF_CMD,
	DF_COPY,
	DF_ENTRYPOINT,
	DF_ENV,
	DF_EXPOSE,
	DF_FROM,
	DF_HEALTHCHECK,
	DF_LABEL,
	DF_MAINTAINER,
	DF_ONBUILD,
	DF_RUN,
	DF_SHELL,
	DF_STOPSIGNAL,
	DF_USER,
	DF_VOLUME,
	DF_WORKDIR,
};

/* A here-document: <<NAME ... NAME */
struct heredoc {
	char *name;  /* without quotes */
	char *token; /* as it stands in the line: <<-"NAME" */
	char *text;  /* its lines; of <<- without the tabs in front */
	bool expand; /* NAME was not quoted: variables are replaced by whoever makes a file of it */
};

struct instruction {
	enum instruction_kind kind;
	unsigned line; /* the first one of it, from 1 */
	char *text;    /* as written, in one line, flags included: for messages and the history */
	bool exec;     /* RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD: args are an argument vector, not a shell's text */
	/* NAME=VALUE or NAME; only those the instruction has, each once (--mount and --exclude: several). */
	struct str_list flags;
	/* FROM: image [stage]; ENV, LABEL: name value name value ...; ARG: NAME or NAME=VALUE each; COPY, ADD: sources
	 * and target; SHELL: an argument vector; HEALTHCHECK: NONE, or CMD and what follows; ONBUILD: the instruction's
	 * text; a list of words for EXPOSE and VOLUME; else one text. Variables and quotes are still in it. */
	struct str_list args;
	struct heredoc *heredocs; /* RUN, COPY, ADD */
	size_t heredoc_count;
};

struct dockerfile {
	char *name;  /* for messages */
	char escape; /* '\\', or '`' by a directive */
	struct instruction *items;
	size_t count;
};

#define cleanup_dockerfile [[gnu::cleanup(dockerfile_free)]]

/**
 * dockerfile_parse() - read a whole file
 * @text:	@size bytes; a NUL among them is an error
 * @name:	what messages call it
 *
 * Return: 0, released by dockerfile_free(); -1 with @err (EINVAL; E2BIG: too large) and nothing to release
 */
[[gnu::nonnull]] int dockerfile_parse(
	const char *text, size_t size, const char *name, struct dockerfile *file, struct azm_err *err);
[[gnu::nonnull]] void dockerfile_free(struct dockerfile *file);

/** instruction_name() - "RUN". */
const char *instruction_name(enum instruction_kind kind);

/** instruction_flag() - the value of a flag; "" when it has none; NULL: it was not given. */
[[gnu::nonnull]] const char *instruction_flag(const struct instruction *instruction, const char *name);

/** dockerfile_fail() - an error of a line: "FILE:LINE: REASON". Return: -1. */
[[gnu::format(printf, 4, 5)]] int dockerfile_fail(
	const struct dockerfile *file, unsigned line, struct azm_err *err, const char *format, ...);

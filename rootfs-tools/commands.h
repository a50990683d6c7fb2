// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/commands.h: the commands of azm-rootfs. Each has a file of its own and a row in main.c. */
#pragma once
#include "base/options.h"
#include "rootfs-tools/registry.h"
#include "rootfs-tools/source.h"

extern const struct program rootfs_program;

/* bootstrap.c: make a Debian image from packages. */
extern const struct option_row bootstrap_options[];
int bootstrap_main(int argc, char **argv);

/* unpack.c: make an image of an archive or layout. */
extern const struct option_row unpack_options[];
int unpack_main(int argc, char **argv);

/* export.c: write an image in a form others read. */
extern const struct option_row export_options[];
int export_main(int argc, char **argv);

/* unpack.c: the same of one in a registry. */
extern const struct option_row pull_options[];
int pull_main(int argc, char **argv);

/* push.c: give a registry an image. */
extern const struct option_row push_options[];
int push_main(int argc, char **argv);

/* store_commands.c: the image store. */
extern const struct option_row ls_options[], rm_options[], gc_options[], df_options[];
int ls_main(int argc, char **argv);
int rm_main(int argc, char **argv);
int gc_main(int argc, char **argv);
int df_main(int argc, char **argv);

/* diff.c: what changed from one image to another. */
extern const struct option_row diff_options[];
int diff_main(int argc, char **argv);

/* build.c: make an image from a Dockerfile. */
extern const struct option_row build_options[];
int build_main(int argc, char **argv);

/* commit.c: an image and what was changed of it as another image. */
extern const struct option_row commit_options[];
int commit_main(int argc, char **argv);

/* inspect.c: what an image says about itself. */
extern const struct option_row inspect_options[];
int inspect_main(int argc, char **argv);

/* verify.c: whether an image is what it says. */
extern const struct option_row verify_options[];
int verify_main(int argc, char **argv);

/* ---- what commands share (commands.c) --- */

/**
 * command_operands() - parse the command line; options may stand before, between and after the operands
 * @name:	of the command
 * @config:	handed to the setters of its options
 * @operands:	filled with at most @limit
 *
 * Return: how many operands there are, or -1 with @err (EINVAL: too many, a bad option)
 */
[[gnu::nonnull]] int command_operands(
	const char *name, void *config, int argc, char **argv, const char **operands, int limit, struct azm_err *err);

/* The largest sum of all files of an image, unless --max-size says otherwise. */
#define IMAGE_SIZE_MOST (128ull << 30)

/** command_max_size() - the value of --max-size. Return: 0, or -1 with @err */
[[gnu::nonnull]] int command_max_size(const char *value, uint64_t *size, struct azm_err *err);

/** command_end() - a failure (@result < 0) is printed. Return: the exit status, 125 also when the output could not be
 * written. */
[[gnu::nonnull]] int command_end(int result, const struct azm_err *err);

/* What a command is told about the image it reads; its configuration begins with this. */
struct source_choice {
	struct registry_options registry; /* first: see REGISTRY_OPTION_ROWS */
	struct platform platform;
	bool platform_given;
	const char *tag;
};

#define SOURCE_CHOICE_ROWS                                                                                             \
	{ 0, "platform", "OS/ARCH[/VARIANT]", source_choice_platform,                                                  \
		"which image of several (default: this machine's)" },                                                  \
	{                                                                                                              \
		't', "tag", "NAME", source_choice_tag, "which image of several, by its tag or whole name"              \
	}

int source_choice_platform(void *config, const char *value, struct azm_err *err);
int source_choice_tag(void *config, const char *value, struct azm_err *err);

/** source_choice_options() - for source_open(), as long as @choice is there. Whatever was not said has its default. */
[[gnu::nonnull]] struct source_options source_choice_options(struct source_choice *choice, int scratch, uint64_t limit);
[[gnu::nonnull]] void source_choice_free(struct source_choice *choice);

/**
 * watch_signals() - hold back the signals that end a program, so that what is half made can be removed first
 *
 * Threads made later inherit that. Return: signalfd(2), not blocking, of these and of SIGCHLD; -1 with @err
 */
[[gnu::nonnull]] int watch_signals(struct azm_err *err);

/** refuse_root() - Return: 0; -1 with @err when it is this machine's root (not a user namespace's) that started us. */
[[gnu::nonnull]] int refuse_root(const char *command, const char *operand, struct azm_err *err);

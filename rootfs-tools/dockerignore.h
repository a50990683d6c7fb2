// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/dockerignore.h: which files of a context a build does not see (.dockerignore). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { DOCKERIGNORE_MAX = 1 << 20, DOCKERIGNORE_PATTERNS_MAX = 4096 };

struct ignore_pattern {
	char *pattern; /* clean, without '/' in front */
	bool except;   /* a line with '!': what it matches is seen again */
};

struct dockerignore {
	struct ignore_pattern *items;
	size_t count;
	bool has_exceptions; /* a directory that is ignored may hold files that are not */
};

#define cleanup_dockerignore [[gnu::cleanup(dockerignore_free)]]

/**
 * dockerignore_parse() - a pattern a line, '#' begins a comment, '!' an exception
 * @name:	of the file, for messages
 *
 * Return: 0, released by dockerignore_free(); -1 with @err and nothing to release
 */
[[gnu::nonnull]] int dockerignore_parse(
	const char *text, const char *name, struct dockerignore *ignore, struct azm_err *err);
[[gnu::nonnull]] void dockerignore_free(struct dockerignore *ignore);

/**
 * dockerignore_matches() - whether a file is ignored, by itself or with a directory above it; the last pattern decides
 * @path:	below the context, clean, without '/' in front
 */
[[gnu::nonnull]] bool dockerignore_matches(const struct dockerignore *ignore, const char *path);

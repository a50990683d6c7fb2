// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/glob.h: patterns for names of files: * ? [a-z] [^a-z] \x, as Go's filepath.Match has them.
 *
 * The time is bounded by the product of both lengths, whatever the pattern.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

enum { GLOB_MAX = 4096 };

/* What may be added up. */
enum glob_flags {
	GLOB_PATHS = 1,	      /* '*' and '?' do not match '/' */
	GLOB_DOUBLE_STAR = 2, /* a "**" matches any number of directories */
};

/** glob_check() - whether it is a pattern. Return: 0, or -1 with @err (EINVAL; E2BIG: longer than GLOB_MAX). */
[[gnu::nonnull]] int glob_check(const char *pattern, struct azm_err *err);

/** glob_match() - whether a pattern that was checked matches the whole text. */
[[gnu::nonnull]] bool glob_match(const char *pattern, const char *text, int flags);

/** glob_is_pattern() - whether anything in it is more than its own letter. */
[[gnu::nonnull]] bool glob_is_pattern(const char *text);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/diff.h: what an edit changed, as Python's difflib shows it. */
#pragma once
#include <stddef.h>

#include "server/text.h"

/**
 * diff_unified() - a unified diff without context
 * @path:	named in both header lines
 * @out:	appended to; nothing when the texts are equal
 *
 * Texts are split at '\n'; each line of the diff is stripped at its right end, and they are joined by '\n'. The hunks
 * are difflib's (longest matching block first, frequent lines ignored in long texts); beyond a fixed amount of work the
 * rest counts as changed.
 */
void diff_unified(
	const char *path, const char *old, size_t old_size, const char *new, size_t new_size, struct text *out);

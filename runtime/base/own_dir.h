// SPDX-License-Identifier: GPL-2.0-or-later
/* base/own_dir.h: directories in which our state is safe: the user's own, mode 0700, no symbolic link, and not below a
 * directory that everybody may write without the sticky bit, as it is written and as it is behind symbolic links. Where
 * something else is, it is refused, not repaired.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { OWN_DIR_CANDIDATES = 3 };

/**
 * own_dir_candidates() - where a program's own directory may be, in order
 * @name:	of the directory: $XDG_DATA_HOME/NAME (without: ~/.local/share/NAME), $TMPDIR/NAME, /var/tmp/NAME-UID
 * @variable:	names another one, which is then the only one
 * @temporary:	whether $TMPDIR counts
 *
 * Return: how many were set, each allocated
 */
[[gnu::nonnull]] size_t own_dir_candidates(
	const char *name, const char *variable, bool temporary, char *candidates[OWN_DIR_CANDIDATES]);

/**
 * own_dir_open() - open one, making it and its parents when they are missing
 * @path:	absolute
 * @variable:	which environment variable names another one, for the hint
 *
 * Return: descriptor, opened for reading; -1 with @err
 */
[[gnu::nonnull]] int own_dir_open(const char *path, const char *variable, struct azm_err *err);

/** own_dir_below() - the same in a directory that was opened so. @name: one component */
[[gnu::nonnull]] int own_dir_below(int parent, const char *name, struct azm_err *err);

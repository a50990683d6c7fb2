// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/join.h: one overlay layer made of one or several.
 *
 * Of one that is still written to: a copy. Of several frozen ones: their union, with hard links, because none of them
 * is ever written to again. The result is a layer in its own right: whiteouts stay, a directory is opaque when one of
 * those it is made of was.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ready;
struct stat;

enum join_how {
	JOIN_COPY, /* the layer changes later: own files, sharing blocks where the file system can (FICLONE) */
	JOIN_LINK, /* the layers are frozen */
};

/**
 * layers_join() - fill an empty directory
 * @roots:	directories, top-most first
 * @target:	open for reading
 * @ready:	copies that were made ahead; NULL: none
 *
 * Owner, mode, times, extended attributes, hard links within a layer, holes, FIFOs and sockets are kept; marks of
 * overlay that only concern the layer's own mount (origin, impure, nlink) are not. For other owners than the caller it
 * runs inside the id map (idmap_in_child()). Deeper than JOIN_DEPTH directories is an error.
 *
 * Return: 0, or -1 with @err set; @target is then half full
 */
[[gnu::nonnull(1, 6)]] int layers_join(
	const int *roots, size_t count, int target, enum join_how how, struct ready *ready, struct azm_err *err);

enum { JOIN_DEPTH = 1000 };

/** layer_like() - give an empty directory what the root of a layer shows of itself: owner, mode, times, attributes. */
int layer_like(int from, int to, struct azm_err *err);

/** layer_copy_file() - content and attributes of a regular file. @st: of @from. @to: empty. Return: 0, -1 with errno */
[[gnu::nonnull]] int layer_copy_file(int from, const struct stat *st, int to);

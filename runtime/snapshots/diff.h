// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/diff.h: what changed between two states of a sandbox, as `docker diff` says it. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "mount/mount.h"

/**
 * layers_diff() - compare two stacks of layers
 * @lines:	appended: "A /path", "C /path" or "D /path", in the order of the paths
 *
 * A directory that has changes below it is changed itself; everything below a new directory is listed, nothing below a
 * deleted one. Two files are the same when they are one file, or equal in kind, owner, mode, size, time of modification
 * and, for links, target: what a snapshot of a running sandbox copied is compared without reading it again.
 *
 * Return: 0, or -1 with @err set
 */
int layers_diff(const struct stack *before, const struct stack *after, struct str_list *lines, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/tree.h: removing directory trees that may have been written by somebody hostile. */
#pragma once
#include "base/err.h"

/**
 * tree_remove_at() - remove a file or a whole directory tree
 * @dirfd:	directory that holds it
 * @name:	its name there, a single component
 * @err:	set on failure: step "remove", the path below @dirfd of what could not be removed
 *
 * Symbolic links are removed, never followed. Directories without permissions (overlay's work directory is mode 000)
 * are opened up first. Another file system below the tree is an error (EXDEV), so a forgotten mount is never emptied.
 * Depth is no limit: neither the stack nor the number of descriptors grows with it. A tree that does not exist is
 * success.
 *
 * Return: 0, or -1 with @err set; everything that can be removed is gone all the same
 */
[[gnu::nonnull]] int tree_remove_at(int dirfd, const char *name, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/resolve.h: the part of the resolver that only mount/ itself uses; resolve_in_root() and its relatives are in
 * mount.h.
 */
#pragma once

/**
 * resolve_no_links() - open an absolute host path in which no component may be a symbolic link
 * @flags:	open(2) flags; O_CLOEXEC and O_NOFOLLOW are added
 *
 * For paths that were canonical when the supervisor looked: a link that is there now was put there since.
 *
 * Return: descriptor owned by the caller, or -1 with errno (ELOOP or ENOTDIR for a link)
 */
[[gnu::nonnull]] int resolve_no_links(const char *path, int flags);

/** resolve_beneath() - the same for a path below @rootfd; ".." does not lead out of it. */
[[gnu::nonnull]] int resolve_beneath(int rootfd, const char *path, int flags);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/debian.h: what goes into a Debian image: packages, sources, settings. Tables and the code that applies
 * them; nothing here runs a program.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* How much is in the image. Every row holds its own packages and those of the rows before it. */
struct debian_variant {
	const char *name;
	const char *packages; /* separated by blanks */
	const char *summary;
	uint64_t disk;	   /* bytes the root takes on disk */
	uint64_t download; /* bytes of packages */
};

/** debian_variant() - the row of a name, or NULL; NULL as name is the default. */
const struct debian_variant *debian_variant(const char *name);

/** debian_packages() - the packages of a variant and @extra (NULL for none) as one list for --include. */
[[gnu::nonnull(1), gnu::returns_nonnull]] char *debian_packages(
	const struct debian_variant *variant, const struct str_list *extra);

/**
 * debian_sources() - apt sources of a suite, one per item
 * @mirrors:	URLs or whole "deb ..." lines that replace the official mirror; empty: the official one
 * @keyring:	file the archive's signatures are checked with, or NULL for the system's default
 */
[[gnu::nonnull(1, 2, 4)]] void debian_sources(
	const char *suite, const struct str_list *mirrors, const char *keyring, struct str_list *sources);

/**
 * debian_prepare() - write what has to be in the root before the first package
 * @rootfd:	the empty root
 * @host_settings: apt configuration lines of the host that downloads depend on (proxy, CA), removed by debian_finish()
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int debian_prepare(int rootfd, const char *host_settings, struct azm_err *err);

/* What debian_finish() counted. */
struct debian_summary {
	unsigned packages;
	uint64_t disk; /* bytes on disk */
};

/**
 * debian_finish() - turn what the installer left into an image
 * @root:	path of the root
 * @suite:	as given to debian_sources(), with @mirrors: sources the image itself has from now on. A URL of the
 *build host's mirror is not among them.
 *
 * Writes the settings that must not be active during the build, removes documentation and traces of the host, takes the
 * set-id bits away (they would be set-uid to the user on the host, and mean nothing in a sandbox) and makes every
 * directory removable by its owner.
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int debian_finish(const char *root, const char *suite, const struct str_list *mirrors,
	struct debian_summary *summary, struct azm_err *err);

/* Commands run as root inside the finished system, in order; ends with NULL. $1 is the root. */
extern const char *const debian_hooks[];

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_sources.h: what the sources of COPY and ADD name: files below a root, by their paths or by
 * patterns.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "rootfs-tools/dockerignore.h"
#include "rootfs-tools/job.h"

enum { SOURCES_MAX = 65536 };

struct copy_source {
	char *path;	  /* below the root, clean; "" is the root itself */
	const char *name; /* the part of it that is kept: its last name, with --parents what follows the "/./" */
};

struct copy_sources {
	/* set by the caller */
	int root;			   /* directory */
	const struct dockerignore *ignore; /* NULL: everything is seen */
	struct dockerignore exclude;	   /* --exclude; released with the rest */
	bool parents;			   /* --parents */
	const struct job *job;		   /* may interrupt */
	/* found */
	struct copy_source *items;
	size_t count;
	/* of the pattern that is being matched: what follows its "/./", and how much of a path came before */
	const char *pivot;
	size_t kept;
};

/**
 * copy_sources_add() - find what one source names
 * @text:	a path that has to be there, or a pattern, which may match nothing; with --parents "**" is any number of
 *		directories
 *
 * Nothing outside the root is looked at. Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int copy_sources_add(struct copy_sources *sources, const char *text, struct azm_err *err);

/** copy_sources_hide() - whether .dockerignore or --exclude hides a path. */
[[gnu::nonnull]] bool copy_sources_hide(const struct copy_sources *sources, const char *path);

/** copy_sources_have_exceptions() - whether files may be seen in a directory that is hidden. */
[[gnu::nonnull]] bool copy_sources_have_exceptions(const struct copy_sources *sources);
[[gnu::nonnull]] void copy_sources_free(struct copy_sources *sources);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_cache.h: the directories of RUN --mount=type=cache: in the store, build-cache/NAME each.
 *
 * Who uses one holds flock(2) on it, shared or alone; what nobody holds may be removed at any time.
 */
#pragma once
#include "rootfs-tools/job.h"
#include "rootfs-tools/store.h"

enum { CACHES_MAX = 64 };

enum cache_sharing {
	CACHE_SHARED,  /* by several commands at once */
	CACHE_LOCKED,  /* one after the other */
	CACHE_PRIVATE, /* each has its own, used again by who comes later */
};

struct cache_mount {
	char *name;   /* of what the Dockerfile calls it; the same in every build */
	char *target; /* where the command sees it */
	enum cache_sharing sharing;
	char *path; /* NULL: not taken yet */
	int lock;
};

/* Those of one command. */
struct build_caches {
	struct cache_mount items[CACHES_MAX];
	size_t count;
};

/**
 * build_caches_add() - one more
 * @id:		any text
 * @sharing:	"shared", "locked", "private"; NULL: shared
 *
 * Return: 0, or -1 with @err (EINVAL, E2BIG)
 */
[[gnu::nonnull(1, 2, 4, 5)]] int build_caches_add(
	struct build_caches *caches, const char *id, const char *sharing, const char *target, struct azm_err *err);

/**
 * build_caches_take() - make those that are missing, and lock all; for a locked one others are waited for, as long as
 * the user wants
 * @options:	of azm-sandbox: volumes are added to it
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int build_caches_take(struct build_caches *caches, const struct store *store, const struct job *job,
	struct str_list *options, struct azm_err *err);

/** build_caches_free() - give up the locks, too. */
[[gnu::nonnull]] void build_caches_free(struct build_caches *caches);

/** build_cache_usage() - how many there are in the store, and how much they take on disk. */
[[gnu::nonnull]] void build_cache_usage(const struct store *store, uint64_t *count, uint64_t *bytes);

/** build_cache_remove() - all that nobody uses; counted into @removed. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int build_cache_remove(const struct store *store, struct store_removed *removed, struct azm_err *err);

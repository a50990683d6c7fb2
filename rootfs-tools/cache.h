// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/cache.h: downloads that outlive the run, so that an interrupted or a second one does not repeat them. */
#pragma once
#include "base/err.h"

struct cache {
	int fd;	    /* the directory, locked for us; -1: closed */
	char *path; /* absolute */
};

#define CACHE_NONE                                                                                                     \
	{                                                                                                              \
		.fd = -1                                                                                               \
	}
#define cleanup_cache [[gnu::cleanup(cache_close)]]

/**
 * cache_open() - find or make the user's cache directory and lock it
 * @waiting:	called once when another process holds the lock, before waiting for it; may be NULL
 *
 * The first that can be used of $XDG_CACHE_HOME/azm-rootfs, $HOME/.cache/azm-rootfs, /var/tmp/azm-rootfs-UID. It is
 * made with mode 0700 and must be the caller's own, no symbolic link, and closed to others' writing.
 *
 * Return: 0, release with cache_close(); -1 with @err
 */
[[gnu::nonnull(1, 3)]] int cache_open(struct cache *cache, void (*waiting)(const char *path), struct azm_err *err);

/** cache_directory() - make a directory in the cache. Return: its path, owned by the caller; NULL with @err. */
[[gnu::nonnull]] char *cache_directory(const struct cache *cache, const char *name, struct azm_err *err);

[[gnu::nonnull]] void cache_close(struct cache *cache);

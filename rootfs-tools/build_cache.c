// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_cache.c: see build_cache.h. One is removed by a rename into partial/, so whoever locks it then
 * sees that the name is gone, and makes it anew. */
#include "rootfs-tools/build_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/store_internal.h"
#include "rootfs-tools/tree_walk.h"

#define DIRECTORY "build-cache"

enum { NAME_LENGTH = 16, PRIVATE_MAX = 256 };

/* ---- of one command ---------------------------------------------------------------------------------------------- */

static int read_sharing(const char *text, enum cache_sharing *sharing, struct azm_err *err)
{
	static const char *const names[] = {
		[CACHE_SHARED] = "shared", [CACHE_LOCKED] = "locked", [CACHE_PRIVATE] = "private"
	};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(text, names[i]) == 0) {
			*sharing = (enum cache_sharing)i;
			return 0;
		}
	}
	return err_msg(err, EINVAL, "use sharing", text, "it is shared, locked or private");
}

static char *name_of(const char *id)
{
	char text[DIGEST_TEXT_SIZE];
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest;

	hasher_add(hasher, id, strlen(id));
	hasher_end(hasher, &digest);
	return xasprintf("%.*s", NAME_LENGTH, digest_hex(&digest, text));
}

/* Return: descriptor, -1 with errno. */
static int open_all(const struct store *store)
{
	return openat(store->dir, DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* One directory, locked. Return: 1 and *lock set; 0 somebody else has it; -1 with @err. */
static int take(
	int all, const char *name, enum cache_sharing sharing, const struct job *job, int *lock, struct azm_err *err)
{
	for (;;) {
		if (mkdirat(all, name, 0755) < 0 && errno != EEXIST)
			return err_sys(err, "make the cache", name);
		cleanup_fd int fd = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return err_sys(err, "open the cache", name);
		if (sharing != CACHE_PRIVATE) {
			if (job_lock(fd, sharing == CACHE_SHARED ? LOCK_SH : LOCK_EX, job, err) < 0)
				return -1;
		} else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			return errno == EWOULDBLOCK ? 0 : err_sys(err, "lock the cache", name);
		}
		if (store_linked(all, name, fd)) {
			*lock = steal_fd(&fd);
			return 1;
		}
	}
}

/* One the command has already is the same directory again. */
static int take_one(struct build_caches *caches, size_t which, const struct store *store, int all,
	const struct job *job, struct azm_err *err)
{
	struct cache_mount *cache = &caches->items[which];
	int taken = 0;

	for (size_t i = 0; i < which; i++) {
		if (strcmp(caches->items[i].name, cache->name) != 0)
			continue;
		cache->path = xstrdup(caches->items[i].path);
		return 0;
	}
	for (unsigned i = 0; i < PRIVATE_MAX && taken == 0; i++) {
		cleanup_free char *name = i ? xasprintf("%s-%u", cache->name, i) : xstrdup(cache->name);
		taken = take(all, name, cache->sharing, job, &cache->lock, err);
		if (taken == 1)
			cache->path = xasprintf("%s/" DIRECTORY "/%s", store->path, name);
	}
	if (taken == 0)
		return err_msg(err, EBUSY, "lock the cache", cache->name, "%d commands use it", PRIVATE_MAX);
	return taken < 0 ? -1 : 0;
}

int build_caches_add(
	struct build_caches *caches, const char *id, const char *sharing, const char *target, struct azm_err *err)
{
	if (caches->count == CACHES_MAX)
		return err_msg(err, E2BIG, "use --mount", target, "more than %d caches", CACHES_MAX);
	struct cache_mount *cache = &caches->items[caches->count++];
	*cache = (struct cache_mount){ .name = name_of(id), .target = xstrdup(target), .lock = -1 };
	return sharing ? read_sharing(sharing, &cache->sharing, err) : 0;
}

int build_caches_take(struct build_caches *caches, const struct store *store, const struct job *job,
	struct str_list *options, struct azm_err *err)
{
	if (caches->count == 0)
		return 0;
	if (mkdirat(store->dir, DIRECTORY, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make", DIRECTORY);
	cleanup_fd int all = open_all(store);
	if (all < 0)
		return err_sys(err, "open", DIRECTORY);
	for (size_t i = 0; i < caches->count; i++) {
		if (take_one(caches, i, store, all, job, err) < 0)
			return -1;
		str_list_add(options, "-v");
		str_list_addf(options, "%s:%s", caches->items[i].path, caches->items[i].target);
	}
	return 0;
}

void build_caches_free(struct build_caches *caches)
{
	for (size_t i = 0; i < caches->count; i++) {
		cleanup_close_fd(&caches->items[i].lock);
		free(caches->items[i].name);
		free(caches->items[i].target);
		free(caches->items[i].path);
	}
	caches->count = 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

void build_cache_usage(const struct store *store, uint64_t *count, uint64_t *bytes)
{
	cleanup_str_list struct str_list names = { 0 };
	cleanup_fd int all = open_all(store);

	*count = *bytes = 0;
	if (all < 0 || dir_visible_names(all, &names) < 0)
		return;
	*count = names.count;
	for (size_t i = 0; i < names.count; i++) {
		struct tree_size size = { 0 };
		cleanup_fd int fd = openat(all, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			(void)tree_measure(fd, &size);
		*bytes += size.bytes;
	}
}

/* Unless somebody uses it. */
static int remove_one(
	const struct store *store, int all, const char *name, struct store_removed *removed, struct azm_err *err)
{
	cleanup_free char *gone = xasprintf("gone-cache-%s", name);
	cleanup_fd int fd = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_size size = { 0 };

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open the cache", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !store_linked(all, name, fd))
		return 0;
	(void)tree_measure(fd, &size);
	if (tree_remove_at(store->partial, gone, err) < 0)
		return -1;
	if (renameat(all, name, store->partial, gone) < 0)
		return err_sys(err, "remove the cache", name);
	removed->caches++;
	removed->cache_bytes += size.bytes;
	return tree_remove_at(store->partial, gone, err);
}

int build_cache_remove(const struct store *store, struct store_removed *removed, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };
	cleanup_fd int all = open_all(store);

	if (all < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open", DIRECTORY);
	if (store_names_in(store, all, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++)
		if (remove_one(store, all, names.items[i], removed, err) < 0)
			return -1;
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/cache.c: see cache.h */
#include "rootfs-tools/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Makes @path when it is missing (not its parents) and opens it if it can be trusted. */
static int open_own(const char *path, struct azm_err *err)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make the cache", path);
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open the cache", path);
	if (st.st_uid != geteuid())
		return err_msg(err, EPERM, "open the cache", path, "it belongs to somebody else");
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_msg(err, EPERM, "open the cache", path, "others may write to it");
	if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		return err_sys(err, "open the cache", path);
	return steal_fd(&fd);
}

/* $XDG_CACHE_HOME or $HOME/.cache, made when missing; NULL when the environment names neither. */
static char *base_directory(const char *variable, const char *below)
{
	const char *value = getenv(variable);

	if (!value || value[0] != '/')
		return NULL;
	char *base = xasprintf("%s%s", value, below);
	(void)mkdir(base, 0700);
	return base;
}

/* The candidates in order; @index counts from 0. Return: owned by the caller, NULL when this one does not apply. */
static char *candidate(int index)
{
	cleanup_free char *base = NULL;

	if (index == 2)
		return xasprintf("/var/tmp/azm-rootfs-%u", geteuid());
	base = index == 0 ? base_directory("XDG_CACHE_HOME", "") : base_directory("HOME", "/.cache");
	return base ? xasprintf("%s/azm-rootfs", base) : NULL;
}

int cache_open(struct cache *cache, void (*waiting)(const char *path), struct azm_err *err)
{
	*cache = (struct cache)CACHE_NONE;
	for (int index = 0; index < 3 && cache->fd < 0; index++) {
		cleanup_free char *path = candidate(index);
		if (!path)
			continue;
		cache->fd = open_own(path, err);
		if (cache->fd >= 0)
			cache->path = steal_ptr(&path);
	}
	if (cache->fd < 0)
		return err_hint(err, "set XDG_CACHE_HOME to a directory of yours");
	err_clear(err);
	if (flock(cache->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (waiting)
		waiting(cache->path);
	if (flock(cache->fd, LOCK_EX) == 0)
		return 0;
	err_sys(err, "lock the cache", cache->path);
	cache_close(cache);
	return -1;
}

char *cache_directory(const struct cache *cache, const char *name, struct azm_err *err)
{
	cleanup_free char *path = xasprintf("%s/%s", cache->path, name);
	cleanup_fd int fd = open_own(path, err);

	return fd < 0 ? NULL : steal_ptr(&path);
}

void cache_close(struct cache *cache)
{
	cleanup_close_fd(&cache->fd);
	free(cache->path);
	*cache = (struct cache)CACHE_NONE;
}

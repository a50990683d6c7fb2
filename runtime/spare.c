// SPDX-License-Identifier: GPL-2.0-or-later
/* spare.c: see spare.h */
#include "spare.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"

enum { SPARES = 4, UPPER_MODE = 0755 };

#define PREFIX ".spare-"

static void spare_name(char name[16], int number)
{
	snprintf(name, 16, PREFIX "%d", number);
}

bool spare_is_name(const char *name)
{
	return str_starts(name, PREFIX);
}

int spare_take(int sandboxes, const char *name)
{
	char spare[16];

	for (int i = 0; i < SPARES; i++) {
		spare_name(spare, i);
		if (renameat(sandboxes, spare, sandboxes, name) == 0)
			return 0;
	}
	return -1;
}

/* Delete what is in @dir and @keep does not name (a NULL ends the list). */
static int empty(int parent, const char *name, const char *const *keep)
{
	struct azm_err ignored = { 0 };
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return -1;
	const struct dirent *entry;
	while ((entry = dir_next(dir))) {
		const char *const *kept = keep;
		while (*kept && strcmp(entry->d_name, *kept) != 0)
			kept++;
		if (!*kept && tree_remove_at(fd, entry->d_name, &ignored) < 0)
			return -1;
	}
	/* What is not seen would be in the next sandbox. */
	return errno ? -1 : 0;
}

static bool same_time(const struct statx_timestamp *one, const struct statx_timestamp *other)
{
	return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

/* As it was made: nothing was ever put into it, and none of its attributes was changed. Times alone do not tell: they
 * move with the kernel's clock tick, and a sandbox may be made, change its root and end within one. */
static bool is_untouched(int dir, const char *name)
{
	struct statx st, parent;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && statx(dir, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &parent) == 0 &&
	       statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) == 0 && (st.stx_mask & STATX_BTIME) &&
	       same_time(&st.stx_btime, &st.stx_ctime) && same_time(&st.stx_btime, &st.stx_mtime) &&
	       st.stx_mode == (S_IFDIR | UPPER_MODE) && st.stx_uid == parent.stx_uid && st.stx_gid == parent.stx_gid &&
	       st.stx_attributes == parent.stx_attributes && dir_is_empty(dir, name) && flistxattr(fd, NULL, 0) <= 0;
}

static int renew_upper(int dir)
{
	struct azm_err ignored = { 0 };

	if (is_untouched(dir, "upper"))
		return 0;
	if (tree_remove_at(dir, "upper", &ignored) < 0)
		return -1;
	umask(0); /* a chmod afterwards would count as a change */
	return mkdirat(dir, "upper", UPPER_MODE);
}

/* An empty log may stay. */
static int renew_log(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0 ? unlinkat(dir, name, 0) : 0;
}

int spare_give(int sandboxes, const char *name)
{
	static const char *const kept[] = { "lock", "upper", "work", "log", "log.times", "remove-me", NULL };
	static const char *const nothing[] = { NULL };
	cleanup_fd int dir = openat(sandboxes, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char spare[16];

	if (dir < 0 || empty(sandboxes, name, kept) < 0 || empty(dir, "work", nothing) < 0 || renew_upper(dir) < 0 ||
		renew_log(dir, "log") < 0 || renew_log(dir, "log.times") < 0)
		return -1;
	/* A directory never replaces one that is not empty. */
	for (int i = 0; i < SPARES; i++) {
		spare_name(spare, i);
		if (renameat(sandboxes, name, sandboxes, spare) == 0)
			return 0;
	}
	return -1;
}

void spare_retire(int sandboxes)
{
	char spare[16], dead[24];

	for (int i = 0; i < SPARES; i++) {
		spare_name(spare, i);
		snprintf(dead, sizeof dead, ".dead%s", spare);
		(void)renameat(sandboxes, spare, sandboxes, dead);
	}
}

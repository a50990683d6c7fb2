// SPDX-License-Identifier: GPL-2.0-or-later
/* set_id.c: see set_id.h.
 *
 * Directories yet to be seen are kept as paths relative to the mount and opened with openat2(RESOLVE_BENEATH, no
 * links): another sandbox may be renaming things under our feet, and the worst that can come of it is that we look at a
 * file twice.
 */
#include "set_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/mount.h"

static const char mark[] = "set-id-check";

enum { REPORTED = 8 };

struct sweep {
	const char *root_path;
	int root;
	dev_t device;
	struct timespec since;
	struct str_list pending; /* directories, relative to the root */
	unsigned stripped, unseen;
};

int set_id_mark(int dir, struct azm_err *err)
{
	cleanup_fd int fd = openat(dir, mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 ? err_sys(err, "write", mark) : 0;
}

bool set_id_is_marked(int dir)
{
	return faccessat(dir, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void strip(struct sweep *sweep, int parent, const char *directory, const char *name)
{
	char magic[64];
	struct stat st;
	cleanup_fd int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	if (chmod(magic, st.st_mode & 01777) < 0) {
		sweep->unseen++;
		return;
	}
	if (sweep->stripped++ < REPORTED) {
		cleanup_free char *path =
			xasprintf("%s%s%s/%s", sweep->root_path, *directory ? "/" : "", directory, name);
		str_sanitise(path);
		fprintf(stderr, "azm-sandbox: note: took the set-id bits from %s, which was made in the sandbox\n",
			path);
	}
}

static void look_at(struct sweep *sweep, int parent, const char *directory, const char *name)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != sweep->device)
		return;
	if (S_ISDIR(st.st_mode))
		str_list_addf(&sweep->pending, "%s%s%s", directory, *directory ? "/" : "", name);
	else if (S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) && !is_before(&st.st_ctim, &sweep->since))
		strip(sweep, parent, directory, name);
}

static void look_into(struct sweep *sweep, const char *directory)
{
	int fd = resolve_in_root(sweep->root, *directory ? directory : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		sweep->unseen += errno != ENOENT;
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			look_at(sweep, dirfd(dir), directory, entry->d_name);
}

static void sweep_tree(const char *path, const struct timespec *since)
{
	struct stat st;
	struct sweep sweep = { .root_path = path, .since = *since };

	/* The stored path has no links; one that is there now was put there since, and leads elsewhere. */
	cleanup_fd int root = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	cleanup_free char *real = realpath(path, NULL);
	if (root < 0 || fstat(root, &st) < 0 || !real || strcmp(real, path) != 0)
		return;
	sweep.root = root;
	sweep.device = st.st_dev;
	if (!S_ISDIR(st.st_mode))
		return;
	str_list_add(&sweep.pending, "");
	while (sweep.pending.count > 0) {
		cleanup_free char *directory = sweep.pending.items[--sweep.pending.count];
		sweep.pending.items[sweep.pending.count] = NULL;
		look_into(&sweep, directory);
	}
	str_list_free(&sweep.pending);
	if (sweep.stripped > REPORTED)
		fprintf(stderr, "azm-sandbox: note: ... and from %u more files below %s\n", sweep.stripped - REPORTED,
			path);
	if (sweep.unseen)
		fprintf(stderr,
			"azm-sandbox: note: %u files or directories below %s could not be looked at for set-id bits: "
			"find %s -perm /6000\n",
			sweep.unseen, path, path);
}

static void sweep_volume(const char *volume, const struct timespec *since)
{
	cleanup_str_list struct str_list parts = { 0 };

	str_list_split(&parts, volume, ':');
	/* Read-only and copy-on-write mounts left nothing on the host. */
	if (parts.count == 3 && (strstr(parts.items[2], "ro") || strstr(parts.items[2], "overlay")))
		return;
	sweep_tree(parts.items[0], since);
}

void set_id_sweep(int dir, const struct config *config)
{
	struct stat st;

	if (fstatat(dir, mark, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	/* File systems stamp with the clock of the last tick: allow for one. */
	struct timespec since = { .tv_sec = st.st_mtim.tv_sec - 1, .tv_nsec = st.st_mtim.tv_nsec };
	if (config->workspace)
		sweep_tree(config->workspace, &since);
	for (size_t i = 0; i < config->volumes.count; i++)
		sweep_volume(config->volumes.items[i], &since);
	unlinkat(dir, mark, 0);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/merged.c: see merged.h. Every name is one component, opened below a descriptor and never followed. */
#include "snapshots/merged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static void add(struct merged *merged, int *fd)
{
	merged->fds = xrealloc(merged->fds, merged->count + 1, sizeof *merged->fds);
	merged->fds[merged->count++] = steal_fd(fd);
}

int merged_root(const int *roots, size_t count, struct merged *merged, struct azm_err *err)
{
	*merged = (struct merged){ 0 };
	for (size_t i = 0; i < count; i++) {
		cleanup_fd int fd = openat(roots[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0) {
			merged_close(merged);
			return err_sys(err, "open layer", NULL);
		}
		add(merged, &fd);
	}
	return 0;
}

void merged_close(struct merged *merged)
{
	for (size_t i = 0; i < merged->count; i++)
		close(merged->fds[i]);
	free(merged->fds);
	*merged = (struct merged){ 0 };
}

int merged_names(const struct merged *merged, struct str_list *names, struct azm_err *err)
{
	for (size_t i = 0; i < merged->count; i++)
		if (dir_names(merged->fds[i], names) < 0)
			return err_sys(err, "list directory", NULL);
	str_list_sort(names);
	return 0;
}

static bool is_opaque(int fd)
{
	char value = 0;

	return fgetxattr(fd, "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* A directory of one layer joins those above it. */
static int join(int in, const char *name, struct merged *merged, struct azm_err *err)
{
	cleanup_fd int fd = openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open directory", name);
	merged->cut = is_opaque(fd);
	add(merged, &fd);
	return 0;
}

int merged_look(const struct merged *merged, const char *name, struct merged_entry *entry, struct azm_err *err)
{
	*entry = (struct merged_entry){ .in = -1 };
	for (size_t i = 0; i < merged->count && !entry->merged.cut; i++) {
		struct stat st;
		if (fstatat(merged->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			merged_close(&entry->merged);
			return err_sys(err, "look at", name);
		}
		bool directory = S_ISDIR(st.st_mode);
		if (entry->kind == MERGED_NOTHING) {
			entry->kind = directory ? MERGED_DIRECTORY : is_whiteout(&st) ? MERGED_WHITEOUT : MERGED_OBJECT;
			entry->st = st;
			entry->in = merged->fds[i];
			if (!directory)
				return 0;
		}
		if (!directory) {
			entry->merged.cut = true;
		} else if (join(merged->fds[i], name, &entry->merged, err) < 0) {
			merged_close(&entry->merged);
			return -1;
		}
	}
	return 0;
}

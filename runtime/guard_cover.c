// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_cover.c: how one name comes under guard; see guard_plan.h, and guard.c for the theory of operation. */
#include "guard_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "guard_hold.h"

enum { GUARDED_MAX = 2048 };

char *guard_join(const char *directory, const char *name)
{
	return *directory ? xasprintf("%s/%s", directory, name) : xstrdup(name);
}

bool guard_is_listed(const struct plan_root *p, const char *path)
{
	for (size_t i = 0; i < p->volume->guarded_count; i++)
		if (strcmp(p->volume->guarded[i].path, path) == 0)
			return true;
	return false;
}

void guard_remember(struct volume *v, const char *path, ino_t ino)
{
	for (size_t i = v->guarded_count; i > 0; i--)
		if (strcmp(v->guarded[i - 1].path, path) == 0) {
			v->guarded[i - 1].ino = ino;
			return;
		}
}

int guard_add(struct plan_root *p, const char *path, bool pin)
{
	struct volume *v = p->volume;

	if (!p->mounts || guard_is_listed(p, path))
		return 0;
	if (v->guarded_count == GUARDED_MAX) {
		err_msg(p->err, E2BIG, "guard", v->source.path, "more than %d names are to be guarded", GUARDED_MAX);
		return err_hint(p->err, "mount a part of it, or use --guard report");
	}
	v->guarded = xrealloc(v->guarded, v->guarded_count + 1, sizeof *v->guarded);
	v->guarded[v->guarded_count++] = (struct guarded){ .path = xstrdup(path), .pin = pin };
	return 0;
}

/* Return: whether it is there */
static bool look_at(const struct plan_root *p, const char *path, struct stat *st)
{
	char name[NAME_MAX + 1];
	cleanup_fd int parent = resolve_parent(p->fd, path, name);

	return parent >= 0 && fstatat(parent, name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

mode_t guard_type_of(const struct plan_root *p, const char *path)
{
	struct stat st;

	return look_at(p, path, &st) ? st.st_mode & S_IFMT : 0;
}

int guard_open_directory(const struct plan_root *p, const char *path)
{
	char name[NAME_MAX + 1];

	if (!*path)
		return openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int parent = resolve_parent(p->fd, path, name);
	return parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Take part in the lock of a directory in which names are going to be held. */
static json_t *held_in(struct plan_root *p, const char *directory)
{
	json_t *names = json_object_get(p->held, directory);

	if (names)
		return names;
	cleanup_fd int fd = guard_open_directory(p, directory);
	int lock = fd < 0 ? err_sys(p->err, "guard", directory) : guard_hold_lock(p->state, fd, p->err);
	if (lock < 0)
		return NULL;
	struct guard *guard = p->guard;
	guard->locks = xrealloc(guard->locks, guard->lock_count + 1, sizeof *guard->locks);
	guard->locks[guard->lock_count++] = lock;
	names = json_array();
	return json_object_set_new(p->held, directory, names) < 0 ? NULL : names;
}

int guard_hold_absent(struct plan_root *p, const char *directory, const char *name)
{
	json_t *names = p->mounts ? held_in(p, directory) : NULL;
	cleanup_free char *path = guard_join(directory, name);

	if (!p->mounts)
		return 0;
	if (!names || json_array_append_new(names, json_string(name)) < 0)
		return p->err->code ? -1 : err_msg(p->err, EILSEQ, "guard", path, "the name is not UTF-8 text");
	return guard_add(p, path, false);
}

bool guard_is_absent(const struct plan_root *p, const char *path)
{
	char name[NAME_MAX + 1];
	struct stat st;
	cleanup_fd int parent = resolve_parent(p->fd, path, name);

	if (parent < 0)
		return true;
	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || guard_hold_is_placeholder(parent, name);
}

/* Cover a path and pin the directories on the way, so that none of them can be exchanged. */
static int add_deep(struct plan_root *p, const char *path)
{
	cleanup_free char *part = xstrdup(path);

	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (guard_add(p, part, true) < 0)
			return -1;
		*slash = '/';
	}
	return guard_add(p, path, false);
}

char *guard_target_inside(const struct plan_root *p, const char *path)
{
	const char *root = p->volume->source.path;
	cleanup_free char *full = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", root, path);
	cleanup_free char *real = realpath(full, NULL);
	size_t length = strlen(root);

	if (!real || strncmp(real, root, length) != 0 || real[length] != '/')
		return NULL;
	return xstrdup(real + length + 1);
}

int guard_cover(struct plan_root *p, const char *path)
{
	struct stat st;

	if (!look_at(p, path, &st))
		return 0;
	if (guard_add(p, path, false) < 0)
		return -1;
	guard_remember(p->volume, path, st.st_ino);
	cleanup_free char *target = S_ISLNK(st.st_mode) ? guard_target_inside(p, path) : NULL;
	return target ? add_deep(p, target) : 0;
}

int guard_cover_or_hold(struct plan_root *p, const char *directory, const char *name)
{
	cleanup_free char *path = guard_join(directory, name);

	return guard_is_absent(p, path) ? guard_hold_absent(p, directory, name) : guard_cover(p, path);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_record.c: guard.json after the end of a sandbox: what it holds is let go of; what stands in for it when it is
 * lost.
 *
 * The sandbox cannot reach the file. A full disk, a host that lost power, or somebody's hand can have spoiled it, and
 * then nothing may pass as if there had been no guard. The sweep's mark, a file of its own, says what was covered or
 * held, and that is nearly all: which directories are git directories that the first line knew, and where names were
 * held. Only what was absent and not held is unknown; what has changed of that is listed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"
#include "guard.h"
#include "guard_hold.h"
#include "mount/mount.h"

json_t *guard_record(int dir, struct azm_err *err)
{
	if (faccessat(dir, GUARD_RECORD, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return NULL;
	json_t *record = json_load_at(dir, GUARD_RECORD, err);
	if (!record ||
		(json_is_string(json_object_get(record, "mode")) && json_is_array(json_object_get(record, "roots"))))
		return record;
	json_decref(record);
	err_msg(err, EINVAL, "read", GUARD_RECORD, "it says nothing of what is guarded");
	return NULL;
}

/* The directory of a path, when its last component is @last; NULL. */
static char *directory_of(const char *path, const char *last)
{
	const char *slash = strrchr(path, '/');

	return slash && strcmp(slash + 1, last) == 0 ? xasprintf("%.*s", (int)(slash - path), path) : NULL;
}

json_t *guard_record_root(const char *path, const json_t *covered)
{
	json_t *held = json_object(), *git = json_array();
	const char *name;
	json_t *ino;

	/* Of names, all that are still held by nothing of anybody's are let go of: guard_hold_release(). */
	json_object_set_new(held, "", json_array());
	json_object_foreach((json_t *)(uintptr_t)covered, name, ino)
	{
		cleanup_free char *above = directory_of(name, "hooks"), *repository = directory_of(name, "config");
		if (above)
			json_object_set_new(held, above, json_array());
		if (repository)
			json_array_append_new(git, json_string(repository));
	}
	return json_pack("{s:s, s:o, s:o}", "path", path, "held", held, "git", git);
}

json_t *guard_record_again(int dir, json_t *roots)
{
	struct azm_err ignored = { 0 };
	json_t *config = json_load_at(dir, "config.json", &ignored);
	const char *mode = json_string_value(json_object_get(config, "guard"));
	json_t *record = json_pack("{s:s, s:o, s:b}", "mode", mode ? mode : "on", "roots", roots, "lost", true);

	json_decref(config);
	return record;
}

/* The held names of one directory. */
static void release_in(const struct state *state, int root, const char *directory, const json_t *names)
{
	char name[NAME_MAX + 1];
	const char **list = xcalloc(json_array_size(names) + 1, sizeof *list);
	cleanup_fd int above = *directory ? resolve_parent(root, directory, name) : -1;
	cleanup_fd int parent =
		*directory ? (above < 0 ? -1 : openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
			   : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < json_array_size(names); i++)
		list[i] = json_string_value(json_array_get(names, i));
	if (parent >= 0)
		guard_hold_release(state, parent, list);
	free(list);
}

void guard_release(const json_t *record, const struct state *state)
{
	size_t i;
	json_t *root, *names;
	const char *directory;

	json_array_foreach(json_object_get(record, "roots"), i, root)
	{
		const char *path = json_string_value(json_object_get(root, "path"));
		cleanup_fd int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		json_object_foreach(json_object_get(root, "held"), directory, names)
		{
			if (fd >= 0)
				release_in(state, fd, directory, names);
		}
	}
}

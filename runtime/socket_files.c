// SPDX-License-Identifier: GPL-2.0-or-later
/* socket_files.c: see socket_files.h
 *
 * sockets.json maps a path to the device and inode of the socket that was made there, so that only that one is ever
 * removed. It is changed under a lock on the state directory and disappears with its last entry.
 */
#include "socket_files.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"
#include "netns/netns.h"

static const char file[] = "sockets.json";

static int lock(const struct state *state, struct azm_err *err)
{
	cleanup_fd int fd = openat(state->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_sys(err, "lock", state->path);
	return steal_fd(&fd);
}

int socket_files_note(const struct state *state, const char *path, struct azm_err *err)
{
	struct azm_err ignored = { 0 };
	struct stat made;
	cleanup_fd int held = lock(state, err);

	if (held < 0)
		return -1;
	if (lstat(path, &made) < 0)
		return err_sys(err, "publish to", path);
	json_t *known = json_load_at(state->dir, file, &ignored);
	if (!known)
		known = json_object();
	json_object_set_new(known, path,
		json_pack("[I,I]", (json_int_t)made.st_dev, (json_int_t)made.st_ino)); /* not UTF-8: json_save_at() */
	int result = json_object_get(known, path)
			     ? json_save_at(known, state->dir, file, err)
			     : err_msg(err, EILSEQ, "publish to", path, "the path is not UTF-8 text");
	json_decref(known);
	return result;
}

/* Whether nothing is left to be done about it. */
static bool is_gone(const char *path, const json_t *made)
{
	struct azm_err err = { 0 };
	struct stat now;
	dev_t device = (dev_t)json_integer_value(json_array_get(made, 0));
	ino_t inode = (ino_t)json_integer_value(json_array_get(made, 1));

	if (publish_remove_socket(path, device, inode, &err) == 0 || err_is(&err, EEXIST))
		return true;
	return lstat(path, &now) < 0 || now.st_ino != inode || now.st_dev != device;
}

void socket_files_reclaim(const struct state *state)
{
	struct azm_err ignored = { 0 };
	const char *path;
	json_t *made;
	void *next;

	if (faccessat(state->dir, file, F_OK, 0) < 0)
		return;
	cleanup_fd int held = lock(state, &ignored);
	json_t *known = held < 0 ? NULL : json_load_at(state->dir, file, &ignored);
	size_t before = json_object_size(known);
	json_object_foreach_safe(known, next, path, made)
	{
		if (is_gone(path, made))
			json_object_del(known, path);
	}
	if (known && json_object_size(known) == 0)
		(void)unlinkat(state->dir, file, 0);
	else if (json_object_size(known) != before)
		(void)json_save_at(known, state->dir, file, &ignored);
	json_decref(known);
}

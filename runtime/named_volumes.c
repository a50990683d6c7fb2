// SPDX-License-Identifier: GPL-2.0-or-later
/* named_volumes.c: see named_volumes.h */
#include "named_volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "idmap.h"
#include "mount_option.h"
#include "status.h"
#include "volumes.h"

/* ---- on disk --------------------------------------------------------------------------------------------------- */

/* Return: the directory of all volumes, made when @make; -1 with @err, ENOENT */
static int open_volumes(const struct state *state, bool make, struct azm_err *err)
{
	if (make && mkdirat(state->dir, "volumes", 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make a directory in", state->path);
	int fd = openat(state->dir, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(err, "open the volumes in", state->path) : fd;
}

static int open_volume(const struct state *state, const char *name, struct azm_err *err)
{
	if (name_check(name, err) < 0)
		return -1;
	cleanup_fd int volumes = open_volumes(state, false, err);
	int fd = volumes < 0 ? -1 : openat(volumes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT || err_is(err, ENOENT)) {
		err_msg(err, ENOENT, "find volume", name, "no such volume");
		return err_hint(err, "`azm-sandbox volume ls` lists them");
	}
	return err_sys(err, "find volume", name);
}

static json_t *labels_json(const struct str_list *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; labels && i < labels->count; i++) {
		cleanup_free char *key = xstrdup(labels->items[i]);
		char *value = strchr(key, '=');
		if (value)
			*value++ = '\0';
		json_object_set_new(object, key, json_string(value ? value : ""));
	}
	return object;
}

static int fill_directory(int dir, const char *name, const struct str_list *labels, struct azm_err *err)
{
	cleanup_free char *created = status_time();
	cleanup_fd int lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (lock < 0 || mkdirat(dir, "data", 0755) < 0)
		return err_sys(err, "make volume", name);
	json_t *object = json_pack("{s:s,s:s,s:o}", "name", name, "created", created, "labels", labels_json(labels));
	if (!object)
		return err_msg(err, EILSEQ, "make volume", name, "a label is not UTF-8 text");
	int result = json_save_at(object, dir, "volume.json", err);
	json_decref(object);
	return result;
}

/* Whole under its name at once, or not at all. */
int named_volume_create(const struct state *state, const char *name, const struct str_list *labels, struct azm_err *err)
{
	struct azm_err ignored = { 0 };
	struct stat st;

	if (name_check(name, err) < 0)
		return -1;
	cleanup_fd int volumes = open_volumes(state, true, err);
	if (volumes < 0)
		return -1;
	if (fstatat(volumes, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	cleanup_free char *temporary = xasprintf(".new-%d-%s", (int)getpid(), name);
	tree_remove_at(volumes, temporary, &ignored);
	if (mkdirat(volumes, temporary, 0700) < 0)
		return err_sys(err, "make volume", name);
	cleanup_fd int dir = openat(volumes, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int result = dir < 0 ? err_sys(err, "make volume", name) : fill_directory(dir, name, labels, err);
	if (result == 0 && renameat(volumes, temporary, volumes, name) < 0 && errno != EEXIST && errno != ENOTEMPTY)
		result = err_sys(err, "make volume", name);
	tree_remove_at(volumes, temporary, &ignored);
	return result;
}

int named_volume_names(const struct state *state, struct str_list *names, struct azm_err *err)
{
	cleanup_fd int dir = open_volumes(state, false, err);

	if (dir < 0 && err_is(err, ENOENT)) {
		err_clear(err);
		return 0;
	}
	if (dir < 0)
		return -1;
	return dir_visible_names(dir, names) < 0 ? err_sys(err, "list volumes in", state->path) : 0;
}

/* ---- who has it ------------------------------------------------------------------------------------------------ */

struct use {
	char *name, *target;
	bool read_only, no_copy;
	const char *modes; /* of -v; NULL */
};

static void use_free(struct use *use)
{
	free(use->name);
	free(use->target);
}

/* "NAME:CTR[:MODE]" whose first part is no path. Return: false for everything else */
static bool volume_use(const char *text, struct use *use)
{
	cleanup_str_list struct str_list parts = { 0 };

	*use = (struct use){ 0 };
	str_list_split(&parts, text, ':');
	if (parts.count < 2 || parts.count > 3 || strpbrk(parts.items[0], "./") == parts.items[0] || !*parts.items[0])
		return false;
	use->name = xstrdup(parts.items[0]);
	use->target = xstrdup(parts.items[1]);
	use->modes = parts.count == 3 ? text + strlen(parts.items[0]) + strlen(parts.items[1]) + 2 : NULL;
	return true;
}

static bool mount_use(const char *text, struct use *use)
{
	struct azm_err ignored = { 0 };
	cleanup_mount_option struct mount_option option;

	*use = (struct use){ 0 };
	if (mount_option_parse(text, &option, &ignored) < 0 || option.type != MOUNT_VOLUME)
		return false;
	use->name = steal_ptr(&option.source);
	use->target = steal_ptr(&option.target);
	use->read_only = option.read_only;
	use->no_copy = option.no_copy;
	return true;
}

static bool uses(const struct config *config, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < config->volumes.count + config->mounts.count && !found; i++) {
		[[gnu::cleanup(use_free)]] struct use use;
		bool named = i < config->volumes.count
				     ? volume_use(config->volumes.items[i], &use)
				     : mount_use(config->mounts.items[i - config->volumes.count], &use);
		found = named && strcmp(use.name, name) == 0;
	}
	return found;
}

/* Names of the sandboxes, running or not, that have a volume. NULL with @err set */
static json_t *users(const struct state *state, const char *volume, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (sandbox_names(state, &names, err) < 0)
		return NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < names.count; i++) {
		struct azm_err ignored = { 0 };
		cleanup_config struct config config;
		config_init(&config);
		cleanup_fd int dir = sandbox_open(state, names.items[i], &ignored);
		if (dir >= 0 && config_load(&config, dir, &ignored) == 0 && uses(&config, volume))
			json_array_append_new(list, json_string(names.items[i]));
	}
	return list;
}

json_t *named_volume_json(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_fd int dir = open_volume(state, name, err);
	json_t *object = dir < 0 ? NULL : json_load_at(dir, "volume.json", err);

	if (!object)
		return NULL;
	json_t *list = users(state, name, err);
	if (!list) {
		json_decref(object);
		return NULL;
	}
	cleanup_free char *path = xasprintf("%s/volumes/%s/data", state->path, name);
	json_object_set_new(object, "mountpoint", json_string(path));
	json_object_set_new(object, "sandboxes", list);
	return object;
}

struct removal {
	int volumes;
	const char *name;
};

static int do_remove(void *context, struct azm_err *err)
{
	const struct removal *removal = context;

	return tree_remove_at(removal->volumes, removal->name, err);
}

int named_volume_remove(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_fd int dir = open_volume(state, name, err);
	cleanup_fd int volumes = dir < 0 ? -1 : open_volumes(state, false, err);

	if (volumes < 0)
		return -1;
	json_t *list = users(state, name, err);
	if (!list)
		return -1;
	const char *user = json_string_value(json_array_get(list, 0));
	if (user)
		err_msg(err, EBUSY, "remove volume", name, "sandbox \"%s\" has it", user);
	json_decref(list);
	if (user)
		return -1;
	cleanup_fd int lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0)
		return err_msg(err, EBUSY, "remove volume", name, "a sandbox runs on it");
	struct removal removal = { .volumes = volumes, .name = name };
	if (do_remove(&removal, err) == 0)
		return 0;
	/* What sub-ids own can only be removed from inside their map. */
	struct subids subids = subids_find();
	if (!subids.usable)
		return -1;
	err_clear(err);
	return idmap_in_child(&subids, do_remove, &removal, err);
}

/* ---- at a start ------------------------------------------------------------------------------------------------ */

/* The first byte of the lock file: a mark that is taken away through the open descriptor, when the supervisor has given
 * up the directory. */
static const char filling = 'f', full = '-';

static bool is_filling(int lock)
{
	char mark = full;

	return pread(lock, &mark, 1, 0) == 1 && mark == filling;
}

/* Alone on it and nothing in it: it is to be filled. Else its lock is shared, which waits for somebody who fills it. */
static int lock_volume(int dir, bool no_copy, bool *populate, struct azm_err *err)
{
	cleanup_fd int lock = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	*populate = false;
	if (lock < 0)
		return err_sys(err, "lock the volume", NULL);
	if (!no_copy && flock(lock, LOCK_EX | LOCK_NB) == 0) {
		*populate = is_filling(lock) || dir_is_empty(dir, "data");
		if (*populate)
			return pwrite(lock, &filling, 1, 0) == 1 ? steal_fd(&lock)
								 : err_sys(err, "mark the volume", NULL);
	}
	return flock(lock, LOCK_SH) < 0 ? err_sys(err, "lock the volume", NULL) : steal_fd(&lock);
}

/* Mounted twice in one sandbox: the first one holds the lock and fills it. */
static bool is_held(const struct launch *launch, const char *name)
{
	for (size_t i = 0; i < launch->held_count; i++)
		if (strcmp(launch->held[i].name, name) == 0)
			return true;
	return false;
}

static int add_use(const struct state *state, const struct use *use, struct launch *launch, struct azm_err *err)
{
	bool populate = false;

	if (named_volume_create(state, use->name, NULL, err) < 0)
		return err_is(err, EINVAL)
			       ? err_hint(err, "write ./%s for a directory below the current one", use->name)
			       : -1;
	struct volume *volume = volume_add(&launch->plan.mount, use->target, err);
	if (!volume)
		return -1;
	volume->kind = VOLUME_BIND;
	volume->read_only = use->read_only;
	if (use->modes && volume_modes(volume, use->modes, use->name, err) < 0)
		return -1;
	if (volume->kind != VOLUME_BIND)
		return err_msg(err, EINVAL, "mount", use->name, "mode overlay is for directories of the host");
	cleanup_fd int dir = open_volume(state, use->name, err);
	if (dir < 0 || sandbox_directory(dir, "data", &volume->source, err) < 0)
		return -1;
	if (is_held(launch, use->name))
		return 0;
	cleanup_fd int lock = lock_volume(dir, use->no_copy, &populate, err);
	if (lock < 0)
		return err_wrap(err, "use volume", use->name);
	volume->populate = populate;
	launch->held = xrealloc(launch->held, launch->held_count + 1, sizeof *launch->held);
	launch->held[launch->held_count++] =
		(struct held_volume){ .name = xstrdup(use->name), .lock = steal_fd(&lock), .filling = populate };
	return 0;
}

int named_volumes_plan(
	const struct config *config, const struct state *state, struct launch *launch, struct azm_err *err)
{
	for (size_t i = 0; i < config->volumes.count + config->mounts.count; i++) {
		[[gnu::cleanup(use_free)]] struct use use;
		bool named = i < config->volumes.count
				     ? volume_use(config->volumes.items[i], &use)
				     : mount_use(config->mounts.items[i - config->volumes.count], &use);
		if (named && add_use(state, &use, launch, err) < 0)
			return -1;
	}
	return 0;
}

void named_volumes_filled(struct launch *launch)
{
	for (size_t i = 0; i < launch->held_count; i++) {
		struct held_volume *held = &launch->held[i];
		if (held->filling && pwrite(held->lock, &full, 1, 0) == 1)
			flock(held->lock, LOCK_SH);
		held->filling = false;
	}
}

void named_volumes_free(struct launch *launch)
{
	for (size_t i = 0; i < launch->held_count; i++) {
		free(launch->held[i].name);
		close(launch->held[i].lock);
	}
	free(launch->held);
	launch->held = NULL;
	launch->held_count = 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/layers.c: see layers.h. */
#include "snapshots/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "idmap.h"
#include "snapshots/join.h"
#include "status.h"

enum { ID_DIGITS = 32 };

static int make_directory(int parent, const char *name, mode_t mode, struct azm_err *err)
{
	return mkdirat(parent, name, mode) < 0 && errno != EEXIST ? err_sys(err, "make directory", name) : 0;
}

static int open_with_lock(const struct state *state, struct layers *layers, int how, struct azm_err *err)
{
	cleanup_free char *text = xasprintf("%s/layers", state->path);

	*layers = LAYERS_NONE;
	if (make_directory(state->dir, "layers", 0700, err) < 0)
		return -1;
	layers->dir = openat(state->dir, "layers", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	layers->path = realpath(text, NULL);
	layers->lock =
		layers->dir < 0 ? -1 : openat(layers->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (layers->dir < 0 || !layers->path || layers->lock < 0) {
		err_sys(err, "open", text);
		layers_close(layers);
		return -1;
	}
	while (flock(layers->lock, how) < 0) {
		if (errno == EINTR)
			continue;
		err_sys(err, "lock", text);
		layers_close(layers);
		return -1;
	}
	return 0;
}

int layers_open(const struct state *state, struct layers *layers, struct azm_err *err)
{
	return open_with_lock(state, layers, LOCK_SH, err);
}

void layers_close(struct layers *layers)
{
	if (layers->dir >= 0)
		close(layers->dir);
	if (layers->lock >= 0)
		close(layers->lock);
	free(layers->path);
	*layers = LAYERS_NONE;
}

char *layers_path(const struct layers *layers, const char *id)
{
	return xasprintf("%s/%s/tree", layers->path, id);
}

static bool is_id(const char *text, size_t length)
{
	return length == ID_DIGITS && strspn(text, "0123456789abcdef") >= ID_DIGITS;
}

char *layers_own(const struct layers *layers, const char *path)
{
	size_t length = strlen(layers->path);

	if (strncmp(path, layers->path, length) != 0 || path[length] != '/')
		return NULL;
	path += length + 1;
	if (!is_id(path, strcspn(path, "/")) || strcmp(path + ID_DIGITS, "/tree") != 0)
		return NULL;
	return xasprintf("%.*s", ID_DIGITS, path);
}

/* ---- what a sandbox writes to ------------------------------------------------------------------------------------ */

void uppers_free(struct uppers *uppers)
{
	str_list_free(&uppers->in_sandbox);
	str_list_free(&uppers->in_layer);
}

int uppers_list(int dir, struct uppers *uppers, struct azm_err *err)
{
	*uppers = (struct uppers){ 0 };
	if (faccessat(dir, "upper", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "open the writable layer", "upper");
	str_list_add(&uppers->in_sandbox, "upper");
	str_list_add(&uppers->in_layer, "tree");
	/* runtime/volumes.c numbers them by their place among all volumes. */
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);
	if (!list)
		return err_sys(err, "list", "the sandbox's directory");
	const struct dirent *entry;
	while ((entry = dir_next(list))) {
		size_t digits = str_starts(entry->d_name, "volume-") ? strspn(entry->d_name + 7, "0123456789") : 0;
		if (!digits || strcmp(entry->d_name + 7 + digits, "-upper") != 0)
			continue;
		str_list_add(&uppers->in_sandbox, entry->d_name);
		str_list_addf(&uppers->in_layer, "volume-%.*s", (int)digits, entry->d_name + 7);
	}
	/* One that is not seen would not be part of the snapshot. */
	return errno ? err_sys(err, "list", "the sandbox's directory") : 0;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static char *random_id(void)
{
	unsigned char bytes[ID_DIGITS / 2];
	char *id = xcalloc(ID_DIGITS + 1, 1);

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		abort(); /* the kernel gives this many at once */
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
	return id;
}

static int describe(int layer, const char *sandbox, struct azm_err *err)
{
	cleanup_free char *created = status_time();
	json_t *object = json_pack("{s:s,s:s?}", "created", created, "sandbox", sandbox);
	int result = json_save_at(object, layer, "layer.json", err);

	json_decref(object);
	return result;
}

int layers_open_one(const struct layers *layers, const char *id, struct azm_err *err)
{
	int fd = openat(layers->dir, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open layer", id) : fd;
}

char *layers_new(const struct layers *layers, const struct str_list *names, const char *sandbox, struct azm_err *err)
{
	cleanup_free char *id = random_id();

	if (make_directory(layers->dir, id, 0700, err) < 0)
		return NULL;
	cleanup_fd int layer = layers_open_one(layers, id, err);
	if (layer < 0)
		return NULL;
	for (size_t i = 0; i < names->count; i++)
		if (make_directory(layer, names->items[i], 0755, err) < 0)
			return NULL;
	return describe(layer, sandbox, err) < 0 ? NULL : steal_ptr(&id);
}

struct root_pair {
	int from, to;
};

static int copy_root(void *context, struct azm_err *err)
{
	const struct root_pair *pair = context;

	return layer_like(pair->from, pair->to, err);
}

int layers_show_root(const struct config *config, int dir, struct azm_err *err)
{
	struct stat st;
	struct subids subids = { 0 };

	if (config->layers.count == 0)
		return 0;
	cleanup_fd int from = open(config->layers.items[0], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int to = openat(dir, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || to < 0 || fstat(from, &st) < 0)
		return err_sys(err, "open layer", config->layers.items[0]);
	struct root_pair pair = { from, to };
	/* Only what belongs to a sub-id needs the map, which costs more than the rest of a start. */
	if (st.st_uid == geteuid() && (st.st_mode & S_IRUSR))
		return copy_root(&pair, err);
	subids = subids_find();
	return idmap_in_child(&subids, copy_root, &pair, err);
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

/* Remember what one document with a "layers" list refers to. */
static int add_references(
	const struct layers *layers, int dir, const char *file, struct str_list *used, struct azm_err *err)
{
	struct azm_err failure = { 0 };
	json_t *object = json_load_at(dir, file, &failure);
	const json_t *list = json_object_get(object, "layers");
	size_t i;
	json_t *item;

	if (!object && failure.code == ENOENT) /* half-made: whoever makes it holds our lock if it has layers at all */
		return 0;
	if (!object) {
		*err = failure;
		return -1;
	}
	if (!list)
		list = json_object_get(json_object_get(object, "config"), "layers");
	json_array_foreach((json_t *)(uintptr_t)list, i, item)
	{
		cleanup_free char *id = json_is_string(item) ? layers_own(layers, json_string_value(item)) : NULL;
		if (id)
			str_list_add(used, id);
	}
	json_decref(object);
	return 0;
}

static int references_of_sandboxes(
	const struct state *state, const struct layers *layers, struct str_list *used, struct azm_err *err)
{
	int copy = openat(state->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return err_sys(err, "list sandboxes", NULL);
	/* Half-made and half-removed ones, too: those may have processes. What cannot be looked at may use any layer.
	 */
	for (;;) {
		const struct dirent *entry = dir_next(dir);
		if (!entry)
			return errno ? err_sys(err, "list sandboxes", NULL) : 0;
		cleanup_fd int one =
			openat(state->sandboxes, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (one < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			continue;
		if (one < 0)
			return err_sys(err, "look for layers in use", entry->d_name);
		if (add_references(layers, one, "config.json", used, err) < 0 ||
			add_references(layers, one, "rollback.json", used, err) < 0)
			return err_wrap(err, "look for layers in use", entry->d_name);
	}
}

static int references_of_snapshots(
	const struct state *state, const struct layers *layers, struct str_list *used, struct azm_err *err)
{
	int copy = openat(state->dir, "snapshots", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, "list snapshots", NULL);
	for (;;) {
		const struct dirent *entry = dir_next(dir);
		if (!entry)
			return errno ? err_sys(err, "list snapshots", NULL) : 0;
		if (entry->d_name[0] == '.') /* half-written by somebody who was killed: nobody else has the lock */
			unlinkat(dirfd(dir), entry->d_name, 0);
		else if (add_references(layers, dirfd(dir), entry->d_name, used, err) < 0)
			return err_wrap(err, "look for layers in use", entry->d_name);
	}
}

struct sweep {
	const struct layers *layers;
	const struct str_list *used;
};

/* Return: 0, -1 with the first error; everything that can be removed is gone all the same */
static int sweep(void *context, struct azm_err *err)
{
	const struct sweep *s = context;
	int copy = openat(s->layers->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	int result = 0;

	if (!dir)
		return err_sys(err, "list layers", NULL);
	const struct dirent *entry;
	while ((entry = dir_next(dir))) {
		struct azm_err more = { 0 };
		if (!is_id(entry->d_name, strlen(entry->d_name)) || str_list_sorted_has(s->used, entry->d_name))
			continue;
		if (tree_remove_at(s->layers->dir, entry->d_name, result ? &more : err) < 0)
			result = -1;
	}
	return errno && result == 0 ? err_sys(err, "list layers", NULL) : result;
}

static int count_unused(const struct sweep *s, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };
	int count = 0;

	if (dir_names(s->layers->dir, &names) < 0)
		return err_sys(err, "list layers", NULL);
	for (size_t i = 0; i < names.count; i++)
		count += is_id(names.items[i], strlen(names.items[i])) && !str_list_sorted_has(s->used, names.items[i]);
	return count;
}

int layers_gc(const struct state *state, struct azm_err *err)
{
	cleanup_layers struct layers layers = LAYERS_NONE;
	cleanup_str_list struct str_list used = { 0 };
	struct sweep job = { .layers = &layers, .used = &used };

	if (faccessat(state->dir, "layers", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (open_with_lock(state, &layers, LOCK_EX | LOCK_NB, err) < 0) {
		if (!err_is(err, EWOULDBLOCK))
			return -1;
		err_clear(err); /* the next one who removes something does it */
		return 0;
	}
	if (references_of_sandboxes(state, &layers, &used, err) < 0 ||
		references_of_snapshots(state, &layers, &used, err) < 0)
		return -1;
	str_list_sort(&used);
	int count = count_unused(&job, err);
	if (count <= 0)
		return count;
	/* Files of sub-ids can only be removed from inside their map. */
	struct azm_err first = { 0 };
	struct subids subids = { 0 };
	if (sweep(&job, &first) < 0) {
		subids = subids_find();
		if (!subids.usable) {
			*err = first;
			return -1;
		}
		if (idmap_in_child(&subids, sweep, &job, err) < 0)
			return -1;
	}
	return count;
}

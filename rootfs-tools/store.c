// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store.c: finding the store, and its layers for whoever reads them; see store.h. Images are in
 * store_images.c, removing in store_gc.c, making in store_make.c.
 */
#include "rootfs-tools/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/own_dir.h"
#include "mount/host_overlay.h"
#include "rootfs-tools/store_internal.h"

enum { LAYER_DOCUMENT_MAX = 64 << 10 };

static const char overlay_works[] = ".overlay-works";

/* ---- where it is ----------------------------------------------------------------------------------------------- */

static bool is_store(const char *path)
{
	cleanup_free char *images = xasprintf("%s/images", path);

	return access(images, F_OK) == 0;
}

static int open_parts(struct store *store, const char *path, struct azm_err *err)
{
	const struct {
		const char *name;
		int *fd;
	} parts[] = { { "images", &store->images }, { "layers", &store->layers }, { "users", &store->users },
		{ "partial", &store->partial } };

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		*parts[i].fd = own_dir_below(store->dir, parts[i].name, err);
		if (*parts[i].fd < 0)
			return err_wrap(err, "use the image store", path);
	}
	return 0;
}

/* Whether layers can be written there; a marker keeps a good answer. */
static int check_overlay(int dir, const char *path, struct azm_err *err)
{
	if (faccessat(dir, overlay_works, F_OK, 0) == 0)
		return 0;
	if (overlay_trial(dir, err) < 0) {
		if (!err_is(err, EOPNOTSUPP))
			return err_wrap(err, "use the image store", path);
		cleanup_free char *why = xstrdup(err->reason);
		err_msg(err, EOPNOTSUPP, "use the image store", path, "layers cannot be kept there: %s", why);
		return err_hint(err,
			"set %s to a directory on a local disk with user xattrs (ext4, xfs, btrfs), or unpack to a "
			"directory without --store",
			STORE_VARIABLE);
	}
	return write_file_at(dir, overlay_works, "", 0, 0600) < 0 ? err_sys(err, "write to the image store", path) : 0;
}

static int use_candidate(struct store *store, const char *path, enum store_purpose purpose, struct azm_err *err)
{
	if (path[0] != '/')
		return err_msg(err, EINVAL, "use the image store", path, "it must be an absolute path");
	store->dir = own_dir_open(path, STORE_VARIABLE, err);
	if (store->dir < 0 || (purpose == STORE_LAYERS && check_overlay(store->dir, path, err) < 0) ||
		open_parts(store, path, err) < 0) {
		store_close(store);
		return -1;
	}
	store->path = realpath(path, NULL);
	return store->path ? 0 : err_sys(err, "use the image store", path);
}

/* The first candidate that is a store already, else the first that can become one. */
static int choose(
	struct store *store, char *const *candidates, size_t count, enum store_purpose purpose, struct azm_err *err)
{
	struct azm_err first = { 0 };

	for (size_t i = 0; i < count; i++)
		if (is_store(candidates[i]))
			return use_candidate(store, candidates[i], purpose, err);
	if (purpose == STORE_READ) {
		err_msg(err, ENOENT, "open the image store", candidates[0], "there is none yet");
		return err_hint(err, "azm-rootfs unpack --store SRC NAME makes one");
	}
	for (size_t i = 0; i < count; i++) {
		if (use_candidate(store, candidates[i], STORE_LAYERS, err) == 0)
			return 0;
		if (i == 0)
			first = *err;
	}
	*err = first;
	/* Blobs need nothing special. */
	return purpose == STORE_BLOBS && err_is(&first, EOPNOTSUPP)
		       ? use_candidate(store, candidates[0], STORE_BLOBS, err)
		       : -1;
}

int store_open(struct store *store, enum store_purpose purpose, struct azm_err *err)
{
	char *candidates[OWN_DIR_CANDIDATES];
	size_t count = own_dir_candidates("azm-rootfs", STORE_VARIABLE, false, candidates);

	*store = (struct store)STORE_NONE;
	int result = choose(store, candidates, count, purpose, err);
	if (result == 0)
		err_clear(err); /* of candidates that were passed over */
	for (size_t i = 0; i < count; i++)
		free(candidates[i]);
	return result;
}

void store_close(struct store *store)
{
	const int *fds[] = { &store->dir, &store->images, &store->layers, &store->users, &store->partial };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		cleanup_close_fd(fds[i]);
	free(store->path);
	*store = (struct store)STORE_NONE;
}

/* ---- small things the parts share ------------------------------------------------------------------------------ */

bool store_is_id(const char *text)
{
	return strlen(text) == STORE_ID_SIZE - 1 && strspn(text, "0123456789abcdef") == STORE_ID_SIZE - 1;
}

int store_names_in(const struct store *store, int dir, struct str_list *names, struct azm_err *err)
{
	return dir_visible_names(dir, names) < 0 ? err_sys(err, "list what is in the store", store->path) : 0;
}

json_t *store_load_json(int dir, const char *name, size_t limit, struct azm_err *err)
{
	json_error_t detail;
	size_t size;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	cleanup_free char *text = fd < 0 ? NULL : read_file(fd, limit, &size);

	if (!text) {
		err_sys(err, "read", name);
		return NULL;
	}
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &detail);
	if (json_is_object(object))
		return object;
	err_msg(err, EINVAL, "read", name, "line %d: %s", detail.line, object ? "not an object" : detail.text);
	json_decref(object);
	return NULL;
}

int store_write_lock(const struct store *store, int how, struct azm_err *err)
{
	/* Opened anew: a lock belongs to the open file, and the process may have others. */
	cleanup_fd int fd = openat(store->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || flock(fd, how) < 0)
		return err_sys(err, "lock the image store", store->path);
	return steal_fd(&fd);
}

bool store_linked(int parent, const char *name, int fd)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

int store_layer_open(const struct store *store, const char *id, struct azm_err *err)
{
	if (!store_is_id(id))
		return err_msg(err, EINVAL, "open layer", id, "not the ID of a layer");
	int fd = openat(store->layers, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open layer", id) : fd;
}

int store_layer_lock(const struct store *store, const char *id, struct azm_err *err)
{
	cleanup_fd int fd = store_layer_open(store, id, err);

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_SH) < 0)
		return err_sys(err, "lock layer", id);
	/* Whoever held it may have removed it. */
	return store_linked(store->layers, id, fd) ? steal_fd(&fd) : err_code(err, ENOENT, "open layer", id);
}

int store_layer_load(const struct store *store, const char *id, struct store_layer *layer, struct azm_err *err)
{
	cleanup_fd int dir = store_layer_open(store, id, err);
	json_t *object = dir < 0 ? NULL : store_load_json(dir, "layer.json", LAYER_DOCUMENT_MAX, err);
	const char *parent = json_string_value(json_object_get(object, "parent"));
	const char *diff_id = json_string_value(json_object_get(object, "diff_id"));
	const char *created_by = json_string_value(json_object_get(object, "created_by"));

	*layer = (struct store_layer){ 0 };
	if (!object)
		return dir < 0 ? -1 : err_wrap(err, "open layer", id);
	int result = 0;
	if (parent && !store_is_id(parent)) {
		result = err_msg(err, EINVAL, "open layer", id, "its layer.json is damaged");
	} else {
		memcpy(layer->id, id, STORE_ID_SIZE);
		if (parent)
			memcpy(layer->parent, parent, STORE_ID_SIZE);
		layer->diff_id = diff_id ? xstrdup(diff_id) : NULL;
		layer->created_by = xstrdup(created_by ? created_by : "");
		layer->size = (uint64_t)json_integer_value(json_object_get(object, "size"));
		layer->files = (uint64_t)json_integer_value(json_object_get(object, "files"));
	}
	json_decref(object);
	return result;
}

void store_layer_free(struct store_layer *layer)
{
	free(layer->diff_id);
	free(layer->created_by);
	*layer = (struct store_layer){ 0 };
}

int store_layer_chain(const struct store *store, const char *id, struct str_list *ids, struct azm_err *err)
{
	cleanup_str_list struct str_list down = { 0 };
	char next[STORE_ID_SIZE];

	snprintf(next, sizeof next, "%s", id);
	while (*next) {
		struct store_layer layer;
		if (down.count > OVERLAY_LAYERS_MAX)
			return err_msg(
				err, ELOOP, "open layer", id, "more than %d layers lie below", OVERLAY_LAYERS_MAX);
		if (store_layer_load(store, next, &layer, err) < 0)
			return -1;
		str_list_add(&down, next);
		memcpy(next, layer.parent, sizeof next);
		store_layer_free(&layer);
	}
	for (size_t i = down.count; i-- > 0;)
		str_list_add(ids, down.items[i]);
	return 0;
}

int store_layers(const struct store *store, struct str_list *ids, struct azm_err *err)
{
	return store_names_in(store, store->layers, ids, err);
}

static int missing(const struct store_image *image, const char *id, struct azm_err *err)
{
	cleanup_free char *name = store_name_short(image->name);

	if (!err_is(err, ENOENT))
		return -1;
	err_msg(err, ESTALE, "use image", name, "its layer %.12s is not in the store any more", id);
	return err_hint(err, "unpack or pull it again with --store");
}

static int check_stackable(const struct store_image *image, struct azm_err *err)
{
	cleanup_free char *name = store_name_short(image->name);

	if (image->layers.count == 0)
		return err_msg(err, EINVAL, "use image", name, "it has no layers: there is nothing to run");
	if (image->layers.count <= OVERLAY_LAYERS_MAX)
		return 0;
	err_msg(err, E2BIG, "use image", name, "it has %zu layers, an overlay takes %d", image->layers.count,
		OVERLAY_LAYERS_MAX);
	return err_hint(err, "flatten it: azm-rootfs unpack SRC DIR");
}

static int layer_path(const struct store *store, const char *id, struct host_path *path, struct azm_err *err)
{
	struct stat st;
	cleanup_free char *below = xasprintf("%s/tree", id);
	cleanup_fd int fd = store_is_id(id)
				    ? openat(store->layers, below, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				    : err_msg(err, EINVAL, "use layer", id, "not the ID of a layer");

	if (fd < 0 && err_is(err, EINVAL))
		return -1;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "use layer", id);
	*path = (struct host_path){ .path = xasprintf("%s/layers/%s", store->path, below),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.type = S_IFDIR };
	return 0;
}

int store_lowers(const struct store *store, const struct store_image *image, struct host_path **lowers, size_t *count,
	int *lock, struct azm_err *err)
{
	err_clear(err);
	if (check_stackable(image, err) < 0)
		return -1;
	const size_t layers = image->layers.count;
	const char *top = image->layers.items[layers - 1];
	cleanup_fd int held = store_layer_lock(store, top, err);
	if (held < 0)
		return missing(image, top, err);
	struct host_path *list = xcalloc(layers, sizeof *list);
	int result = 0;
	for (size_t i = 0; result == 0 && i < layers; i++) {
		const char *id = image->layers.items[layers - 1 - i];
		if (layer_path(store, id, &list[i], err) < 0)
			result = missing(image, id, err);
	}
	if (result < 0) {
		store_lowers_free(list, layers);
		return -1;
	}
	*lowers = list;
	*count = layers;
	*lock = steal_fd(&held);
	return 0;
}

void store_lowers_free(struct host_path *lowers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		host_path_free(&lowers[i]);
	free(lowers);
}

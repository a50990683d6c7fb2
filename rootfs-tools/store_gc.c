// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_gc.c: what the store needs no more; see store.h.
 *
 * Layers go one at a time, those first that no other stands on. Each is locked, without waiting, and renamed to
 * partial/ while nobody can put a name; the files are removed after that, when nobody has to wait for it. Killed in
 * between, what is in partial/ is removed by the next one.
 */
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
#include "base/tree.h"
#include "rootfs-tools/store_internal.h"

enum { USER_DOCUMENT_MAX = 16 << 10, KEY_SIZE = 40 };

/* ---- who needs layers ------------------------------------------------------------------------------------------ */

static void key_of(const struct stat *st, char key[static KEY_SIZE])
{
	snprintf(key, KEY_SIZE, "%" PRIx64 "-%" PRIx64, (uint64_t)st->st_dev, (uint64_t)st->st_ino);
}

int store_keep_for(const struct store *store, int dir, const char *path, const char *id, struct azm_err *err)
{
	struct stat st;
	char key[KEY_SIZE];

	if (fstat(dir, &st) < 0)
		return err_sys(err, "look at", path);
	key_of(&st, key);
	json_t *object = json_pack("{s:s, s:s}", "path", path, "layer", id);
	cleanup_free char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text)
		return err_code(err, EILSEQ, "remember", path);
	return write_file_at(store->users, key, text, strlen(text), 0600) < 0
		       ? err_sys(err, "write to the image store", store->path)
		       : 0;
}

/* The layer a user of that key needs. Return: caller owns; NULL: the user is gone, and forgotten, or cannot be read.
 * @path: set to where it is; caller owns */
static char *user_needs(const struct store *store, const char *key, char **path)
{
	struct azm_err ignored = { 0 };
	struct stat st;
	char now[KEY_SIZE];
	json_t *object = store_load_json(store->users, key, USER_DOCUMENT_MAX, &ignored);
	const char *where = json_string_value(json_object_get(object, "path"));
	const char *id = json_string_value(json_object_get(object, "layer"));
	char *needed = NULL;

	*path = NULL;
	if (where && id && lstat(where, &st) == 0) {
		key_of(&st, now);
		if (strcmp(now, key) == 0) {
			needed = xstrdup(id);
			*path = xstrdup(where);
		}
	} else if (where && errno != ENOENT && errno != ENOTDIR) {
		needed = id ? xstrdup(id) : NULL; /* not to be seen from here: it may be there */
	}
	json_decref(object);
	if (!needed)
		unlinkat(store->users, key, 0);
	return needed;
}

/* ---- which layers may go --------------------------------------------------------------------------------------- */

/* A layer on its way out. */
struct candidate {
	struct store_layer layer;
	bool wanted; /* by a name, a user, or a layer that is */
	bool gone;
};

struct sweep {
	const struct store *store;
	struct candidate *items; /* sorted by ID */
	size_t count;
	struct store_removed *removed;
	struct azm_err *err;
};

static struct candidate *find(const struct sweep *s, const char *id)
{
	for (size_t low = 0, high = s->count; low < high;) {
		size_t middle = (low + high) / 2;
		int order = strcmp(id, s->items[middle].layer.id);
		if (order == 0)
			return &s->items[middle];
		*(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
	}
	return NULL;
}

/* The layer and all below it. */
static void want(const struct sweep *s, const char *id)
{
	for (struct candidate *c = find(s, id); c && !c->wanted; c = find(s, c->layer.parent))
		c->wanted = true;
}

static int list_layers(struct sweep *s)
{
	cleanup_str_list struct str_list ids = { 0 };

	if (store_layers(s->store, &ids, s->err) < 0)
		return -1;
	s->items = xcalloc(ids.count + 1, sizeof *s->items);
	for (size_t i = 0; i < ids.count; i++) {
		if (!store_is_id(ids.items[i]))
			continue;
		if (store_layer_load(s->store, ids.items[i], &s->items[s->count].layer, s->err) < 0) {
			/* Damaged: nothing can use it. */
			memcpy(s->items[s->count].layer.id, ids.items[i], STORE_ID_SIZE);
			err_clear(s->err);
		}
		s->count++;
	}
	return 0;
}

static int mark_images(const struct sweep *s)
{
	cleanup_str_list struct str_list files = { 0 };
	size_t count;

	if (store_names_in(s->store, s->store->images, &files, s->err) < 0)
		return -1;
	struct store_image *images = store_images(s->store, &count, s->err);
	if (!images)
		return -1;
	for (size_t i = 0; i < count; i++) {
		for (size_t l = 0; l < images[i].layers.count; l++)
			want(s, images[i].layers.items[l]);
		store_image_free(&images[i]);
	}
	free(images);
	if (count == files.count)
		return 0;
	err_msg(s->err, EINVAL, "clean the image store", s->store->path, "%zu of its names cannot be read",
		files.count - count);
	return err_hint(s->err, "remove what is damaged below %s/images", s->store->path);
}

static int mark_users(const struct sweep *s)
{
	cleanup_str_list struct str_list keys = { 0 };

	if (store_names_in(s->store, s->store->users, &keys, s->err) < 0)
		return -1;
	for (size_t i = 0; i < keys.count; i++) {
		char *path;
		cleanup_free char *id = user_needs(s->store, keys.items[i], &path);
		if (id)
			want(s, id);
		free(path);
	}
	return 0;
}

static bool is_stood_on(const struct sweep *s, const char *id)
{
	for (size_t i = 0; i < s->count; i++)
		if (!s->items[i].gone && strcmp(s->items[i].layer.parent, id) == 0)
			return true;
	return false;
}

/* Out of sight, unless somebody uses it. */
static int take_out(struct sweep *s, struct candidate *c)
{
	const char *id = c->layer.id;
	cleanup_free char *out = xasprintf("gone-%.48s", id);
	cleanup_fd int fd = store_layer_open(s->store, id, s->err);

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		want(s, id);
		s->removed->busy++;
		return 0;
	}
	(void)tree_remove_at(s->store->partial, out, s->err); /* a leftover of the same name */
	err_clear(s->err);
	if (renameat(s->store->layers, id, s->store->partial, out) < 0)
		return err_sys(s->err, "remove layer", id);
	c->gone = true;
	s->removed->layers++;
	s->removed->bytes += c->layer.size;
	return 0;
}

/* Those nobody wants, from the top. @only: a layer and what is below it; NULL: all */
static int take_out_all(struct sweep *s, const struct str_list *only)
{
	for (bool more = true; more;) {
		more = false;
		for (size_t i = 0; i < s->count; i++) {
			struct candidate *c = &s->items[i];
			bool meant = !only;
			for (size_t o = 0; only && !meant && o < only->count; o++)
				meant = strcmp(only->items[o], c->layer.id) == 0;
			if (!meant || c->wanted || c->gone || is_stood_on(s, c->layer.id))
				continue;
			if (take_out(s, c) < 0)
				return -1;
			more |= c->gone;
		}
	}
	return 0;
}

/* What nobody is working on. Return: 0, -1 with @err. */
static int empty_partial(const struct store *store, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (store_names_in(store, store->partial, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		cleanup_fd int fd =
			openat(store->partial, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		/* What is not a directory is a temporary file that a killed process left. */
		if ((fd >= 0 || errno == ENOTDIR) && tree_remove_at(store->partial, names.items[i], err) < 0)
			return -1;
	}
	err_clear(err);
	return 0;
}

static int sweep(
	const struct store *store, const struct str_list *only, struct store_removed *removed, struct azm_err *err)
{
	struct sweep s = { .store = store, .removed = removed, .err = err };
	{
		cleanup_fd int lock = store_write_lock(store, LOCK_EX, err);
		if (lock < 0)
			return -1;
		int result = list_layers(&s) == 0 && mark_images(&s) == 0 && mark_users(&s) == 0
				     ? take_out_all(&s, only)
				     : -1;
		for (size_t i = 0; i < s.count; i++)
			store_layer_free(&s.items[i].layer);
		free(s.items);
		if (result < 0)
			return -1;
	}
	return empty_partial(store, err);
}

int store_gc(const struct store *store, struct store_removed *removed, struct azm_err *err)
{
	*removed = (struct store_removed){ 0 };
	return sweep(store, NULL, removed, err);
}

/* ---- one name -------------------------------------------------------------------------------------------------- */

/* Another name for the same layers? Then nothing is lost. */
static bool has_twin(const struct store *store, const struct store_image *image)
{
	struct azm_err ignored = { 0 };
	size_t count;
	struct store_image *images = store_images(store, &count, &ignored);
	bool twin = false;

	for (size_t i = 0; i < count; i++) {
		const struct str_list *a = &images[i].layers, *b = &image->layers;
		twin |= strcmp(images[i].name, image->name) != 0 && a->count == b->count && b->count > 0 &&
			strcmp(a->items[a->count - 1], b->items[b->count - 1]) == 0;
		store_image_free(&images[i]);
	}
	free(images);
	return twin;
}

/* Return: 0, -1 with @err (EBUSY). */
static int check_unused(const struct store *store, const struct store_image *image, struct azm_err *err)
{
	cleanup_str_list struct str_list keys = { 0 };
	cleanup_free char *name = store_name_short(image->name);
	const char *top = image->layers.items[image->layers.count - 1];

	if (store_names_in(store, store->users, &keys, err) < 0)
		return -1;
	for (size_t i = 0; i < keys.count; i++) {
		char *path;
		cleanup_free char *id = user_needs(store, keys.items[i], &path);
		cleanup_free char *where = path;
		if (!id || strcmp(id, top) != 0)
			continue;
		const char *last = where ? strrchr(where, '/') : NULL;
		err_msg(err, EBUSY, "remove image", name, "\"%s\" stands on it, a sandbox or a snapshot",
			last ? last + 1 : "?");
		return err_hint(err, "azm-sandbox rm it first, or take only the name away with --force");
	}
	struct azm_err ignored = { 0 };
	cleanup_fd int fd = store_layer_open(store, top, &ignored);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	err_msg(err, EBUSY, "remove image", name, "a sandbox that runs, or something being made of it, uses it");
	return err_hint(err, "stop it first, or take only the name away with --force");
}

int store_image_remove(
	const struct store *store, const char *name, bool force, struct store_removed *removed, struct azm_err *err)
{
	cleanup_store_image struct store_image image = { 0 };

	*removed = (struct store_removed){ 0 };
	if (store_image_load(store, name, &image, err) < 0)
		return -1;
	cleanup_free char *file = store_file_name(image.name, err);
	if (!file)
		return -1;
	if (!force && image.layers.count && !has_twin(store, &image) && check_unused(store, &image, err) < 0)
		return -1;
	if (unlinkat(store->images, file, 0) < 0)
		return err_sys(err, "remove image", name);
	return sweep(store, &image.layers, removed, err);
}

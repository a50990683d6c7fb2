// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_images.c: names of the store and what they stand for; see store.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/store_internal.h"

enum { SUGGESTIONS_MAX = 5, WORD_MAX = 64 };

/* ---- names ----------------------------------------------------------------------------------------------------- */

char *store_name(const char *text, struct azm_err *err)
{
	cleanup_reference struct reference reference = { 0 };

	return reference_parse(text, &reference, err) < 0 ? NULL : reference_text(&reference);
}

char *store_name_short(const char *name)
{
	static const char docker[] = "docker.io/", library[] = "library/";

	if (str_starts(name, docker))
		name += sizeof docker - 1;
	if (str_starts(name, library))
		name += sizeof library - 1;
	return xstrdup(name);
}

char *store_file_name(const char *name, struct azm_err *err)
{
	/* write_file_at() adds a dot on either side and a process id. */
	if (strlen(name) > NAME_MAX - 16) {
		err_code(err, ENAMETOOLONG, "use the name", name);
		return NULL;
	}
	char *file = xstrdup(name);
	for (char *c = file; *c; c++)
		if (*c == '/')
			*c = '%';
	return file;
}

/* Levenshtein's distance; only the first bytes count. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t width = strnlen(b, WORD_MAX);

	for (unsigned j = 0; j <= width; j++)
		row[j] = j;
	for (unsigned i = 0; i < WORD_MAX && a[i]; i++) {
		unsigned diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 1; j <= width; j++) {
			unsigned best = diagonal + (a[i] != b[j - 1]);
			diagonal = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[width];
}

struct suggestion {
	char *name;
	unsigned distance;
};

static int by_distance(const void *a, const void *b)
{
	const struct suggestion *x = a, *y = b;

	return x->distance < y->distance ? -1 : x->distance > y->distance;
}

/* For a hint: names like one that does not exist. Caller owns; NULL: the store is empty. */
static char *suggest(const struct store *store, const char *name)
{
	cleanup_str_list struct str_list files = { 0 };
	cleanup_free char *wanted = store_name_short(name);
	char *text = NULL;

	(void)dir_visible_names(store->images, &files);
	struct suggestion *list = xcalloc(files.count + 1, sizeof *list);
	for (size_t i = 0; i < files.count; i++) {
		for (char *c = files.items[i]; *c; c++)
			*c = *c == '%' ? '/' : *c;
		list[i].name = store_name_short(files.items[i]);
		list[i].distance = distance(wanted, list[i].name);
	}
	qsort(list, files.count, sizeof *list, by_distance);
	for (size_t i = 0; i < files.count && i < SUGGESTIONS_MAX; i++) {
		char *longer = text ? xasprintf("%s, %s", text, list[i].name) : xstrdup(list[i].name);
		free(text);
		text = longer;
	}
	for (size_t i = 0; i < files.count; i++)
		free(list[i].name);
	free(list);
	return text;
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

static char *copy_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? xstrdup(text) : NULL;
}

static int take_document(const json_t *object, const char *what, struct store_image *image, struct azm_err *err)
{
	const json_t *layers = json_object_get(object, "layers");
	struct store_image made = { .name = copy_text(object, "name"),
		.config = copy_text(object, "config"),
		.manifest = copy_text(object, "manifest"),
		.created = copy_text(object, "created") };
	bool good = made.name && made.config && json_is_array(layers);

	for (size_t i = 0; good && i < json_array_size(layers); i++) {
		const char *id = json_string_value(json_array_get(layers, i));
		good = id && store_is_id(id);
		if (good)
			str_list_add(&made.layers, id);
	}
	*image = made;
	if (good)
		return 0;
	store_image_free(image);
	return err_msg(err, EINVAL, "read image", what, "its document is damaged");
}

int store_image_parse(const char *text, size_t size, struct store_image *image, struct azm_err *err)
{
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);

	*image = (struct store_image){ 0 };
	int result = take_document(object, NULL, image, err);
	json_decref(object);
	return result;
}

char *store_image_text(const struct store_image *image)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < image->layers.count; i++)
		json_array_append_new(layers, json_string(image->layers.items[i]));
	json_t *object = json_pack("{s:s, s:s*, s:s*, s:o, s:s}", "name", image->name, "created", image->created,
		"manifest", image->manifest, "layers", layers, "config", image->config);
	char *text = json_dumps(object, JSON_INDENT(1));
	json_decref(object);
	/* Not UTF-8: whoever takes a configuration checks that first (manifest.h). */
	return text ? text : xstrdup("{}");
}

void store_image_free(struct store_image *image)
{
	free(image->name);
	free(image->config);
	free(image->manifest);
	free(image->created);
	str_list_free(&image->layers);
	*image = (struct store_image){ 0 };
}

static int load_file(const struct store *store, const char *file, struct store_image *image, struct azm_err *err)
{
	json_t *object = store_load_json(store->images, file, STORE_DOCUMENT_MAX, err);

	*image = (struct store_image){ 0 };
	if (!object)
		return -1;
	int result = take_document(object, file, image, err);
	json_decref(object);
	return result;
}

static int load_path(const char *path, struct store_image *image, struct azm_err *err)
{
	size_t size;
	cleanup_free char *text = read_path(path, STORE_DOCUMENT_MAX, &size);

	return text ? store_image_parse(text, size, image, err) : err_sys(err, "read image", path);
}

int store_image_load(const struct store *store, const char *name, struct store_image *image, struct azm_err *err)
{
	*image = (struct store_image){ 0 };
	if (*name == '/')
		return load_path(name, image, err);
	cleanup_free char *full = store_name(name, err);
	cleanup_free char *file = full ? store_file_name(full, err) : NULL;

	if (!file)
		return -1;
	if (load_file(store, file, image, err) == 0)
		return 0;
	if (!err_is(err, ENOENT))
		return -1;
	cleanup_free char *near = suggest(store, full);
	err_msg(err, ENOENT, "use image", name, "the store has none of that name");
	return near ? err_hint(err, "there is: %s (azm-rootfs ls lists all)", near)
		    : err_hint(err, "azm-rootfs unpack --store SRC NAME puts one there");
}

static char *time_now(void)
{
	time_t now = time(NULL);
	struct tm day;
	char text[40];

	gmtime_r(&now, &day);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &day);
	return xstrdup(text);
}

int store_image_put(const struct store *store, const struct store_image *image, struct azm_err *err)
{
	cleanup_free char *now = image->created ? NULL : time_now();
	struct store_image whole = *image;

	if (now)
		whole.created = now;
	cleanup_free char *file = store_file_name(image->name, err);
	if (!file)
		return -1;
	cleanup_fd int lock = store_write_lock(store, LOCK_SH, err);
	if (lock < 0)
		return -1;
	for (size_t i = 0; i < image->layers.count; i++) {
		cleanup_fd int layer = store_layer_open(store, image->layers.items[i], err);
		if (layer < 0)
			return -1;
	}
	cleanup_free char *text = store_image_text(&whole);
	return write_file_at(store->images, file, text, strlen(text), 0600) < 0 ? err_sys(err, "put image", image->name)
										: 0;
}

struct store_image *store_images(const struct store *store, size_t *count, struct azm_err *err)
{
	cleanup_str_list struct str_list files = { 0 };
	struct azm_err ignored = { 0 };

	*count = 0;
	if (store_names_in(store, store->images, &files, err) < 0)
		return NULL;
	struct store_image *list = xcalloc(files.count + 1, sizeof *list);
	for (size_t i = 0; i < files.count; i++)
		if (load_file(store, files.items[i], &list[*count], &ignored) == 0)
			++*count;
	return list;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_commands.c: `azm-rootfs ls`, `rm`, `gc`, `df`: what is in the store, and how to be rid of it. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "rootfs-tools/blob_cache.h"
#include "rootfs-tools/build_cache.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/store.h"

enum { NAMES_MAX = 256 };

struct store_command {
	bool json, force, blobs, caches;
};

OPTION_STORES(set_json, struct store_command, json, true)
OPTION_STORES(set_force, struct store_command, force, true)
OPTION_STORES(set_blobs, struct store_command, blobs, true)
OPTION_STORES(set_caches, struct store_command, caches, true)

const struct option_row ls_options[] = {
	{ 0, "json", NULL, set_json, "an array of objects" },
	OPTIONS_END,
};

const struct option_row rm_options[] = {
	{ 'f', "force", NULL, set_force, "also a name that a sandbox uses; its layers stay as long as they are used" },
	OPTIONS_END,
};

const struct option_row gc_options[] = {
	{ 0, "blobs", NULL, set_blobs, "also everything that was downloaded, not only what is over its limit" },
	{ 0, "build-cache", NULL, set_caches, "also what RUN --mount=type=cache keeps, but for builds that run" },
	{ 0, "json", NULL, set_json, "the result as an object" },
	OPTIONS_END,
};

const struct option_row df_options[] = {
	{ 0, "json", NULL, set_json, "one object" },
	OPTIONS_END,
};

/* A store that is not there has nothing in it: for commands that only look. Return: 1 there is none, 0, -1. */
static int open_existing(struct store *store, struct azm_err *err)
{
	if (store_open(store, STORE_READ, err) == 0)
		return 0;
	if (!err_is(err, ENOENT))
		return -1;
	err_clear(err);
	return 1;
}

/* ---- what is in it --------------------------------------------------------------------------------------------- */

struct layer_use {
	struct store_layer layer;
	unsigned images; /* that have it */
};

struct contents {
	struct store_image *images;
	size_t image_count;
	struct layer_use *layers; /* sorted by ID */
	size_t layer_count;
};

static int by_id(const void *id, const void *use)
{
	return strcmp(id, ((const struct layer_use *)use)->layer.id);
}

static struct layer_use *find_layer(const struct contents *c, const char *id)
{
	return c->layer_count ? bsearch(id, c->layers, c->layer_count, sizeof *c->layers, by_id) : NULL;
}

static int read_contents(const struct store *store, struct contents *c, struct azm_err *err)
{
	cleanup_str_list struct str_list ids = { 0 };
	struct azm_err ignored = { 0 };

	c->images = store_images(store, &c->image_count, err);
	if (!c->images || store_layers(store, &ids, err) < 0)
		return -1;
	c->layers = xcalloc(ids.count + 1, sizeof *c->layers);
	for (size_t i = 0; i < ids.count; i++)
		if (store_layer_load(store, ids.items[i], &c->layers[c->layer_count].layer, &ignored) == 0)
			c->layer_count++;
	for (size_t i = 0; i < c->image_count; i++) {
		for (size_t l = 0; l < c->images[i].layers.count; l++) {
			struct layer_use *use = find_layer(c, c->images[i].layers.items[l]);
			if (use)
				use->images++;
		}
	}
	return 0;
}

static void free_contents(struct contents *c)
{
	for (size_t i = 0; i < c->image_count; i++)
		store_image_free(&c->images[i]);
	for (size_t i = 0; i < c->layer_count; i++)
		store_layer_free(&c->layers[i].layer);
	free(c->images);
	free(c->layers);
}

struct image_size {
	uint64_t whole, shared; /* with other names */
	size_t missing;		/* layers that are not there */
};

static struct image_size measure_image(const struct contents *c, const struct store_image *image)
{
	struct image_size size = { 0 };

	for (size_t l = 0; l < image->layers.count; l++) {
		const struct layer_use *use = find_layer(c, image->layers.items[l]);
		size.missing += !use;
		size.whole += use ? use->layer.size : 0;
		size.shared += use && use->images > 1 ? use->layer.size : 0;
	}
	return size;
}

/* ---- ls -------------------------------------------------------------------------------------------------------- */

static json_t *image_json(const struct contents *c, const struct store_image *image)
{
	struct image_size size = measure_image(c, image);
	json_t *layers = json_array();

	for (size_t i = 0; i < image->layers.count; i++)
		json_array_append_new(layers, json_string(image->layers.items[i]));
	return json_pack("{s:s, s:s*, s:s*, s:o, s:I, s:I, s:I, s:b}", "name", image->name, "created", image->created,
		"manifest", image->manifest, "layers", layers, "size", (json_int_t)size.whole, "shared_size",
		(json_int_t)size.shared, "unique_size", (json_int_t)(size.whole - size.shared), "complete",
		size.missing == 0);
}

static void list_images(const struct contents *c)
{
	printf("%-40s %6s %12s  %s\n", "NAME", "LAYERS", "SIZE", "CREATED");
	for (size_t i = 0; i < c->image_count; i++) {
		char text[STR_SIZE_TEXT];
		struct image_size size = measure_image(c, &c->images[i]);
		cleanup_free char *name = store_name_short(c->images[i].name);
		cleanup_free char *created = xstrdup(c->images[i].created ? c->images[i].created : "");
		str_sanitise(name);
		str_sanitise(created);
		printf("%-40s %6zu %12s  %s%s\n", name, c->images[i].layers.count, str_size(size.whole, text), created,
			size.missing ? "  (layers are missing)" : "");
	}
}

int ls_main(int argc, char **argv)
{
	struct store_command options = { 0 };
	struct azm_err err = { 0 };
	cleanup_store struct store store = STORE_NONE;
	struct contents contents = { 0 };
	const char *none[1];
	int result = command_operands("ls", &options, argc, argv, none, 0, &err);

	if (result >= 0)
		result = open_existing(&store, &err);
	if (result == 0)
		result = read_contents(&store, &contents, &err);
	if (result >= 0 && options.json) {
		json_t *list = json_array();
		for (size_t i = 0; i < contents.image_count; i++)
			json_array_append_new(list, image_json(&contents, &contents.images[i]));
		json_print(list, JSON_INDENT(2), stdout);
	} else if (result >= 0) {
		list_images(&contents);
	}
	free_contents(&contents);
	return command_end(result, &err);
}

/* ---- df -------------------------------------------------------------------------------------------------------- */

struct totals {
	uint64_t layer_bytes, unused_bytes, blob_bytes, blobs, cache_bytes, caches;
	size_t unused;
};

static void add_up(const struct store *store, const struct contents *c, struct totals *t)
{
	struct azm_err ignored = { 0 };
	struct blob_cache *cache = blob_cache_open(store->dir, &ignored);

	if (cache)
		blob_cache_usage(cache, &t->blob_bytes, &t->blobs);
	blob_cache_close(cache);
	build_cache_usage(store, &t->caches, &t->cache_bytes);
	for (size_t i = 0; i < c->layer_count; i++) {
		t->layer_bytes += c->layers[i].layer.size;
		t->unused_bytes += c->layers[i].images ? 0 : c->layers[i].layer.size;
		t->unused += !c->layers[i].images;
	}
}

static void print_df(const struct store *store, const struct contents *c, const struct totals *t)
{
	char one[STR_SIZE_TEXT], two[STR_SIZE_TEXT], three[STR_SIZE_TEXT];

	printf("%-40s %12s %12s %12s\n", "NAME", "SIZE", "SHARED", "UNIQUE");
	for (size_t i = 0; i < c->image_count; i++) {
		struct image_size size = measure_image(c, &c->images[i]);
		cleanup_free char *name = store_name_short(c->images[i].name);
		str_sanitise(name);
		printf("%-40s %12s %12s %12s\n", name, str_size(size.whole, one), str_size(size.shared, two),
			str_size(size.whole - size.shared, three));
	}
	printf("\n%-40s %12s   %zu layers\n", "layers", str_size(t->layer_bytes, one), c->layer_count);
	printf("%-40s %12s   %zu layers\n", "  of no name", str_size(t->unused_bytes, one), t->unused);
	printf("%-40s %12s   %" PRIu64 " blobs\n", "downloads", str_size(t->blob_bytes, one), t->blobs);
	printf("%-40s %12s   %" PRIu64 " of RUN --mount\n", "build caches", str_size(t->cache_bytes, one), t->caches);
	printf("%s\n", store->path);
}

static json_t *df_json(const struct store *store, const struct contents *c, const struct totals *t)
{
	json_t *images = json_array();

	for (size_t i = 0; i < c->image_count; i++)
		json_array_append_new(images, image_json(c, &c->images[i]));
	return json_pack("{s:s*, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "path", store->path, "images", images,
		"layers", (json_int_t)c->layer_count, "layers_size", (json_int_t)t->layer_bytes, "unused_layers",
		(json_int_t)t->unused, "unused_size", (json_int_t)t->unused_bytes, "blobs", (json_int_t)t->blobs,
		"blobs_size", (json_int_t)t->blob_bytes, "build_caches", (json_int_t)t->caches, "build_caches_size",
		(json_int_t)t->cache_bytes);
}

int df_main(int argc, char **argv)
{
	struct store_command options = { 0 };
	struct azm_err err = { 0 };
	cleanup_store struct store store = STORE_NONE;
	struct contents contents = { 0 };
	struct totals totals = { 0 };
	const char *none[1];
	int result = command_operands("df", &options, argc, argv, none, 0, &err);

	if (result >= 0)
		result = open_existing(&store, &err);
	if (result == 0)
		result = read_contents(&store, &contents, &err);
	if (result == 0)
		add_up(&store, &contents, &totals);
	if (result >= 0 && options.json)
		json_print(df_json(&store, &contents, &totals), JSON_INDENT(2), stdout);
	else if (result == 0)
		print_df(&store, &contents, &totals);
	free_contents(&contents);
	return command_end(result, &err);
}

/* ---- rm and gc ------------------------------------------------------------------------------------------------- */

static int remove_names(const struct store *store, const char **names, int count, bool force, struct azm_err *err)
{
	for (int i = 0; i < count; i++) {
		struct store_removed removed;
		char text[STR_SIZE_TEXT];
		/* As everywhere else a name may be given as --rootfs takes it. */
		const char *name = str_starts(names[i], STORE_SCHEME) ? names[i] + strlen(STORE_SCHEME) : names[i];
		if (store_image_remove(store, name, force, &removed, err) < 0)
			return -1;
		cleanup_free char *shown = xstrdup(name);
		str_sanitise(shown);
		printf("%s: %" PRIu64 " layers removed, %s%s\n", shown, removed.layers, str_size(removed.bytes, text),
			removed.busy ? "; some are in use and stay" : "");
	}
	return 0;
}

int rm_main(int argc, char **argv)
{
	struct store_command options = { 0 };
	struct azm_err err = { 0 };
	cleanup_store struct store store = STORE_NONE;
	const char *names[NAMES_MAX];
	int result = command_operands("rm", &options, argc, argv, names, NAMES_MAX, &err);
	int count = result;

	if (result == 0) {
		result = err_msg(&err, EINVAL, "rm", NULL, "which image?");
		err_hint(&err, "%s ls lists them", rootfs_program.name);
	}
	if (result > 0)
		result = store_open(&store, STORE_READ, &err);
	if (result == 0)
		result = remove_names(&store, names, count, options.force, &err);
	return command_end(result, &err);
}

static int collect(const struct store *store, const struct store_command *options, struct store_removed *removed,
	struct azm_err *err)
{
	if (store_gc(store, removed, err) < 0 || (options->caches && build_cache_remove(store, removed, err) < 0))
		return -1;
	struct blob_cache *cache = blob_cache_open(store->dir, err);
	uint64_t before = 0, after = 0, bytes;
	if (!cache)
		return -1;
	blob_cache_usage(cache, &bytes, &before);
	removed->blob_bytes = blob_cache_trim(cache, options->blobs ? 0 : BLOB_CACHE_DEFAULT);
	blob_cache_usage(cache, &bytes, &after);
	removed->blobs = before > after ? before - after : 0;
	blob_cache_close(cache);
	return 0;
}

int gc_main(int argc, char **argv)
{
	struct store_command options = { 0 };
	struct azm_err err = { 0 };
	struct store_removed removed = { 0 };
	cleanup_store struct store store = STORE_NONE;
	char one[STR_SIZE_TEXT], two[STR_SIZE_TEXT], three[STR_SIZE_TEXT];
	const char *none[1];
	int result = command_operands("gc", &options, argc, argv, none, 0, &err);

	if (result >= 0)
		result = open_existing(&store, &err);
	if (result == 0)
		result = collect(&store, &options, &removed, &err);
	if (result >= 0 && options.json)
		json_print(
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "layers", (json_int_t)removed.layers, "size",
				(json_int_t)removed.bytes, "blobs", (json_int_t)removed.blobs, "blobs_size",
				(json_int_t)removed.blob_bytes, "build_caches", (json_int_t)removed.caches,
				"build_caches_size", (json_int_t)removed.cache_bytes, "busy", (json_int_t)removed.busy),
			JSON_INDENT(2), stdout);
	else if (result >= 0)
		printf("%" PRIu64 " layers removed, %s; %" PRIu64 " downloads removed, %s; %" PRIu64
		       " build caches removed, %s\n",
			removed.layers, str_size(removed.bytes, one), removed.blobs, str_size(removed.blob_bytes, two),
			removed.caches, str_size(removed.cache_bytes, three));
	return command_end(result, &err);
}

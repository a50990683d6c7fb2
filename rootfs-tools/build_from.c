// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_from.c: what a stage begins with.
 *
 * A Dockerfile may be anybody's. By itself it reaches the store, registries, and what is in the context: a path in it
 * is looked up inside the context, links included. Directories and archives elsewhere are given on the command line, as
 * --build-context NAME=PATH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/source.h"
#include "rootfs-tools/tree_walk.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct stage *build_find_stage(const struct build *build, const char *name, size_t before)
{
	uint64_t number;

	for (size_t i = before; i > 0; i--) {
		const struct instruction *from = build->stages[i - 1].from;
		if (from->args.count > 1 && strcasecmp(from->args.items[1], name) == 0)
			return &build->stages[i - 1];
	}
	return before && str_to_u64(name, before - 1, &number) ? &build->stages[number] : NULL;
}

/* ---- configurations --------------------------------------------------------------------------------------------- */

/* Of something that has none. */
static json_t *plain_image(const struct platform *platform)
{
	return json_pack("{s:s, s:s, s:{s:[s]}, s:{s:s, s:[]}, s:[]}", "architecture",
		platform->architecture ? platform->architecture : "unknown", "os",
		platform->os ? platform->os : "linux", "config", "Env", DEFAULT_PATH, "rootfs", "type", "layers",
		"diff_ids", "history");
}

static int take_config(struct stage *stage, const char *text, size_t size, struct azm_err *err)
{
	json_error_t detail;

	stage->image = json_loadb(text, size, JSON_REJECT_DUPLICATES, &detail);
	if (!json_is_object(stage->image))
		return err_msg(err, EINVAL, "read the image's configuration", NULL, "%s",
			stage->image ? "it is no object" : detail.text);
	if (!json_is_object(json_object_get(stage->image, "config")))
		json_object_set_new(stage->image, "config", json_object());
	if (!json_is_array(json_object_get(stage->image, "history")))
		json_object_set_new(stage->image, "history", json_array());
	return 0;
}

/* ---- images of the store and of registries ----------------------------------------------------------------------- */

static int take_stored(struct build *build, struct stage *stage, const struct store_image *image, struct azm_err *err)
{
	if (image->layers.count) {
		stage->lock = store_layer_lock(&build->store, image->layers.items[image->layers.count - 1], err);
		if (stage->lock < 0)
			return -1;
	}
	for (size_t i = 0; i < image->layers.count; i++)
		str_list_add(&stage->layers, image->layers.items[i]);
	return take_config(stage, image->config, strlen(image->config), err);
}

static const struct platform *platform_of(const struct build *build, const struct platform *platform)
{
	return platform ? platform : &build->platform;
}

/* Unpack a source, as far as its layers are not there, under a name of the store. */
static int take_source(struct build *build, struct stage *stage, const struct source_name *name, const char *store_name,
	const struct platform *platform, struct azm_err *err)
{
	cleanup_store_image struct store_image image = { 0 };
	cleanup_source struct source source = { 0 };
	const struct source_options options = { .platform = platform_of(build, platform),
		.platform_given = platform || build->platform_given,
		.scratch = build->store.partial,
		.measure = true,
		.limit = build->max_size,
		.registry = &build->registry };
	char manifest[DIGEST_TEXT_SIZE] = "";

	if (source_open(name, &options, &build->job, &source, err) < 0)
		return -1;
	if (source.remote)
		digest_text(&source.image.manifest_digest, manifest);
	if (store_unpack(&build->store, &source, store_name, *manifest ? manifest : NULL, build->max_size, &build->job,
		    &image, err) < 0)
		return -1;
	progress_end(&build->job.progress);
	return take_stored(build, stage, &image, err);
}

static int from_reference(struct build *build, struct stage *stage, const char *text, const struct platform *platform,
	struct azm_err *err)
{
	const bool stored_only = str_starts(text, "azm:");
	cleanup_store_image struct store_image image = { 0 };
	cleanup_source_name struct source_name name = { 0 };

	text += stored_only ? strlen("azm:") : 0;
	if (stored_only || !build->pull) {
		if (store_image_load(&build->store, text, &image, err) == 0)
			return take_stored(build, stage, &image, err);
		if (stored_only || !err_is(err, ENOENT))
			return -1;
		err_clear(err);
	}
	cleanup_free char *full = store_name(text, err);
	if (!full || source_parse_image(full, &name, err) < 0)
		return -1;
	return take_source(build, stage, &name, full, platform, err);
}

/* ---- directories ------------------------------------------------------------------------------------------------ */

/* A tree on its way into the store. */
struct import {
	struct tree_copy copy;
	struct owner_book *book;
	struct hasher *key; /* only looked at, when it is set */
	struct job *job;
};

/* What changes when a file does: nobody reads gigabytes to see that nothing has. */
static int add_to_key(struct hasher *key, const struct tree_entry *entry)
{
	cleanup_free char *text = xasprintf("%s %o %lld %llu %lld.%09ld %lld.%09ld", entry->path, entry->st.st_mode,
		(long long)entry->st.st_size, (unsigned long long)entry->st.st_ino, (long long)entry->st.st_mtim.tv_sec,
		entry->st.st_mtim.tv_nsec, (long long)entry->st.st_ctim.tv_sec, entry->st.st_ctim.tv_nsec);

	hasher_add(key, text, strlen(text) + 1);
	return 0;
}

static int import_visit(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct import *import = context;
	struct owner owner = { .mode = entry->st.st_mode };

	if (import->key)
		return add_to_key(import->key, entry);
	if (job_interrupted(import->job, err) < 0 || owner_book_find(import->book, entry->path, &owner, err) < 0)
		return -1;
	return tree_copy_entry(&import->copy, entry, entry->path, &owner, err);
}

static int import_leave(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct import *import = context;

	return import->key ? 0 : tree_copy_times(&import->copy, entry, entry->path, err);
}

/* A root tree as the lowest layer of a stage. @dir: where its owners.mtree may be. */
static int import_tree(struct build *build, struct stage *stage, int root, int dir, struct azm_err *err)
{
	[[gnu::cleanup(layer_step_end)]] struct layer_step step;
	struct import import = { .job = &build->job };
	const struct tree_visitor visitor = { import_visit, import_leave, &import };
	struct stat st;
	const bool no_cache = build->no_cache;

	layer_step_begin(&step, build, stage, "directory");
	if (fstatat(dir, "owners.mtree", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		const struct tree_entry book = { .path = "owners.mtree", .st = st };
		add_to_key(step.key, &book);
	}
	import.key = step.key;
	if (tree_walk(root, &visitor, err) < 0)
		return -1;
	import.key = NULL;
	build->no_cache = false; /* it is input, not a result */
	int there = layer_step_find(&step, err);
	build->no_cache = no_cache;
	if (there != 0)
		return there < 0 ? -1 : 0;
	import.book = owner_book_open(dir, err);
	if (!import.book)
		return -1;
	import.copy = (struct tree_copy){ .to = step.maker.root, .owners = step.maker.owners, .hard_links = true };
	int result = tree_walk(root, &visitor, err);
	tree_copy_end(&import.copy);
	owner_book_free(import.book);
	return result < 0 ? -1 : layer_step_commit(&step, "a directory", err);
}

static int from_tree(
	struct build *build, struct stage *stage, int dir, const struct platform *platform, struct azm_err *err)
{
	cleanup_fd int root = openat(dir, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int config = openat(dir, "image.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	size_t size;

	if (root < 0 || config < 0) {
		stage->image = plain_image(platform_of(build, platform));
		return import_tree(build, stage, dir, dir, err);
	}
	cleanup_free char *text = read_file(config, CONFIG_MAX, &size);
	if (!text)
		return err_sys(err, "read", "image.json");
	return take_config(stage, text, size, err) < 0 ? -1 : import_tree(build, stage, root, dir, err);
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static bool is_layout(int dir)
{
	return faccessat(dir, "index.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(dir, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A base keeps a name, as one that was pulled does: it is there for the next build, and `gc` leaves it alone. */
static char *name_of_path(const struct source_name *name)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest;
	char text[DIGEST_TEXT_SIZE];

	hasher_add(hasher, name->path, strlen(name->path) + 1);
	if (name->tag)
		hasher_add(hasher, name->tag, strlen(name->tag));
	hasher_end(hasher, &digest);
	return xasprintf("localhost/build-base:%.12s", digest_hex(&digest, text));
}

/* An open file or directory. @name: how it was spelled; its path is replaced. */
static int from_open(struct build *build, struct stage *stage, int fd, struct source_name *name,
	const struct platform *platform, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "read", name->path);
	if (name->kind == SOURCE_AUTO && S_ISDIR(st.st_mode) && !is_layout(fd))
		return from_tree(build, stage, fd, platform, err);
	cleanup_free char *stored = name_of_path(name);
	free(name->path);
	name->path = xasprintf("/proc/self/fd/%d", fd);
	return take_source(build, stage, name, stored, platform, err);
}

static int from_context(struct build *build, struct stage *stage, const char *text, const struct platform *platform,
	struct azm_err *err)
{
	cleanup_source_name struct source_name name = { 0 };

	if (source_parse(text, &name, err) < 0)
		return -1;
	if (*name.path == '/') {
		err_msg(err, EACCES, "use as base", name.path, "a Dockerfile reaches its context only");
		return err_hint(
			err, "give it a name on the command line: --build-context NAME=%s, and FROM NAME", name.path);
	}
	cleanup_fd int fd = resolve_in_root(build->context, name.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		err_sys(err, "open in the context", name.path);
		return -1;
	}
	return from_open(build, stage, fd, &name, platform, err);
}

static int from_named(struct build *build, struct stage *stage, const char *value, const struct platform *platform,
	struct azm_err *err)
{
	cleanup_source_name struct source_name name = { 0 };

	if (str_starts(value, "docker-image://"))
		return from_reference(build, stage, value + strlen("docker-image://"), platform, err);
	if (str_starts(value, "docker://") || str_starts(value, "azm:"))
		return from_reference(build, stage, value + (*value == 'd' ? strlen("docker://") : 0), platform, err);
	cleanup_free char *spelled = str_starts(value, "oci-layout://")
					     ? xasprintf("oci:%s", value + strlen("oci-layout://"))
					     : xstrdup(value);
	if (source_parse(spelled, &name, err) < 0)
		return -1;
	cleanup_fd int fd = open(name.path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open", name.path);
	return from_open(build, stage, fd, &name, platform, err);
}

static bool is_path(const char *name)
{
	static const char *const spellings[] = { "./", "../", "/", "oci:", "oci-archive:", "docker-archive:" };

	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
		if (str_starts(name, spellings[i]))
			return true;
	return strcmp(name, ".") == 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

/* Where another stage has come to. */
static int from_stage(struct build *build, struct stage *stage, const struct stage *base, struct azm_err *err)
{
	stage->image = json_deep_copy(base->image);
	for (size_t i = 0; i < base->layers.count; i++)
		str_list_add(&stage->layers, base->layers.items[i]);
	if (base->layers.count == 0)
		return 0;
	stage->lock = store_layer_lock(&build->store, base->layers.items[base->layers.count - 1], err);
	return stage->lock < 0 ? -1 : 0;
}

int build_from(struct build *build, struct stage *stage, const char *name, const struct platform *platform,
	struct azm_err *err)
{
	const size_t index = stage >= build->stages && stage < build->stages + build->stage_count
				     ? (size_t)(stage - build->stages)
				     : 0; /* another image of a COPY */
	const struct stage *base = build_find_stage(build, name, index);
	const char *named = list_get(&build->contexts, name);

	/* A stage is meant by its name, not by a number, in FROM. */
	if (base && base->from->args.count > 1 && strcasecmp(base->from->args.items[1], name) == 0)
		return from_stage(build, stage, base, err);
	if (named)
		return from_named(build, stage, named, platform, err);
	if (strcmp(name, "scratch") == 0) {
		stage->image = plain_image(platform_of(build, platform));
		return 0;
	}
	if (is_path(name))
		return from_context(build, stage, name, platform, err);
	return from_reference(build, stage, name, platform, err);
}

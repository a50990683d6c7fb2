// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_result.c: what a build leaves: a name in the store, a directory as `unpack` makes it, or both. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/tree_walk.h"

/* ---- the configuration ------------------------------------------------------------------------------------------ */

/* The diff_ids of all layers; an empty list when one is not known: whoever writes the layers out fills it in. */
static json_t *diff_ids(const struct build *build, const struct stage *stage)
{
	json_t *list = json_array();

	for (size_t i = 0; i < stage->layers.count; i++) {
		struct store_layer layer = { 0 };
		struct azm_err ignored = { 0 };
		bool known = store_layer_load(&build->store, stage->layers.items[i], &layer, &ignored) == 0;
		known = known && layer.diff_id && json_array_append_new(list, json_string(layer.diff_id)) == 0;
		store_layer_free(&layer);
		if (!known) {
			json_array_clear(list);
			break;
		}
	}
	return list;
}

/* The finished document. Caller owns; NULL with @err. */
static char *config_text(const struct build *build, struct stage *stage, struct azm_err *err)
{
	char created[32];

	if (bundle_created(created, err) < 0)
		return NULL;
	json_object_set_new(stage->image, "created", json_string(created));
	json_object_set_new(
		stage->image, "rootfs", json_pack("{s:s, s:o}", "type", "layers", "diff_ids", diff_ids(build, stage)));
	cleanup_free char *text = json_dumps(stage->image, JSON_INDENT(2));
	if (!text) {
		err_code(err, ENOMEM, "write", "image.json");
		return NULL;
	}
	if (strlen(text) >= CONFIG_MAX) {
		err_msg(err, E2BIG, "write", "image.json", "the configuration is larger than %d bytes", CONFIG_MAX);
		return NULL;
	}
	return xasprintf("%s\n", text);
}

/* ---- the directory ---------------------------------------------------------------------------------------------- */

/* What one layer says about owners. */
struct layer_book {
	int tree;
	struct owner_book *book;
};

struct flat {
	struct build *build;
	struct tree_copy copy;
	struct layer_book *books; /* the topmost first */
	size_t count;
};

static int open_books(struct flat *flat, const struct stage *stage, struct azm_err *err)
{
	flat->books = xcalloc(stage->layers.count, sizeof *flat->books);
	for (size_t i = stage->layers.count; i > 0; i--) {
		struct layer_book *book = &flat->books[flat->count++];
		*book = (struct layer_book){ .tree = -1 };
		cleanup_fd int dir = store_layer_open(&flat->build->store, stage->layers.items[i - 1], err);
		if (dir < 0)
			return -1;
		book->tree = openat(dir, "tree", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (book->tree < 0)
			return err_sys(err, "open the layer", stage->layers.items[i - 1]);
		book->book = owner_book_open(dir, err);
		if (!book->book)
			return -1;
	}
	return 0;
}

static void close_books(struct flat *flat)
{
	for (size_t i = 0; i < flat->count; i++) {
		cleanup_close_fd(&flat->books[i].tree);
		owner_book_free(flat->books[i].book);
	}
	free(flat->books);
}

/* The topmost layer that has a path says whose it is. */
static int find_owner(struct flat *flat, const char *path, struct owner *owner, struct azm_err *err)
{
	for (size_t i = 0; i < flat->count; i++) {
		cleanup_fd int there = resolve_in_root(flat->books[i].tree, path, O_PATH | O_NOFOLLOW);
		if (there >= 0)
			return owner_book_find(flat->books[i].book, path, owner, err) < 0 ? -1 : 0;
	}
	return 0;
}

static int flat_visit(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct flat *flat = context;
	struct owner owner = { .mode = entry->st.st_mode };

	if (job_tick(&flat->build->job, flat->copy.bytes, err) < 0 || find_owner(flat, entry->path, &owner, err) < 0)
		return -1;
	return tree_copy_entry(&flat->copy, entry, entry->path, &owner, err);
}

static int flat_leave(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct flat *flat = context;

	return tree_copy_times(&flat->copy, entry, entry->path, err);
}

static int write_tree(struct build *build, struct stage *stage, int dir, uint64_t *files, struct azm_err *err)
{
	struct flat flat = { .build = build };
	const struct tree_visitor visitor = { flat_visit, flat_leave, &flat };
	int view = stage_view(build, stage, err);

	if (view < 0 || mkdirat(dir, "rootfs", 0755) < 0)
		return view < 0 ? -1 : err_sys(err, "make", "rootfs");
	cleanup_fd int root = openat(dir, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	flat.copy = (struct tree_copy){ .to = root, .owners = owner_log_new(dir, err), .hard_links = true };
	if (root < 0 || !flat.copy.owners)
		return root < 0 ? err_sys(err, "open", "rootfs") : -1;
	build->job.files = &flat.copy.files;
	progress_phase(&build->job.progress, "copy", "writing the directory", 0, 100);
	int result = open_books(&flat, stage, err);
	if (result == 0)
		result = tree_walk(view, &visitor, err);
	if (result == 0)
		result = owner_log_save(flat.copy.owners, root, dir, err);
	build->job.files = NULL;
	*files = flat.copy.files;
	owner_log_free(flat.copy.owners);
	tree_copy_end(&flat.copy);
	close_books(&flat);
	return result;
}

static int write_directory(
	struct build *build, struct stage *stage, const char *config, uint64_t *files, struct azm_err *err)
{
	cleanup_staging struct staging staging = STAGING_NONE;

	if (staging_begin(build->operands[1], &staging, err) < 0 ||
		write_tree(build, stage, staging.fd, files, err) < 0)
		return -1;
	if (write_file_at(staging.fd, "image.json", config, strlen(config), 0644) < 0)
		return err_sys(err, "write", "image.json");
	progress_end(&build->job.progress);
	return staging_commit(&staging, err);
}

/* ---- both ------------------------------------------------------------------------------------------------------- */

static void say_done(const struct build *build, const struct stage *stage, const char *name, uint64_t files)
{
	if (build->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s*, s:s*, s:I, s:I, s:f}", "phase", "done", "path",
			build->operands[1], "name", name, "layers", (json_int_t)stage->layers.count, "files",
			(json_int_t)files, "elapsed", progress_seconds(&build->job.progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else if (build->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s%s%s: %zu layers, %.1f s\n", rootfs_program.name,
			build->operands[1] ? build->operands[1] : "", build->operands[1] && name ? ", " : "",
			name ? name : "", stage->layers.count, progress_seconds(&build->job.progress));
	}
}

int build_result(struct build *build, struct stage *stage, struct azm_err *err)
{
	cleanup_free char *config = config_text(build, stage, err);
	cleanup_free char *full = build->tag && config ? store_name(build->tag, err) : NULL;
	uint64_t files = 0;

	if (!config || (build->tag && !full))
		return -1;
	if (build->tag && stage->layers.count == 0)
		return err_msg(err, EINVAL, "keep", build->tag, "it has no files");
	if (build->operands[1] && write_directory(build, stage, config, &files, err) < 0)
		return -1;
	if (full) {
		const struct store_image image = { .name = full, .config = config, .layers = stage->layers };
		if (store_image_put(&build->store, &image, err) < 0)
			return -1;
	}
	cleanup_free char *name = full ? store_name_short(full) : NULL;
	say_done(build, stage, name, files);
	return 0;
}

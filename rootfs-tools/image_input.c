// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_input.c: see image_input.h. */
#include "rootfs-tools/image_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/layer_copy.h"

enum { DESCRIPTION_MAX = 4 << 20 };

/* ---- unpacked -------------------------------------------------------------------------------------------------- */

static bool has_child(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A directory that is no OCI layout. Return: descriptor; -1: it is something else. */
static int open_unpacked(const struct source_name *name)
{
	if (name->kind != SOURCE_AUTO || strcmp(name->path, "-") == 0)
		return -1;
	cleanup_fd int dir = open(name->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 && has_child(dir, "index.json") ? -1 : steal_fd(&dir);
}

static int read_config(int dir, struct image_input *in, struct azm_err *err)
{
	cleanup_fd int fd = openat(dir, "image.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read", "image.json");
	if (!S_ISREG(st.st_mode))
		return err_msg(err, EINVAL, "read", "image.json", "it is not a regular file");
	in->config = read_file(fd, CONFIG_MAX, &in->config_size);
	return in->config ? 0 : err_sys(err, "read", "image.json");
}

static int add_layer(struct image_input *in, int root, struct owner_book *owners, const char *path, struct azm_err *err)
{
	if (root < 0)
		err_sys(err, "open", path);
	in->layers = xrealloc(in->layers, in->layer_count + 1, sizeof *in->layers);
	in->layers[in->layer_count++] = (struct recorded_tree){ root, owners };
	return root < 0 ? -1 : 0;
}

static int use_bundle(int dir, struct image_input *in, struct azm_err *err)
{
	struct owner_book *owners = owner_book_open(dir, err);
	int root = owners ? openat(dir, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;

	if (!owners || add_layer(in, root, owners, "rootfs", err) < 0)
		return -1;
	return read_config(dir, in, err);
}

static int use_tree(int dir, struct image_input *in, struct azm_err *err)
{
	static const char *const usual[] = { "bin", "usr", "etc", "lib", "sbin" };
	const struct bundle_config config = bundle_plain_config(bundle_architecture(), "azm-rootfs export");
	bool found = false;

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		found = found || has_child(dir, usual[i]);
	if (!found)
		return err_msg(err, EINVAL, "read the image", NULL,
			"the directory is neither an image nor a root file system");
	if (add_layer(in, openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), NULL, ".", err) < 0)
		return -1;
	in->config = bundle_config_text(&config, err);
	in->config_size = in->config ? strlen(in->config) : 0;
	return in->config ? 0 : -1;
}

/* ---- in the store ---------------------------------------------------------------------------------------------- */

static int open_stored_layer(const char *id, struct image_input *in, struct azm_err *err)
{
	cleanup_fd int dir = store_layer_open(&in->store, id, err);
	struct owner_book *owners = dir < 0 ? NULL : owner_book_open(dir, err);

	if (!owners)
		return -1;
	return add_layer(in, openat(dir, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), owners, id, err);
}

/* in->stored says which. */
static int use_layers(struct image_input *in, struct azm_err *err)
{
	const struct str_list *ids = &in->stored.layers;

	if (ids->count > 0) {
		in->lock = store_layer_lock(&in->store, ids->items[ids->count - 1], err);
		if (in->lock < 0)
			return -1;
	}
	for (size_t i = 0; i < ids->count; i++)
		if (open_stored_layer(ids->items[i], in, err) < 0)
			return err_wrap(err, "layer", ids->items[i]);
	in->config = xstrdup(in->stored.config);
	in->config_size = strlen(in->config);
	return 0;
}

static int use_stored(const char *name, struct image_input *in, struct azm_err *err)
{
	in->form = IMAGE_STORED;
	if (store_open(&in->store, STORE_READ, err) < 0 || store_image_load(&in->store, name, &in->stored, err) < 0)
		return -1;
	return use_layers(in, err);
}

int image_input_open_description(const char *path, struct image_input *in, struct azm_err *err)
{
	const struct image_input none = IMAGE_INPUT_NONE;
	size_t size = 0;
	cleanup_free char *text = read_path(path, DESCRIPTION_MAX, &size);

	*in = none;
	in->form = IMAGE_STORED;
	if (!text)
		return err_sys(err, "read", path);
	if (store_image_parse(text, size, &in->stored, err) == 0 && store_open(&in->store, STORE_READ, err) == 0 &&
		use_layers(in, err) == 0)
		return 0;
	image_input_close(in);
	return -1;
}

/* ---- all forms ------------------------------------------------------------------------------------------------- */

static int use_packed(const struct source_name *name, const struct source_options *options, struct job *job,
	struct image_input *in, struct azm_err *err)
{
	if (source_open(name, options, job, &in->source, err) < 0)
		return -1;
	in->form = IMAGE_PACKED;
	if (!in->source.layout) {
		err_msg(err, EINVAL, "read the image", name->path, "it is the tar of a root file system");
		return err_hint(err, "unpack it first: azm-rootfs unpack %s DIR", name->path);
	}
	in->config = in->source.image.config; /* borrowed */
	in->config_size = in->source.image.config_size;
	return 0;
}

static int open_named(const struct source_name *name, const struct source_options *options, struct job *job,
	struct image_input *in, struct azm_err *err)
{
	cleanup_fd int dir = open_unpacked(name);

	if (dir < 0)
		return use_packed(name, options, job, in, err);
	in->form = IMAGE_UNPACKED;
	int result = has_child(dir, "image.json") && has_child(dir, "rootfs") ? use_bundle(dir, in, err)
									      : use_tree(dir, in, err);
	return result < 0 ? err_wrap(err, "image", name->path) : 0;
}

int image_input_open(const char *text, const struct source_options *options, struct job *job, struct image_input *in,
	struct azm_err *err)
{
	const struct image_input none = IMAGE_INPUT_NONE;
	cleanup_source_name struct source_name name = { 0 };

	*in = none;
	if (str_starts(text, STORE_PREFIX)) {
		if (use_stored(text + strlen(STORE_PREFIX), in, err) == 0)
			return 0;
	} else if (source_parse(text, &name, err) == 0 && open_named(&name, options, job, in, err) == 0)
		return 0;
	image_input_close(in);
	return -1;
}

void image_input_close(struct image_input *in)
{
	const struct image_input none = IMAGE_INPUT_NONE;

	if (in->form != IMAGE_PACKED)
		free(in->config);
	for (size_t i = 0; i < in->layer_count; i++) {
		cleanup_close_fd(&in->layers[i].root);
		owner_book_free(in->layers[i].owners);
	}
	free(in->layers);
	source_close(&in->source);
	store_image_free(&in->stored);
	cleanup_close_fd(&in->lock);
	store_close(&in->store);
	*in = none;
}

/* ---- the configuration ----------------------------------------------------------------------------------------- */

static json_t *parse_config(const struct image_input *in, struct azm_err *err)
{
	json_t *config = json_loadb(in->config, in->config_size, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(config))
		return config;
	err_msg(err, EINVAL, "read the image's", "configuration", "it is not a JSON object");
	json_decref(config);
	return NULL;
}

json_t *image_input_config(const struct image_input *in, bool flat, struct azm_err *err)
{
	char now[32];
	json_t *config = bundle_created(now, err) < 0 ? NULL : parse_config(in, err);

	if (!config)
		return NULL;
	bool dated = json_is_string(json_object_get(config, "created")) && !getenv("SOURCE_DATE_EPOCH");
	if (in->form == IMAGE_UNPACKED && !dated)
		json_object_set_new(config, "created", json_string(now));
	if (in->form == IMAGE_UNPACKED && !flat)
		json_object_set_new(config, "history",
			json_pack("[{s:O, s:s}]", "created", json_object_get(config, "created"), "created_by",
				"azm-rootfs export"));
	if (flat)
		json_object_set_new(config, "rootfs", json_pack("{s:s, s:[]}", "type", "layers", "diff_ids"));
	return config;
}

/* ---- copying --------------------------------------------------------------------------------------------------- */

struct tree_job {
	struct job *job;
	uint64_t files;
};

static int tree_tick(void *context, uint64_t bytes, uint64_t files, struct azm_err *err)
{
	struct tree_job *tree = context;

	tree->job->progress.files = tree->files + files;
	return job_tick(tree->job, bytes, err);
}

static int copy_trees(const struct image_input *in, struct image_writer *writer,
	const struct layer_write_options *options, struct job *job, struct azm_err *err)
{
	struct layer_write_options mine = *options;
	struct tree_job tree = { .job = job };
	struct layer_written written;

	mine.tick = tree_tick;
	mine.context = &tree;
	for (size_t i = 0; i < in->layer_count; i++) {
		const struct layer_write_source source = { .tree = in->layers[i], .upper = in->form == IMAGE_STORED };
		if (image_writer_add_tree(writer, &source, &mine, &written, err) < 0)
			return -1;
		tree.files += written.files;
		job->before += written.plain_size;
	}
	return 0;
}

static int copy_packed_layer(struct image_input *in, size_t index, struct image_writer *writer,
	const struct layer_write_options *options, struct job *job, struct azm_err *err)
{
	const struct image_layer *layer = &in->source.image.layers[index];
	struct blob blob;

	if (packed_image_open_layer(in->source.layout, layer, &blob, err) < 0)
		return source_layer_failed(&in->source, index, err);
	int result = image_writer_add_blob(
		writer, &blob, layer->has_digest ? &layer->digest : NULL, &layer->diff_id, options, job, err);
	layout_close_blob(in->source.layout, &blob);
	job->before += layer->size;
	return result < 0 ? source_layer_failed(&in->source, index, err) : 0;
}

int image_input_copy_layers(struct image_input *in, struct image_writer *writer,
	const struct layer_write_options *options, struct job *job, struct azm_err *err)
{
	if (in->form != IMAGE_PACKED)
		return copy_trees(in, writer, options, job, err);
	for (size_t i = 0; i < in->source.image.count; i++)
		if (copy_packed_layer(in, i, writer, options, job, err) < 0)
			return -1;
	return 0;
}

int image_input_copy(struct image_input *in, struct image_writer *writer, const struct layer_write_options *options,
	struct job *job, const char *name, struct digest *manifest, struct azm_err *err)
{
	if (image_input_copy_layers(in, writer, options, job, err) < 0)
		return -1;
	if (in->form == IMAGE_PACKED)
		return image_writer_finish_as_is(writer, in->config, in->config_size, name, manifest, err);
	json_t *config = image_input_config(in, false, err);
	int result = config ? image_writer_finish(writer, config, name, manifest, err) : -1;
	json_decref(config);
	return result;
}

/* ---- flattening ------------------------------------------------------------------------------------------------ */

static int flatten_trees(
	const struct image_input *in, struct layer_target *target, struct job *job, struct azm_err *err)
{
	const struct layer_write_options options = { .codec = CODEC_NONE };
	const struct layer_taker taker = { layer_take, target };

	for (size_t i = 0; i < in->layer_count; i++) {
		const struct layer_write_source source = { .tree = in->layers[i], .upper = in->form == IMAGE_STORED };
		if (layer_copy(&source, &taker, &options, job, NULL, err) < 0)
			return -1;
	}
	return 0;
}

int image_input_flatten(struct image_input *in, struct layer_target *target, struct job *job, struct azm_err *err)
{
	const struct layer_taker taker = { layer_take, target };

	target->whiteouts = true;
	if (in->form != IMAGE_PACKED)
		return flatten_trees(in, target, job, err);
	for (size_t i = 0; i < in->source.image.count; i++) {
		if (source_read_layer(&in->source, i, target->size_left, job, &taker, err) < 0)
			return source_layer_failed(&in->source, i, err);
		job->before += in->source.image.layers[i].size;
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_unpack.c: an opened source into the store, layer by layer; see store_make.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/store_internal.h"
#include "rootfs-tools/store_make.h"

struct unpacking {
	const struct store *store;
	struct source *source;
	struct job *job;
	struct layer_target target;
	uint64_t max_size;
	struct store_image *image;
	int held; /* lock of the topmost layer there is; it keeps all below it */
};

/* ---- chain ids (OCI image specification, config.md, "Layer ChainID") ------------------------------------------- */

static void hash_text(const char *text, char id[static STORE_ID_SIZE])
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest;
	char result[DIGEST_TEXT_SIZE];

	hasher_add(hasher, text, strlen(text));
	hasher_end(hasher, &digest);
	memcpy(id, digest_hex(&digest, result), STORE_ID_SIZE);
}

void store_chain_id(const char *parent, const struct digest *diff_id, char id[static STORE_ID_SIZE])
{
	char own[DIGEST_TEXT_SIZE];

	digest_text(diff_id, own);
	cleanup_free char *text = parent ? xasprintf("sha256:%s %s", parent, own) : xstrdup(own);
	if (parent || diff_id->algorithm != DIGEST_SHA256)
		hash_text(text, id);
	else
		memcpy(id, strchr(own, ':') + 1, STORE_ID_SIZE);
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

/* "/x/My Image.tar.gz": "my-image"; what cannot be a name is left to store_name() to refuse. */
static char *name_of_file(const char *path)
{
	static const char *const endings[] = { ".gz", ".tgz", ".xz", ".zst", ".bz2", ".tar", ".oci" };
	cleanup_free char *copy = xstrdup(path);

	for (size_t end = strlen(copy); end > 1 && copy[end - 1] == '/';)
		copy[--end] = '\0';
	char *slash = strrchr(copy, '/');
	char *name = xstrdup(slash && slash[1] ? slash + 1 : copy);
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		size_t length = strlen(name), ending = strlen(endings[i]);
		if (length > ending && strcmp(name + length - ending, endings[i]) == 0)
			name[length - ending] = '\0';
	}
	for (char *c = name; *c; c++)
		*c = (char)(strchr("._-", *c) || isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '-');
	return name;
}

char *source_store_name(
	const struct source_name *name, const struct source *source, const char *tag, struct azm_err *err)
{
	const char *said = tag ? tag : name->tag ? name->tag : source->layout ? source->image.name : NULL;
	struct azm_err ignored = { 0 };

	if (said && strpbrk(said, ":/"))
		return store_name(said, err);
	cleanup_free char *file = name_of_file(name->path);
	cleanup_free char *text = xasprintf("%s%s%s", file, said ? ":" : "", said ? said : "");
	char *full = strcmp(name->path, "-") == 0 ? NULL : store_name(text, &ignored);
	if (full)
		return full;
	err_msg(err, EINVAL, "put into the store", name->path, "nothing says what it is to be called");
	err_hint(err, "azm-rootfs unpack --store SRC NAME");
	return NULL;
}

/* ---- an image -------------------------------------------------------------------------------------------------- */

struct layer_way {
	struct layer_maker *maker;
	struct layer_target *target;
};

static int apply_to_maker(void *context, struct stream *stream, struct azm_err *err)
{
	const struct layer_way *way = context;

	return layer_maker_apply(way->maker, way->target, stream, err);
}

static int make_layer(struct unpacking *u, size_t number, struct azm_err *err)
{
	const struct image_layer *layer = &u->source->image.layers[number];
	const struct layer_about about = { .diff_id = &layer->diff_id, .created_by = u->job->command };
	cleanup_layer_maker struct layer_maker maker = LAYER_MAKER_NONE;
	struct layer_way way = { &maker, &u->target };
	const struct layer_taker taker = { apply_to_maker, &way };
	char *const *ids = u->image->layers.items;
	int there = layer_maker_begin(u->store, ids[number], number ? ids[number - 1] : NULL, u->job, &maker, err);

	if (there < 0)
		return -1;
	if (there == 0 && (source_read_layer(u->source, number, u->max_size, u->job, &taker, err) < 0 ||
				  layer_maker_commit(&maker, &about, err) < 0))
		return -1;
	cleanup_close_fd(&u->held);
	u->held = steal_fd(&maker.dir);
	u->job->before += layer->size;
	return job_tick(u->job, 0, err);
}

/* What is there already, from the top. Return: how many layers. */
static size_t find_present(struct unpacking *u)
{
	const struct packed_image *from = &u->source->image;
	struct azm_err ignored = { 0 };
	size_t present = from->count;

	for (; present > 0; present--) {
		u->held = store_layer_lock(u->store, u->image->layers.items[present - 1], &ignored);
		if (u->held >= 0)
			break;
	}
	for (size_t i = 0; i < present; i++)
		u->job->before += from->layers[i].size;
	return present;
}

static int unpack_image(struct unpacking *u, struct azm_err *err)
{
	const struct packed_image *from = &u->source->image;
	const char *parent = NULL;
	char id[STORE_ID_SIZE];

	if (from->count > OVERLAY_LAYERS_MAX) {
		err_msg(err, E2BIG, u->job->command, u->job->object, "it has %zu layers, an overlay takes %d",
			from->count, OVERLAY_LAYERS_MAX);
		return err_hint(err, "without --store they become one tree");
	}
	for (size_t i = 0; i < from->count; i++) {
		store_chain_id(parent, &from->layers[i].diff_id, id);
		str_list_add(&u->image->layers, id);
		parent = u->image->layers.items[i];
	}
	for (size_t i = find_present(u); i < from->count; i++) {
		if (make_layer(u, i, err) < 0)
			return source_layer_failed(u->source, i, err);
	}
	u->image->config = xstrdup(from->config);
	return 0;
}

/* ---- a root file system ---------------------------------------------------------------------------------------- */

static int plain_config(struct unpacking *u, int dir, struct azm_err *err)
{
	const struct bundle_config config = bundle_plain_config(u->source->architecture, "azm-rootfs unpack --store");

	if (bundle_write_config(dir, &config, err) < 0)
		return -1;
	cleanup_fd int fd = openat(dir, "image.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	u->image->config = fd < 0 ? NULL : read_file(fd, CONFIG_MAX, NULL);
	if (!u->image->config || unlinkat(dir, "image.json", 0) < 0)
		return err_sys(err, "write", "image.json");
	return 0;
}

static int unpack_root(struct unpacking *u, struct azm_err *err)
{
	cleanup_layer_maker struct layer_maker maker = LAYER_MAKER_NONE;
	char id[STORE_ID_SIZE];
	struct digest diff_id;

	u->target.whiteouts = false;
	if (layer_maker_begin(u->store, NULL, NULL, u->job, &maker, err) < 0 ||
		layer_maker_apply(&maker, &u->target, u->source->stream, err) < 0 ||
		plain_config(u, maker.dir, err) < 0)
		return -1;
	stream_diff_id(u->source->stream, &diff_id);
	store_chain_id(NULL, &diff_id, id);
	const struct layer_about about = { .id = id, .diff_id = &diff_id, .created_by = u->job->command };
	if (layer_maker_commit(&maker, &about, err) < 0)
		return -1;
	str_list_add(&u->image->layers, id);
	u->held = steal_fd(&maker.dir);
	return 0;
}

int store_unpack(const struct store *store, struct source *source, const char *name, const char *manifest,
	uint64_t max_size, struct job *job, struct store_image *image, struct azm_err *err)
{
	struct unpacking u = { .store = store,
		.source = source,
		.job = job,
		.max_size = max_size,
		.image = image,
		.held = -1,
		.target = { .root = -1, .whiteouts = true, .size_left = max_size } };

	*image = (struct store_image){ .name = xstrdup(name), .manifest = manifest ? xstrdup(manifest) : NULL };
	err_clear(err);
	job->files = &u.target.files;
	progress_phase(&job->progress, "unpack", "unpacking", source->from, 99);
	int result = source->layout ? unpack_image(&u, err) : unpack_root(&u, err);
	if (result == 0)
		result = store_image_put(store, image, err);
	cleanup_close_fd(&u.held);
	job->progress.files = u.target.files;
	job->files = NULL;
	if (result < 0)
		store_image_free(image);
	return result;
}

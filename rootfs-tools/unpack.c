// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/unpack.c: `azm-rootfs unpack SRC DIR` and `azm-rootfs pull REF DIR`: the layers of a source (source.h),
 * one over the other.
 *
 * `azm-rootfs unpack --store SRC [NAME]`: the same into the store, one beside the other (store_make.h).
 *
 * As in bootstrap.c nothing is visible under DIR until everything is there and verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/job.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/source.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/store_make.h"

struct unpack {
	struct source_choice from; /* first: see SOURCE_CHOICE_ROWS, REGISTRY_OPTION_ROWS */
	const char *command;
	const char *operands[2]; /* SRC, DIR or NAME */
	bool to_store;
	struct source_name source;
	uint64_t max_size;
	enum progress_style style;

	struct job job;
	struct staging staging;
	struct layer_target target;
	char *name;		     /* --store: in full */
	size_t layers;		     /* of the image; 0: it was a root file system */
	struct digest config_digest; /* when there are layers */
};

/* ---- options --------------------------------------------------------------------------------------------------- */

static int set_max_size(void *config, const char *value, struct azm_err *err)
{
	return command_max_size(value, &((struct unpack *)config)->max_size, err);
}

OPTION_STORES(set_json, struct unpack, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct unpack, style, PROGRESS_QUIET)
OPTION_STORES(set_store, struct unpack, to_store, true)

#define COMMON_ROWS                                                                                                    \
	{ 0, "store", NULL, set_store,                                                                                 \
		"keep its layers in the image store, for `azm-sandbox run --rootfs azm:NAME`" },                       \
		SOURCE_CHOICE_ROWS,                                                                                    \
		{ 0, "max-size", "SIZE", set_max_size, "largest sum of all files (default 128g)" },                    \
		{ 'q', "quiet", NULL, set_quiet, "no progress display" },                                              \
	{                                                                                                              \
		0, "json", NULL, set_json, "progress and result as JSON lines on standard output"                      \
	}

const struct option_row unpack_options[] = {
	COMMON_ROWS,
	OPTIONS_END,
};

const struct option_row pull_options[] = {
	COMMON_ROWS,
	{ 0, "mirror", "HOST[/PATH]", registry_set_mirror, "ask there before the registry itself; may be repeated" },
	REGISTRY_OPTION_ROWS,
	OPTIONS_END,
};

static int parse(struct unpack *u, int argc, char **argv, struct azm_err *err)
{
	const bool pull = strcmp(u->command, "pull") == 0;
	int count = command_operands(u->command, u, argc, argv, u->operands, 2, err);

	if (count < 0)
		return -1;
	if (count < (u->to_store ? 1 : 2)) {
		err_msg(err, EINVAL, u->command, count ? u->operands[0] : NULL,
			count ? "which directory is the image to be made in?" : "what, and to which directory?");
		return err_hint(err, "%s %s %s DIR", rootfs_program.name, u->command, pull ? "REF" : "SRC");
	}
	if (u->to_store && u->operands[1] && !(u->name = store_name(u->operands[1], err)))
		return -1;
	return (pull ? source_parse_image : source_parse)(u->operands[0], &u->source, err);
}

/* ---- a root file system ---------------------------------------------------------------------------------------- */

/* Nothing says how it is to be run. */
static int write_plain_config(const struct unpack *u, struct azm_err *err)
{
	const struct bundle_config config = bundle_plain_config(u->from.platform.architecture, "azm-rootfs unpack");

	return bundle_write_config(u->staging.fd, &config, err);
}

static int unpack_root(struct unpack *u, const struct source *source, struct azm_err *err)
{
	progress_phase(&u->job.progress, "unpack", "unpacking", source->from, 99);
	u->target.whiteouts = false;
	if (layer_apply(&u->target, source->stream, err) < 0)
		return -1;
	return write_plain_config(u, err);
}

/* ---- an image -------------------------------------------------------------------------------------------------- */

static int unpack_image(struct unpack *u, struct source *source, struct azm_err *err)
{
	const struct packed_image *image = &source->image;
	const struct layer_taker taker = { layer_take, &u->target };

	u->layers = image->count;
	u->config_digest = image->config_digest;
	u->target.whiteouts = true;
	progress_phase(&u->job.progress, "unpack", "unpacking", source->from, 99);
	for (size_t i = 0; i < image->count; i++) {
		if (source_read_layer(source, i, u->max_size, &u->job, &taker, err) < 0)
			return source_layer_failed(source, i, err);
		u->job.before += image->layers[i].size;
	}
	if (write_file_at(u->staging.fd, "image.json", image->config, image->config_size, 0644) < 0)
		return err_sys(err, "write", "image.json");
	return 0;
}

static int unpack_source(struct unpack *u, struct azm_err *err)
{
	cleanup_source struct source source = { .fd = -1 };
	const struct source_options options = source_choice_options(&u->from, u->staging.fd, u->max_size);

	if (source_open(&u->source, &options, &u->job, &source, err) < 0)
		return -1;
	return source.layout ? unpack_image(u, &source, err) : unpack_root(u, &source, err);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

/* Everything below the partial directory. */
static int fill(struct unpack *u, struct azm_err *err)
{
	if (mkdirat(u->staging.fd, "rootfs", 0755) < 0)
		return err_sys(err, "make", "rootfs");
	cleanup_fd int root = openat(u->staging.fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open", "rootfs");
	u->target = (struct layer_target){ .root = root,
		.owners = owner_log_new(u->staging.fd, err),
		.scratch = u->staging.fd,
		.size_left = u->max_size };
	if (!u->target.owners)
		return -1;
	int result = unpack_source(u, err);
	if (result == 0) {
		progress_phase(&u->job.progress, "finish", "finishing", 99, 100);
		result = owner_log_save(u->target.owners, root, u->staging.fd, err);
	}
	owner_log_free(u->target.owners);
	return result;
}

static void say_done(const struct unpack *u, const char *path)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (u->layers)
		digest_text(&u->config_digest, digest);
	if (u->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s*, s:f}", "phase", "done", "path", path,
			"files", (json_int_t)u->target.files, "layers", (json_int_t)u->layers, "bytes",
			(json_int_t)u->job.progress.bytes, "config_digest", *digest ? digest : NULL, "elapsed",
			progress_seconds(&u->job.progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else if (u->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s: %" PRIu64 " files, %zu layers, %.1f MiB read, %.1f s\n", rootfs_program.name,
			path, u->target.files, u->layers, (double)u->job.progress.bytes / (1 << 20),
			progress_seconds(&u->job.progress));
	}
}

/* ---- into the store -------------------------------------------------------------------------------------------- */

static int put_into_store(struct unpack *u, const struct store *store, struct azm_err *err)
{
	cleanup_source struct source source = { .fd = -1 };
	cleanup_store_image struct store_image image = { 0 };
	struct source_options options = source_choice_options(&u->from, store->partial, u->max_size);
	char manifest[DIGEST_TEXT_SIZE] = "";

	options.measure = true;
	if (source_open(&u->source, &options, &u->job, &source, err) < 0)
		return -1;
	if (!u->name)
		u->name = source_store_name(&u->source, &source, u->from.tag, err);
	if (source.remote)
		digest_text(&source.image.manifest_digest, manifest);
	if (!u->name || store_unpack(store, &source, u->name, source.remote ? manifest : NULL, u->max_size, &u->job,
				&image, err) < 0)
		return -1;
	u->target.files = u->job.progress.files;
	u->layers = image.layers.count;
	if (source.layout)
		u->config_digest = source.image.config_digest;
	return 0;
}

static int unpack_to_store(struct unpack *u, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_fd int signals = watch_signals(err);

	if (signals < 0 || store_open(&store, STORE_LAYERS, err) < 0)
		return -1;
	u->job = (struct job){ .command = u->command, .object = u->operands[0], .signals = signals };
	job_limit_memory();
	progress_begin(&u->job.progress, u->style, rootfs_program.name);
	u->job.progress.steady = true;
	int result = put_into_store(u, &store, err);
	progress_end(&u->job.progress);
	if (result < 0)
		return -1;
	cleanup_free char *name = store_name_short(u->name);
	cleanup_free char *path = xasprintf(STORE_SCHEME "%s", name);
	say_done(u, path);
	return 0;
}

/* ---- into a directory ------------------------------------------------------------------------------------------ */

static int unpack(struct unpack *u, struct azm_err *err)
{
	cleanup_staging struct staging staging = STAGING_NONE;
	cleanup_fd int signals = watch_signals(err);

	if (signals < 0 || staging_begin(u->operands[1], &staging, err) < 0)
		return -1;
	u->job = (struct job){
		.command = u->command, .object = u->operands[0], .signals = signals, .files = &u->target.files
	};
	u->staging = staging; /* borrowed: only its descriptor is used */
	job_limit_memory();
	progress_begin(&u->job.progress, u->style, rootfs_program.name);
	u->job.progress.steady = true;
	int result = fill(u, err);
	progress_end(&u->job.progress);
	if (result < 0 || staging_commit(&staging, err) < 0)
		return -1;
	say_done(u, u->operands[1]);
	return 0;
}

static int run(const char *command, int argc, char **argv)
{
	struct unpack u = { .command = command, .max_size = IMAGE_SIZE_MOST };
	struct azm_err err = { 0 };

	int result = parse(&u, argc, argv, &err);
	if (result == 0)
		result = u.to_store ? unpack_to_store(&u, &err) : unpack(&u, &err);
	source_name_free(&u.source);
	free(u.name);
	source_choice_free(&u.from);
	return command_end(result, &err);
}

int unpack_main(int argc, char **argv)
{
	return run("unpack", argc, argv);
}

int pull_main(int argc, char **argv)
{
	return run("pull", argc, argv);
}

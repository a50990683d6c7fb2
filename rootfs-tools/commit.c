// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/commit.c: `azm-rootfs commit BASE OUT`: an image, and what overlays changed of it, as another image.
 *
 * What azm-sandbox commit runs, which knows where the changes of a sandbox are, has stopped it for the moment, and
 * where files belong to sub-ids has made a user namespace that has them. In any other case this program makes one of
 * its own with the one id there is: in it nobody's missing permission keeps a file of the user's from being read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/config_change.h"
#include "rootfs-tools/image_format.h"
#include "rootfs-tools/image_input.h"
#include "rootfs-tools/layer_copy.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/store_make.h"

enum target { TO_DIRECTORY, TO_ARCHIVE, TO_STORE };

struct commit {
	const char *operands[2]; /* BASE, OUT */
	struct str_list uppers;	 /* the topmost first */
	struct str_list changes;
	uint32_t own_uid, own_gid;
	const char *message, *author, *name, *stored;
	enum wanted_format wanted;
	enum progress_style style;

	struct image_input base;
	struct recorded_tree *trees; /* all there are, the topmost first: the upper ones, then the base's, borrowed */
	size_t tree_count;	     /* of those that are ours */
	struct source_name out;
	enum target target;
	enum image_format format;
	struct layer_write_options options;
	struct job job;
	uint64_t files, files_before;
	struct digest digest;
};

/* ---- options --------------------------------------------------------------------------------------------------- */

static int set_upper(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	str_list_add(&((struct commit *)config)->uppers, value);
	return 0;
}

OPTION_STORES(set_stored, struct commit, stored, value)

static int set_change(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	str_list_add(&((struct commit *)config)->changes, value);
	return 0;
}

static int set_owner(void *config, const char *value, struct azm_err *err)
{
	struct commit *c = config;
	cleanup_free char *uid = xasprintf("%.*s", (int)strcspn(value, ":"), value);
	const char *gid = strchr(value, ':');
	uint64_t user, group;

	if (!str_to_u64(uid, UINT32_MAX - 1, &user) || !str_to_u64(gid ? gid + 1 : uid, UINT32_MAX - 1, &group))
		return err_msg(err, EINVAL, "use the owner", value, "not UID or UID:GID");
	c->own_uid = (uint32_t)user;
	c->own_gid = (uint32_t)group;
	return 0;
}

OPTION_STORES(set_message, struct commit, message, value)
OPTION_STORES(set_author, struct commit, author, value)

static int set_name(void *config, const char *value, struct azm_err *err)
{
	((struct commit *)config)->name = value;
	return *value ? 0 : err_msg(err, EINVAL, "name the image", NULL, "the name is empty");
}

static int set_format(void *config, const char *value, struct azm_err *err)
{
	return image_format_parse(value, &((struct commit *)config)->wanted, err);
}

OPTION_STORES(set_json, struct commit, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct commit, style, PROGRESS_QUIET)

const struct option_row commit_options[] = {
	{ 0, "upper", "DIR", set_upper, "upper directory of an overlay (userxattr); again: one below the last" },
	{ 0, "owner", "UID[:GID]", set_owner, "whose its new files are (default 0:0)" },
	{ 0, "stored", "FILE", set_stored, "what azm:NAME, as BASE, meant when the sandbox was made" },
	{ 'c', "change", "INSTRUCTION", set_change, "a line of a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER ..." },
	{ 'm', "message", "TEXT", set_message, "for the history" },
	{ 'a', "author", "TEXT", set_author, "who made it" },
	{ 0, "format", "oci|docker", set_format, "as for export, where OUT is an archive" },
	{ 0, "name", "NAME[:TAG]", set_name, "what the image is called in an archive" },
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	OPTIONS_END,
};

static int parse(struct commit *c, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("commit", c, argc, argv, c->operands, 2, err);

	if (count < 0)
		return -1;
	if (count == 2 && c->uppers.count > 0)
		return 0;
	err_msg(err, EINVAL, "commit", NULL,
		count < 2 ? "which image, and to where?" : "what was changed? Give --upper");
	return err_hint(
		err, "%s commit --upper DIR BASE OUT; of a sandbox: azm-sandbox commit NAME OUT", rootfs_program.name);
}

/* ---- reading what others closed -------------------------------------------------------------------------------- */

static bool may_read_everything(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_DAC_OVERRIDE);
}

/* Where there are no user namespaces, most files can be read all the same. */
static int gain_access(struct azm_err *err)
{
	char uid_map[40], gid_map[40];

	snprintf(uid_map, sizeof uid_map, "%u %u 1", geteuid(), geteuid());
	snprintf(gid_map, sizeof gid_map, "%u %u 1", getegid(), getegid());
	if (may_read_everything() || unshare(CLONE_NEWUSER) < 0)
		return 0;
	if (write_path("/proc/self/uid_map", uid_map) < 0 || write_path("/proc/self/setgroups", "deny") < 0 ||
		write_path("/proc/self/gid_map", gid_map) < 0)
		return err_sys(err, "map the user's id", NULL);
	return 0;
}

/* ---- the parts ------------------------------------------------------------------------------------------------- */

static int open_uppers(struct commit *c, struct azm_err *err)
{
	c->trees = xcalloc(c->uppers.count + c->base.layer_count + 1, sizeof *c->trees);
	for (size_t i = 0; i < c->uppers.count; i++) {
		c->trees[i].root = open(c->uppers.items[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (c->trees[i].root < 0)
			return err_sys(err, "open", c->uppers.items[i]);
		c->tree_count++;
	}
	for (size_t i = 0; i < c->base.layer_count; i++) /* borrowed, topmost first */
		c->trees[c->uppers.count + i] = c->base.layers[c->base.layer_count - 1 - i];
	return 0;
}

/* The upper directory of that number, 0 being the topmost, as a layer. */
static struct layer_write_source upper_source(const struct commit *c, size_t i)
{
	return (struct layer_write_source){ .tree = c->trees[i],
		.upper = true,
		.lowers = c->trees + i + 1,
		.lower_count = c->uppers.count - i - 1 + c->base.layer_count,
		.own_uid = c->own_uid,
		.own_gid = c->own_gid };
}

static int add_history(const struct commit *c, json_t *config, struct azm_err *err)
{
	char now[32];

	if (bundle_created(now, err) < 0)
		return -1;
	json_object_set_new(config, "created", json_string(now));
	if (c->author)
		json_object_set_new(config, "author", json_string(c->author));
	if (!json_is_array(json_object_get(config, "history")))
		json_object_set_new(config, "history", json_array());
	for (size_t i = 0; i < c->uppers.count; i++)
		json_array_append_new(json_object_get(config, "history"),
			json_pack("{s:s, s:s*, s:s, s:s*}", "created", now, "author", c->author, "created_by",
				"azm-sandbox commit", "comment", c->message));
	return 0;
}

static json_t *make_config(struct commit *c, struct azm_err *err)
{
	json_t *config = image_input_config(&c->base, c->target == TO_DIRECTORY, err);

	if (config && config_change(config, &c->changes, err) == 0 && add_history(c, config, err) == 0)
		return config;
	json_decref(config);
	return NULL;
}

/* ---- to an archive or layout ----------------------------------------------------------------------------------- */

static int tree_tick(void *context, uint64_t bytes, uint64_t files, struct azm_err *err)
{
	struct commit *c = context;

	c->files = c->files_before + files;
	return job_tick(&c->job, bytes, err);
}

static int write_layers(struct commit *c, struct image_writer *writer, json_t *config, struct azm_err *err)
{
	if (image_input_copy_layers(&c->base, writer, &c->options, &c->job, err) < 0)
		return -1;
	c->files_before = c->job.progress.files;
	for (size_t i = c->uppers.count; i-- > 0;) {
		const struct layer_write_source source = upper_source(c, i);
		struct layer_written written;
		if (image_writer_add_tree(writer, &source, &c->options, &written, err) < 0)
			return -1;
		c->files_before += written.files;
		c->files = c->files_before;
	}
	return image_writer_finish(writer, config, c->out.tag ? c->out.tag : c->name, &c->digest, err);
}

static int commit_to_archive(struct commit *c, json_t *config, struct azm_err *err)
{
	struct image_writer *writer = image_writer_new(c->format, c->out.path, err);
	int result = writer ? write_layers(c, writer, config, err) : -1;

	image_writer_free(writer);
	return result;
}

/* ---- to a directory -------------------------------------------------------------------------------------------- */

static int apply_to_tree(void *context, struct stream *stream, struct azm_err *err)
{
	return layer_apply(context, stream, err);
}

/* The layers of the base, the lowest first, then the upper directories. */
static struct layer_write_source nth_source(const struct commit *c, size_t i)
{
	if (i >= c->base.layer_count)
		return upper_source(c, c->uppers.count - 1 - (i - c->base.layer_count));
	return (struct layer_write_source){ .tree = c->base.layers[i], .upper = c->base.form == IMAGE_STORED };
}

static int apply_all(struct commit *c, struct layer_target *target, struct azm_err *err)
{
	const struct layer_taker taker = { apply_to_tree, target };

	if (image_input_flatten(&c->base, target, &c->job, err) < 0)
		return -1;
	for (size_t i = c->uppers.count; i-- > 0;) {
		const struct layer_write_source source = upper_source(c, i);
		if (layer_copy(&source, &taker, &c->options, &c->job, NULL, err) < 0)
			return -1;
	}
	return 0;
}

static int fill_directory(struct commit *c, int dir, json_t *config, struct azm_err *err)
{
	cleanup_free char *text = json_dumps(config, JSON_INDENT(2));

	if (!text || mkdirat(dir, "rootfs", 0755) < 0)
		return err_sys(err, "make", "rootfs");
	cleanup_fd int root = openat(dir, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open", "rootfs");
	struct layer_target target = { .root = root,
		.owners = owner_log_new(dir, err),
		.scratch = dir,
		.whiteouts = true,
		.size_left = IMAGE_SIZE_MOST };
	if (!target.owners)
		return -1;
	c->job.files = &target.files;
	int result = apply_all(c, &target, err);
	c->job.files = NULL;
	c->files = target.files;
	if (result == 0)
		result = owner_log_save(target.owners, root, dir, err);
	owner_log_free(target.owners);
	if (result == 0 && write_file_at(dir, "image.json", text, strlen(text), 0644) < 0)
		result = err_sys(err, "write", "image.json");
	return result;
}

static int commit_to_directory(struct commit *c, json_t *config, struct azm_err *err)
{
	cleanup_staging struct staging staging = STAGING_NONE;

	if (staging_begin(c->out.path, &staging, err) < 0 || fill_directory(c, staging.fd, config, err) < 0)
		return -1;
	return staging_commit(&staging, err);
}

/* ---- to the store ---------------------------------------------------------------------------------------------- */

/* A layer being made, and where its files are counted. */
struct making {
	struct layer_maker maker;
	struct layer_target target;
};

static int apply_to_store(void *context, struct stream *stream, struct azm_err *err)
{
	struct making *m = context;

	return layer_maker_apply(&m->maker, &m->target, stream, err);
}

/* Make a layer above the last of @image. Its lock is kept in *held, in place of that of the one below. */
static int store_layer(struct commit *c, const struct store *store, const struct layer_write_source *source,
	struct store_image *image, json_t *diff_ids, int *held, struct azm_err *err)
{
	struct making m = { .maker = LAYER_MAKER_NONE, .target = { .whiteouts = true, .size_left = IMAGE_SIZE_MOST } };
	const struct layer_taker taker = { apply_to_store, &m };
	const char *parent = image->layers.count ? image->layers.items[image->layers.count - 1] : NULL;
	char id[STORE_ID_SIZE], text[DIGEST_TEXT_SIZE];
	struct digest diff_id;

	int result = layer_maker_begin(store, NULL, parent, &c->job, &m.maker, err);
	c->job.files = &m.target.files;
	if (result == 0)
		result = layer_copy(source, &taker, &c->options, &c->job, &diff_id, err);
	c->job.files = &c->files;
	c->files += m.target.files;
	if (result == 0) {
		store_chain_id(parent, &diff_id, id);
		digest_text(&diff_id, text);
		const struct layer_about about = { .id = id, .diff_id = &diff_id, .created_by = "azm-sandbox commit" };
		result = layer_maker_commit(&m.maker, &about, err);
	}
	if (result == 0) {
		str_list_add(&image->layers, id);
		json_array_append_new(diff_ids, json_string(text));
		cleanup_close_fd(held);
		*held = store_layer_lock(store, id, err);
		result = *held < 0 ? -1 : 0;
	}
	layer_maker_end(&m.maker);
	return result;
}

/* What the base has in the store already stays there. */
static int store_layers_all(struct commit *c, const struct store *store, struct store_image *image, json_t *diff_ids,
	int *held, struct azm_err *err)
{
	const bool stored = c->base.form == IMAGE_STORED;

	for (size_t i = 0; stored && i < c->base.stored.layers.count; i++)
		str_list_add(&image->layers, c->base.stored.layers.items[i]);
	for (size_t i = stored ? c->base.layer_count : 0; i < c->base.layer_count + c->uppers.count; i++) {
		const struct layer_write_source source = nth_source(c, i);
		if (store_layer(c, store, &source, image, diff_ids, held, err) < 0)
			return -1;
	}
	return 0;
}

static int commit_to_store(struct commit *c, json_t *config, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_store_image struct store_image image = { 0 };
	cleanup_fd int held = -1;
	json_t *diff_ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");

	if (store_open(&store, STORE_LAYERS, err) < 0)
		return -1;
	image.name = store_name(c->operands[1] + strlen(STORE_PREFIX), err);
	if (!image.name)
		return -1;
	if (c->base.form != IMAGE_STORED || !json_is_array(diff_ids)) {
		diff_ids = json_array();
		json_object_set_new(config, "rootfs", json_pack("{s:s, s:o}", "type", "layers", "diff_ids", diff_ids));
	}
	if (store_layers_all(c, &store, &image, diff_ids, &held, err) < 0)
		return -1;
	image.config = json_dumps(config, JSON_COMPACT);
	return image.config ? store_image_put(&store, &image, err) : err_code(err, ENOMEM, "write", image.name);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static void say_done(const struct commit *c)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (c->target == TO_ARCHIVE)
		digest_text(&c->digest, digest);
	if (c->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:s*, s:I, s:f}", "phase", "done", "path", c->operands[1],
			"digest", *digest ? digest : NULL, "files", (json_int_t)c->files, "elapsed",
			progress_seconds(&c->job.progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else if (c->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s: %s%s%" PRIu64 " files, %.1f s\n", rootfs_program.name, c->operands[1], digest,
			*digest ? ", " : "", c->files, progress_seconds(&c->job.progress));
	}
}

static int choose_target(struct commit *c, struct azm_err *err)
{
	if (str_starts(c->operands[1], STORE_PREFIX)) {
		c->target = TO_STORE;
		return 0;
	}
	if (source_parse(c->operands[1], &c->out, err) < 0)
		return -1;
	if (c->out.tag && c->name)
		return err_msg(err, EINVAL, "commit", c->operands[1], "it says a name already: --name is one too many");
	bool archive = c->wanted != WANT_AUTO || c->out.kind != SOURCE_AUTO || image_path_is_archive(c->out.path);
	c->target = archive ? TO_ARCHIVE : TO_DIRECTORY;
	return archive ? image_format_choose(c->wanted, &c->out, &c->format, err) : 0;
}

static int open_base(struct commit *c, struct azm_err *err)
{
	cleanup_fd int scratch = scratch_directory(err);
	struct platform platform = bundle_platform();
	const struct source_options options = { .platform = &platform, .scratch = scratch, .limit = UINT64_MAX };
	int result = scratch < 0 ? -1
		     : c->stored ? image_input_open_description(c->stored, &c->base, err)
				 : image_input_open(c->operands[0], &options, &c->job, &c->base, err);

	platform_free(&platform);
	if (result == 0 && c->base.form == IMAGE_PACKED) {
		err_msg(err, EINVAL, "commit on", c->operands[0], "it is packed: no sandbox ran on it");
		return err_hint(err, "unpack it first");
	}
	return result < 0 ? -1 : open_uppers(c, err);
}

static int run(struct commit *c, struct azm_err *err)
{
	if (open_base(c, err) < 0)
		return -1;
	json_t *config = make_config(c, err);
	if (!config)
		return -1;
	progress_phase(&c->job.progress, "commit", "writing the image", 0, 100);
	int result = c->target == TO_ARCHIVE ? commit_to_archive(c, config, err)
		     : c->target == TO_STORE ? commit_to_store(c, config, err)
					     : commit_to_directory(c, config, err);
	json_decref(config);
	return result;
}

static int commit(struct commit *c, struct azm_err *err)
{
	if (choose_target(c, err) < 0 || gain_access(err) < 0)
		return -1;
	cleanup_fd int signals = watch_signals(err);
	if (signals < 0 || layer_write_epoch(&c->options, err) < 0)
		return -1;
	c->job = (struct job){ .command = "commit", .object = c->operands[1], .signals = signals, .files = &c->files };
	c->options.tick = tree_tick;
	c->options.context = c;
	progress_begin(&c->job.progress, c->style, rootfs_program.name);
	int result = run(c, err);
	progress_end(&c->job.progress);
	if (result == 0)
		say_done(c);
	return result;
}

int commit_main(int argc, char **argv)
{
	struct commit c = { .options.codec = CODEC_GZIP, .base = IMAGE_INPUT_NONE };
	struct azm_err err = { 0 };

	int result = parse(&c, argc, argv, &err);
	if (result == 0)
		result = commit(&c, &err);
	for (size_t i = 0; i < c.tree_count; i++)
		close(c.trees[i].root);
	free(c.trees);
	image_input_close(&c.base);
	source_name_free(&c.out);
	str_list_free(&c.uppers);
	str_list_free(&c.changes);
	return command_end(result, &err);
}

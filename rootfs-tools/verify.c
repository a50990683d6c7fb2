// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/verify.c: `azm-rootfs verify SRC` and `azm-rootfs verify DIR SRC`: whether an image is what it says.
 *
 * Of an archive or layout every document and layer is read: its digest, its size, and the digest of what it
 * decompresses to. Layers in the store are trees, their tars are gone: each is written as a layer again, into nowhere,
 * and has to be one that can be, every attribute and record of it understood.
 *
 * An unpacked image is compared with what it was made of: SRC is unpacked once more, into memory and without what is in
 * its files, of which the digests are kept. Then both trees are written as layers, and every difference is listed
 * (tree_compare.h). So owners, modes and devices that are only remembered are compared as well, and layers mean what
 * they mean to `unpack`. On disk nothing is written. Where there is no file system in memory for it, the tree without
 * content is made in a scratch directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/mount.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "base/str.h"
#include "mount/host_overlay.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/image_input.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/tree_compare.h"

enum { EXIT_DIFFERS = 1 };

struct verify {
	struct source_choice from; /* first: see SOURCE_CHOICE_ROWS */
	const char *operands[2];   /* SRC, or DIR and SRC */
	int count;
	enum progress_style style;
	bool json;

	struct job job;
	uint64_t files, differences;
	size_t layers;
	json_t *found; /* the differences, for --json */
};

/* ---- options --------------------------------------------------------------------------------------------------- */

OPTION_STORES(set_json, struct verify, json, true)
OPTION_STORES(set_quiet, struct verify, style, PROGRESS_QUIET)

const struct option_row verify_options[] = {
	SOURCE_CHOICE_ROWS,
	{ 'q', "quiet", NULL, set_quiet, "no progress display; differences are printed all the same" },
	{ 0, "json", NULL, set_json, "the result as one JSON object on standard output" },
	OPTIONS_END,
};

/* ---- what is packed -------------------------------------------------------------------------------------------- */

static int read_all(void *context, struct stream *stream, struct azm_err *err)
{
	const void *data;
	ssize_t n;

	(void)context;
	while ((n = stream_next(stream, &data, err)) > 0)
		;
	return n < 0 ? -1 : stream_finish(stream, err);
}

static int verify_packed(struct verify *v, struct image_input *in, struct azm_err *err)
{
	const struct layer_taker taker = { read_all, NULL };

	v->layers = in->source.image.count;
	for (size_t i = 0; i < v->layers; i++) {
		if (source_read_layer(&in->source, i, 0, &v->job, &taker, err) < 0)
			return source_layer_failed(&in->source, i, err);
		v->job.before += in->source.image.layers[i].size;
	}
	return 0;
}

/* ---- what is unpacked ------------------------------------------------------------------------------------------ */

static int tree_tick(void *context, uint64_t bytes, uint64_t files, struct azm_err *err)
{
	struct verify *v = context;

	v->files = files;
	return job_tick(&v->job, bytes, err);
}

/* Everything in it can be read and said in a layer. */
static int verify_trees(struct verify *v, const struct image_input *in, struct azm_err *err)
{
	const struct layer_write_options options = { .codec = CODEC_NONE, .tick = tree_tick, .context = v };
	cleanup_fd int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t files = 0;

	v->layers = in->layer_count;
	for (size_t i = 0; i < in->layer_count; i++) {
		const struct layer_write_source source = { .tree = in->layers[i], .upper = in->form == IMAGE_STORED };
		struct layer_written written;
		if (layer_write(&source, &options, nowhere, &written, err) < 0)
			return -1;
		files += written.files;
	}
	v->files = files;
	return 0;
}

static void report(void *context, const char *path, const char *what)
{
	struct verify *v = context;
	cleanup_free char *shown = xstrdup(path);

	str_sanitise(shown);
	if (v->json)
		json_array_append_new(v->found, json_pack("{s:s, s:s}", "path", shown, "difference", what));
	else
		printf("%-10s %s\n", what, shown);
}

static void compare_configs(struct verify *v, const struct image_input *found, const struct image_input *wanted)
{
	if (found->config_size == wanted->config_size && memcmp(found->config, wanted->config, found->config_size) == 0)
		return;
	v->differences++;
	report(v, "image.json", "content");
}

/* A tree that nobody else sees and that ends with us, as no scratch directory does. Before Linux 6.6 a file in memory
 * has no attributes. Return: -1: there is none. */
static int memory_directory(void)
{
	struct azm_err ignored = { 0 };
	cleanup_fd int fd = host_tmpfs(
		"mode=0700,size=512m,nr_inodes=4m", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &ignored);

	return fd < 0 || fsetxattr(fd, "user.trial", "", 0, 0) < 0 ? -1 : steal_fd(&fd);
}

/* @scratch: where the source's tree is made. */
static int compare_with(
	struct verify *v, struct image_input *found, struct image_input *wanted, int scratch, struct azm_err *err)
{
	[[gnu::cleanup(content_book_free)]] struct content_book contents = { 0 };
	cleanup_fd int root = -1;

	if (mkdirat(scratch, "rootfs", 0755) < 0 ||
		(root = openat(scratch, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return err_sys(err, "make", "rootfs");
	struct layer_target target = { .root = root,
		.owners = owner_log_new(scratch, err),
		.scratch = scratch,
		.contents = &contents,
		.size_left = IMAGE_SIZE_MOST };
	if (!target.owners)
		return -1;
	progress_phase(&v->job.progress, "unpack", "reading the source", 0, 60);
	int result = image_input_flatten(wanted, &target, &v->job, err);
	if (result == 0)
		result = owner_log_save(target.owners, root, scratch, err);
	owner_log_free(target.owners);
	struct owner_book *book = result == 0 ? owner_book_open(scratch, err) : NULL;
	if (!book)
		return -1;
	struct tree_comparison comparison = { .found = found->layers[0],
		.wanted = { root, book },
		.contents = &contents,
		.job = &v->job,
		.report = report,
		.context = v };
	progress_phase(&v->job.progress, "compare", "comparing", 60, 100);
	v->job.total = 0;
	result = tree_compare(&comparison, err);
	owner_book_free(book);
	v->files = comparison.files;
	v->differences += comparison.differences;
	compare_configs(v, found, wanted);
	return result;
}

static int verify_against(
	struct verify *v, const struct source_options *options, struct image_input *found, struct azm_err *err)
{
	cleanup_image_input struct image_input wanted = IMAGE_INPUT_NONE;
	cleanup_staging struct staging staging = STAGING_NONE;
	const char *directory = getenv("TMPDIR");
	cleanup_free char *path =
		xasprintf("%s/azm-rootfs-verify-%d", directory && *directory ? directory : "/var/tmp", (int)getpid());

	if (found->form != IMAGE_UNPACKED) {
		err_msg(err, EINVAL, "verify", v->operands[0], "only an unpacked image is compared with its source");
		return err_hint(err, "%s verify SRC alone reads every blob", rootfs_program.name);
	}
	cleanup_fd int memory = memory_directory();
	if (image_input_open(v->operands[1], options, &v->job, &wanted, err) < 0 ||
		(memory < 0 && staging_begin(path, &staging, err) < 0))
		return -1;
	int result = compare_with(v, found, &wanted, memory < 0 ? staging.fd : memory, err);
	return result < 0 && memory >= 0 && err_is(err, ENOSPC)
		       ? err_hint(err, "the names in SRC are kept in memory, at most 4 million of them")
		       : result;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static int run(struct verify *v, struct azm_err *err)
{
	cleanup_fd int scratch = scratch_directory(err);
	const struct source_options options = source_choice_options(&v->from, scratch, UINT64_MAX);
	cleanup_image_input struct image_input input = IMAGE_INPUT_NONE;

	if (scratch < 0 || image_input_open(v->operands[0], &options, &v->job, &input, err) < 0)
		return -1;
	if (v->count == 2)
		return verify_against(v, &options, &input, err);
	progress_phase(&v->job.progress, "verify", "verifying", input.source.from, 100);
	return input.form == IMAGE_PACKED ? verify_packed(v, &input, err) : verify_trees(v, &input, err);
}

static void say_done(const struct verify *v)
{
	if (v->json) {
		json_t *object = json_pack("{s:s, s:b, s:I, s:I, s:O}", "source", v->operands[0], "good",
			v->differences == 0, "layers", (json_int_t)v->layers, "files", (json_int_t)v->files,
			"differences", v->found);
		json_print(object, JSON_INDENT(2), stdout);
	} else if (v->style != PROGRESS_QUIET) {
		if (v->count == 2)
			fprintf(stderr, "%s: %s: %" PRIu64 " files, %" PRIu64 " differences\n", rootfs_program.name,
				v->operands[0], v->files, v->differences);
		else
			fprintf(stderr, "%s: %s: %zu layers, all as they should be\n", rootfs_program.name,
				v->operands[0], v->layers);
	}
}

static int verify(struct verify *v, struct azm_err *err)
{
	cleanup_fd int signals = watch_signals(err);

	if (signals < 0)
		return -1;
	v->job = (struct job){ .command = "verify", .object = v->operands[0], .signals = signals, .files = &v->files };
	job_limit_memory();
	progress_begin(&v->job.progress, v->json ? PROGRESS_QUIET : v->style, rootfs_program.name);
	v->job.progress.steady = true;
	int result = run(v, err);
	progress_end(&v->job.progress);
	if (result == 0)
		say_done(v);
	return result;
}

int verify_main(int argc, char **argv)
{
	struct verify v = { .found = json_array() };
	struct azm_err err = { 0 };

	v.count = command_operands("verify", &v, argc, argv, v.operands, 2, &err);
	int result = v.count;
	if (v.count == 0)
		result = err_msg(&err, EINVAL, "verify", NULL, "which image?");
	if (result > 0)
		result = verify(&v, &err);
	source_choice_free(&v.from);
	json_decref(v.found);
	if (result < 0)
		return err_print(&err, rootfs_program.name);
	return fflush(stdout) != 0 ? EXIT_AZM : v.differences ? EXIT_DIFFERS : 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/export.c: `azm-rootfs export SRC OUT`: an image in a form that others read.
 *
 * An unpacked image becomes one layer, with the owners, modes and devices that are remembered of it; the layers of an
 * archive or layout are verified and stay what they are, and so does the image's ID.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "base/str.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/image_format.h"
#include "rootfs-tools/image_input.h"
#include "rootfs-tools/scratch.h"

struct exporting {
	struct source_choice from; /* first: see SOURCE_CHOICE_ROWS */
	const char *operands[2];   /* SRC, OUT */
	const char *name;
	enum wanted_format wanted;
	struct layer_write_options options;
	enum progress_style style;

	struct source_name out;
	enum image_format format;
	struct job job;
	struct digest digest;
	size_t layers;
	uint64_t bytes;
};

/* ---- options --------------------------------------------------------------------------------------------------- */

static int set_name(void *config, const char *value, struct azm_err *err)
{
	((struct exporting *)config)->name = value;
	return *value ? 0 : err_msg(err, EINVAL, "name the image", NULL, "the name is empty");
}

static int set_format(void *config, const char *value, struct azm_err *err)
{
	return image_format_parse(value, &((struct exporting *)config)->wanted, err);
}

static int set_compress(void *config, const char *value, struct azm_err *err)
{
	static const char *const names[] = { [CODEC_NONE] = "none", [CODEC_GZIP] = "gzip", [CODEC_ZSTD] = "zstd" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i], value) == 0) {
			((struct exporting *)config)->options.codec = (enum codec)i;
			return 0;
		}
	}
	return err_msg(err, EINVAL, "compress with", value, "not gzip, zstd or none");
}

OPTION_STORES(set_json, struct exporting, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct exporting, style, PROGRESS_QUIET)

const struct option_row export_options[] = {
	{ 0, "format", "oci|docker", set_format,
		"oci: a layout directory, or an archive of one where OUT ends in .tar; docker: as docker save" },
	{ 0, "compress", "gzip|zstd|none", set_compress, "how layers are compressed in an OCI image (default gzip)" },
	{ 0, "name", "NAME[:TAG]", set_name, "what the image is called in the result" },
	SOURCE_CHOICE_ROWS,
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	OPTIONS_END,
};

static int parse(struct exporting *e, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("export", e, argc, argv, e->operands, 2, err);

	if (count < 0)
		return -1;
	if (count < 2) {
		err_msg(err, EINVAL, "export", count ? e->operands[0] : NULL,
			count ? "where is the image to be written?" : "what, and where to?");
		return err_hint(err, "%s export DIR image.tar", rootfs_program.name);
	}
	if (source_parse(e->operands[1], &e->out, err) < 0)
		return -1;
	if (e->out.tag && e->name)
		return err_msg(err, EINVAL, "export", e->operands[1], "it says a name already: --name is one too many");
	return image_format_choose(e->wanted, &e->out, &e->format, err);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static int copy(struct exporting *e, struct image_writer *writer, struct azm_err *err)
{
	cleanup_fd int scratch = scratch_directory(err);
	const struct source_options options = source_choice_options(&e->from, scratch, UINT64_MAX);
	cleanup_image_input struct image_input input = IMAGE_INPUT_NONE;

	if (scratch < 0 || image_input_open(e->operands[0], &options, &e->job, &input, err) < 0)
		return -1;
	progress_phase(&e->job.progress, "export", "writing the image", input.source.from, 100);
	if (image_input_copy(&input, writer, &e->options, &e->job, e->out.tag ? e->out.tag : e->name, &e->digest, err) <
		0)
		return -1;
	e->layers = image_writer_layers(writer, &e->bytes);
	return 0;
}

static void say_done(const struct exporting *e)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_text(&e->digest, digest);
	if (e->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f}", "phase", "done", "path", e->out.path,
			"format", image_format_name(e->format), "digest", digest, "layers", (json_int_t)e->layers,
			"bytes", (json_int_t)e->bytes, "elapsed", progress_seconds(&e->job.progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else if (e->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s: %s, %zu layers, %.1f MiB, %.1f s\n", rootfs_program.name, e->out.path, digest,
			e->layers, (double)e->bytes / (1 << 20), progress_seconds(&e->job.progress));
	}
}

static int write_image(struct exporting *e, struct azm_err *err)
{
	cleanup_fd int signals = watch_signals(err);

	if (signals < 0 || layer_write_epoch(&e->options, err) < 0)
		return -1;
	e->job = (struct job){ .command = "export", .object = e->operands[0], .signals = signals };
	if (e->style == PROGRESS_JSON && strcmp(e->out.path, "-") == 0)
		return err_msg(err, EINVAL, "export", "-", "--json writes to standard output too");
	struct image_writer *writer = image_writer_new(e->format, e->out.path, err);
	if (!writer)
		return -1;
	job_limit_memory();
	progress_begin(&e->job.progress, e->style, rootfs_program.name);
	e->job.progress.steady = true;
	int result = copy(e, writer, err);
	progress_end(&e->job.progress);
	image_writer_free(writer);
	if (result == 0)
		say_done(e);
	return result;
}

int export_main(int argc, char **argv)
{
	struct exporting e = { .options.codec = CODEC_GZIP };
	struct azm_err err = { 0 };

	int result = parse(&e, argc, argv, &err);
	if (result == 0)
		result = write_image(&e, &err);
	source_name_free(&e.out);
	source_choice_free(&e.from);
	return command_end(result, &err);
}

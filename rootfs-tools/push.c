// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/push.c: `azm-rootfs push SRC REF`: an image in whatever form into a registry.
 *
 * Blobs first, the manifest last: a name never stands for something that is not all there. Where there is a manifest it
 * is sent as it is, so the image keeps its digest. Images without one (unpacked, in the store, a docker-archive) are
 * written as an OCI layout first: what is sent has to be known in its whole before.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/str.h"
#include "base/tree.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/image_input.h"
#include "rootfs-tools/registry.h"
#include "rootfs-tools/scratch.h"

enum { WRITTEN_PERCENT = 50 };

static const char docker_prefix[] = "docker://";

struct push {
	struct source_choice from; /* first: see SOURCE_CHOICE_ROWS, REGISTRY_OPTION_ROWS */
	const char *operands[2];   /* SRC, REF */
	struct reference target;
	struct layer_write_options layers_as;
	enum progress_style style;

	struct job job;
	struct job_download sent;
	size_t layers, there; /* how many, and how many the registry had */
	struct digest digest;
};

/* ---- options --------------------------------------------------------------------------------------------------- */

OPTION_STORES(set_json, struct push, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct push, style, PROGRESS_QUIET)

const struct option_row push_options[] = {
	SOURCE_CHOICE_ROWS,
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	REGISTRY_OPTION_ROWS,
	OPTIONS_END,
};

static int parse_target(struct push *p, struct azm_err *err)
{
	const char *text = p->operands[1];

	text += str_starts(text, docker_prefix) ? strlen(docker_prefix) : 0;
	if (reference_parse(text, &p->target, err) < 0)
		return -1;
	return p->target.digest ? err_msg(err, EINVAL, "push to", text, "a digest is not a name that can be given") : 0;
}

static int parse(struct push *p, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("push", p, argc, argv, p->operands, 2, err);

	if (count < 0)
		return -1;
	if (count < 2) {
		err_msg(err, EINVAL, "push", count ? p->operands[0] : NULL,
			count ? "under which name in which registry?" : "what, and to where?");
		return err_hint(err, "%s push SRC REGISTRY/NAME:TAG", rootfs_program.name);
	}
	return parse_target(p, err);
}

/* ---- one after the other --------------------------------------------------------------------------------------- */

static int tick(void *context, struct azm_err *err)
{
	return job_tick(context, 0, err);
}

static int send_layer(struct push *p, struct registry_client *client, struct source *source, size_t index,
	const char *from, struct azm_err *err)
{
	const struct image_layer *layer = &source->image.layers[index];
	struct blob blob;

	if (packed_image_open_layer(source->layout, layer, &blob, err) < 0)
		return source_layer_failed(source, index, err);
	int result = registry_put_blob(client, &layer->digest, &blob, from, &p->sent.bytes, err);
	layout_close_blob(source->layout, &blob);
	p->there += result > 0;
	p->sent.parts++;
	return result < 0 ? -1 : 0;
}

static int send_config(
	struct registry_client *client, const struct packed_image *image, const char *from, struct azm_err *err)
{
	cleanup_fd int fd = memfd_create("configuration", MFD_CLOEXEC);
	const struct blob blob = { .fd = fd, .size = image->config_size };

	if (fd < 0 || write_full(fd, image->config, image->config_size) < 0)
		return err_sys(err, "keep", "the configuration");
	return registry_put_blob(client, &image->config_digest, &blob, from, NULL, err) < 0 ? -1 : 0;
}

/* In the same registry the blobs need not travel. Caller owns; NULL: they have to. */
static char *other_repository(const struct push *p)
{
	cleanup_reference struct reference from = { 0 };
	struct azm_err ignored = { 0 };

	if (!str_starts(p->operands[0], docker_prefix) ||
		reference_parse(p->operands[0] + strlen(docker_prefix), &from, &ignored) < 0 ||
		strcmp(from.domain, p->target.domain) != 0 || strcmp(from.path, p->target.path) == 0)
		return NULL;
	return xstrdup(from.path);
}

static int send_all(
	struct push *p, struct registry_client *client, struct source *source, const char *from, struct azm_err *err)
{
	const struct packed_image *image = &source->image;

	p->layers = image->count;
	p->digest = image->manifest_digest;
	p->sent.all_parts = (unsigned)image->count;
	p->sent.total = image->size;
	p->job.download = &p->sent;
	p->job.before = p->job.total = 0; /* what is sent counts */
	progress_phase(&p->job.progress, "push", "pushing", source->from, 99);
	for (size_t i = 0; i < image->count; i++)
		if (send_layer(p, client, source, i, from, err) < 0)
			return -1;
	progress_phase(&p->job.progress, "finish", "finishing", 99, 100);
	if (send_config(client, image, from, err) < 0)
		return -1;
	return registry_put_document(client, p->target.tag, image->manifest_type, image->manifest, image->manifest_size,
		&image->manifest_digest, err);
}

/* ---- what is sent ---------------------------------------------------------------------------------------------- */

static int send_layout(struct push *p, struct registry_client *client, const char *path, struct azm_err *err)
{
	cleanup_source struct source source = { .fd = -1 };
	const struct source_name name = { .kind = SOURCE_OCI_DIRECTORY, .path = (char *)path };
	const struct source_options options = { .platform = &p->from.platform, .scratch = -1, .limit = UINT64_MAX };
	const enum progress_style style = p->job.progress.style;

	/* What was made is for whatever machine it is for: that has been said already. */
	p->job.progress.style = PROGRESS_QUIET;
	int result = source_open(&name, &options, &p->job, &source, err);
	p->job.progress.style = style;
	source.from = WRITTEN_PERCENT;
	return result < 0 ? -1 : send_all(p, client, &source, NULL, err);
}

static int write_and_send(struct push *p, struct registry_client *client, struct image_input *input, const char *path,
	struct azm_err *err)
{
	struct image_writer *writer = image_writer_new(IMAGE_OCI_DIRECTORY, path, err);

	progress_phase(&p->job.progress, "write", "packing", input->source.from, WRITTEN_PERCENT);
	int result = writer ? image_input_copy(input, writer, &p->layers_as, &p->job, NULL, NULL, err) : -1;
	image_writer_free(writer);
	return result < 0 ? -1 : send_layout(p, client, path, err);
}

/* In a directory of our own that goes again. */
static int send_written(struct push *p, struct registry_client *client, struct image_input *input, struct azm_err *err)
{
	const char *tmp = getenv("TMPDIR");
	struct azm_err ignored = { 0 };

	tmp = tmp && *tmp == '/' ? tmp : "/var/tmp";
	cleanup_free char *own = xasprintf("%s/azm-push-XXXXXX", tmp);
	cleanup_fd int parent = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || !mkdtemp(own))
		return err_sys(err, "make a directory in", tmp);
	cleanup_free char *path = xasprintf("%s/image", own);
	int result = write_and_send(p, client, input, path, err);
	(void)tree_remove_at(parent, strrchr(own, '/') + 1, &ignored);
	return result;
}

static int push_input(struct push *p, struct registry_client *client, struct registry *registry, struct azm_err *err)
{
	cleanup_fd int scratch = scratch_directory(err);
	cleanup_image_input struct image_input input = IMAGE_INPUT_NONE;
	cleanup_free char *from = other_repository(p);
	const struct source_options options = source_choice_options(&p->from, scratch, UINT64_MAX);

	if (scratch < 0 || image_input_open(p->operands[0], &options, &p->job, &input, err) < 0)
		return -1;
	if (input.form != IMAGE_PACKED || !input.source.image.manifest)
		return send_written(p, client, &input, err);
	if (from)
		registry_mount_from(registry, from);
	return send_all(p, client, &input.source, from, err);
}

static void say_done(const struct push *p)
{
	char digest[DIGEST_TEXT_SIZE];
	cleanup_free char *name = reference_text(&p->target);

	digest_text(&p->digest, digest);
	if (p->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:s, s:I, s:I, s:f}", "phase", "done", "name", name, "digest",
			digest, "layers", (json_int_t)p->layers, "layers_there", (json_int_t)p->there, "elapsed",
			progress_seconds(&p->job.progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else {
		if (p->style != PROGRESS_QUIET)
			fprintf(stderr, "%s: %s: %zu layers, %zu of them were there, %.1f s\n", rootfs_program.name,
				name, p->layers, p->there, progress_seconds(&p->job.progress));
		printf("%s\n", digest);
	}
}

static int push(struct push *p, struct azm_err *err)
{
	cleanup_fd int signals = watch_signals(err);

	if (signals < 0 || layer_write_epoch(&p->layers_as, err) < 0)
		return -1;
	p->job = (struct job){ .command = "push", .object = p->operands[0], .signals = signals };
	job_limit_memory();
	progress_begin(&p->job.progress, p->style, rootfs_program.name);
	p->job.progress.steady = true;
	struct registry *registry = registry_open(&p->target, &p->from.registry, true, err);
	struct registry_client *client = registry ? registry_client_new(registry, tick, &p->job, err) : NULL;
	int result = client ? push_input(p, client, registry, err) : -1;
	progress_end(&p->job.progress);
	registry_client_free(client);
	registry_close(registry);
	if (result == 0)
		say_done(p);
	return result;
}

int push_main(int argc, char **argv)
{
	struct push p = { .layers_as.codec = CODEC_GZIP };
	struct azm_err err = { 0 };

	int result = parse(&p, argc, argv, &err);
	if (result == 0)
		result = push(&p, &err);
	reference_free(&p.target);
	source_choice_free(&p.from);
	return command_end(result, &err);
}

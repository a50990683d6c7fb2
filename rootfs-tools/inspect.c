// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/inspect.c: `azm-rootfs inspect SRC`: what an image says about itself.
 *
 * All of it was written by somebody else: nothing reaches a terminal as it is. JSON for programs is ASCII, where
 * control characters are escaped; documents byte by byte are for files and pipes.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "base/str.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/image_input.h"
#include "rootfs-tools/scratch.h"

enum show { SHOW_TEXT, SHOW_JSON, SHOW_RAW, SHOW_CONFIG };

struct inspect {
	struct source_choice from; /* first: see SOURCE_CHOICE_ROWS */
	const char *operands[1];
	enum show show;
	struct job job;
};

/* ---- options --------------------------------------------------------------------------------------------------- */

OPTION_STORES(set_json, struct inspect, show, SHOW_JSON)
OPTION_STORES(set_raw, struct inspect, show, SHOW_RAW)
OPTION_STORES(set_config, struct inspect, show, SHOW_CONFIG)

const struct option_row inspect_options[] = {
	{ 0, "json", NULL, set_json, "one JSON object: digests, platform, layers, configuration" },
	{ 0, "raw", NULL, set_raw, "the manifest, byte by byte (of docker-archives, manifest.json)" },
	{ 0, "config", NULL, set_config, "the image configuration, byte by byte" },
	SOURCE_CHOICE_ROWS,
	OPTIONS_END,
};

/* ---- documents as they are ------------------------------------------------------------------------------------- */

/* On a terminal without what could drive it. */
static int print_document(const char *text, size_t size, struct azm_err *err)
{
	cleanup_free char *copy = xstrdup(text);

	if (isatty(STDOUT_FILENO)) {
		str_sanitise_lines(copy);
		puts(copy);
	} else {
		fwrite(text, 1, size, stdout);
	}
	return fflush(stdout) != 0 ? err_sys(err, "write", "standard output") : 0;
}

static int print_manifest(const struct image_input *in, struct azm_err *err)
{
	const struct packed_image *image = &in->source.image;
	struct blob blob;
	size_t size;

	if (in->form != IMAGE_PACKED)
		return err_msg(err, EINVAL, "show the manifest", NULL, "an image that is not packed has none");
	if (image->manifest)
		return print_document(image->manifest, image->manifest_size, err);
	if (layout_open(in->source.layout, "manifest.json", &blob, err) < 0)
		return -1;
	cleanup_free char *text = layout_read(&blob, NULL, DOCUMENT_MAX, &size, err);
	layout_close_blob(in->source.layout, &blob);
	return text ? print_document(text, size, err) : -1;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static json_t *json_digest(const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	return json_string(text);
}

static json_t *json_layers(const struct packed_image *image)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < image->count; i++) {
		const struct image_layer *layer = &image->layers[i];
		json_t *item = json_object();
		if (layer->has_digest)
			json_object_set_new(item, "digest", json_digest(&layer->digest));
		json_object_set_new(item, "size", json_integer((json_int_t)layer->size));
		json_object_set_new(item, "diff_id", json_digest(&layer->diff_id));
		json_array_append_new(layers, item);
	}
	return layers;
}

static const char *form_name(enum image_form form)
{
	return form == IMAGE_UNPACKED ? "unpacked" : form == IMAGE_STORED ? "stored" : "packed";
}

/* Everything there is to say; @config is borrowed. */
static json_t *describe(const struct inspect *n, const struct image_input *in, json_t *config)
{
	static const char *const copied[] = { "created", "author", "architecture", "os", "variant", "config",
		"history" };
	json_t *object = json_pack("{s:s, s:s}", "source", n->operands[0], "form", form_name(in->form));

	if (!object) /* the name is not UTF-8 */
		object = json_pack("{s:s}", "form", form_name(in->form));
	if (in->form == IMAGE_PACKED) {
		const struct packed_image *image = &in->source.image;
		if (image->manifest)
			json_object_set_new(object, "digest", json_digest(&image->manifest_digest));
		json_object_set_new(object, "id", json_digest(&image->config_digest));
		json_object_set_new(object, "size", json_integer((json_int_t)image->size));
		json_object_set_new(object, "layers", json_layers(image));
	}
	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		if (json_object_get(config, copied[i]))
			json_object_set(object, copied[i], json_object_get(config, copied[i]));
	return object;
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void print_line(const char *title, const char *text)
{
	cleanup_free char *copy = xstrdup(text);

	str_sanitise(copy);
	printf("%-12s %s\n", title, copy);
}

/* A list as one line of JSON, an object by its keys, or a text. */
static void print_value(const char *title, const json_t *value)
{
	if (json_is_string(value) && json_string_length(value) > 0) {
		print_line(title, json_string_value(value));
	} else if (json_is_array(value) && json_array_size(value) > 0) {
		cleanup_free char *text = json_escaped(value, 0);
		print_line(title, text ? text : "");
	}
}

static void print_items(const char *title, const json_t *object, bool values)
{
	const char *key;
	json_t *value;
	const char *shown = title; /* in front of the first one */

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		cleanup_free char *line = values && json_is_string(value)
						  ? xasprintf("%s=%s", key, json_string_value(value))
						  : xstrdup(key);
		print_line(shown, line);
		shown = "";
	}
}

static void print_list(const char *title, const json_t *array)
{
	size_t i;
	json_t *value;
	const char *shown = title; /* in front of the first one */

	json_array_foreach((json_t *)(uintptr_t)array, i, value)
	{
		print_line(shown, json_is_string(value) ? json_string_value(value) : "?");
		shown = "";
	}
}

static void print_layers(const json_t *layers)
{
	size_t i;
	json_t *layer;

	printf("%-12s %zu\n", "Layers", json_array_size(layers));
	json_array_foreach((json_t *)(uintptr_t)layers, i, layer)
	{
		const char *digest = json_string_value(json_object_get(layer, "digest"));
		const char *diff_id = json_string_value(json_object_get(layer, "diff_id"));
		char size[STR_SIZE_TEXT];
		printf("%-12s %s  %s\n", "", digest ? digest : diff_id,
			str_size((uint64_t)json_integer_value(json_object_get(layer, "size")), size));
	}
}

static void print_text(const json_t *image)
{
	const json_t *config = json_object_get(image, "config");
	const char *os = json_string_value(json_object_get(image, "os"));
	const char *architecture = json_string_value(json_object_get(image, "architecture"));
	const char *variant = json_string_value(json_object_get(image, "variant"));
	cleanup_free char *platform = xasprintf("%s/%s%s%s", os ? os : "?", architecture ? architecture : "?",
		variant ? "/" : "", variant ? variant : "");

	print_value("Source", json_object_get(image, "source"));
	print_value("Digest", json_object_get(image, "digest"));
	print_value("ID", json_object_get(image, "id"));
	print_line("Platform", platform);
	print_value("Created", json_object_get(image, "created"));
	print_value("Author", json_object_get(image, "author"));
	print_value("User", json_object_get(config, "User"));
	print_value("WorkingDir", json_object_get(config, "WorkingDir"));
	print_value("Entrypoint", json_object_get(config, "Entrypoint"));
	print_value("Cmd", json_object_get(config, "Cmd"));
	print_list("Env", json_object_get(config, "Env"));
	print_items("Ports", json_object_get(config, "ExposedPorts"), false);
	print_items("Volumes", json_object_get(config, "Volumes"), false);
	print_items("Labels", json_object_get(config, "Labels"), true);
	print_value("StopSignal", json_object_get(config, "StopSignal"));
	if (json_object_get(image, "layers"))
		print_layers(json_object_get(image, "layers"));
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static int show_image(const struct inspect *n, const struct image_input *in, struct azm_err *err)
{
	json_t *config = json_loadb(in->config, in->config_size, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(config)) {
		json_decref(config);
		return err_msg(err, EINVAL, "read the image's", "configuration", "it is not a JSON object");
	}
	json_t *image = describe(n, in, config);
	if (n->show == SHOW_JSON) {
		json_print(json_incref(image), JSON_INDENT(2), stdout);
	} else {
		print_text(image);
	}
	json_decref(image);
	json_decref(config);
	return fflush(stdout) != 0 ? err_sys(err, "write", "standard output") : 0;
}

static int inspect(struct inspect *n, struct azm_err *err)
{
	cleanup_fd int signals = watch_signals(err);
	cleanup_fd int scratch = signals < 0 ? -1 : scratch_directory(err);
	const struct source_options options = source_choice_options(&n->from, scratch, UINT64_MAX);
	cleanup_image_input struct image_input input = IMAGE_INPUT_NONE;

	if (scratch < 0)
		return -1;
	n->job = (struct job){ .command = "inspect", .object = n->operands[0], .signals = signals };
	job_limit_memory();
	progress_begin(&n->job.progress, isatty(STDERR_FILENO) ? PROGRESS_AUTO : PROGRESS_QUIET, rootfs_program.name);
	int result = image_input_open(n->operands[0], &options, &n->job, &input, err);
	progress_end(&n->job.progress);
	if (result < 0)
		return -1;
	if (n->show == SHOW_RAW)
		return print_manifest(&input, err);
	return n->show == SHOW_CONFIG ? print_document(input.config, input.config_size, err)
				      : show_image(n, &input, err);
}

int inspect_main(int argc, char **argv)
{
	struct inspect n = { 0 };
	struct azm_err err = { 0 };

	int result = command_operands("inspect", &n, argc, argv, n.operands, 1, &err);
	if (result == 0)
		result = err_msg(&err, EINVAL, "inspect", NULL, "which image?");
	if (result > 0)
		result = inspect(&n, &err);
	source_choice_free(&n.from);
	return command_end(result, &err);
}

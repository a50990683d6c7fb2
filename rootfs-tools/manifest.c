// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/manifest.c: see manifest.h. OCI image specification: image-index.md, manifest.md, descriptor.md,
 * config.md; Docker image specification v1.2 (manifest.json) and distribution manifest schema 2.
 */
#include "rootfs-tools/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define cleanup_json [[gnu::cleanup(release_json)]]

static void release_json(json_t **object)
{
	json_decref(*object);
}

static const struct {
	const char *name;
	enum media media;
} media_types[] = {
	{ "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
	{ "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
	{ "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
	{ "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
	{ "application/vnd.oci.image.config.v1+json", MEDIA_CONFIG },
	{ "application/vnd.docker.container.image.v1+json", MEDIA_CONFIG },
	{ "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER },
	{ "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_FOREIGN_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_FOREIGN_LAYER },
	{ "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_FOREIGN_LAYER },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar", MEDIA_FOREIGN_LAYER },
	{ "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", MEDIA_FOREIGN_LAYER },
};

enum media media_of(const char *type)
{
	for (size_t i = 0; i < sizeof media_types / sizeof *media_types; i++)
		if (strcmp(type, media_types[i].name) == 0)
			return media_types[i].media;
	return MEDIA_OTHER;
}

[[gnu::format(printf, 3, 4)]] static int bad(struct azm_err *err, const char *what, const char *format, ...)
{
	char why[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof why, format, arguments);
	va_end(arguments);
	return err_msg(err, EINVAL, "read the image's", what, "%s", why);
}

/* ---- platforms ------------------------------------------------------------------------------------------------- */

static char *copy_of(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

int platform_parse(const char *text, struct platform *platform, struct azm_err *err)
{
	cleanup_str_list struct str_list parts = { 0 };

	*platform = (struct platform){ 0 };
	str_list_split(&parts, text, '/');
	bool whole = strlen(text) < 128 && parts.count >= 2 && parts.count <= 3;
	for (size_t i = 0; whole && i < parts.count; i++)
		whole = *parts.items[i] != '\0';
	if (!whole)
		return err_msg(err, EINVAL, "choose", text, "a platform is written linux/amd64 or linux/arm/v7");
	platform->os = xstrdup(parts.items[0]);
	platform->architecture = xstrdup(parts.items[1]);
	platform->variant = copy_of(parts.count > 2 ? parts.items[2] : NULL);
	return 0;
}

char *platform_text(const struct platform *p)
{
	return xasprintf("%s/%s%s%s", p->os ? p->os : "unknown", p->architecture ? p->architecture : "unknown",
		p->variant ? "/" : "", p->variant ? p->variant : "");
}

static bool part_fits(const char *wanted, const char *offered)
{
	return !wanted || !offered || strcmp(wanted, offered) == 0;
}

bool platform_fits(const struct platform *wanted, const struct platform *offered)
{
	return part_fits(wanted->os, offered->os) && part_fits(wanted->architecture, offered->architecture) &&
	       part_fits(wanted->variant, offered->variant);
}

void platform_free(struct platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct platform){ 0 };
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static json_t *load(const char *text, size_t size, const char *what, struct azm_err *err)
{
	json_error_t error;
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

	if (!object)
		bad(err, what, "not JSON: %s", error.text);
	return object;
}

/* A text of an object, or NULL when it has none. */
static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static struct platform platform_of(const json_t *object)
{
	return (struct platform){ .os = copy_of(text_of(object, "os")),
		.architecture = copy_of(text_of(object, "architecture")),
		.variant = copy_of(text_of(object, "variant")) };
}

void descriptor_free(struct descriptor *d)
{
	free(d->media_type);
	free(d->name);
	free(d->full_name);
	platform_free(&d->platform);
}

static int parse_descriptor(const json_t *object, const char *what, struct descriptor *d, struct azm_err *err)
{
	const char *type = text_of(object, "mediaType"), *digest = text_of(object, "digest");
	const json_t *size = json_object_get(object, "size"), *notes = json_object_get(object, "annotations");

	*d = (struct descriptor){ 0 };
	if (!type || !digest || !json_is_integer(size) || json_integer_value(size) < 0)
		return bad(err, what, "a reference without media type, digest or size");
	if (json_array_size(json_object_get(object, "urls")) > 0)
		return bad(
			err, what, "a part of it has to be fetched from somewhere else (\"urls\"), which we never do");
	if (digest_parse(digest, &d->digest, err) < 0)
		return -1;
	d->size = (uint64_t)json_integer_value(size);
	d->media = media_of(type);
	d->media_type = xstrdup(type);
	d->platform = platform_of(json_object_get(object, "platform"));
	d->name = copy_of(text_of(notes, "org.opencontainers.image.ref.name"));
	d->full_name = copy_of(text_of(notes, "io.containerd.image.name"));
	d->attestation = text_of(notes, "vnd.docker.reference.type") != NULL;
	return 0;
}

static int parse_descriptors(const json_t *array, const char *what, size_t limit, struct descriptor **items,
	size_t *count, struct azm_err *err)
{
	*items = NULL;
	*count = 0;
	if (!json_is_array(array))
		return bad(err, what, "a list is missing");
	if (json_array_size(array) > limit)
		return bad(err, what, "more than %zu entries", limit);
	*items = xcalloc(json_array_size(array) + 1, sizeof **items);
	for (size_t i = 0; i < json_array_size(array); i++) {
		int result = parse_descriptor(json_array_get(array, i), what, &(*items)[i], err);
		if (result < 0)
			return -1;
		++*count;
	}
	return 0;
}

static void free_descriptors(struct descriptor *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		descriptor_free(&items[i]);
	free(items);
}

/* What index and manifest have in common: they say what they are, or nothing, and are not the other one as well. */
static int check_kind(const json_t *object, const char *what, enum media media, const char *media_type,
	const char *const *foreign, struct azm_err *err)
{
	const char *own = text_of(object, "mediaType");

	if (!json_is_object(object) || json_integer_value(json_object_get(object, "schemaVersion")) != 2)
		return bad(err, what, "not of schema version 2");
	if (json_object_get(object, "mediaType") && (!own || media_of(own) != media))
		return bad(err, what, "its media type says it is something else");
	if (own && media_type && strcmp(own, media_type) != 0)
		return bad(err, what, "its media type is not the one it was referred to with");
	for (; *foreign; foreign++)
		if (json_object_get(object, *foreign))
			return bad(err, what, "it can be read in two ways (\"%s\")", *foreign);
	return 0;
}

/* ---- the documents --------------------------------------------------------------------------------------------- */

int index_parse(const char *text, size_t size, const char *media_type, struct index *index, struct azm_err *err)
{
	static const char *const foreign[] = { "config", "layers", "fsLayers", NULL };
	cleanup_json json_t *object = load(text, size, "index", err);

	*index = (struct index){ 0 };
	if (!object || check_kind(object, "index", MEDIA_INDEX, media_type, foreign, err) < 0)
		return -1;
	if (parse_descriptors(json_object_get(object, "manifests"), "index", MANIFESTS_MAX, &index->items,
		    &index->count, err) == 0)
		return 0;
	index_free(index);
	return -1;
}

static int check_layers(const struct manifest *m, struct azm_err *err)
{
	if (m->config.media != MEDIA_CONFIG)
		return bad(err, "manifest", "not of a container image: its configuration is of type %s",
			m->config.media_type);
	for (size_t i = 0; i < m->count; i++) {
		if (m->layers[i].media == MEDIA_FOREIGN_LAYER)
			return bad(err, "manifest", "a layer has to be fetched from its vendor, which we never do");
		if (m->layers[i].media != MEDIA_LAYER)
			return bad(err, "manifest", "a layer of unknown type %s", m->layers[i].media_type);
	}
	return 0;
}

int manifest_parse(
	const char *text, size_t size, const char *media_type, struct manifest *manifest, struct azm_err *err)
{
	static const char *const foreign[] = { "manifests", "fsLayers", NULL };
	cleanup_json json_t *object = load(text, size, "manifest", err);

	*manifest = (struct manifest){ 0 };
	if (!object || check_kind(object, "manifest", MEDIA_MANIFEST, media_type, foreign, err) < 0 ||
		parse_descriptor(json_object_get(object, "config"), "manifest", &manifest->config, err) < 0)
		return -1;
	if (parse_descriptors(json_object_get(object, "layers"), "manifest", LAYERS_MAX, &manifest->layers,
		    &manifest->count, err) == 0 &&
		check_layers(manifest, err) == 0)
		return 0;
	manifest_free(manifest);
	return -1;
}

int image_config_parse(const char *text, size_t size, struct image_config *config, struct azm_err *err)
{
	cleanup_json json_t *object = load(text, size, "configuration", err);
	const json_t *list = json_object_get(json_object_get(object, "rootfs"), "diff_ids");

	*config = (struct image_config){ 0 };
	if (!object)
		return -1;
	if (!json_is_array(list) || json_array_size(list) > LAYERS_MAX)
		return bad(err, "configuration", "it does not list the layers (rootfs.diff_ids)");
	config->platform = platform_of(object);
	config->diff_ids = xcalloc(json_array_size(list) + 1, sizeof *config->diff_ids);
	for (; config->count < json_array_size(list); config->count++) {
		const char *id = json_string_value(json_array_get(list, config->count));
		if (digest_parse(id ? id : "", &config->diff_ids[config->count], err) < 0) {
			image_config_free(config);
			return -1;
		}
	}
	return 0;
}

/* Texts of an array; null is an empty one. */
static int parse_texts(const json_t *array, size_t limit, struct str_list *list, struct azm_err *err)
{
	if (!array || json_is_null(array))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > limit)
		return bad(err, "manifest.json", "not a list, or too long a one");
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (!text)
			return bad(err, "manifest.json", "a list of texts has something else in it");
		str_list_add(list, text);
	}
	return 0;
}

static int parse_docker_image(const json_t *object, struct docker_image *image, struct azm_err *err)
{
	const char *config = text_of(object, "Config");

	if (!config)
		return bad(err, "manifest.json", "an image without configuration");
	image->config = xstrdup(config);
	if (parse_texts(json_object_get(object, "Layers"), LAYERS_MAX, &image->layers, err) < 0 ||
		parse_texts(json_object_get(object, "RepoTags"), MANIFESTS_MAX, &image->tags, err) < 0)
		return -1;
	return 0;
}

int docker_images_parse(const char *text, size_t size, struct docker_images *images, struct azm_err *err)
{
	cleanup_json json_t *array = load(text, size, "manifest.json", err);

	*images = (struct docker_images){ 0 };
	if (!array)
		return -1;
	if (!json_is_array(array) || json_array_size(array) > MANIFESTS_MAX)
		return bad(err, "manifest.json", "not a list of images");
	images->items = xcalloc(json_array_size(array) + 1, sizeof *images->items);
	while (images->count < json_array_size(array)) {
		const json_t *object = json_array_get(array, images->count);
		if (parse_docker_image(object, &images->items[images->count++], err) < 0) {
			docker_images_free(images);
			return -1;
		}
	}
	return 0;
}

void index_free(struct index *index)
{
	free_descriptors(index->items, index->count);
	*index = (struct index){ 0 };
}

void manifest_free(struct manifest *manifest)
{
	descriptor_free(&manifest->config);
	free_descriptors(manifest->layers, manifest->count);
	*manifest = (struct manifest){ 0 };
}

void image_config_free(struct image_config *config)
{
	platform_free(&config->platform);
	free(config->diff_ids);
	*config = (struct image_config){ 0 };
}

void docker_images_free(struct docker_images *images)
{
	for (size_t i = 0; i < images->count; i++) {
		free(images->items[i].config);
		str_list_free(&images->items[i].layers);
		str_list_free(&images->items[i].tags);
	}
	free(images->items);
	*images = (struct docker_images){ 0 };
}

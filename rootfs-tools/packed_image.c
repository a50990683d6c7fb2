// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/packed_image.c: see packed_image.h.
 *
 * An index may name further indices. Each is verified by its digest, so none can contain itself; how deep we go and how
 * many documents we read is bounded all the same.
 */
#include "rootfs-tools/packed_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/reference.h"

enum { INDEX_DEPTH = 4, NAMES_SHOWN = 12 };

static char *read_blob(
	struct layout *layout, const struct descriptor *d, size_t limit, size_t *size, struct azm_err *err)
{
	const bool document = d->media == MEDIA_INDEX || d->media == MEDIA_MANIFEST;
	struct blob blob;

	if (d->size > limit) {
		err_msg(err, EFBIG, "read the image's", document ? "index or manifest" : "configuration",
			"it is larger than %zu KiB", limit >> 10);
		return NULL;
	}
	if (layout_need(layout, &d->digest, d->size, document, err) < 0 ||
		layout_open_blob(layout, &d->digest, d->size, &blob, err) < 0)
		return NULL;
	char *text = layout_read(&blob, &d->digest, limit, size, err);
	layout_close_blob(layout, &blob);
	return text;
}

static char *read_name(struct layout *layout, const char *name, size_t limit, size_t *size, struct azm_err *err)
{
	struct blob blob;

	if (layout_open(layout, name, &blob, err) < 0)
		return NULL;
	char *text = layout_read(&blob, NULL, limit, size, err);
	layout_close_blob(layout, &blob);
	return text;
}

/* ---- of an index: which one? ----------------------------------------------------------------------------------- */

static bool has_name(const struct descriptor *d, const char *tag)
{
	return (d->name && reference_same(d->name, tag)) || (d->full_name && reference_same(d->full_name, tag));
}

static bool is_candidate(const struct descriptor *d, const struct image_choice *choice, const char *tag)
{
	return (d->media == MEDIA_MANIFEST || d->media == MEDIA_INDEX) && !d->attestation &&
	       platform_fits(choice->platform, &d->platform) && (!tag || has_name(d, tag));
}

/* For a hint: what there is, names first. */
static char *describe(const struct index *index)
{
	char *text = xstrdup("");
	unsigned shown = 0;

	for (size_t i = 0; i < index->count && shown < NAMES_SHOWN; i++) {
		const struct descriptor *d = &index->items[i];
		if (d->attestation || (d->media != MEDIA_MANIFEST && d->media != MEDIA_INDEX))
			continue;
		cleanup_free char *before = text;
		cleanup_free char *platform = platform_text(&d->platform);
		const char *name = d->full_name ? d->full_name : d->name ? d->name : "";
		text = xasprintf("%s%s%s%s%s", before, shown++ ? ", " : "", name, *name && d->platform.os ? " " : "",
			d->platform.os ? platform
			: *name	       ? ""
				       : "one without a name");
	}
	return text;
}

static int none_fits(const struct index *index, const struct image_choice *choice, const char *tag, struct azm_err *err)
{
	cleanup_free char *platform = platform_text(choice->platform);
	cleanup_free char *there = describe(index);

	err_msg(err, ENOENT, "choose the image", tag ? tag : platform, "there is none%s%s", tag ? " for " : "",
		tag ? platform : "");
	return err_hint(err, "there is: %s (choose with --tag and --platform)", *there ? there : "nothing");
}

/* The one descriptor that is meant. NULL with @err. */
static const struct descriptor *choose(
	const struct index *index, const struct image_choice *choice, bool top, struct azm_err *err)
{
	const char *tag = top ? choice->tag : NULL;
	const struct descriptor *found = NULL;

	for (size_t i = 0; i < index->count; i++) {
		const struct descriptor *d = &index->items[i];
		if (!is_candidate(d, choice, tag))
			continue;
		if (found && top && !digest_equal(&found->digest, &d->digest)) {
			cleanup_free char *there = describe(index);
			err_msg(err, EINVAL, "choose the image", NULL, "there are several");
			err_hint(err, "choose one with --tag: %s", there);
			return NULL;
		}
		if (!found)
			found = d; /* of one platform the first counts (image-index.md) */
	}
	if (!found)
		none_fits(index, choice, tag, err);
	return found;
}

/* The chosen one of an index, which has to be released; its text, owned by the caller. NULL with @err. */
static char *step_down(struct layout *layout, const struct image_choice *choice, bool top, char *text, size_t *size,
	struct descriptor *chosen, char **name, struct azm_err *err)
{
	struct index index = { 0 };
	const struct descriptor *d = NULL;

	if (index_parse(text, *size, chosen->media_type, &index, err) == 0)
		d = choose(&index, choice, top, err);
	descriptor_free(chosen);
	*chosen = (struct descriptor){ 0 };
	char *next = d ? read_blob(layout, d, DOCUMENT_MAX, size, err) : NULL;
	if (next && !*name && (d->full_name || d->name))
		*name = xstrdup(d->full_name ? d->full_name : d->name);
	if (next) {
		*chosen = (struct descriptor){ .media = d->media, .digest = d->digest, .size = d->size };
		chosen->media_type = xstrdup(d->media_type);
	}
	index_free(&index);
	return next;
}

/* Go down from a document to the manifest. @top: where it is; NULL: index.json. */
static int find_manifest(struct layout *layout, const struct descriptor *top, const struct image_choice *choice,
	struct manifest *manifest, struct packed_image *image, struct azm_err *err)
{
	struct descriptor at = { .media = MEDIA_INDEX };
	size_t size = 0;
	char *text = top ? read_blob(layout, top, DOCUMENT_MAX, &size, err)
			 : read_name(layout, "index.json", DOCUMENT_MAX, &size, err);

	if (top) {
		at = (struct descriptor){ .media = top->media, .digest = top->digest };
		at.media_type = xstrdup(top->media_type);
	}
	for (int depth = 0; text && at.media == MEDIA_INDEX; depth++) {
		char *next = NULL;
		if (depth > INDEX_DEPTH)
			err_msg(err, ELOOP, "read the image's", "index", "indices are nested too deeply");
		else
			next = step_down(layout, choice, depth == 0 && !top, text, &size, &at, &image->name, err);
		free(text);
		text = next;
	}
	int result = text ? manifest_parse(text, size, at.media_type, manifest, err) : -1;
	image->manifest = text;
	image->manifest_type = steal_ptr(&at.media_type);
	image->manifest_size = size;
	image->manifest_digest = at.digest;
	descriptor_free(&at);
	return result;
}

/* ---- what it is made of ---------------------------------------------------------------------------------------- */

/* Take the configuration into @image; its list of layers goes with @count blobs. */
static int use_config(struct packed_image *image, const struct image_choice *choice, size_t count, struct azm_err *err)
{
	struct image_config config;

	if (image_config_parse(image->config, image->config_size, &config, err) < 0)
		return -1;
	int result = 0;
	if (config.count != count)
		result = err_msg(err, EBADMSG, "verify", "the image",
			"the manifest has %zu layers, the configuration %zu", count, config.count);
	image->layers = xcalloc(count + 1, sizeof *image->layers);
	image->count = count;
	for (size_t i = 0; result == 0 && i < count; i++)
		image->layers[i].diff_id = config.diff_ids[i];
	image->fits = platform_fits(choice->platform, &config.platform);
	image->platform = config.platform;
	config.platform = (struct platform){ 0 };
	image_config_free(&config);
	return result;
}

static int choose_oci(struct layout *layout, const struct descriptor *top, const struct image_choice *choice,
	struct packed_image *image, struct azm_err *err)
{
	struct manifest manifest = { 0 };

	if (find_manifest(layout, top, choice, &manifest, image, err) < 0)
		return -1;
	image->config_digest = manifest.config.digest;
	image->config = read_blob(layout, &manifest.config, CONFIG_MAX, &image->config_size, err);
	int result = image->config ? use_config(image, choice, manifest.count, err) : -1;
	for (size_t i = 0; result == 0 && i < manifest.count; i++) {
		image->layers[i].digest = manifest.layers[i].digest;
		image->layers[i].has_digest = true;
		image->layers[i].size = manifest.layers[i].size;
		if (__builtin_add_overflow(image->size, manifest.layers[i].size, &image->size))
			result = err_code(err, EOVERFLOW, "read the image's", "manifest");
	}
	manifest_free(&manifest);
	return result;
}

/* Names of Docker's configurations are digests: "HEX.json", "blobs/sha256/HEX", "sha256:HEX". */
static bool digest_of_name(const char *name, struct digest *digest)
{
	struct azm_err ignored = { 0 };
	const char *last = strrchr(name, '/');

	last = last ? last + 1 : name;
	last = str_starts(last, "sha256:") ? last + strlen("sha256:") : last;
	cleanup_free char *text = xasprintf("sha256:%.*s", (int)strcspn(last, "."), last);
	return digest_parse(text, digest, &ignored) == 0;
}

static const struct docker_image *choose_docker_image(
	const struct docker_images *images, const char *tag, struct azm_err *err)
{
	const struct docker_image *found = NULL;

	for (size_t i = 0; i < images->count; i++) {
		bool named = !tag;
		for (size_t t = 0; !named && t < images->items[i].tags.count; t++)
			named = reference_same(images->items[i].tags.items[t], tag);
		if (!named)
			continue;
		if (found) {
			err_msg(err, EINVAL, "choose the image", NULL, "there are several");
			err_hint(err, "choose one with --tag: %s",
				images->items[i].tags.count ? images->items[i].tags.items[0] : "they have names");
			return NULL;
		}
		found = &images->items[i];
	}
	if (!found) {
		err_msg(err, ENOENT, "choose the image", tag, "there is none of that name");
		const struct str_list *tags = images->count ? &images->items[0].tags : NULL;
		if (tags && tags->items)
			err_hint(err, "there is: %s", tags->items[0]);
	}
	return found;
}

static int use_docker_image(struct layout *layout, const struct docker_image *from, const struct image_choice *choice,
	struct packed_image *image, struct azm_err *err)
{
	struct digest named;

	image->config = read_name(layout, from->config, CONFIG_MAX, &image->config_size, err);
	if (!image->config)
		return -1;
	image->name = from->tags.count ? xstrdup(from->tags.items[0]) : NULL;
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	hasher_add(hasher, image->config, image->config_size);
	hasher_end(hasher, &image->config_digest);
	if (digest_of_name(from->config, &named) && !digest_equal(&named, &image->config_digest))
		return err_msg(err, EBADMSG, "verify", from->config, "the content is not what its name says");
	if (use_config(image, choice, from->layers.count, err) < 0)
		return -1;
	for (size_t i = 0; i < image->count; i++) {
		struct blob blob;
		image->layers[i].name = xstrdup(from->layers.items[i]);
		if (layout_open(layout, image->layers[i].name, &blob, err) < 0)
			return -1;
		image->layers[i].size = blob.size;
		image->size += blob.size; /* parts of one archive: no overflow, unless one counts very often */
		layout_close_blob(layout, &blob);
	}
	return 0;
}

static int choose_docker(
	struct layout *layout, const struct image_choice *choice, struct packed_image *image, struct azm_err *err)
{
	struct docker_images images;
	size_t size;
	cleanup_free char *text = read_name(layout, "manifest.json", DOCUMENT_MAX, &size, err);

	if (!text || docker_images_parse(text, size, &images, err) < 0)
		return -1;
	const struct docker_image *from = choose_docker_image(&images, choice->tag, err);
	int result = from ? use_docker_image(layout, from, choice, image, err) : -1;
	docker_images_free(&images);
	return result;
}

static int finish(int result, struct packed_image *made, struct packed_image *image)
{
	*image = (struct packed_image){ 0 };
	if (result < 0)
		packed_image_free(made);
	else
		*image = *made;
	return result;
}

int packed_image_choose(
	struct layout *layout, const struct image_choice *choice, struct packed_image *image, struct azm_err *err)
{
	struct packed_image made = { 0 };
	bool oci = !choice->docker && layout_has(layout, "index.json");
	int result = oci ? choose_oci(layout, NULL, choice, &made, err) : choose_docker(layout, choice, &made, err);

	return finish(result, &made, image);
}

int packed_image_choose_below(struct layout *layout, const struct descriptor *top, const struct image_choice *choice,
	struct packed_image *image, struct azm_err *err)
{
	struct packed_image made = { 0 };
	int result = choose_oci(layout, top, choice, &made, err);

	return finish(result, &made, image);
}

void packed_image_free(struct packed_image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->layers[i].name);
	free(image->layers);
	free(image->config);
	free(image->name);
	free(image->manifest);
	free(image->manifest_type);
	platform_free(&image->platform);
	*image = (struct packed_image){ 0 };
}

int packed_image_open_layer(
	struct layout *layout, const struct image_layer *layer, struct blob *blob, struct azm_err *err)
{
	if (!layer->has_digest)
		return layout_open(layout, layer->name, blob, err);
	return layout_need(layout, &layer->digest, layer->size, false, err) < 0
		       ? -1
		       : layout_open_blob(layout, &layer->digest, layer->size, blob, err);
}

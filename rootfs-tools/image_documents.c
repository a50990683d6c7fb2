// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_documents.c: what is said of an image that is written: configuration, manifest, index, and
 * Docker's manifest.json; see image_write.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/image_write_internal.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/reference.h"

#define OCI		"application/vnd.oci.image."
#define ANNOTATION_NAME "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME "io.containerd.image.name"

static void digest_of_text(const char *text, size_t size, struct digest *digest)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);

	hasher_add(hasher, text, size);
	hasher_end(hasher, digest);
}

/* A document as bytes; the caller frees. NULL with @err. */
static char *serialise(json_t *document, size_t *size, struct azm_err *err)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (!text)
		err_code(err, ENOMEM, "write the image's", "documents");
	else
		*size = strlen(text);
	return text;
}

static json_t *descriptor(const char *media_type, const struct digest *digest, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", text, "size", (json_int_t)size);
}

/* "alpine:3" in full, where it is the name of an image. */
static char *full_name(const char *name)
{
	cleanup_reference struct reference reference = { 0 };
	struct azm_err ignored = { 0 };

	return reference_parse(name, &reference, &ignored) == 0 ? reference_text(&reference) : NULL;
}

static int put_document(
	struct image_writer *w, const char *text, size_t size, struct digest *digest, struct azm_err *err)
{
	char hex_text[DIGEST_TEXT_SIZE];

	digest_of_text(text, size, digest);
	const char *hex = digest_hex(digest, hex_text);
	cleanup_free char *name = xasprintf(w->format == IMAGE_DOCKER_ARCHIVE ? "%s.json" : BLOBS "%s", hex);
	return image_writer_put_file(w, name, text, size, err);
}

static json_t *manifest_of(const struct image_writer *w, const struct digest *config, size_t config_size)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < w->count; i++)
		json_array_append_new(layers,
			descriptor(layer_media_type(w->layers[i].codec), &w->layers[i].digest, w->layers[i].size));
	return json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI "manifest.v1+json", "config",
		descriptor(OCI "config.v1+json", config, config_size), "layers", layers);
}

static json_t *platform_of(const struct platform *platform)
{
	return json_pack("{s:s, s:s, s:s*}", "architecture", platform->architecture, "os", platform->os, "variant",
		platform->variant);
}

static json_t *index_of(const struct platform *platform, const char *name, const struct digest *manifest, size_t size)
{
	json_t *item = descriptor(OCI "manifest.v1+json", manifest, size);

	json_object_set_new(item, "platform", platform_of(platform));
	if (name) {
		cleanup_free char *full = full_name(name);
		json_t *annotations = json_object();
		if (full)
			json_object_set_new(annotations, CONTAINERD_NAME, json_string(full));
		json_object_set_new(annotations, ANNOTATION_NAME, json_string(name));
		json_object_set_new(item, "annotations", annotations);
	}
	return json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", OCI "index.v1+json", "manifests", item);
}

static int put_oci_documents(struct image_writer *w, const struct platform *platform,
	const struct digest *config_digest, size_t config_size, const char *name, struct digest *manifest,
	struct azm_err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	json_t *document = manifest_of(w, config_digest, config_size);
	size_t size = 0;
	cleanup_free char *text = serialise(document, &size, err);

	json_decref(document);
	if (!text || put_document(w, text, size, manifest, err) < 0)
		return -1;
	document = index_of(platform, name, manifest, size);
	cleanup_free char *index = serialise(document, &size, err);
	json_decref(document);
	if (!index || image_writer_put_file(w, "index.json", index, size, err) < 0)
		return -1;
	return image_writer_put_file(w, "oci-layout", layout, sizeof layout - 1, err);
}

static int put_docker_documents(
	struct image_writer *w, const struct digest *config_digest, const char *name, struct azm_err *err)
{
	char hex[DIGEST_TEXT_SIZE];
	cleanup_free char *config_name = xasprintf("%s.json", digest_hex(config_digest, hex));
	cleanup_free char *full = name ? full_name(name) : NULL;
	json_t *layers = json_array();
	size_t size = 0;

	if (name && !full) {
		json_decref(layers);
		return err_msg(err, EINVAL, "write", name, "not the name of an image");
	}
	for (size_t i = 0; i < w->count; i++) {
		cleanup_free char *layer = image_writer_layer_name(w, &w->layers[i]);
		json_array_append_new(layers, json_string(layer));
	}
	json_t *tags = full ? json_pack("[s]", full) : json_null();
	json_t *document = json_pack("[{s:s, s:o, s:o}]", "Config", config_name, "RepoTags", tags, "Layers", layers);
	cleanup_free char *text = serialise(document, &size, err);
	json_decref(document);
	return text ? image_writer_put_file(w, "manifest.json", text, size, err) : -1;
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

/* Whether a configuration is that of the layers that were added, and says what it must. */
static int check_config(const struct image_writer *w, const struct image_config *config, struct azm_err *err)
{
	bool same = config->count == w->count;

	for (size_t i = 0; same && i < w->count; i++)
		same = digest_equal(&config->diff_ids[i], &w->layers[i].diff_id);
	if (!same)
		return err_msg(err, EBADMSG, "write the image's", "configuration", "it names other layers");
	if (!config->platform.os || !config->platform.architecture)
		return err_msg(
			err, EINVAL, "write the image's", "configuration", "it does not say what machine it is for");
	return 0;
}

static int finish(struct image_writer *w, const char *text, size_t size, const struct platform *platform,
	const char *name, struct digest *manifest, struct azm_err *err)
{
	struct digest config_digest;

	if (put_document(w, text, size, &config_digest, err) < 0)
		return -1;
	*manifest = config_digest;
	int result = w->format == IMAGE_DOCKER_ARCHIVE
			     ? put_docker_documents(w, &config_digest, name, err)
			     : put_oci_documents(w, platform, &config_digest, size, name, manifest, err);
	return result < 0 ? -1 : image_writer_appear(w, err);
}

int image_writer_finish_as_is(struct image_writer *w, const char *config, size_t size, const char *name,
	struct digest *manifest, struct azm_err *err)
{
	struct image_config parsed = { 0 };
	struct digest ignored;

	if (image_config_parse(config, size, &parsed, err) < 0)
		return -1;
	int result = check_config(w, &parsed, err);
	if (result == 0)
		result = finish(w, config, size, &parsed.platform, name, manifest ? manifest : &ignored, err);
	image_config_free(&parsed);
	return result;
}

/* The layers, and what every configuration must have. */
static void complete(const struct image_writer *w, json_t *config)
{
	const char *here = bundle_architecture();
	json_t *ids = json_array();
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < w->count; i++) {
		digest_text(&w->layers[i].diff_id, text);
		json_array_append_new(ids, json_string(text));
	}
	json_object_set_new(config, "rootfs", json_pack("{s:s, s:o}", "type", "layers", "diff_ids", ids));
	if (!json_is_string(json_object_get(config, "architecture")))
		json_object_set_new(config, "architecture", json_string(here ? here : "unknown"));
	if (!json_is_string(json_object_get(config, "os")))
		json_object_set_new(config, "os", json_string("linux"));
}

int image_writer_finish(
	struct image_writer *w, json_t *config, const char *name, struct digest *manifest, struct azm_err *err)
{
	size_t size = 0;

	complete(w, config);
	cleanup_free char *text = serialise(config, &size, err);
	return text ? image_writer_finish_as_is(w, text, size, name, manifest, err) : -1;
}

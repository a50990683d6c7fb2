// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_image_manifest.c: any bytes as the documents of an image: the first says which one, the rest is it.
 */
#include "rootfs-tools/manifest.h"
#include "tests/fuzz/fuzz.h"

static void check_index(const char *text, size_t size)
{
	struct azm_err err = { 0 };
	struct index index;

	if (index_parse(text, size, NULL, &index, &err) < 0) {
		must(err.code && !index.items);
		return;
	}
	must(index.count <= MANIFESTS_MAX);
	for (size_t i = 0; i < index.count; i++)
		must(index.items[i].media_type);
	index_free(&index);
}

static void check_manifest(const char *text, size_t size)
{
	struct azm_err err = { 0 };
	struct manifest manifest;

	if (manifest_parse(text, size, "application/vnd.oci.image.manifest.v1+json", &manifest, &err) < 0) {
		must(err.code && !manifest.layers);
		return;
	}
	must(manifest.config.media == MEDIA_CONFIG && manifest.count <= LAYERS_MAX);
	for (size_t i = 0; i < manifest.count; i++)
		must(manifest.layers[i].media == MEDIA_LAYER && manifest.layers[i].size <= INT64_MAX);
	manifest_free(&manifest);
}

static void check_config(const char *text, size_t size)
{
	struct azm_err err = { 0 };
	struct image_config config;

	if (image_config_parse(text, size, &config, &err) < 0) {
		must(err.code && !config.diff_ids);
		return;
	}
	must(config.count <= LAYERS_MAX && config.diff_ids);
	image_config_free(&config);
}

static void check_docker_images(const char *text, size_t size)
{
	struct azm_err err = { 0 };
	struct docker_images images;

	if (docker_images_parse(text, size, &images, &err) < 0) {
		must(err.code && !images.items);
		return;
	}
	for (size_t i = 0; i < images.count; i++)
		must(images.items[i].config && images.items[i].layers.count <= LAYERS_MAX);
	docker_images_free(&images);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const checks[])(
		const char *, size_t) = { check_index, check_manifest, check_config, check_docker_images };

	if (size == 0)
		return 0;
	char *text = fuzz_text(data + 1, size - 1);
	checks[data[0] % 4](text, size - 1);
	free(text);
	return 0;
}

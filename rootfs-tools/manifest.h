// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/manifest.h: the JSON documents of an image, read strictly: OCI index, manifest and configuration,
 * Docker's manifest list and manifest (schema 2), and the manifest.json of its archives.
 *
 * A document is what the reference to it says it is: one that could be read as an index and as a manifest, or says of
 * itself to be something else, is refused (CVE-2021-41190). Numbers of everything are bounded.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "rootfs-tools/digest.h"

/* image.json is read whole by whoever runs the image. */
enum { DOCUMENT_MAX = 4 << 20, CONFIG_MAX = 1 << 20, LAYERS_MAX = 1024, MANIFESTS_MAX = 4096 };

struct platform {
	char *os, *architecture, *variant; /* NULL: not said */
};

/** platform_parse() - "linux/arm64" or "linux/arm/v7", as --platform. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int platform_parse(const char *text, struct platform *platform, struct azm_err *err);

/** platform_text() - the opposite; caller owns. */
[[gnu::nonnull]] char *platform_text(const struct platform *platform);

/** platform_fits() - whether an image made for @offered is what was asked for; what is not said fits. */
[[gnu::nonnull]] bool platform_fits(const struct platform *wanted, const struct platform *offered);
[[gnu::nonnull]] void platform_free(struct platform *platform);

enum media { MEDIA_INDEX, MEDIA_MANIFEST, MEDIA_CONFIG, MEDIA_LAYER, MEDIA_FOREIGN_LAYER, MEDIA_OTHER };

/** media_of() - what a media type stands for. */
[[gnu::nonnull]] enum media media_of(const char *type);

/* A reference to a blob. */
struct descriptor {
	enum media media;
	char *media_type;
	struct digest digest;
	uint64_t size;
	struct platform platform;
	char *name, *full_name; /* annotations: ref.name, containerd's name; NULL: none */
	bool attestation;	/* not an image: says something about one */
};

/* An index: one descriptor an image or further index. */
struct index {
	struct descriptor *items;
	size_t count;
};

struct manifest {
	struct descriptor config;
	struct descriptor *layers; /* the lowest first */
	size_t count;
};

struct image_config {
	struct platform platform;
	struct digest *diff_ids;
	size_t count;
};

/* One image of a docker-archive. */
struct docker_image {
	char *config;		/* name of the file */
	struct str_list layers; /* names, the lowest first */
	struct str_list tags;
};

struct docker_images {
	struct docker_image *items;
	size_t count;
};

/**
 * index_parse(), manifest_parse(), image_config_parse(), docker_images_parse() - read a document
 * @text:	@size bytes
 * @media_type:	what the reference to it says; NULL: there was none (index.json)
 *
 * Return: 0, the result released by its free function; -1 with @err and nothing to release
 */
[[gnu::nonnull(1, 4, 5)]] int index_parse(
	const char *text, size_t size, const char *media_type, struct index *index, struct azm_err *err);
[[gnu::nonnull]] int manifest_parse(
	const char *text, size_t size, const char *media_type, struct manifest *manifest, struct azm_err *err);
[[gnu::nonnull]] int image_config_parse(
	const char *text, size_t size, struct image_config *config, struct azm_err *err);
[[gnu::nonnull]] int docker_images_parse(
	const char *text, size_t size, struct docker_images *images, struct azm_err *err);

[[gnu::nonnull]] void descriptor_free(struct descriptor *descriptor);
[[gnu::nonnull]] void index_free(struct index *index);
[[gnu::nonnull]] void manifest_free(struct manifest *manifest);
[[gnu::nonnull]] void image_config_free(struct image_config *config);
[[gnu::nonnull]] void docker_images_free(struct docker_images *images);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/reference.h: names of images, as Docker writes them, and where an image comes from.
 *
 *     busybox                            docker.io/library/busybox:latest
 *     ghcr.io/me/tool:1.0@sha256:...     a name, a tag and a digest
 *     oci:DIR[:TAG]  oci-archive:FILE[:TAG]  docker-archive:FILE[:NAME]   as skopeo and podman write them
 *     docker://NAME                      in a registry
 *     FILE  DIR  -                       what it is, is found out
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

enum { REFERENCE_MAX = 1024, SOURCE_TEXT_MAX = 8192 };

struct reference {
	char *domain; /* "docker.io" */
	char *path;   /* "library/busybox" */
	char *tag;    /* NULL only where there is a digest */
	char *digest; /* "sha256:..."; NULL: none */
};

#define cleanup_reference [[gnu::cleanup(reference_free)]]

/**
 * reference_parse() - read a name, with Docker's defaults filled in (distribution's reference grammar)
 *
 * Return: 0, @reference released by reference_free(); -1 with @err (EINVAL)
 */
[[gnu::nonnull]] int reference_parse(const char *text, struct reference *reference, struct azm_err *err);

/** reference_text() - in full, "docker.io/library/busybox:latest"; caller owns. */
[[gnu::nonnull]] char *reference_text(const struct reference *reference);
[[gnu::nonnull]] void reference_free(struct reference *reference);

/** reference_same() - whether two texts name the same image; what is not a reference is compared as text. */
[[gnu::nonnull]] bool reference_same(const char *a, const char *b);

enum source_kind { SOURCE_AUTO, SOURCE_OCI_DIRECTORY, SOURCE_OCI_ARCHIVE, SOURCE_DOCKER_ARCHIVE, SOURCE_REGISTRY };

struct source_name {
	enum source_kind kind;
	char *path; /* "-": standard input; of SOURCE_REGISTRY the name in full, a reference */
	char *tag;  /* which image of several; NULL: not said */
};

#define cleanup_source_name [[gnu::cleanup(source_name_free)]]

/** source_parse() - Return: 0, @source released by source_name_free(); -1 with @err (EINVAL). */
[[gnu::nonnull]] int source_parse(const char *text, struct source_name *source, struct azm_err *err);

/** source_parse_image() - the same, but what has no prefix is a name in a registry. */
[[gnu::nonnull]] int source_parse_image(const char *text, struct source_name *source, struct azm_err *err);
[[gnu::nonnull]] void source_name_free(struct source_name *source);

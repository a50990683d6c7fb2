// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/bundle.h: what an unpacked image looks like on disk.
 *
 *     DIR/rootfs       the root file system, owned by the user
 *     DIR/image.json   its OCI image configuration: what to run, where, with which environment
 */
#pragma once
#include "base/err.h"
#include "rootfs-tools/manifest.h"

/* The part of the OCI image configuration that we make ourselves. Lists end with NULL. */
struct bundle_config {
	const char *architecture;	/* GOARCH: "amd64" */
	const char *const *env;		/* NAME=value */
	const char *const *command;	/* may be NULL: none */
	const char *const *ports;	/* "3000/tcp"; may be NULL */
	const char *const (*labels)[2]; /* key, value; ends with { NULL, NULL }; may be NULL */
	const char *working_directory;
	const char *created_by; /* for the history */
};

/** bundle_architecture() - this machine's name in OCI terms, or NULL when we do not know it. */
const char *bundle_architecture(void);

/** bundle_platform() - this machine's, "linux/amd64"; release with platform_free(). */
struct platform bundle_platform(void);

/** bundle_plain_config() - for a root file system that nothing says anything about: a shell and a PATH. */
struct bundle_config bundle_plain_config(const char *architecture, const char *created_by);

/** bundle_config_text() - the text of image.json, see bundle_write_config(). Caller owns; NULL with @err. */
[[gnu::nonnull]] char *bundle_config_text(const struct bundle_config *config, struct azm_err *err);

/** bundle_created() - now, or SOURCE_DATE_EPOCH when that is set, as RFC 3339. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int bundle_created(char text[static 32], struct azm_err *err);

/**
 * bundle_write_config() - write image.json
 * @dirfd:	the bundle
 *
 * The time of creation is SOURCE_DATE_EPOCH when that is set. Layout as in the OCI image specification, config.md; an
 * image that was not made of layers has an empty list of them.
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int bundle_write_config(int dirfd, const struct bundle_config *config, struct azm_err *err);

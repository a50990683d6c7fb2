// SPDX-License-Identifier: GPL-2.0-or-later
/* image.h: an unpacked image on disk: its root directory and its OCI configuration. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "mount/mount.h"

struct image {
	struct host_path root; /* the root tree */
	int rootfd;	       /* O_PATH, for lookups with resolve_in_root() */
	uint32_t owner;	       /* uid of the root directory */
	struct str_list env, entrypoint, cmd;
	char *user, *workdir;
	uint16_t port; /* first exposed TCP port, 0 = none */
	char *stop_signal;
	bool has_server; /* entrypoint and cmd start a runtime server */
};

/**
 * image_open() - look at a rootfs argument
 * @path:	a root tree, or a bundle: PATH/rootfs and PATH/image.json (OCI image configuration)
 *
 * Refuses with a hint what cannot be a root: missing, a file, empty, unreadable, programs for another architecture.
 * image.json is bounded and every field checked for its type.
 */
[[gnu::nonnull]] int image_open(const char *path, struct image *image, struct azm_err *err);
void image_close(struct image *image);

/** image_read_config() - the text of an image.json alone: environment, command, user, port of @image are set. */
[[gnu::nonnull]] int image_read_config(struct image *image, const char *text, size_t size, struct azm_err *err);

#define cleanup_image [[gnu::cleanup(image_close)]]

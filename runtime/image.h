// SPDX-License-Identifier: GPL-2.0-or-later
/* image.h: an unpacked image on disk: its root directory and its OCI configuration. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "mount/mount.h"

struct image {
	struct host_path *lowers; /* the root tree: layers, top-most first; one for an unpacked image */
	size_t lower_count;
	struct stack stack; /* the same, open */
	uint32_t owner;	    /* uid of the lowest directory */
	struct str_list env, entrypoint, cmd;
	char *user, *workdir;
	uint16_t port; /* first exposed TCP port, 0 = none */
	char *stop_signal;
	bool has_server; /* entrypoint and cmd start a runtime server */
	bool stored;	 /* its layers are the image store's, which other sandboxes use, too */
	int store_lock;	 /* keeps them there; only with @stored */
};

/**
 * image_open() - look at a rootfs argument
 * @path:	a root tree, or a bundle: PATH/rootfs and PATH/image.json (OCI image configuration)
 * @layers:	canonical directories on top of it, top-most first (config.layers); NULL: none
 *
 * Refuses with a hint what cannot be a root: missing, a file, empty, unreadable, programs for another architecture.
 * image.json is bounded and every field checked for its type.
 */
[[gnu::nonnull(1, 3, 4)]] int image_open(
	const char *path, const struct str_list *layers, struct image *image, struct azm_err *err);
void image_close(struct image *image);

/** image_add_lower() - append a directory below those there are. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int image_add_lower(const char *path, struct image *image, struct azm_err *err);

/** image_check_architecture() - refuse an image made for another machine; @name: for the message. */
[[gnu::nonnull]] int image_check_architecture(const struct image *image, const char *name, struct azm_err *err);

/** image_read_config() - the text of an image.json alone: environment, command, user, port of @image are set. */
[[gnu::nonnull]] int image_read_config(struct image *image, const char *text, size_t size, struct azm_err *err);

#define cleanup_image [[gnu::cleanup(image_close)]]

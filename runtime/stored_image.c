// SPDX-License-Identifier: GPL-2.0-or-later
/* stored_image.c: see stored_image.h. */
#include "stored_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs-tools/store.h"

static bool is_stored(const struct config *config)
{
	return config->rootfs && str_starts(config->rootfs, STORE_SCHEME);
}

int stored_image_find(struct config *config, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_store_image struct store_image image = { 0 };

	if (!is_stored(config))
		return 0;
	if (store_open(&store, STORE_READ, err) < 0 ||
		store_image_load(&store, config->rootfs + strlen(STORE_SCHEME), &image, err) < 0)
		return -1;
	free(config->image);
	config->image = store_image_text(&image);
	return 0;
}

static int add_layers(
	const struct store_image *stored, const struct store *store, struct image *image, struct azm_err *err)
{
	struct host_path *lowers;
	size_t count;
	int result = 0;

	if (store_lowers(store, stored, &lowers, &count, &image->store_lock, err) < 0)
		return -1;
	image->stored = true;
	for (size_t i = 0; result == 0 && i < count; i++)
		result = image_add_lower(lowers[i].path, image, err);
	store_lowers_free(lowers, count);
	return result;
}

static int open_stored(const struct config *config, struct image *image, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_store_image struct store_image stored = { 0 };

	*image = (struct image){ 0 };
	if (!config->image)
		return err_msg(err, EINVAL, "use image", config->rootfs, "nothing says what it stood for");
	if (store_image_parse(config->image, strlen(config->image), &stored, err) < 0 ||
		store_open(&store, STORE_READ, err) < 0)
		return -1;
	for (size_t i = 0; i < config->layers.count; i++)
		if (image_add_lower(config->layers.items[i], image, err) < 0)
			return err_wrap(err, "use layer", config->layers.items[i]);
	if (add_layers(&stored, &store, image, err) < 0 ||
		image_read_config(image, stored.config, strlen(stored.config), err) < 0)
		return err_wrap(err, "use image", config->rootfs);
	return image_check_architecture(image, config->rootfs, err);
}

int configured_image_open(const struct config *config, struct image *image, struct azm_err *err)
{
	return is_stored(config) ? open_stored(config, image, err)
				 : image_open(config->rootfs, &config->layers, image, err);
}

int stored_image_keep(const struct config *config, int fd, const char *path, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_store_image struct store_image stored = { 0 };

	if (!config->image)
		return 0;
	if (store_image_parse(config->image, strlen(config->image), &stored, err) < 0 ||
		store_open(&store, STORE_READ, err) < 0)
		return -1;
	const struct str_list *layers = &stored.layers;
	return layers->count ? store_keep_for(&store, fd, path, layers->items[layers->count - 1], err) : 0;
}

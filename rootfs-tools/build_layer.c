// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_layer.c: layers of a build, and finding them again.
 *
 * A key is the hash of all a layer depends on: the layers below, the instruction, its variables or its files. It is the
 * layer's ID in the store, so a layer that is there is used and two builds that need the same one make it once. With
 * --no-cache the ID is another, and STORE/build/KEY says which: later builds take the newest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"

#define NEWEST "build"

void layer_step_begin(struct layer_step *step, struct build *build, struct stage *stage, const char *kind)
{
	*step = (struct layer_step){
		.build = build, .stage = stage, .key = hasher_new(DIGEST_SHA256), .maker = LAYER_MAKER_NONE
	};
	layer_step_add(step, "azm-rootfs build 1");
	layer_step_add(step, kind);
	layer_step_add(step, stage->layers.count ? stage->layers.items[stage->layers.count - 1] : "");
}

void layer_step_add(struct layer_step *step, const char *text)
{
	hasher_add(step->key, text, strlen(text) + 1);
}

/* ---- which layer a key means ------------------------------------------------------------------------------------ */

static void key_text(struct layer_step *step, char key[static STORE_ID_SIZE])
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;

	hasher_end(step->key, &digest);
	step->key = NULL;
	memcpy(key, digest_hex(&digest, text), STORE_ID_SIZE);
}

static bool is_id(const char *text)
{
	return strlen(text) == STORE_ID_SIZE - 1 && strspn(text, "0123456789abcdef") == STORE_ID_SIZE - 1;
}

/* What --no-cache made of the key most recently, if it is still there. */
static void newest(const struct store *store, const char *key, char id[static STORE_ID_SIZE])
{
	cleanup_free char *path = xasprintf("%s/%s", NEWEST, key);
	cleanup_fd int fd = openat(store->dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *text = fd < 0 ? NULL : read_file(fd, STORE_ID_SIZE, NULL);
	struct azm_err gone = { 0 };

	memcpy(id, key, STORE_ID_SIZE);
	if (!text || !is_id(text))
		return;
	cleanup_fd int layer = store_layer_open(store, text, &gone);
	if (layer < 0)
		unlinkat(store->dir, path, 0); /* it was collected */
	else
		memcpy(id, text, STORE_ID_SIZE);
}

static int put_newest(const struct store *store, const char *key, const char *id, struct azm_err *err)
{
	if (mkdirat(store->dir, NEWEST, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make", NEWEST);
	cleanup_fd int dir = openat(store->dir, NEWEST, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || write_file_at(dir, key, id, strlen(id), 0600) < 0)
		return err_sys(err, "remember the newest layer in", NEWEST);
	return 0;
}

static void random_id(char id[static STORE_ID_SIZE])
{
	unsigned char bytes[(STORE_ID_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
		abort();
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- the stage's layers ----------------------------------------------------------------------------------------- */

static const char *topmost(const struct stage *stage)
{
	return stage->layers.count ? stage->layers.items[stage->layers.count - 1] : NULL;
}

/* The stage stands on the layer now. Its lock is taken before the one of the layer below is given up. */
static int push_layer(struct build *build, struct stage *stage, const char *id, struct azm_err *err)
{
	int lock = store_layer_lock(&build->store, id, err);

	if (lock < 0)
		return -1;
	cleanup_close_fd(&stage->lock);
	stage->lock = lock;
	cleanup_close_fd(&stage->view);
	stage->view = -1;
	str_list_add(&stage->layers, id);
	return 0;
}

int layer_step_find(struct layer_step *step, struct azm_err *err)
{
	struct build *build = step->build;
	char key[STORE_ID_SIZE], id[STORE_ID_SIZE];

	key_text(step, key);
	if (build->no_cache)
		random_id(id);
	else
		newest(&build->store, key, id);
	int there = layer_maker_begin(&build->store, id, topmost(step->stage), &build->job, &step->maker, err);
	if (there < 0)
		return -1;
	if (there == 0)
		return build->no_cache ? put_newest(&build->store, key, id, err) : 0;
	step->cached = true;
	return push_layer(build, step->stage, id, err) < 0 ? -1 : 1;
}

int layer_step_commit(struct layer_step *step, const char *created_by, struct azm_err *err)
{
	const struct layer_about about = { .created_by = created_by };

	return layer_maker_commit(&step->maker, &about, err) < 0
		       ? -1
		       : push_layer(step->build, step->stage, step->maker.id, err);
}

void layer_step_end(struct layer_step *step)
{
	layer_maker_end(&step->maker);
	hasher_free(step->key);
	step->key = NULL;
}

int stage_view(struct build *build, struct stage *stage, struct azm_err *err)
{
	const struct store_image image = { .name = (char[]){ "the stage" }, .layers = stage->layers };

	if (stage->view >= 0)
		return stage->view;
	if (stage->layers.count > 0) {
		stage->view = store_mount(&build->store, &image, err);
		return stage->view;
	}
	/* Nothing at all: a directory that nobody can see. */
	char name[] = "empty-XXXXXX";
	cleanup_free char *path = xasprintf("/proc/self/fd/%d/%s", build->store.partial, name);
	if (!mkdtemp(path))
		return err_sys(err, "make a directory in", "the store");
	stage->view = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rmdir(path) < 0 || stage->view < 0)
		return err_sys(err, "make a directory in", "the store");
	return stage->view;
}

void stage_release(struct stage *stage)
{
	cleanup_close_fd(&stage->lock);
	cleanup_close_fd(&stage->view);
	stage->lock = stage->view = -1;
	json_decref(stage->image);
	stage->image = NULL;
	str_list_free(&stage->layers);
	str_list_free(&stage->args);
}

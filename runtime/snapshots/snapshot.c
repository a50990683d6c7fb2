// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/snapshot.c: taking, keeping and finding snapshots, see snapshot.h. */
#include "snapshots/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/tree.h"
#include "disk.h"
#include "idmap.h"
#include "pause.h"
#include "snapshots/join.h"
#include "snapshots/layers.h"
#include "snapshots/ready.h"
#include "snapshots/rollback.h"
#include "status.h"
#include "stored_image.h"

enum {
	DEPTH_MAX =
		32, /* own layers below a sandbox: each costs a look-up at every miss; then they are merged to one */
	ENDING_TRIES = 3,
};

/* One snapshot being taken. */
struct taking {
	const struct state *state;
	const char *name;
	int dir; /* the sandbox's */
	struct layers *layers;
	struct uppers uppers;
	struct config *config;
	char *id;  /* the new layer */
	int layer; /* the same, open */
	struct ready ready;
	int64_t *frozen_ms;
};

void snapshot_free(struct snapshot *snapshot)
{
	free(snapshot->tag);
	free(snapshot->sandbox);
	free(snapshot->created);
	config_free(&snapshot->config);
	if (snapshot->lock >= 0)
		close(snapshot->lock);
	*snapshot = (struct snapshot){ .lock = -1 };
}

size_t snapshot_own_layers(const struct state *state, const struct config *config)
{
	cleanup_free char *text = xasprintf("%s/layers", state->path);
	struct layers layers = { .path = realpath(text, NULL), .dir = -1, .lock = -1 };
	size_t count = 0;

	for (bool own = layers.path != NULL; own && count < config->layers.count;) {
		cleanup_free char *id = layers_own(&layers, config->layers.items[count]);
		own = id != NULL;
		count += own;
	}
	free(layers.path);
	return count;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool snapshot_same_image(const struct config *a, const struct config *b)
{
	return same_text(a->rootfs, b->rootfs) && same_text(a->image, b->image);
}

/* ---- the list of layers ------------------------------------------------------------------------------------------ */

/* Put @path in place of the first @dropped items. */
static void replace_top(struct str_list *list, size_t dropped, const char *path)
{
	struct str_list changed = { 0 };

	str_list_add(&changed, path);
	for (size_t i = dropped; i < list->count; i++)
		str_list_add(&changed, list->items[i]);
	str_list_free(list);
	*list = changed;
}

struct merging {
	const struct layers *layers;
	const struct config *config;
	size_t count; /* own layers */
	const struct str_list *names;
	int layer;
};

/* One directory of each of the layers that have it. */
static int merge_one(const struct merging *m, const char *name, struct azm_err *err)
{
	int roots[OVERLAY_LAYERS_MAX];
	size_t found = 0;
	cleanup_fd int target = openat(m->layer, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = target < 0 ? err_sys(err, "open layer", name) : 0;

	for (size_t i = 0; result == 0 && i < m->count && found < OVERLAY_LAYERS_MAX; i++) {
		cleanup_free char *id = layers_own(m->layers, m->config->layers.items[i]);
		cleanup_fd int layer = layers_open_one(m->layers, id, err);
		int root = layer < 0 ? -1 : openat(layer, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (layer < 0)
			result = -1;
		else if (root >= 0)
			roots[found++] = root;
		else if (errno != ENOENT)
			result = err_sys(err, "open layer", id);
	}
	if (result == 0 && found)
		result = layers_join(roots, found, target, JOIN_LINK, NULL, err);
	while (found > 0)
		close(roots[--found]);
	return result;
}

static int merge(void *context, struct azm_err *err)
{
	const struct merging *m = context;

	for (size_t i = 0; i < m->names->count; i++)
		if (merge_one(m, m->names->items[i], err) < 0)
			return err_wrap(err, "merge layers", NULL);
	return 0;
}

/* A new layer, open. A layer of the image store below it stays as long as it exists. */
static int new_layer(
	const struct taking *t, const struct config *config, const char *sandbox, char **id, struct azm_err *err)
{
	*id = layers_new(t->layers, &t->uppers.in_layer, sandbox, err);
	if (!*id)
		return -1;
	cleanup_fd int layer = layers_open_one(t->layers, *id, err);
	cleanup_free char *path = xasprintf("%s/%s", t->layers->path, *id);
	if (layer < 0 || stored_image_keep(config, layer, path, err) < 0)
		return -1;
	return steal_fd(&layer);
}

/* Let one layer stand for all own ones when they have become too many. */
static int bound_depth(struct taking *t, struct config *config, struct azm_err *err)
{
	struct subids subids = subids_find();
	size_t count = snapshot_own_layers(t->state, config);
	struct merging job = { .layers = t->layers, .config = config, .count = count, .names = &t->uppers.in_layer };

	if (count <= DEPTH_MAX)
		return 0;
	cleanup_free char *id = NULL;
	cleanup_fd int layer = new_layer(t, config, NULL, &id, err);
	job.layer = layer;
	if (layer < 0 || idmap_in_child(&subids, merge, &job, err) < 0)
		return -1;
	cleanup_free char *path = layers_path(t->layers, id);
	replace_top(&config->layers, count, path);
	return 0;
}

/* ---- a stopped sandbox ------------------------------------------------------------------------------------------- */

static int exchange(void *context, struct azm_err *err)
{
	const struct taking *t = context;

	for (size_t i = 0; i < t->uppers.in_layer.count; i++) {
		const char *upper = t->uppers.in_sandbox.items[i], *frozen = t->uppers.in_layer.items[i];
		cleanup_fd int from = openat(t->dir, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		cleanup_fd int to = openat(t->layer, frozen, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0 || to < 0)
			return err_sys(err, "open the writable layer", upper);
		if (layer_like(from, to, err) < 0)
			return -1;
		if (renameat2(t->dir, upper, t->layer, frozen, RENAME_EXCHANGE) < 0)
			return err_sys(err, "freeze the writable layer", upper);
	}
	return 0;
}

/* Whether the writable directories are as the last exchange left them: then the layers below are all there is. */
static bool is_unchanged(const struct taking *t)
{
	if (snapshot_own_layers(t->state, t->config) == 0)
		return false;
	for (size_t i = 0; i < t->uppers.in_sandbox.count; i++) {
		struct stat st, below;
		const char *top = t->config->layers.items[0];
		cleanup_free char *frozen =
			xasprintf("%.*s%s", (int)(strlen(top) - strlen("tree")), top, t->uppers.in_layer.items[i]);
		int fd = openat(t->dir, t->uppers.in_sandbox.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		if (!dir || fstat(fd, &st) < 0 || stat(frozen, &below) < 0 || st.st_mode != below.st_mode ||
			st.st_uid != below.st_uid || st.st_gid != below.st_gid)
			return false;
		if (dir_next(dir) || errno)
			return false;
	}
	return true;
}

static int take_stopped(struct taking *t, struct azm_err *err)
{
	struct subids subids = subids_find();
	struct azm_err ignored = { 0 };

	if (is_unchanged(t))
		return tree_remove_at(t->layers->dir, t->id, err);
	cleanup_free char *path = layers_path(t->layers, t->id);
	/* Listed while it is still empty: before and after the exchange the sandbox is the same tree. */
	replace_top(&t->config->layers, 0, path);
	if (config_save(t->config, t->dir, err) < 0)
		return -1;
	if (idmap_in_child(&subids, exchange, t, err) < 0)
		return -1;
	size_t depth = t->config->layers.count;
	/* The snapshot is there; that it is deep is the next one's trouble. */
	if (bound_depth(t, t->config, &ignored) < 0)
		err_print(&ignored, "azm-sandbox");
	return t->config->layers.count == depth ? 0 : config_save(t->config, t->dir, err);
}

/* ---- a running sandbox ------------------------------------------------------------------------------------------- */

static int open_upper(const struct taking *t, size_t i, struct azm_err *err)
{
	const char *name = t->uppers.in_sandbox.items[i];
	int fd = openat(t->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open the writable layer", name) : fd;
}

static int copy(void *context, struct azm_err *err)
{
	struct taking *t = context;

	for (size_t i = 0; i < t->uppers.in_layer.count; i++) {
		const char *name = t->uppers.in_layer.items[i];
		cleanup_fd int from = open_upper(t, i, err);
		cleanup_fd int to = openat(t->layer, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (from < 0 || to < 0)
			return err->code ? -1 : err_sys(err, "open layer", name);
		if (layers_join(&from, 1, to, JOIN_COPY, &t->ready, err) < 0)
			return -1;
	}
	return 0;
}

static int copy_ahead(void *context, struct azm_err *err)
{
	struct taking *t = context;

	for (size_t i = 0; i < t->uppers.in_sandbox.count; i++) {
		cleanup_fd int from = open_upper(t, i, err);
		if (from < 0)
			return -1;
		ready_walk(&t->ready, from);
	}
	return 0;
}

/* While it runs. That it ends meanwhile, or anything else, is found by those who come after. */
static int get_ready(struct taking *t, const struct subids *subids, struct azm_err *err)
{
	struct azm_err ignored = { 0 };
	struct paused paused;

	if (ready_begin(&t->ready, t->layer, err) < 0)
		return -1;
	if (paused_find(t->dir, &paused, &ignored) < 0)
		return 0;
	while (!paused.by_user && ready_round(&t->ready) && mapped_scan(paused.init, &t->ready.mapped, &ignored) == 0 &&
		!t->ready.mapped.unknown && idmap_in_child(subids, copy_ahead, t, &ignored) == 0)
		continue;
	paused_free(&paused);
	return 0;
}

static int copy_held(struct taking *t, const struct subids *subids, struct azm_err *err)
{
	struct hold hold;
	int64_t began = clock_ms();

	if (hold_begin(t->state, t->name, t->dir, &hold, err) < 0)
		return -1;
	int result = idmap_in_child(subids, copy, t, err);
	hold_end(&hold);
	*t->frozen_ms = clock_ms() - began;
	return result < 0 ? err_wrap(err, "copy the writable layer", NULL) : 0;
}

static int take_running(struct taking *t, struct azm_err *err)
{
	struct subids subids = subids_find();
	struct azm_err ignored = { 0 };

	int result = get_ready(t, &subids, err) < 0 ? -1 : copy_held(t, &subids, err);
	if (ready_end(&t->ready, result < 0 ? &ignored : err) < 0 || result < 0)
		return -1;
	cleanup_free char *path = layers_path(t->layers, t->id);
	replace_top(&t->config->layers, 0, path);
	return bound_depth(t, t->config, err);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static int prepare(struct taking *t, struct azm_err *err)
{
	if (config_load(t->config, t->dir, err) < 0)
		return -1;
	if (strcmp(t->config->rootfs_mode, "overlay") != 0) {
		err_msg(err, EINVAL, "take a snapshot of", t->name, "it has no writable layer (--rootfs-mode %s)",
			t->config->rootfs_mode);
		return -1;
	}
	if (disk_plan(t->config) == DISK_MEMORY) {
		err_msg(err, EINVAL, "take a snapshot of", t->name,
			"its writable layer is in memory (--storage-opt mode=memory)");
		return -1;
	}
	if (uppers_list(t->dir, &t->uppers, err) < 0)
		return -1;
	t->layer = new_layer(t, t->config, t->name, &t->id, err);
	return t->layer < 0 ? -1 : 0;
}

/* Return: 0, -1 with @err set; ECONNREFUSED when it ended, or EWOULDBLOCK when it was started, in between */
static int take_once(struct taking *t, struct azm_err *err)
{
	cleanup_fd int lock = sandbox_lock(t->dir, "a snapshot of it is being taken", err);
	bool running = lock < 0 && err_is(err, EWOULDBLOCK);

	if (lock < 0 && (!running || sandbox_busy(t->dir, "take a snapshot of", t->name, err)))
		return -1;
	err_clear(err);
	if (!running && rollback_finish(t->dir, err) < 0)
		return -1;
	if (prepare(t, err) < 0)
		return -1;
	return running ? take_running(t, err) : take_stopped(t, err);
}

static void taking_end(struct taking *t)
{
	uppers_free(&t->uppers);
	free(steal_ptr(&t->id));
	if (t->layer >= 0)
		close(steal_fd(&t->layer));
}

static int take(const struct state *state, const char *name, struct layers *layers, struct snapshot *snapshot,
	struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);
	struct config *config = &snapshot->config;
	int result = -1;

	for (int attempt = 0; dir >= 0 && attempt < ENDING_TRIES; attempt++) {
		struct taking t = { .state = state,
			.name = name,
			.dir = dir,
			.layers = layers,
			.config = config,
			.layer = -1,
			.frozen_ms = &snapshot->frozen_ms };
		err_clear(err);
		config_free(config);
		config_init(config);
		result = take_once(&t, err);
		taking_end(&t);
		if (result == 0 || !err_is(err, ECONNREFUSED))
			break;
	}
	return result;
}

int snapshot_take(
	const struct state *state, const char *name, const char *tag, struct snapshot *snapshot, struct azm_err *err)
{
	cleanup_layers struct layers layers = LAYERS_NONE;

	*snapshot = (struct snapshot){ .lock = -1 };
	config_init(&snapshot->config);
	if ((tag && snapshot_check_tag(state, tag, err) < 0) || layers_open(state, &layers, err) < 0 ||
		take(state, name, &layers, snapshot, err) < 0) {
		snapshot_free(snapshot);
		return -1;
	}
	snapshot->tag = tag ? xstrdup(tag) : NULL;
	snapshot->sandbox = xstrdup(name);
	snapshot->created = status_time();
	if (tag && snapshot_keep(state, snapshot, err) < 0) {
		snapshot_free(snapshot);
		return -1;
	}
	snapshot->lock = steal_fd(&layers.lock);
	return 0;
}

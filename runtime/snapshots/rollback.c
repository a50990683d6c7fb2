// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/rollback.c: see rollback.h. Every step can be done again. */
#include "snapshots/rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "idmap.h"
#include "snapshots/join.h"
#include "snapshots/layers.h"

#define INTENTION "rollback.json"

struct beginning {
	int dir;
	const struct uppers *uppers;
	const char *top; /* tree of the top-most own layer; NULL */
};

/* An empty directory with the attributes the root had: the layer below shows them no more. */
static int make_next(void *context, struct azm_err *err)
{
	const struct beginning *b = context;

	for (size_t i = 0; i < b->uppers->in_sandbox.count; i++) {
		cleanup_free char *next = xasprintf("next-%s", b->uppers->in_sandbox.items[i]);
		cleanup_free char *path = b->top ? xasprintf("%.*s%s", (int)(strlen(b->top) - strlen("tree")), b->top,
							   b->uppers->in_layer.items[i])
						 : NULL;
		if (tree_remove_at(b->dir, next, err) < 0)
			return -1;
		if (mkdirat(b->dir, next, 0755) < 0 || fchmodat(b->dir, next, 0755, 0) < 0)
			return err_sys(err, "make directory", next);
		cleanup_fd int to = openat(b->dir, next, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		cleanup_fd int from = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		/* A volume that the snapshot did not have is empty. */
		if (to < 0 || (path && from < 0 && errno != ENOENT))
			return err_sys(err, "open directory", to < 0 ? next : path);
		if (from >= 0 && layer_like(from, to, err) < 0)
			return -1;
	}
	return 0;
}

static int write_intention(int dir, const struct config *config, struct azm_err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < config->layers.count; i++)
		json_array_append_new(list, json_string(config->layers.items[i]));
	json_t *object = json_pack("{s:o}", "layers", list);
	int result = json_save_at(object, dir, INTENTION, err);
	json_decref(object);
	return result;
}

static bool same_list(const struct str_list *a, const struct str_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

int rollback_begin(const struct state *state, int dir, const struct config *config, const struct snapshot *snapshot,
	struct azm_err *err)
{
	cleanup_uppers struct uppers uppers = { 0 };
	struct subids subids = subids_find();
	struct beginning job = { .dir = dir, .uppers = &uppers };

	if (strcmp(config->rootfs_mode, "overlay") != 0 || !snapshot_same_image(config, &snapshot->config) ||
		!same_list(&config->volumes, &snapshot->config.volumes)) {
		err_msg(err, EINVAL, "go back to", snapshot->tag,
			"it is a state of another image, or of other volumes (taken of \"%s\")", snapshot->sandbox);
		return err_hint(err, "azm-sandbox fork %s makes a new sandbox of it", snapshot->tag);
	}
	if (snapshot_own_layers(state, &snapshot->config) > 0)
		job.top = snapshot->config.layers.items[0];
	if (uppers_list(dir, &uppers, err) < 0 || idmap_in_child(&subids, make_next, &job, err) < 0)
		return -1;
	return write_intention(dir, &snapshot->config, err);
}

/* ---- carrying out ------------------------------------------------------------------------------------------------ */

static bool is_prefixed(const char *name, const char *prefix)
{
	return str_starts(name, prefix) &&
	       (strcmp(name + strlen(prefix), "upper") == 0 || str_starts(name + strlen(prefix), "volume-"));
}

/* Names of the directory that begin with a word of ours. */
static int list_prefixed(int dir, const char *prefix, struct str_list *names, struct azm_err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);

	if (!list)
		return err_sys(err, "list", "the sandbox's directory");
	const struct dirent *entry;
	while ((entry = dir_next(list)))
		if (is_prefixed(entry->d_name, prefix))
			str_list_add(names, entry->d_name);
	return errno ? err_sys(err, "list", "the sandbox's directory") : 0;
}

static int put_next(int dir, const char *next, struct azm_err *err)
{
	const char *upper = next + strlen("next-");
	cleanup_free char *old = xasprintf("old-%s", upper);

	if (faccessat(dir, upper, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		(tree_remove_at(dir, old, err) < 0 || renameat(dir, upper, dir, old) < 0))
		return err->code ? -1 : err_sys(err, "put aside", upper);
	return renameat(dir, next, dir, upper) < 0 ? err_sys(err, "put in place", upper) : 0;
}

static int replace_layers(int dir, struct azm_err *err)
{
	cleanup_config struct config config;
	json_t *intention = json_load_at(dir, INTENTION, err);
	size_t i;
	json_t *item;

	config_init(&config);
	if (!intention)
		return -1;
	int result = config_load(&config, dir, err);
	str_list_free(&config.layers);
	json_array_foreach(json_object_get(intention, "layers"), i, item) if (json_is_string(item))
		str_list_add(&config.layers, json_string_value(item));
	json_decref(intention);
	return result < 0 ? -1 : config_save(&config, dir, err);
}

/* In the id map: what is removed may belong to sub-ids. */
static int carry_out(void *context, struct azm_err *err)
{
	int dir = *(int *)context;
	cleanup_str_list struct str_list next = { 0 };
	cleanup_str_list struct str_list old = { 0 };
	bool intended = faccessat(dir, INTENTION, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (list_prefixed(dir, "next-", &next, err) < 0)
		return -1;
	for (size_t i = 0; i < next.count; i++)
		if (intended ? put_next(dir, next.items[i], err) < 0 : tree_remove_at(dir, next.items[i], err) < 0)
			return -1;
	if (intended && (replace_layers(dir, err) < 0 || unlinkat(dir, INTENTION, 0) < 0))
		return err->code ? -1 : err_sys(err, "remove", INTENTION);
	if (list_prefixed(dir, "old-", &old, err) < 0)
		return -1;
	for (size_t i = 0; i < old.count; i++)
		if (tree_remove_at(dir, old.items[i], err) < 0)
			return -1;
	return 0;
}

int rollback_finish(int dir, struct azm_err *err)
{
	struct subids subids = { 0 };
	cleanup_str_list struct str_list rests = { 0 };

	if (list_prefixed(dir, "next-", &rests, err) < 0 || list_prefixed(dir, "old-", &rests, err) < 0)
		return -1;
	if (rests.count == 0 && faccessat(dir, INTENTION, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	subids = subids_find();
	return idmap_in_child(&subids, carry_out, &dir, err);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/tags.c: snapshots under their names, see snapshot.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "snapshots/layers.h"
#include "snapshots/snapshot.h"

static int open_directory(const struct state *state, struct azm_err *err)
{
	if (mkdirat(state->dir, "snapshots", 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make directory", "snapshots");
	int fd = openat(state->dir, "snapshots", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open", "snapshots") : fd;
}

static int taken(const char *tag, struct azm_err *err)
{
	err_msg(err, EEXIST, "take snapshot", tag, "there is one of that name");
	return err_hint(err, "choose another TAG, or remove it: azm-sandbox snapshots rm %s", tag);
}

int snapshot_check_tag(const struct state *state, const char *tag, struct azm_err *err)
{
	cleanup_free char *file = xasprintf("%s.json", tag);

	if (name_check(tag, err) < 0)
		return -1;
	cleanup_fd int dir = open_directory(state, err);
	if (dir < 0)
		return -1;
	if (faccessat(dir, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return taken(tag, err);
	if (faccessat(state->sandboxes, tag, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	err_msg(err, EEXIST, "take snapshot", tag, "a sandbox has that name");
	return err_hint(err, "choose another TAG: fork takes either");
}

int snapshot_keep(const struct state *state, struct snapshot *snapshot, struct azm_err *err)
{
	cleanup_fd int dir = open_directory(state, err);
	cleanup_free char *file = xasprintf("%s.json", snapshot->tag);
	cleanup_free char *temporary = xasprintf(".%s.%d", snapshot->tag, (int)getpid());

	if (dir < 0)
		return -1;
	/* The key of a server is the sandbox's; forks get their own. */
	if (snapshot->config.api_key && *snapshot->config.api_key) {
		free(snapshot->config.api_key);
		snapshot->config.api_key = NULL;
	}
	json_t *object = json_pack("{s:s,s:s,s:s,s:o}", "tag", snapshot->tag, "sandbox", snapshot->sandbox, "created",
		snapshot->created, "config", config_json(&snapshot->config));
	int result = object ? json_save_at(object, dir, temporary, err)
			    : err_msg(err, EILSEQ, "write", file, "a value is not UTF-8 text");
	json_decref(object);
	/* A link never replaces anything: of two with one name, one wins. */
	if (result == 0 && linkat(dir, temporary, dir, file, 0) < 0)
		result = errno == EEXIST ? taken(snapshot->tag, err) : err_sys(err, "write", file);
	unlinkat(dir, temporary, 0);
	return result;
}

int snapshot_load(const struct state *state, const char *tag, struct snapshot *snapshot, struct azm_err *err)
{
	cleanup_layers struct layers layers = LAYERS_NONE;
	cleanup_free char *file = xasprintf("%s.json", tag);

	*snapshot = (struct snapshot){ .lock = -1 };
	if (name_check(tag, err) < 0)
		return -1;
	cleanup_fd int dir = open_directory(state, err);
	if (dir < 0 || layers_open(state, &layers, err) < 0)
		return -1;
	json_t *object = json_load_at(dir, file, err);
	if (!object && err_is(err, ENOENT)) {
		err_msg(err, ENOENT, "find snapshot", tag, "no such snapshot");
		return err_hint(err, "`azm-sandbox snapshots ls` lists them");
	}
	if (!object)
		return -1;
	const char *sandbox = json_string_value(json_object_get(object, "sandbox"));
	const char *created = json_string_value(json_object_get(object, "created"));
	config_init(&snapshot->config);
	int result = config_from_json(&snapshot->config, json_object_get(object, "config"), file, err);
	if (result == 0) {
		snapshot->tag = xstrdup(tag);
		snapshot->sandbox = xstrdup(sandbox ? sandbox : "");
		snapshot->created = xstrdup(created ? created : "");
		snapshot->lock = steal_fd(&layers.lock);
	} else {
		snapshot_free(snapshot);
	}
	json_decref(object);
	return result;
}

int snapshot_tags(const struct state *state, struct str_list *tags, struct azm_err *err)
{
	cleanup_str_list struct str_list files = { 0 };
	cleanup_fd int dir = open_directory(state, err);

	if (dir < 0)
		return -1;
	if (dir_names(dir, &files) < 0)
		return err_sys(err, "list snapshots", NULL);
	for (size_t i = 0; i < files.count; i++) {
		const char *name = files.items[i];
		size_t length = strlen(name);
		if (name[0] != '.' && length > 5 && strcmp(name + length - 5, ".json") == 0)
			str_list_addf(tags, "%.*s", (int)length - 5, name);
	}
	str_list_sort(tags);
	return 0;
}

int snapshot_tags_of(const struct state *state, const char *sandbox, struct str_list *tags, struct azm_err *err)
{
	cleanup_str_list struct str_list all = { 0 };
	cleanup_fd int dir = open_directory(state, err);

	if (dir < 0 || snapshot_tags(state, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++) {
		cleanup_free char *file = xasprintf("%s.json", all.items[i]);
		struct azm_err gone = { 0 };
		json_t *object = json_load_at(dir, file, &gone);
		const char *whose = json_string_value(json_object_get(object, "sandbox"));
		if (whose && strcmp(whose, sandbox) == 0)
			str_list_add(tags, all.items[i]);
		json_decref(object);
	}
	return 0;
}

int snapshot_remove(const struct state *state, const char *tag, struct azm_err *err)
{
	cleanup_fd int dir = name_check(tag, err) < 0 ? -1 : open_directory(state, err);
	cleanup_free char *file = xasprintf("%s.json", tag);

	if (dir < 0)
		return -1;
	if (unlinkat(dir, file, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, "remove snapshot", tag);
	err_msg(err, ENOENT, "remove snapshot", tag, "no such snapshot");
	return err_hint(err, "`azm-sandbox snapshots ls` lists them");
}

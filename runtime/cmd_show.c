// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_show.c: ps, inspect, version: what there is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "caps.h"
#include "commands.h"
#include "netns/egress_proxy.h"
#include "snapshots/snapshot.h"

struct show_options {
	bool all, json, quiet;
};

OPTION_STORES(opt_all, struct show_options, all, true)
OPTION_STORES(opt_json, struct show_options, json, true)
OPTION_STORES(opt_quiet, struct show_options, quiet, true)

const struct option_row ps_option_rows[] = {
	{ 'a', "all", NULL, opt_all, "stopped ones, too" },
	{ 'q', "quiet", NULL, opt_quiet, "names only" },
	{ 0, "json", NULL, opt_json, "an array of objects" },
	OPTIONS_END,
};

const struct option_row version_option_rows[] = {
	{ 0, "json", NULL, opt_json, "an object" },
	OPTIONS_END,
};

/* Text of a field, safe for a terminal. */
static char *field(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	char *copy = xstrdup(text ? text : "-");

	str_sanitise(copy);
	return copy;
}

static void print_row(const json_t *object)
{
	cleanup_free char *name = field(object, "name");
	cleanup_free char *state = field(object, "state");
	cleanup_free char *url = field(object, "url");
	cleanup_free char *rootfs = field(object, "rootfs");
	const json_t *code = json_object_get(object, "exit_code");

	if (json_is_integer(code) && strcmp(state, "exited") == 0) {
		char *with_code = xasprintf("exited (%lld)", json_integer_value(code));
		free(state);
		state = with_code;
	}
	printf("%-24s %-14s %8lld  %-24s %s\n", name, state, json_integer_value(json_object_get(object, "pid")), url,
		rootfs);
}

static bool is_running(const json_t *object)
{
	const char *state = json_string_value(json_object_get(object, "state"));

	return state &&
	       (strcmp(state, "running") == 0 || strcmp(state, "starting") == 0 || strcmp(state, "paused") == 0);
}

static json_t *collect(const struct state *state, bool all, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (sandbox_names(state, &names, err) < 0)
		return NULL;
	json_t *list = json_array();
	for (size_t i = 0; i < names.count; i++) {
		struct azm_err ignored = { 0 };
		json_t *object = sandbox_status(state, names.items[i], &ignored);
		if (object && (all || is_running(object)))
			json_array_append(list, object);
		json_decref(object);
	}
	return list;
}

int command_ps(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct show_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	size_t i;
	json_t *object;

	if (options_parse(program_find(the_program(), "ps"), &options, argc, argv, &err) < 0 ||
		state_open(&state, &err) < 0)
		return fail_command(&err);
	json_t *list = collect(&state, options.all, &err);
	if (!list)
		return fail_command(&err);
	if (options.json) {
		print_json(list);
		return end_command(0);
	}
	if (!options.quiet)
		printf("%-24s %-14s %8s  %-24s %s\n", "NAME", "STATE", "PID", "URL", "ROOTFS");
	json_array_foreach(list, i, object)
	{
		if (options.quiet)
			printf("%s\n", json_string_value(json_object_get(object, "name")));
		else
			print_row(object);
	}
	json_decref(list);
	return end_command(0);
}

/* Tags of snapshots that were taken of a sandbox of this name. */
static json_t *snapshots_json(const struct state *state, const char *name)
{
	cleanup_str_list struct str_list tags = { 0 };
	struct azm_err ignored = { 0 };
	json_t *list = json_array();

	if (snapshot_tags_of(state, name, &tags, &ignored) < 0)
		return list;
	for (size_t i = 0; i < tags.count; i++)
		json_array_append_new(list, json_string(tags.items[i]));
	return list;
}

static json_t *inspection(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_config struct config config;

	config_init(&config);
	cleanup_fd int dir = sandbox_open(state, name, err);
	if (dir < 0 || config_load(&config, dir, err) < 0)
		return NULL;
	json_t *object = sandbox_status(state, name, err);
	if (!object)
		return NULL;
	cleanup_free char *layer = xasprintf("%s/sandboxes/%s/upper", state->path, name);
	json_object_set_new(object, "upper", json_string(layer));
	json_object_set_new(object, "snapshots", snapshots_json(state, name));
	if (config.egress_proxy) { /* its password is nobody's to read over a shoulder */
		char *shown = egress_proxy_display(config.egress_proxy);
		free(config.egress_proxy);
		config.egress_proxy = shown;
	}
	uint64_t caps;
	if (caps_resolve(&config.cap_add, &config.cap_drop, &caps, err) < 0) {
		json_decref(object);
		return NULL;
	}
	cleanup_free char *names = caps_text(caps);
	json_object_set_new(object, "capabilities", json_string(names));
	json_object_set_new(object, "config", config_json(&config));
	return object;
}

int command_inspect(int argc, char **argv)
{
	return inspect_names("inspect", argc, argv, inspection);
}

int command_version(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct show_options options = { 0 };

	if (options_parse(program_find(the_program(), "version"), &options, argc, argv, &err) < 0)
		return fail_command(&err);
	if (options.json)
		print_json(json_pack("{s:s,s:s}", "name", PROGRAM_NAME, "version", AZM_VERSION));
	else
		printf("%s %s\n", PROGRAM_NAME, AZM_VERSION);
	return end_command(0);
}

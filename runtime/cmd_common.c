// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_common.c: what several commands share, see commands.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "commands.h"

int invocation_check(bool as_root, struct azm_err *err)
{
	if (as_root || !program_is_real_root())
		return 0;
	err_msg(err, EPERM, "start", NULL, "started by root: an escape from the sandbox would be root on this host");
	return err_hint(err, "setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all azm-sandbox ... (any "
			     "unprivileged id does), "
			     "or --as-root if you mean it");
}

int options_around_name(const char *command, void *options, int argc, char **argv, struct azm_err *err)
{
	const struct command *row = program_find(the_program(), command);
	int name = options_parse(row, options, argc, argv, err);

	if (name < 0)
		return -1;
	if (name >= argc) {
		err_msg(err, EINVAL, command, NULL, "needs the NAME of a sandbox");
		return err_hint(err, "`azm-sandbox ps -a` lists them");
	}
	int rest = options_parse(row, options, argc - name, argv + name, err);
	if (rest < 0)
		return -1;
	return rest < argc - name ? err_msg(err, EINVAL, command, argv[name + rest], "one NAME only") : name;
}

int for_each_name(const char *command, int argc, char **argv, int first,
	int (*action)(const struct state *state, const char *name, void *context, struct azm_err *err), void *context)
{
	struct azm_err err = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int result = 0;

	if (first >= argc) {
		static const struct {
			const char *group, *what, *of, *list;
		} kinds[] = { { "network ", "NAME", "network", "network ls" },
			{ "volume ", "NAME", "volume", "volume ls" },
			{ "snapshots ", "TAG", "snapshot", "snapshots ls" }, { "", "NAME", "sandbox", "ps -a" } };
		size_t kind = 0;
		while (!str_starts(command, kinds[kind].group))
			kind++;
		err_msg(&err, EINVAL, command, NULL, "needs the %s of a %s", kinds[kind].what, kinds[kind].of);
		err_hint(&err, "`azm-sandbox %s` lists them", kinds[kind].list);
		return fail_command(&err);
	}
	if (state_open(&state, &err) < 0)
		return fail_command(&err);
	for (int i = first; i < argc; i++) {
		err_clear(&err);
		if (action(&state, argv[i], context, &err) < 0)
			result = fail_command(&err);
	}
	return end_command(result);
}

static int accept_json(
	[[maybe_unused]] void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	return 0;
}

const struct option_row inspect_option_rows[] = {
	{ 0, "json", NULL, accept_json, "accepted: the output always is JSON" },
	OPTIONS_END,
};

struct inspection {
	json_t *objects;
	json_t *(*look)(const struct state *state, const char *name, struct azm_err *err);
};

static int add_inspected(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	const struct inspection *inspection = context;
	json_t *object = inspection->look(state, name, err);

	if (object)
		json_array_append_new(inspection->objects, object);
	return object ? 0 : -1;
}

int inspect_names(const char *command, int argc, char **argv,
	json_t *(*look)(const struct state *state, const char *name, struct azm_err *err))
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), command), NULL, argc, argv, &err);

	if (first < 0)
		return fail_command(&err);
	struct inspection inspection = { json_array(), look };
	int status = for_each_name(command, argc, argv, first, add_inspected, &inspection);
	print_json(inspection.objects);
	return end_command(status);
}

struct ls_options {
	bool json, quiet;
};

OPTION_STORES(opt_json, struct ls_options, json, true)
OPTION_STORES(opt_quiet, struct ls_options, quiet, true)

const struct option_row ls_option_rows[] = {
	{ 'q', "quiet", NULL, opt_quiet, "names only" },
	{ 0, "json", NULL, opt_json, "an array of objects" },
	OPTIONS_END,
};

int list_names(const char *command, int argc, char **argv,
	int (*names)(const struct state *state, struct str_list *names, struct azm_err *err),
	json_t *(*look)(const struct state *state, const char *name, struct azm_err *err),
	void (*print_row)(const json_t *object))
{
	struct azm_err err = { 0 };
	struct ls_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	cleanup_str_list struct str_list list = { 0 };
	int first = options_parse(program_find(the_program(), command), &options, argc, argv, &err), status = 0;

	if (first >= 0 && first < argc)
		first = err_msg(&err, EINVAL, command, NULL, "takes no NAME");
	if (first < 0 || state_open(&state, &err) < 0 || names(&state, &list, &err) < 0)
		return fail_command(&err);
	bool names_only = options.quiet && !options.json;
	json_t *objects = json_array();
	if (!names_only && !options.json)
		print_row(NULL);
	for (size_t i = 0; i < list.count; i++) {
		err_clear(&err);
		json_t *object = names_only ? NULL : look(&state, list.items[i], &err);
		if (names_only)
			puts(list.items[i]);
		else if (!object)
			status = fail_command(&err);
		else if (options.json)
			json_array_append(objects, object);
		else
			print_row(object);
		json_decref(object);
	}
	if (options.json)
		print_json(objects);
	else
		json_decref(objects);
	return end_command(status);
}

int end_command(int status)
{
	return fflush(stdout) == 0 ? status : EXIT_AZM;
}

void print_json(json_t *value)
{
	json_print(value, JSON_INDENT(2), stdout);
}

json_t *sandbox_status(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);
	struct azm_err ignored = { 0 };

	if (dir < 0)
		return NULL;
	bool running = sandbox_running(dir);
	json_t *object = json_load_at(dir, "status.json", &ignored);
	if (!object) {
		object = json_object();
		json_object_set_new(object, "name", json_string(name));
	}
	const char *stored = json_string_value(json_object_get(object, "state"));
	if (!stored)
		json_object_set_new(object, "state", json_string(running ? "starting" : "created"));
	else if (!running && (strcmp(stored, "running") == 0 || strcmp(stored, "paused") == 0)) /* its supervisor was
												  killed */
		json_object_set_new(object, "state", json_string("dead"));
	if (!running)
		json_object_set_new(object, "pid", json_integer(0));
	return object;
}

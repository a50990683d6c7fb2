// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_volume.c: volume create, ls, inspect, rm, prune. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "commands.h"
#include "named_volumes.h"

struct volume_options {
	bool force;
	struct str_list labels;
};

OPTION_STORES(opt_force, struct volume_options, force, true)

static int opt_label(void *target, const char *value, struct azm_err *err)
{
	struct volume_options *options = target;

	if (*value == '=' || !*value || options->labels.count >= 64 || strlen(value) > 1024)
		return err_msg(
			err, EINVAL, "use label", NULL, "expected K=V, at most 1024 bytes, and at most 64 of them");
	str_list_add(&options->labels, value);
	return 0;
}

static int opt_driver(void *target, const char *value, struct azm_err *err)
{
	(void)target;
	return strcmp(value, "local") == 0 ? 0 : err_msg(err, EINVAL, "use driver", value, "there is only local");
}

const struct option_row volume_create_option_rows[] = {
	{ 0, "label", "K=V", opt_label, "metadata, shown by volume inspect" },
	{ 'd', "driver", "NAME", opt_driver, "accepted for Docker's sake: local" },
	OPTIONS_END,
};

const struct option_row volume_rm_option_rows[] = {
	{ 'f', "force", NULL, opt_force, "one that does not exist is no error" },
	OPTIONS_END,
};

const struct option_row volume_prune_option_rows[] = {
	{ 'f', "force", NULL, opt_force, "do not ask" },
	OPTIONS_END,
};

static int parse(const char *command, struct volume_options *options, int argc, char **argv, struct azm_err *err)
{
	return options_parse(program_find(the_program(), command), options, argc, argv, err);
}

int command_volume_create(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct volume_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = parse("volume create", &options, argc, argv, &err);

	if (first >= 0 && argc - first != 1)
		first = err_msg(&err, EINVAL, "volume create", NULL, "needs one NAME");
	bool good = first >= 0 && state_open(&state, &err) == 0 &&
		    named_volume_create(&state, argv[first], &options.labels, &err) == 0;
	if (good)
		puts(argv[first]);
	str_list_free(&options.labels);
	return good ? end_command(0) : fail_command(&err);
}

static void print_row(const json_t *object)
{
	if (object)
		printf("%-32s %-24s %9zu\n", json_string_value(json_object_get(object, "name")),
			json_string_value(json_object_get(object, "created")),
			json_array_size(json_object_get(object, "sandboxes")));
	else
		printf("%-32s %-24s %9s\n", "NAME", "CREATED", "SANDBOXES");
}

int command_volume_ls(int argc, char **argv)
{
	return list_names("volume ls", argc, argv, named_volume_names, named_volume_json, print_row);
}

int command_volume_inspect(int argc, char **argv)
{
	return inspect_names("volume inspect", argc, argv, named_volume_json);
}

static int remove_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	const struct volume_options *options = context;

	if (named_volume_remove(state, name, err) < 0)
		return options->force && err_is(err, ENOENT) ? 0 : -1;
	puts(name);
	return 0;
}

int command_volume_rm(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct volume_options options = { 0 };
	int first = parse("volume rm", &options, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("volume rm", argc, argv, first, remove_one, &options);
}

static bool is_sure(void)
{
	char answer[16] = "";

	fputs("This removes all volumes that no sandbox has, with what is in them. Are you sure? [y/N] ", stderr);
	return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int command_volume_prune(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct volume_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	cleanup_str_list struct str_list names = { 0 };
	int status = 0;
	int first = parse("volume prune", &options, argc, argv, &err);

	if (first >= 0 && first < argc)
		first = err_msg(&err, EINVAL, "volume prune", NULL, "takes no NAME");
	if (first < 0 || state_open(&state, &err) < 0)
		return fail_command(&err);
	if (!options.force && !is_sure())
		return 1;
	if (named_volume_names(&state, &names, &err) < 0)
		return fail_command(&err);
	for (size_t i = 0; i < names.count; i++) {
		struct azm_err failure = { 0 };
		if (remove_one(&state, names.items[i], &options, &failure) < 0 && !err_is(&failure, EBUSY))
			status = fail_command(&failure);
	}
	return end_command(status);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_network.c: network create, ls, inspect, rm. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "networks.h"

struct network_options {
	struct network_record record; /* of create */
	bool json, quiet;
};

static int opt_subnet(void *target, const char *value, struct azm_err *err)
{
	return subnet_parse(value, &((struct network_options *)target)->record.subnet, err);
}

OPTION_STORES(opt_internal, struct network_options, record.internal, true)

static int opt_label(void *target, const char *value, struct azm_err *err)
{
	(void)err;
	str_list_add(&((struct network_options *)target)->record.labels, value);
	return 0;
}

OPTION_STORES(opt_json, struct network_options, json, true)
OPTION_STORES(opt_quiet, struct network_options, quiet, true)

const struct option_row network_create_option_rows[] = {
	{ 0, "subnet", "CIDR", opt_subnet, "its addresses (default: some that nothing here uses)" },
	{ 0, "internal", NULL, opt_internal, "members cannot be given egress" },
	{ 'l', "label", "K=V", opt_label, "metadata, shown by network inspect" },
	{ 0, "json", NULL, opt_json, "an object" },
	OPTIONS_END,
};

const struct option_row network_ls_option_rows[] = {
	{ 'q', "quiet", NULL, opt_quiet, "names only" },
	{ 0, "json", NULL, opt_json, "an array of objects" },
	OPTIONS_END,
};

static int parse(const char *command, struct network_options *options, int argc, char **argv, struct azm_err *err)
{
	return options_parse(program_find(the_program(), command), options, argc, argv, err);
}

/* ---- create --------------------------------------------------------------------------------------------------- */

static int create(struct network_options *options, const char *name, struct azm_err *err)
{
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };

	options->record.name = xstrdup(name);
	if (state_open(&state, err) < 0 || network_create(&state, &options->record, err) < 0)
		return -1;
	if (!options->json) {
		puts(name);
		return 0;
	}
	json_t *object = network_json(&state, name, err);
	if (object)
		print_json(object);
	return object ? 0 : -1;
}

int command_network_create(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct network_options options = { 0 };
	int first = parse("network create", &options, argc, argv, &err);
	int result = first < 0 ? -1 : 0;

	/* As with Docker, options may also come after NAME. */
	int rest =
		result == 0 && first < argc ? parse("network create", &options, argc - first, argv + first, &err) : 1;
	if (rest < 0)
		result = -1;
	if (result == 0 && argc - first != rest)
		result = err_msg(&err, EINVAL, "network create", NULL, "needs one NAME");
	if (result == 0)
		result = invocation_check(false, &err);
	if (result == 0)
		result = create(&options, argv[first], &err);
	network_record_free(&options.record);
	return result < 0 ? fail_command(&err) : end_command(0);
}

/* ---- ls ------------------------------------------------------------------------------------------------------- */

static void print_row(const json_t *object)
{
	const char *subnet = json_string_value(json_object_get(object, "subnet"));
	bool internal = json_is_true(json_object_get(object, "internal"));
	const char *kind = json_is_true(json_object_get(object, "builtin")) ? "builtin" : internal ? "internal" : "-";

	printf("%-32s %-20s %8zu  %s\n", json_string_value(json_object_get(object, "name")), subnet ? subnet : "-",
		json_array_size(json_object_get(object, "members")), kind);
}

/* One that cannot be read is said so, and the others are listed. */
static int list(const struct state *state, const struct network_options *options)
{
	static const char *const builtin[] = { "private", "none" };
	const size_t builtin_count = sizeof builtin / sizeof *builtin;
	cleanup_str_list struct str_list made = { 0 };
	struct azm_err failure = { 0 };
	int status = 0;

	if (network_names(state, &made, &failure) < 0)
		return fail_command(&failure);
	json_t *objects = json_array();
	if (!options->quiet && !options->json)
		printf("%-32s %-20s %8s  %s\n", "NAME", "SUBNET", "MEMBERS", "KIND");
	for (size_t i = 0; i < builtin_count + made.count; i++) {
		const char *name = i < builtin_count ? builtin[i] : made.items[i - builtin_count];
		struct azm_err err = { 0 };
		json_t *object = options->quiet && !options->json ? NULL : network_json(state, name, &err);
		if (options->quiet && !options->json)
			puts(name);
		else if (!object)
			status = fail_command(&err);
		else if (options->json)
			json_array_append(objects, object);
		else
			print_row(object);
		json_decref(object);
	}
	if (options->json)
		print_json(json_incref(objects));
	json_decref(objects);
	return status;
}

int command_network_ls(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct network_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = parse("network ls", &options, argc, argv, &err);

	if (first >= 0 && first < argc)
		first = err_msg(&err, EINVAL, "network ls", NULL, "takes no NAME");
	if (first < 0 || state_open(&state, &err) < 0)
		return fail_command(&err);
	return end_command(list(&state, &options));
}

/* ---- inspect, rm ---------------------------------------------------------------------------------------------- */

int command_network_inspect(int argc, char **argv)
{
	return inspect_names("network inspect", argc, argv, network_json);
}

static int remove_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	(void)context;
	if (network_remove(state, name, err) < 0)
		return -1;
	puts(name);
	return 0;
}

int command_network_rm(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct network_options options = { 0 };
	int first = parse("network rm", &options, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("network rm", argc, argv, first, remove_one, NULL);
}

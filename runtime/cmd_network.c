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
	bool json;
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

const struct option_row network_create_option_rows[] = {
	{ 0, "subnet", "CIDR", opt_subnet, "its addresses (default: some that nothing here uses)" },
	{ 0, "internal", NULL, opt_internal, "members cannot be given egress" },
	{ 'l', "label", "K=V", opt_label, "metadata, shown by network inspect" },
	{ 0, "json", NULL, opt_json, "an object" },
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

static int all_names(const struct state *state, struct str_list *names, struct azm_err *err)
{
	cleanup_str_list struct str_list made = { 0 };

	str_list_add(names, "private");
	str_list_add(names, "none");
	int result = network_names(state, &made, err);
	for (size_t i = 0; i < made.count; i++)
		str_list_add(names, made.items[i]);
	return result;
}

static void print_row(const json_t *object)
{
	const char *subnet = json_string_value(json_object_get(object, "subnet"));
	bool internal = json_is_true(json_object_get(object, "internal"));
	const char *kind = json_is_true(json_object_get(object, "builtin")) ? "builtin" : internal ? "internal" : "-";

	if (object)
		printf("%-32s %-20s %8zu  %s\n", json_string_value(json_object_get(object, "name")),
			subnet ? subnet : "-", json_array_size(json_object_get(object, "members")), kind);
	else
		printf("%-32s %-20s %8s  %s\n", "NAME", "SUBNET", "MEMBERS", "KIND");
}

int command_network_ls(int argc, char **argv)
{
	return list_names("network ls", argc, argv, all_names, network_json, print_row);
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

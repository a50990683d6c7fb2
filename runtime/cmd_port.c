// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_port.c: port: where a sandbox's ports are on the host. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "commands.h"

static int opt_json(void *target, const char *value, struct azm_err *err)
{
	(void)value;
	(void)err;
	*(bool *)target = true;
	return 0;
}

const struct option_row port_option_rows[] = {
	{ 0, "json", NULL, opt_json, "an array of objects" },
	OPTIONS_END,
};

/* "8000" or "8000/tcp" */
static int parse_port(const char *text, uint16_t *port, struct azm_err *err)
{
	const char *slash = strchr(text, '/');
	cleanup_free char *number = slash ? xasprintf("%.*s", (int)(slash - text), text) : xstrdup(text);
	uint64_t value;

	if (slash && strcasecmp(slash, "/tcp") != 0)
		return err_msg(err, EPROTONOSUPPORT, "port", text, "only TCP is published");
	if (!str_to_u64(number, 65535, &value) || value == 0)
		return err_msg(err, EINVAL, "port", text, "not a number from 1 to 65535");
	*port = (uint16_t)value;
	return 0;
}

static void print_place(const json_t *port)
{
	const char *path = json_string_value(json_object_get(port, "unix"));
	const char *address = json_string_value(json_object_get(port, "host_ip"));
	cleanup_free char *shown = xstrdup(path ? path : address ? address : "?");

	str_sanitise(shown);
	if (path)
		printf("unix:%s\n", shown);
	else
		printf(strchr(shown, ':') ? "[%s]:%lld\n" : "%s:%lld\n", shown,
			json_integer_value(json_object_get(port, "host_port")));
}

size_t print_ports(const json_t *ports, uint16_t only)
{
	size_t lines = 0;

	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *port = json_array_get(ports, i);
		json_int_t inside = json_integer_value(json_object_get(port, "port"));
		if (only && inside != only)
			continue;
		if (!only)
			printf("%lld/tcp -> ", inside);
		print_place(port);
		lines++;
	}
	return lines;
}

/* Those of one inside port; 0: all. */
static json_t *select_ports(const json_t *ports, uint16_t only)
{
	json_t *selected = json_array();

	for (size_t i = 0; i < json_array_size(ports); i++) {
		json_t *port = json_array_get(ports, i);
		if (!only || json_integer_value(json_object_get(port, "port")) == only)
			json_array_append(selected, port);
	}
	return selected;
}

static int show(const char *name, const char *port, bool json, struct azm_err *err)
{
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	uint16_t only = 0;

	if ((port && parse_port(port, &only, err) < 0) || state_open(&state, err) < 0)
		return -1;
	json_t *status = sandbox_status(&state, name, err);
	if (!status)
		return -1;
	json_t *ports = select_ports(json_object_get(status, "ports"), only);
	json_decref(status);
	bool found = json_array_size(ports) > 0;
	if (json) {
		print_json(ports);
	} else {
		print_ports(ports, only);
		json_decref(ports);
	}
	return !only || found ? 0 : err_msg(err, ENOENT, "port", name, "port %u is not published", only);
}

int command_port(int argc, char **argv)
{
	struct azm_err err = { 0 };
	bool json = false;
	int first = options_parse(program_find(the_program(), "port"), &json, argc, argv, &err);

	if (first >= 0 && argc - first != 1 && argc - first != 2) {
		err_msg(&err, EINVAL, "port", NULL, "takes the NAME of a sandbox and perhaps a PORT");
		first = -1;
	}
	if (first < 0 || show(argv[first], argv[first + 1], json, &err) < 0)
		return fail_command(&err);
	return end_command(0);
}

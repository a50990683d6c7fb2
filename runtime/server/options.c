// SPDX-License-Identifier: GPL-2.0-or-later
/* server/options.c: the command line, a superset of upstream's (spec: openhands 1.1). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "server/server.h"

enum { PORT_MAX = 65535, SOFT_TIMEOUT_S = 10 };

struct row {
	const char *name, *value; /* value NULL: takes none; "X...": takes words up to the next option */
	int (*set)(struct options *options, const char *value, struct azm_err *err);
	const char *help;
};

static int set_port(struct options *options, const char *value, struct azm_err *err)
{
	uint64_t port;

	if (!str_to_u64(value, PORT_MAX, &port))
		return err_msg(err, EINVAL, "read the port", value, "it is not a number up to %d", PORT_MAX);
	options->port = (unsigned)port;
	return 0;
}

static int set_host(struct options *options, const char *value, struct azm_err *err)
{
	(void)err;
	options->host = value;
	return 0;
}

static int set_working_dir(struct options *options, const char *value, struct azm_err *err)
{
	if (*value != '/')
		return err_msg(err, EINVAL, "use working directory", value, "it is not an absolute path");
	options->working_dir = value;
	return 0;
}

static int set_username(struct options *options, const char *value, struct azm_err *err)
{
	(void)err;
	options->username = value;
	return 0;
}

static int set_user_id(struct options *options, const char *value, struct azm_err *err)
{
	uint64_t id;

	if (!str_to_u64(value, UINT32_MAX - 1, &id))
		return err_msg(err, EINVAL, "read the user id", value, "it is not a number");
	options->user_id = (unsigned)id;
	return 0;
}

static int set_key_file(struct options *options, const char *value, struct azm_err *err)
{
	(void)err;
	options->key_file = value;
	return 0;
}

static int check_plugin(struct options *options, const char *value, struct azm_err *err)
{
	static const char *const known[] = { "agent_skills", "jupyter", "vscode", NULL };

	(void)options;
	for (size_t i = 0; known[i]; i++)
		if (strcmp(value, known[i]) == 0)
			return 0;
	return err_msg(err, EINVAL, "load plugin", value, "there is no such plugin");
}

static int accept(struct options *options, const char *value, struct azm_err *err)
{
	(void)options;
	(void)value;
	(void)err;
	return 0;
}

static const struct row rows[] = {
	{ "--port", "PORT", set_port, "port to listen on (also as a plain argument); 0 takes a free one" },
	{ "--host", "ADDRESS", set_host, "numeric address to listen on (default 0.0.0.0)" },
	{ "--working-dir", "DIR", set_working_dir, "where the shell starts (default /workspace)" },
	{ "--username", "NAME", set_username, "name reported for a user id without a password entry" },
	{ "--user-id", "N", set_user_id, "owner of files made by `write`, where that can be set" },
	{ "--key-file", "FILE", set_key_file, "read the API key from FILE, or an inherited /proc/self/fd/N" },
	{ "--plugins", "NAME...", check_plugin, "accepted for compatibility; none is built in" },
	{ "--enable-browser", NULL, accept, "accepted for compatibility; there is no browser" },
	{ "--no-enable-browser", NULL, accept, "the same" },
	{ "--browsergym-eval-env", "NAME...", accept, "the same" },
	{ 0 },
};

static int print_help(void)
{
	printf("usage: azm-runtime-server [PORT] [OPTION...]\n\nThe runtime server inside a sandbox. The API key is "
	       "taken "
	       "from SESSION_API_KEY or --key-file.\n\n");
	for (const struct row *row = rows; row->name; row++)
		printf("  %-22s %-9s %s\n", row->name, row->value ? row->value : "", row->help);
	return 1;
}

static const struct row *find_row(const char *name)
{
	const struct row *row = rows;
	size_t length = strcspn(name, "=");

	while (row->name && (strlen(row->name) != length || strncmp(row->name, name, length) != 0))
		row++;
	return row->name ? row : NULL;
}

/* One option and its values. Return: the number of arguments used, -1 with @err set */
static int parse_option(char *argv[], struct options *options, struct azm_err *err)
{
	const struct row *row = find_row(argv[0]);
	const char *equals = strchr(argv[0], '=');
	int used = 1;

	if (!row || (equals && !row->value))
		return err_msg(
			err, EINVAL, "read option", argv[0], row ? "it takes no value" : "there is no such option");
	if (equals)
		return row->set(options, equals + 1, err) < 0 ? -1 : 1;
	if (!row->value)
		return row->set(options, NULL, err) < 0 ? -1 : 1;
	bool many = strstr(row->value, "...");
	for (; argv[used] && !str_starts(argv[used], "--") && (many || used < 2); used++)
		if (row->set(options, argv[used], err) < 0)
			return -1;
	if (used == 1 && !many)
		return err_msg(err, EINVAL, "read option", argv[0], "its value is missing");
	return used;
}

static void set_defaults(struct options *options)
{
	const char *soft = getenv("NO_CHANGE_TIMEOUT_SECONDS");
	uint64_t seconds;

	*options = (struct options){
		.host = "0.0.0.0",
		.port = PORT_MAX + 1,
		.working_dir = "/workspace",
		.username = "openhands",
		.user_id = 1000,
		.soft_timeout_s = SOFT_TIMEOUT_S,
	};
	if (soft && str_to_u64(soft, UINT32_MAX, &seconds))
		options->soft_timeout_s = (unsigned)seconds;
}

int options_parse(int argc, char *argv[], struct options *options, struct azm_err *err)
{
	set_defaults(options);
	for (int i = 1; i < argc;) {
		int used = 1;
		if (strcmp(argv[i], "--help") == 0)
			return print_help();
		if (str_starts(argv[i], "--"))
			used = parse_option(argv + i, options, err);
		else if (set_port(options, argv[i], err) < 0)
			used = -1;
		if (used < 0)
			return -1;
		i += used;
	}
	if (options->port > PORT_MAX)
		return err_msg(err, EINVAL, "start", NULL, "no port was given");
	return 0;
}

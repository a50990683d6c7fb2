// SPDX-License-Identifier: GPL-2.0-or-later
/* server/options.c: the command line, a superset of upstream's (spec: openhands 1.1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/str.h"
#include "server/server.h"

enum {
	PORT_MAX = 65535,
	NO_PORT = PORT_MAX + 1,
	SOFT_TIMEOUT_S = 10,
	CLIENT_TIMEOUT_S = 30,
	CLIENT_TIMEOUT_MAX_S = 3600
};

static int set_port(void *config, const char *value, struct azm_err *err)
{
	struct options *options = config;
	uint64_t port;

	if (!str_to_u64(value, PORT_MAX, &port))
		return err_msg(err, EINVAL, "port", value, "not a number up to %d", PORT_MAX);
	options->port = (unsigned)port;
	return 0;
}

OPTION_STORES(set_host, struct options, host, value)

static int set_working_dir(void *config, const char *value, struct azm_err *err)
{
	if (*value != '/')
		return err_msg(err, EINVAL, "working directory", value, "not an absolute path");
	((struct options *)config)->working_dir = value;
	return 0;
}

OPTION_STORES(set_username, struct options, username, value)

static int accept_user_id(void *config, const char *value, struct azm_err *err)
{
	uint64_t id;

	(void)config;
	return str_to_u64(value, UINT32_MAX - 1, &id) ? 0 : err_msg(err, EINVAL, "user id", value, "not a number");
}

OPTION_STORES(set_key_file, struct options, key_file, value)

static int set_client_timeout(void *config, const char *value, struct azm_err *err)
{
	uint64_t seconds;

	if (!str_to_u64(value, CLIENT_TIMEOUT_MAX_S, &seconds) || !seconds)
		return err_msg(err, EINVAL, "client timeout", value, "not a number from 1 to %d", CLIENT_TIMEOUT_MAX_S);
	((struct options *)config)->client_timeout_s = (unsigned)seconds;
	return 0;
}

static int accept_plugin(void *config, const char *value, struct azm_err *err)
{
	static const char *const known[] = { "agent_skills", "jupyter", "vscode", NULL };

	(void)config;
	for (size_t i = 0; known[i]; i++)
		if (strcmp(value, known[i]) == 0)
			return 0;
	return err_msg(err, EINVAL, "load plugin", value, "there is no such plugin");
}

OPTION_STORES(accept_eval, struct options, eval_words, true)

static int accept_flag(void *config, const char *value, struct azm_err *err)
{
	(void)config;
	(void)value;
	(void)err;
	return 0;
}

static const struct option_row rows[] = {
	{ 0, "port", "PORT", set_port, "port to listen on, also as a plain argument; 0 takes a free one" },
	{ 0, "host", "ADDRESS", set_host, "numeric address to listen on (default 0.0.0.0)" },
	{ 0, "working-dir", "DIR", set_working_dir, "where the shell starts (default /workspace)" },
	{ 0, "username", "NAME", set_username, "name reported for a user id without a password entry" },
	{ 0, "user-id", "N", accept_user_id, "accepted for compatibility; files belong to who runs the server" },
	{ 0, "key-file", "FILE", set_key_file, "read the API key from FILE, or an inherited /proc/self/fd/N" },
	{ 0, "client-timeout", "SECONDS", set_client_timeout,
		"end a connection that is silent for so long (default 30)" },
	{ 0, "plugins", "NAME...", accept_plugin, "accepted for compatibility; none is built in" },
	{ 0, "enable-browser", NULL, accept_flag, "accepted for compatibility; there is no browser" },
	{ 0, "no-enable-browser", NULL, accept_flag, "the same" },
	{ 0, "browsergym-eval-env", "NAME...", accept_eval, "the same" },
	OPTIONS_END,
};

static const struct command command = {
	.name = "azm-runtime-server",
	.operands = "[PORT]",
	.summary = "The runtime server inside a sandbox. It takes the API key from SESSION_API_KEY or --key-file.",
	.options = rows,
};

/* A plain argument: the port, or one more word of an option that takes several. */
static int take_operand(struct options *options, const char *value, struct azm_err *err)
{
	if (value[strspn(value, "0123456789")] == '\0' || (options->port == NO_PORT && !options->eval_words))
		return set_port(options, value, err);
	return options->eval_words ? 0 : accept_plugin(options, value, err);
}

static void set_defaults(struct options *options)
{
	const char *soft = getenv("NO_CHANGE_TIMEOUT_SECONDS");
	uint64_t seconds;

	*options = (struct options){
		.host = "0.0.0.0",
		.port = NO_PORT,
		.working_dir = "/workspace",
		.username = "openhands",
		.soft_timeout_s = SOFT_TIMEOUT_S,
		.client_timeout_s = CLIENT_TIMEOUT_S,
	};
	if (soft && str_to_u64(soft, UINT32_MAX, &seconds))
		options->soft_timeout_s = (unsigned)seconds;
}

int settings_parse(int argc, char *argv[], struct options *options, struct azm_err *err)
{
	set_defaults(options);
	for (int i = 0; i < argc;) {
		int used = options_parse(&command, options, argc - i, argv + i, err);
		if (used < 0)
			return -1;
		i += used;
		if (i < argc && take_operand(options, argv[i], err) < 0)
			return -1;
	}
	if (options->port == NO_PORT)
		return err_msg(err, EINVAL, "start", NULL, "no port was given");
	return 0;
}

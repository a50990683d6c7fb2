// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_publish.c: publish: more or fewer published ports for a running sandbox.
 *
 * This side binds, as the user in the host's namespaces, and hands the sockets over (published.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "control.h"
#include "published.h"
#include "socket_files.h"

struct publish_options {
	struct str_list add, remove;
	bool any_user, allow_non_loopback, json;
};

#define PUBLISH_LIST(member)                                                                                           \
	static int opt_##member(void *target, const char *value, struct azm_err *err)                                  \
	{                                                                                                              \
		cleanup_free char *argument = published_argument(value);                                               \
                                                                                                                       \
		(void)err;                                                                                             \
		str_list_add(&((struct publish_options *)target)->member, argument);                                   \
		return 0;                                                                                              \
	}

OPTION_STORES(opt_any_user, struct publish_options, any_user, true)
OPTION_STORES(opt_allow_non_loopback, struct publish_options, allow_non_loopback, true)
OPTION_STORES(opt_json, struct publish_options, json, true)
PUBLISH_LIST(add)
PUBLISH_LIST(remove)

const struct option_row publish_option_rows[] = {
	{ 'p', "publish", "[IP:][HOST]:PORT", opt_add, "publish, as with run: also PORT, ranges, unix:PATH:PORT" },
	{ 0, "rm", "[IP:][HOST]:PORT", opt_remove,
		"stop publishing; what is left out means any: `--rm 8000` is all of it" },
	{ 0, "publish-any-user", NULL, opt_any_user, "accept other users' connections" },
	{ 0, "allow-non-loopback", NULL, opt_allow_non_loopback, "let -p name an address other than loopback" },
	{ 0, "json", NULL, opt_json, "what was published, as an array of objects" },
	OPTIONS_END,
};

static json_t *request_json(const char *op, const struct str_list *arguments)
{
	json_t *list = json_array();

	for (size_t i = 0; i < arguments->count; i++)
		json_array_append_new(list, json_string(arguments->items[i]));
	return json_pack("{s:s,s:o}", "op", op, "publish", list);
}

/* The answer is {"ok":true} or an error. */
static int took(json_t *answer)
{
	json_decref(answer);
	return answer ? 0 : -1;
}

static int hand_over(const struct state *state, const char *name, const struct publish_options *options,
	const struct publish_sockets *sockets, struct azm_err *err)
{
	int fds[CONTROL_FDS];
	size_t count = sockets->count;
	json_t *request = request_json("publish", &options->add);

	if (count + 1 > CONTROL_FDS) {
		json_decref(request);
		err_msg(err, E2BIG, "publish", name, "%zu sockets are too many for one command", count);
		return err_hint(err, "at most %d at a time: split the range", CONTROL_FDS - 1);
	}
	memcpy(fds, sockets->fds, count * sizeof *fds);
	if (sockets->diag >= 0)
		fds[count++] = sockets->diag;
	json_object_set_new(request, "any_user", json_boolean(options->any_user));
	json_object_set_new(request, "allow_non_loopback", json_boolean(options->allow_non_loopback));
	json_object_set_new(request, "diag", json_boolean(sockets->diag >= 0));
	return took(control_pass(state, name, request, fds, count, err));
}

static int bind_and_pass(const struct state *state, const char *name, const struct publish_options *options,
	struct publish_rule *rules, size_t count, struct azm_err *err)
{
	struct publish_sockets sockets;

	if (publish_bind(rules, count, &sockets, err) < 0)
		return -1;
	int result = 0;
	for (size_t i = 0; i < count && result == 0; i++)
		if (rules[i].family == AF_UNIX)
			result = socket_files_note(state, rules[i].unix_path, err);
	if (result == 0)
		result = hand_over(state, name, options, &sockets, err);
	publish_sockets_free(&sockets, result < 0 ? rules : NULL, count);
	if (result < 0)
		return -1;
	published_warn(rules, count);
	json_t *ports = status_ports(rules, count);
	if (options->json) {
		print_json(ports);
	} else {
		print_ports(ports, 0);
		json_decref(ports);
	}
	return 0;
}

static int add(const struct state *state, const char *name, const struct publish_options *options, int dir,
	struct azm_err *err)
{
	cleanup_config struct config config;
	struct publish_rule *rules = NULL;
	size_t count = 0;
	int result = 0;

	config_init(&config);
	if (config_load(&config, dir, err) < 0)
		return -1;
	bool allow = options->allow_non_loopback || config.allow_non_loopback;
	for (size_t i = 0; i < options->add.count && result == 0; i++)
		result = publish_parse(options->add.items[i], config.binding_address, allow, &rules, &count, err);
	for (size_t i = 0; i < count; i++)
		rules[i].any_user = options->any_user || config.publish_any_user;
	if (result == 0)
		result = bind_and_pass(state, name, options, rules, count, err);
	publish_rules_free(rules, count);
	return result;
}

static int publish(const char *name, const struct publish_options *options, struct azm_err *err)
{
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };

	if (state_open(&state, err) < 0)
		return -1;
	cleanup_fd int dir = sandbox_open(&state, name, err);
	if (dir < 0)
		return -1;
	if (!sandbox_running(dir)) {
		err_msg(err, ECONNREFUSED, "publish", name, "it is not running");
		return err_hint(err, "azm-sandbox start %s", name);
	}
	if (options->remove.count &&
		took(control_ask(&state, name, request_json("unpublish", &options->remove), NULL, err)) < 0)
		return -1;
	socket_files_reclaim(&state);
	return options->add.count ? add(&state, name, options, dir, err) : 0;
}

static int parse(struct publish_options *options, int argc, char **argv, struct azm_err *err)
{
	int name = options_around_name("publish", options, argc, argv, err);

	if (name < 0)
		return -1;
	if (options->add.count == 0 && options->remove.count == 0) {
		err_msg(err, EINVAL, "publish", argv[name], "neither -p nor --rm says what to do");
		return err_hint(err, "`azm-sandbox port %s` lists what is published", argv[name]);
	}
	return name;
}

int command_publish(int argc, char **argv)
{
	struct publish_options options = { 0 };
	struct azm_err err = { 0 };
	int name = parse(&options, argc, argv, &err);
	int result = name < 0 ? -1 : publish(argv[name], &options, &err);

	str_list_free(&options.add);
	str_list_free(&options.remove);
	return result < 0 ? fail_command(&err) : end_command(0);
}

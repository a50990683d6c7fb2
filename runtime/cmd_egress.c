// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_egress.c: `egress`: what a sandbox may reach, what it did reach, and changing the first.
 *
 * The rules are those of its config.json, which a running supervisor keeps up to date. The tally is made of its egress
 * log. A supervisor cannot start a resolver once it runs, so this command does, when asked, and hands its socket over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "commands.h"
#include "control.h"
#include "egress_service.h"
#include "netns/egress_log.h"
#include "netns/egress_proxy.h"
#include "netns/resolver.h"

struct egress_options {
	const char *edit; /* "set", "add", "rm", NULL: show */
	char *rules;
	bool json;
};

static int choose_edit(struct egress_options *options, const char *edit, const char *value, struct azm_err *err)
{
	if (options->edit && strcmp(options->edit, edit) != 0)
		return err_msg(
			err, EINVAL, "change egress", NULL, "--%s and --%s do not go together", options->edit, edit);
	char *list = options->rules ? xasprintf("%s,%s", options->rules, value) : xstrdup(value);
	free(options->rules);
	options->rules = list;
	options->edit = edit;
	return 0;
}

static int opt_set(void *target, const char *value, struct azm_err *err)
{
	return choose_edit(target, "set", value, err);
}

static int opt_add(void *target, const char *value, struct azm_err *err)
{
	return choose_edit(target, "add", value, err);
}

static int opt_rm(void *target, const char *value, struct azm_err *err)
{
	return choose_edit(target, "rm", value, err);
}

OPTION_STORES(opt_json, struct egress_options, json, true)

const struct option_row egress_option_rows[] = {
	{ 0, "set", "RULE[,RULE]", opt_set, "from now on these rules and no others; none: nothing" },
	{ 0, "add", "RULE[,RULE]", opt_add, "allow (or with ! deny) more" },
	{ 0, "rm", "RULE[,RULE]", opt_rm, "take rules away" },
	{ 0, "json", NULL, opt_json, "an object: rules, and the tally a name" },
	OPTIONS_END,
};

/* ---- changing -------------------------------------------------------------------------------------------------- */

static json_t *request(const struct egress_options *options)
{
	return json_pack("{s:s,s:s,s:s}", "op", "egress", "edit", options->edit, "rules", options->rules);
}

static int change_running(
	const struct state *state, const char *name, const struct egress_options *options, struct azm_err *err)
{
	json_t *answer = control_ask(state, name, request(options), NULL, err);
	bool needs_resolver = json_is_true(json_object_get(answer, "needs_resolver"));

	if (answer && needs_resolver) {
		json_decref(answer);
		cleanup_fd int resolver = resolver_start(err);
		answer = resolver < 0 ? NULL : control_pass(state, name, request(options), &resolver, 1, err);
	}
	json_decref(answer);
	return answer ? 0 : -1;
}

static int edit_config(int dir, const struct egress_options *options, struct azm_err *err)
{
	cleanup_config struct config config;
	cleanup_egress_rules struct egress_rules *old = NULL, *rules = NULL;
	enum egress_edit edit = EGRESS_SET;

	config_init(&config);
	if (egress_edit_parse(options->edit, &edit, err) < 0 || config_load(&config, dir, err) < 0 ||
		egress_rules_parse(config.egress, &old, err) < 0 ||
		egress_rules_edit(old, edit, options->rules, &rules, err) < 0)
		return -1;
	free(config.egress);
	config.egress = egress_rules_list(rules);
	return egress_check(&config, err) < 0 ? -1 : egress_save(dir, rules, err);
}

static int change(
	const struct state *state, const char *name, int dir, const struct egress_options *options, struct azm_err *err)
{
	cleanup_fd int lock = sandbox_lock(dir, NULL, err);

	/* One that does not run will start with them. */
	if (lock >= 0)
		return edit_config(dir, options, err);
	if (!err_is(err, EWOULDBLOCK) || sandbox_busy(dir, "change what it may reach", name, err))
		return -1;
	err_clear(err);
	return change_running(state, name, options, err);
}

/* ---- the tally ------------------------------------------------------------------------------------------------- */

/* One destination: a name, or an address that was dialled without one. */
static json_t *tally_entry(json_t *tally, const char *destination)
{
	json_t *entry = json_object_get(tally, destination);

	if (!entry) {
		entry = json_pack("{s:s,s:i,s:i,s:i,s:I,s:n}", "name", destination, "allowed", 0, "denied", 0, "failed",
			0, "bytes", (json_int_t)0, "last_why");
		json_object_set_new(tally, destination, entry);
	}
	return entry;
}

static void add_to(json_t *entry, const char *key, json_int_t more)
{
	json_object_set_new(entry, key, json_integer(json_integer_value(json_object_get(entry, key)) + more));
}

static void count_line(json_t *tally, const json_t *line, json_int_t *omitted)
{
	const char *verdict = json_string_value(json_object_get(line, "verdict"));
	const char *name = json_string_value(json_object_get(line, "name"));
	const json_t *why = json_object_get(line, "why");

	if (verdict && strcmp(verdict, "omitted") == 0)
		*omitted += json_integer_value(json_object_get(line, "count"));
	if (!name)
		name = json_string_value(json_object_get(line, "address"));
	if (!verdict || !name)
		return;
	json_t *entry = tally_entry(tally, name);
	if (strcmp(verdict, "closed") == 0)
		add_to(entry, "bytes", json_integer_value(json_object_get(line, "bytes")));
	else if (json_object_get(entry, verdict))
		add_to(entry, verdict, 1);
	if (json_is_string(why))
		json_object_set(entry, "last_why", (json_t *)(uintptr_t)why);
}

static void count_file(json_t *tally, int dir, const char *file, json_int_t *omitted)
{
	int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_file FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	cleanup_free char *line = NULL;
	size_t room = 0;
	ssize_t length;

	while (stream && (length = getline(&line, &room, stream)) > 0) {
		/* A line that a kill cut short is not JSON. */
		json_t *object = json_loadb(line, (size_t)length, 0, NULL);
		if (json_is_object(object))
			count_line(tally, object, omitted);
		json_decref(object);
	}
}

/* ---- showing --------------------------------------------------------------------------------------------------- */

static json_t *rules_json(const struct egress_rules *rules)
{
	json_t *list = json_array();

	for (size_t i = 0; i < egress_rules_count(rules); i++)
		json_array_append_new(list, json_string(egress_rules_text(rules, i)));
	return list;
}

/* {"name","engine","proxy","rules":[],"tally":[{"name","allowed","denied","failed","bytes","last_why"}],"omitted"} */
static json_t *collect(const char *name, int dir, struct azm_err *err)
{
	cleanup_config struct config config;
	cleanup_egress_rules struct egress_rules *rules = NULL;
	json_t *tally = json_object(), *list = json_array(), *entry;
	json_int_t omitted = 0;
	const char *key;

	config_init(&config);
	if (config_load(&config, dir, err) < 0 || egress_rules_parse(config.egress, &rules, err) < 0) {
		json_decref(tally);
		json_decref(list);
		return NULL;
	}
	cleanup_free char *proxy = config.egress_proxy ? egress_proxy_display(config.egress_proxy) : NULL;
	count_file(tally, dir, EGRESS_LOG_OLD, &omitted);
	count_file(tally, dir, EGRESS_LOG, &omitted);
	json_object_foreach(tally, key, entry)
	{
		json_array_append(list, entry);
	}
	json_decref(tally);
	return json_pack("{s:s,s:s,s:s?,s:o,s:o,s:I}", "name", name, "engine", config.egress_engine, "proxy", proxy,
		"rules", rules_json(rules), "tally", list, "omitted", omitted);
}

static long long count_of(const json_t *entry, const char *key)
{
	return json_integer_value(json_object_get(entry, key));
}

static void print_tally(const json_t *tally)
{
	size_t i;
	const json_t *entry;

	if (json_array_size(tally) == 0)
		return;
	printf("\n%-40s %8s %8s %8s %14s  %s\n", "DESTINATION", "ALLOWED", "DENIED", "FAILED", "BYTES", "LAST REFUSAL");
	json_array_foreach((json_t *)(uintptr_t)tally, i, entry)
	{
		const char *why = json_string_value(json_object_get(entry, "last_why"));
		cleanup_free char *name = xstrdup(json_string_value(json_object_get(entry, "name")));
		cleanup_free char *reason = xstrdup(why ? why : "");
		str_sanitise(name);
		str_sanitise(reason);
		printf("%-40s %8lld %8lld %8lld %14lld  %s\n", name, count_of(entry, "allowed"),
			count_of(entry, "denied"), count_of(entry, "failed"), count_of(entry, "bytes"), reason);
	}
}

static void print_egress(const json_t *object)
{
	const json_t *rules = json_object_get(object, "rules"), *rule;
	const char *proxy = json_string_value(json_object_get(object, "proxy"));
	size_t i;

	if (json_array_size(rules) == 0)
		puts("none");
	json_array_foreach((json_t *)(uintptr_t)rules, i, rule)
	{
		puts(json_string_value(rule));
	}
	if (proxy)
		printf("through %s\n", proxy);
	if (strcmp(json_string_value(json_object_get(object, "engine")), "pasta") == 0)
		puts("by pasta: everything, and no log");
	print_tally(json_object_get(object, "tally"));
	if (count_of(object, "omitted"))
		printf("(and %lld more decisions in bursts that were not written down)\n", count_of(object, "omitted"));
}

static int egress_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	const struct egress_options *options = context;

	cleanup_fd int dir = sandbox_open(state, name, err);
	if (dir < 0 || (options->edit && change(state, name, dir, options, err) < 0))
		return -1;
	if (options->edit && !options->json)
		return 0;
	json_t *object = collect(name, dir, err);
	if (!object)
		return -1;
	if (options->json) {
		print_json(object);
		return 0;
	}
	print_egress(object);
	json_decref(object);
	return 0;
}

int command_egress(int argc, char **argv)
{
	struct egress_options options = { 0 };
	struct azm_err err = { 0 };
	int name = options_around_name("egress", &options, argc, argv, &err);
	int status =
		name < 0 ? fail_command(&err) : for_each_name("egress", name + 1, argv, name, egress_one, &options);

	free(options.rules);
	return status;
}

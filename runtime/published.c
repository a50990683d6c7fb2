// SPDX-License-Identifier: GPL-2.0-or-later
/* published.c: see published.h */
#include "published.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "socket_files.h"

char *published_argument(const char *text)
{
	static const char prefix[] = "unix:";
	const char *path = text + sizeof prefix - 1;

	if (!str_starts(text, prefix) || *path == '/')
		return xstrdup(text);
	cleanup_free char *here = getcwd(NULL, 0);
	return here ? xasprintf("%s%s/%s", prefix, here, path) : xstrdup(text);
}

void published_warn(const struct publish_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (publish_rule_is_local(&rules[i]) || rules[i].any_user)
			continue;
		fprintf(stderr,
			"azm-sandbox: port %u is open to other machines, but their connections are refused: only "
			"your own processes of this host may connect\nhint: --publish-any-user lets everybody in\n",
			rules[i].host_port);
		return;
	}
}

/* ---- at the start --------------------------------------------------------------------------------------------- */

static bool is_published(const struct supervisor *s, uint16_t port)
{
	for (size_t i = 0; i < s->rule_count; i++)
		if (s->rules[i].port == port && s->rules[i].family != AF_UNIX)
			return true;
	return false;
}

static int parse_list(struct supervisor *s, const struct str_list *arguments, bool any_user, struct azm_err *err)
{
	size_t first = s->rule_count;

	for (size_t i = 0; i < arguments->count; i++)
		if (publish_parse(arguments->items[i], s->config->binding_address, s->config->allow_non_loopback,
			    &s->rules, &s->rule_count, err) < 0)
			return -1;
	for (size_t i = first; i < s->rule_count; i++)
		s->rules[i].any_user = any_user;
	return 0;
}

static int parse_server_port(struct supervisor *s, struct azm_err *err)
{
	char port[8];

	if (!s->launch.serves || is_published(s, s->launch.server_port))
		return 0;
	snprintf(port, sizeof port, "%u", s->launch.server_port);
	if (publish_parse(port, s->config->binding_address, s->config->allow_non_loopback, &s->rules, &s->rule_count,
		    err) < 0)
		return -1;
	s->rules[s->rule_count - 1].any_user = s->config->publish_any_user;
	return 0;
}

static int note_socket_files(
	const struct state *state, const struct publish_rule *rules, size_t count, struct azm_err *err)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].family == AF_UNIX && socket_files_note(state, rules[i].unix_path, err) < 0)
			return -1;
	return 0;
}

int published_open(struct supervisor *s, struct azm_err *err)
{
	struct publish_sockets sockets;

	if (parse_list(s, &s->config->publish, s->config->publish_any_user, err) < 0 ||
		parse_list(s, &s->config->publish_open, true, err) < 0)
		return -1;
	size_t asked = s->rule_count;
	if (parse_server_port(s, err) < 0)
		return -1;
	s->publisher = publish_new(err);
	if (!s->publisher)
		return -1;
	if (s->rule_count == 0)
		return 0;
	if (publish_bind(s->rules, s->rule_count, &sockets, err) < 0)
		return -1;
	if (note_socket_files(s->state, s->rules, s->rule_count, err) < 0 ||
		publish_add(s->publisher, s->rules, s->rule_count, &sockets, err) < 0) {
		publish_sockets_free(&sockets, s->rules, s->rule_count);
		return -1;
	}
	if (s->rule_count > asked)
		s->server_rule = s->rules[asked].id;
	published_warn(s->rules, s->rule_count);
	return 0;
}

void published_status(struct supervisor *s)
{
	struct status *status = &s->status;

	status->ports = s->rules;
	status->port_count = s->rule_count;
	status->host_port = 0;
	for (size_t i = 0; i < s->rule_count && !status->host_port; i++)
		if (s->rules[i].family != AF_UNIX && (!s->launch.serves || s->rules[i].port == s->launch.server_port))
			status->host_port = s->rules[i].host_port;
}

/* ---- while it runs -------------------------------------------------------------------------------------------- */

/* config.json as the next start shall find it. */
static int save_config(const struct supervisor *s, struct azm_err *err)
{
	cleanup_config struct config config;

	config_init(&config);
	if (config_load(&config, s->dir, err) < 0)
		return -1;
	str_list_free(&config.publish);
	str_list_free(&config.publish_open);
	for (size_t i = 0; i < s->rule_count; i++) {
		const struct publish_rule *rule = &s->rules[i];
		cleanup_free char *text = publish_rule_text(rule);
		if (rule->id == s->server_rule)
			continue;
		config.allow_non_loopback = config.allow_non_loopback || !publish_rule_is_local(rule);
		str_list_add(rule->any_user && !config.publish_any_user ? &config.publish_open : &config.publish, text);
	}
	return config_save(&config, s->dir, err);
}

static int save(struct supervisor *s, struct azm_err *err)
{
	published_status(s);
	return status_save(s->config, &s->status, s->dir, err) < 0 ? -1 : save_config(s, err);
}

static int parse_request(const struct supervisor *s, const json_t *request, bool adding, struct publish_rule **rules,
	size_t *count, struct azm_err *err)
{
	const json_t *list = json_object_get(request, "publish");
	bool allow = !adding || json_is_true(json_object_get(request, "allow_non_loopback")) ||
		     s->config->allow_non_loopback;
	const char *address = adding ? s->config->binding_address : NULL;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (!text)
			return err_msg(err, EINVAL, "publish", NULL, "not a list of arguments");
		if (publish_parse(text, address, allow, rules, count, err) < 0)
			return -1;
	}
	return *count ? 0 : err_msg(err, EINVAL, "publish", NULL, "no port is named");
}

/* The descriptors of a request become sockets of ours. */
static void take_sockets(const json_t *request, struct control_fds *passed, struct publish_sockets *sockets)
{
	*sockets = (struct publish_sockets){ .diag = -1 };
	if (json_is_true(json_object_get(request, "diag")) && passed->count > 0)
		sockets->diag = passed->items[--passed->count];
	sockets->fds = xcalloc(passed->count + 1, sizeof *sockets->fds);
	memcpy(sockets->fds, passed->items, passed->count * sizeof *sockets->fds);
	sockets->count = passed->count;
	passed->count = 0;
}

static int serve_sockets(struct supervisor *s, struct publish_rule *rules, size_t count,
	struct publish_sockets *sockets, struct azm_err *err)
{
	if (publish_recognise(rules, count, sockets, err) < 0 ||
		publish_start(s->publisher, s->netns, s->status.address, err) < 0)
		return -1;
	return publish_add(s->publisher, rules, count, sockets, err);
}

/* Take the rules from @first on out of the list; the publisher closes them. */
static void forget_from(struct supervisor *s, size_t first)
{
	while (s->rule_count > first) {
		publish_remove(s->publisher, s->rules[--s->rule_count].id);
		free(s->rules[s->rule_count].unix_path);
	}
}

int published_add(struct supervisor *s, const json_t *request, struct control_fds *passed, struct azm_err *err)
{
	struct publish_rule *rules = NULL;
	struct publish_sockets sockets;
	size_t count = 0, before = s->rule_count;

	take_sockets(request, passed, &sockets);
	int result = parse_request(s, request, true, &rules, &count, err);
	bool any_user = json_is_true(json_object_get(request, "any_user")) || s->config->publish_any_user;
	for (size_t i = 0; i < count; i++)
		rules[i].any_user = any_user;
	if (result == 0)
		result = serve_sockets(s, rules, count, &sockets, err);
	publish_sockets_free(&sockets, NULL, 0);
	if (result < 0) {
		publish_rules_free(rules, count);
		return -1;
	}
	s->rules = xrealloc(s->rules, before + count, sizeof *s->rules);
	memcpy(s->rules + before, rules, count * sizeof *rules);
	s->rule_count += count;
	free(rules); /* not the paths: they have moved */
	if (save(s, err) == 0)
		return 0;
	struct azm_err ignored = { 0 };
	forget_from(s, before);
	(void)save(s, &ignored);
	return -1;
}

static bool same_address(const struct publish_rule *a, const struct publish_rule *b)
{
	if (a->family != b->family)
		return false;
	return a->family == AF_INET ? a->address.v4.s_addr == b->address.v4.s_addr
				    : a->family != AF_INET6 || IN6_ARE_ADDR_EQUAL(&a->address.v6, &b->address.v6);
}

/* Whether @asked, in which an address or host port that was left out means any, covers @rule. */
static bool covers(const struct publish_rule *asked, const struct publish_rule *rule)
{
	if (asked->port != rule->port)
		return false;
	if (asked->family == AF_UNIX)
		return rule->family == AF_UNIX && strcmp(asked->unix_path, rule->unix_path) == 0;
	if (asked->host_port && (rule->family == AF_UNIX || asked->host_port != rule->host_port))
		return false;
	return asked->family == AF_UNSPEC || same_address(asked, rule);
}

static bool is_covered(const struct publish_rule *rule, const struct publish_rule *asked, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (covers(&asked[i], rule))
			return true;
	return false;
}

static int check_published(
	const struct supervisor *s, const struct publish_rule *asked, size_t count, struct azm_err *err)
{
	for (size_t i = 0; i < count; i++) {
		size_t j = 0;
		while (j < s->rule_count && !covers(&asked[i], &s->rules[j]))
			j++;
		if (j < s->rule_count)
			continue;
		cleanup_free char *text = publish_rule_text(&asked[i]);
		return err_msg(err, ENOENT, "unpublish", text, "it is not published");
	}
	return 0;
}

int published_remove(struct supervisor *s, const json_t *request, struct azm_err *err)
{
	struct publish_rule *asked = NULL;
	size_t count = 0, kept = 0;
	int result = parse_request(s, request, false, &asked, &count, err);

	if (result == 0)
		result = check_published(s, asked, count, err);
	for (size_t i = 0; result == 0 && i < s->rule_count; i++) {
		if (is_covered(&s->rules[i], asked, count)) {
			publish_remove(s->publisher, s->rules[i].id);
			free(s->rules[i].unix_path);
		} else {
			s->rules[kept++] = s->rules[i];
		}
	}
	publish_rules_free(asked, count);
	if (result < 0)
		return -1;
	s->rule_count = kept;
	return save(s, err);
}

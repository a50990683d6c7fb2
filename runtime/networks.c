// SPDX-License-Identifier: GPL-2.0-or-later
/* networks.c: see networks.h */
#include "networks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "config.h"
#include "embed.h"
#include "netns/netns.h"
#include "status.h"

enum {
	NETWORKS_MAX = 256,
	LABELS_MAX = 64,
	LABEL_LENGTH = 1024,
	DEFAULT_PREFIX = 22, /* as many addresses as a bridge has ports: 1024 */
};

/* What the keeper calls the two private networks, see supervisor.c. */
static const char *const private_names[] = { "private", "private-single" };

void network_record_free(struct network_record *record)
{
	free(record->name);
	free(record->id);
	free(record->created);
	str_list_free(&record->labels);
	*record = (struct network_record){ 0 };
}

bool network_is_builtin(const char *name)
{
	return strcmp(name, "private") == 0 || strcmp(name, "none") == 0;
}

int network_check_name(const char *name, struct azm_err *err)
{
	/* Docker's names for what is not here, and ours for what always is. */
	static const char *const reserved[] = { "private", "private-single", "none", "host", "bridge", "default" };

	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strcmp(name, reserved[i]) == 0)
			return err_msg(err, EINVAL, "use name", name, "it is reserved");
	return name_check(name, err);
}

/* ---- the directory of records --------------------------------------------------------------------------------- */

/* Return: its descriptor, locked; -1 with @err, ENOENT when no network was ever made and @how is not LOCK_EX. */
static int open_records(const struct state *state, int how, struct azm_err *err)
{
	if (how == LOCK_EX && mkdirat(state->dir, "networks", 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make a directory in", state->path);
	cleanup_fd int dir = openat(state->dir, "networks", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || flock(dir, how) < 0)
		return err_sys(err, "open the networks in", state->path);
	return steal_fd(&dir);
}

static char *file_name(const char *name)
{
	return xasprintf("%s.json", name);
}

static json_t *labels_json(const struct str_list *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; i < labels->count; i++) {
		const char *value = strchr(labels->items[i], '=');
		cleanup_free char *key = xstrdup(labels->items[i]);
		key[strcspn(key, "=")] = '\0';
		/* json_string() says no to what is not UTF-8, and set_new() to its answer. */
		if (json_object_set_new(object, key, json_string(value ? value + 1 : "")) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *record_json(const struct network_record *record)
{
	char subnet[SUBNET_TEXT_MAX], gateway[SUBNET_TEXT_MAX];

	subnet_text(&record->subnet, subnet);
	subnet_address_text(subnet_gateway(&record->subnet), gateway);
	return json_pack("{s:s,s:s,s:s,s:s,s:b,s:o,s:s}", "name", record->name, "id", record->id, "subnet", subnet,
		"gateway", gateway, "internal", record->internal, "labels", labels_json(&record->labels), "created",
		record->created);
}

static int damaged(const char *name, struct azm_err *err)
{
	err_msg(err, EINVAL, "read network", name, "its record in the state directory is damaged");
	return err_hint(err, "azm-sandbox network rm %s, and make it again", name);
}

static bool is_id(const char *text)
{
	return text && strlen(text) == 8 && strspn(text, "0123456789abcdef") == 8;
}

/* @dir: -1 when there is no directory of records. */
static int load_record(int dir, const char *name, struct network_record *record, struct azm_err *err)
{
	cleanup_free char *file = file_name(name);
	struct azm_err why = { 0 }, ignored = { 0 };
	const char *key;
	json_t *value, *object = dir < 0 ? NULL : json_load_at(dir, file, &why);

	if (dir < 0 || (!object && err_is(&why, ENOENT))) {
		err_msg(err, ENOENT, "find network", name, "no such network");
		return err_hint(err, "azm-sandbox network create %s", name);
	}
	const char *id = json_string_value(json_object_get(object, "id"));
	const char *subnet = json_string_value(json_object_get(object, "subnet"));
	const char *created = json_string_value(json_object_get(object, "created"));
	*record = (struct network_record){ .internal = json_is_true(json_object_get(object, "internal")) };
	if (!is_id(id) || !subnet || subnet_parse(subnet, &record->subnet, &ignored) < 0) {
		json_decref(object);
		return damaged(name, err);
	}
	record->name = xstrdup(name);
	record->id = xstrdup(id);
	record->created = xstrdup(created ? created : "");
	json_object_foreach(json_object_get(object, "labels"), key, value)
	{
		const char *text = json_string_value(value);
		str_list_addf(&record->labels, "%s=%s", key, text ? text : "");
	}
	json_decref(object);
	return 0;
}

static int list_records(int dir, struct str_list *names, struct azm_err *err)
{
	static const char suffix[] = ".json";
	cleanup_str_list struct str_list files = { 0 };
	struct azm_err ignored = { 0 };

	if (dir_names(dir, &files) < 0)
		return err_sys(err, "list networks", NULL);
	for (size_t i = 0; i < files.count; i++) {
		char *name = files.items[i];
		size_t length = strlen(name), tail = sizeof suffix - 1;
		if (length <= tail || strcmp(name + length - tail, suffix) != 0)
			continue;
		name[length - tail] = '\0';
		if (network_check_name(name, &ignored) == 0)
			str_list_add(names, name);
	}
	str_list_sort(names);
	return 0;
}

int network_names(const struct state *state, struct str_list *names, struct azm_err *err)
{
	cleanup_fd int dir = open_records(state, LOCK_SH, err);

	if (dir < 0 && err_is(err, ENOENT)) {
		err_clear(err);
		return 0;
	}
	return dir < 0 ? -1 : list_records(dir, names, err);
}

int network_find(const struct state *state, const char *name, struct network_record *record, struct azm_err *err)
{
	if (network_check_name(name, err) < 0)
		return -1;
	cleanup_fd int dir = open_records(state, LOCK_SH, err);
	if (dir < 0 && !err_is(err, ENOENT))
		return -1;
	return load_record(dir, name, record, err);
}

char *network_live_name(const struct network_record *record)
{
	return xasprintf("%s-%s", record->name, record->id);
}

/* ---- addresses ------------------------------------------------------------------------------------------------ */

static int overlaps(const struct subnet *wanted, const struct subnet *other, const char *what, struct azm_err *err)
{
	char text[SUBNET_TEXT_MAX], theirs[SUBNET_TEXT_MAX];

	subnet_text(wanted, text);
	subnet_text(other, theirs);
	err_msg(err, EADDRINUSE, "use subnet", text, "it overlaps %s, %s", theirs, what);
	return err_hint(err, "choose another one, or leave out --subnet to have one chosen");
}

static int check_routes(const struct subnet *wanted, const struct subnet_list *routes, struct azm_err *err)
{
	for (size_t i = 0; i < routes->count; i++)
		if (routes->items[i].prefix > 1 && subnet_overlap(wanted, &routes->items[i]))
			return overlaps(wanted, &routes->items[i], "which this host has a route to", err);
	return 0;
}

static int check_networks(int dir, const struct subnet *wanted, struct subnet_list *taken, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (list_records(dir, &names, err) < 0)
		return -1;
	if (names.count >= NETWORKS_MAX)
		return err_msg(err, EUSERS, "create a network", NULL, "there are %zu already", names.count);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_network_record struct network_record record = { 0 };
		struct azm_err ignored = { 0 };
		if (load_record(dir, names.items[i], &record, &ignored) < 0)
			continue;
		cleanup_free char *what = xasprintf("the network %s", record.name);
		if (wanted->prefix && subnet_overlap(wanted, &record.subnet))
			return overlaps(wanted, &record.subnet, what, err);
		subnet_list_add(taken, record.subnet);
	}
	return 0;
}

/* Where the private network is now: it has no record, it looks for a place when it is made. */
static int check_private(
	const struct state *state, const struct subnet *wanted, struct subnet_list *taken, struct azm_err *err)
{
	for (size_t i = 0; i < sizeof private_names / sizeof *private_names; i++) {
		struct subnet subnet;
		if (!network_peek(state->live, private_names[i], embed_init_tag(), &subnet))
			continue;
		if (wanted->prefix && subnet_overlap(wanted, &subnet))
			return overlaps(wanted, &subnet, "the network private", err);
		subnet_list_add(taken, subnet);
	}
	return 0;
}

static int choose_subnet(const struct state *state, int dir, struct subnet *subnet, struct azm_err *err)
{
	cleanup_subnet_list struct subnet_list taken = { 0 };

	if (subnet_host_routes(&taken, err) < 0 || (subnet->prefix && check_routes(subnet, &taken, err) < 0) ||
		check_networks(dir, subnet, &taken, err) < 0 || check_private(state, subnet, &taken, err) < 0)
		return -1;
	if (subnet->prefix)
		return 0;
	*subnet = subnet_choose(taken.items, taken.count, DEFAULT_PREFIX);
	for (size_t i = 0; i < taken.count; i++)
		if (taken.items[i].prefix > 1 && subnet_overlap(subnet, &taken.items[i])) {
			err_msg(err, EADDRINUSE, "create a network", NULL,
				"no private addresses are free on this host");
			return err_hint(err, "say which ones to use: --subnet 10.5.0.0/24");
		}
	return 0;
}

int network_subnets(const struct state *state, struct subnet_list *list, struct azm_err *err)
{
	static const struct subnet none;
	struct azm_err ignored = { 0 };
	cleanup_fd int dir = open_records(state, LOCK_SH, &ignored);

	return dir < 0 ? 0 : check_networks(dir, &none, list, err);
}

/* ---- making and removing -------------------------------------------------------------------------------------- */

static int check_labels(const struct str_list *labels, struct azm_err *err)
{
	if (labels->count > LABELS_MAX)
		return err_msg(err, E2BIG, "use labels", NULL, "there may be %d", LABELS_MAX);
	for (size_t i = 0; i < labels->count; i++)
		if (labels->items[i][0] == '=' || !labels->items[i][0] || strlen(labels->items[i]) > LABEL_LENGTH)
			return err_msg(err, EINVAL, "use label", NULL, "K=V with a K, at most %d bytes", LABEL_LENGTH);
	return 0;
}

static int save_record(int dir, const struct network_record *record, struct azm_err *err)
{
	cleanup_free char *file = file_name(record->name);
	json_t *object = record_json(record);
	int result = object ? json_save_at(object, dir, file, err)
			    : err_msg(err, EILSEQ, "create network", record->name, "a label is not UTF-8 text");

	json_decref(object);
	return result;
}

int network_create(const struct state *state, struct network_record *record, struct azm_err *err)
{
	cleanup_network_record struct network_record other = { 0 };
	struct azm_err why = { 0 };
	unsigned random = 0;

	if (network_check_name(record->name, err) < 0 || check_labels(&record->labels, err) < 0)
		return -1;
	cleanup_fd int dir = open_records(state, LOCK_EX, err);
	if (dir < 0)
		return -1;
	if (load_record(dir, record->name, &other, &why) == 0 || !err_is(&why, ENOENT)) {
		err_msg(err, EEXIST, "create network", record->name, "there is one of that name");
		return err_hint(err, "use it, or remove it: azm-sandbox network rm %s", record->name);
	}
	if (choose_subnet(state, dir, &record->subnet, err) < 0)
		return -1;
	(void)!getrandom(&random, sizeof random, 0);
	record->id = xasprintf("%08x", random);
	record->created = status_time();
	return save_record(dir, record, err);
}

/* Whether a sandbox runs that was asked to be on that network. @ip: set to its address, null while it starts; the
 * caller owns it. */
static bool is_member(const struct state *state, const char *sandbox, const char *network, json_t **ip)
{
	struct azm_err ignored = { 0 };
	cleanup_config struct config config;
	cleanup_fd int dir = sandbox_open(state, sandbox, &ignored);

	config_init(&config);
	if (dir < 0 || !sandbox_running(dir) || config_load(&config, dir, &ignored) < 0 || !config.network ||
		strcmp(config.network, network) != 0)
		return false;
	json_t *status = json_load_at(dir, "status.json", &ignored);
	const char *phase = json_string_value(json_object_get(status, "state"));
	const char *text = json_string_value(json_object_get(status, "ip"));
	*ip = phase && strcmp(phase, "running") == 0 && text ? json_string(text) : json_null();
	json_decref(status);
	return true;
}

/* NULL with @err set */
static json_t *members_json(const struct state *state, const char *network, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (sandbox_names(state, &names, err) < 0)
		return NULL;
	json_t *members = json_array();
	for (size_t i = 0; i < names.count; i++) {
		json_t *ip = NULL;
		if (is_member(state, names.items[i], network, &ip))
			json_array_append_new(members, json_pack("{s:s,s:o}", "name", names.items[i], "ip", ip));
	}
	return members;
}

static int busy(const char *name, const json_t *members, struct azm_err *err)
{
	cleanup_free char *list = xstrdup("");
	size_t i;
	const json_t *member;

	json_array_foreach(members, i, member)
	{
		const char *sandbox = json_string_value(json_object_get(member, "name"));
		char *longer = xasprintf("%s%s%s", list, i ? " " : "", i < 8 ? sandbox : "...");
		free(list);
		list = longer;
		if (i == 8)
			break;
	}
	err_msg(err, EBUSY, "remove network", name, "it has members: %s", list);
	return err_hint(err, "azm-sandbox stop %s", list);
}

int network_remove(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_network_record struct network_record record = { 0 };
	struct azm_err why = { 0 };
	cleanup_free char *file = file_name(name);

	if (network_is_builtin(name))
		return err_msg(err, EPERM, "remove network", name, "it is always there");
	if (network_check_name(name, err) < 0)
		return -1;
	cleanup_fd int dir = open_records(state, LOCK_EX, err);
	if (dir < 0)
		return -1;
	int loaded = load_record(dir, name, &record, &why);
	if (loaded < 0 && err_is(&why, ENOENT)) {
		err_msg(err, ENOENT, "remove network", name, "no such network");
		return err_hint(err, "`azm-sandbox network ls` lists them");
	}
	json_t *members = members_json(state, name, err);
	int result = !members ? -1 : json_array_size(members) ? busy(name, members, err) : 0;
	json_decref(members);
	if (result < 0)
		return -1;
	if (unlinkat(dir, file, 0) < 0)
		return err_sys(err, "remove network", name);
	cleanup_free char *live = loaded == 0 ? network_live_name(&record) : NULL;
	if (live)
		network_forget(state->live, live);
	return 0;
}

/* ---- showing -------------------------------------------------------------------------------------------------- */

static json_t *builtin_json(const struct state *state, const char *name)
{
	char text[SUBNET_TEXT_MAX] = "", gateway[SUBNET_TEXT_MAX] = "";
	struct subnet subnet;

	for (size_t i = 0; strcmp(name, "private") == 0 && i < sizeof private_names / sizeof *private_names; i++)
		if (!text[0] && network_peek(state->live, private_names[i], embed_init_tag(), &subnet)) {
			subnet_text(&subnet, text);
			subnet_address_text(subnet_gateway(&subnet), gateway);
		}
	return json_pack("{s:s,s:n,s:s?,s:s?,s:b,s:{},s:n}", "name", name, "id", "subnet", text[0] ? text : NULL,
		"gateway", gateway[0] ? gateway : NULL, "internal", strcmp(name, "none") == 0, "labels", "created");
}

json_t *network_json(const struct state *state, const char *name, struct azm_err *err)
{
	cleanup_network_record struct network_record record = { 0 };
	bool builtin = network_is_builtin(name);

	if (!builtin && network_find(state, name, &record, err) < 0)
		return NULL;
	json_t *object = builtin ? builtin_json(state, name) : record_json(&record);
	if (!object) {
		err_code(err, ENOMEM, "show network", name);
		return NULL;
	}
	json_t *members = members_json(state, name, err);
	if (!members) {
		json_decref(object);
		return NULL;
	}
	json_object_set_new(object, "builtin", json_boolean(builtin));
	json_object_set_new(object, "members", members);
	return object;
}

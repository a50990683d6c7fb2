// SPDX-License-Identifier: GPL-2.0-or-later
/* config.c: see config.h */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"

/* An image configuration of 1 MiB, escaped, is the largest thing in one. */
enum { JSON_FILE_MAX = 4 << 20 };

enum field_kind { TEXT, FLAG, NUMBER, LIST };

static const struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
} fields[] = {
#define F(kind, member)                                                                                                \
	{                                                                                                              \
#member, kind, offsetof(struct config, member)                                                         \
	}
	F(TEXT, name),
	F(TEXT, rootfs),
	F(TEXT, image),
	F(LIST, layers),
	F(TEXT, rootfs_mode),
	F(TEXT, server),
	F(TEXT, workspace),
	F(TEXT, workspace_target),
	F(LIST, volumes),
	F(LIST, tmpfs),
	F(LIST, mounts),
	F(LIST, devices),
	F(TEXT, gpus),
	F(TEXT, user),
	F(TEXT, userns),
	F(LIST, publish),
	F(LIST, publish_open),
	F(TEXT, binding_address),
	F(FLAG, allow_non_loopback),
	F(FLAG, publish_any_user),
	F(TEXT, network),
	F(LIST, network_alias),
	F(TEXT, egress),
	F(TEXT, egress_engine),
	F(TEXT, egress_proxy),
	F(LIST, dns),
	F(LIST, env),
	F(TEXT, api_key),
	F(TEXT, workdir),
	F(TEXT, hostname),
	F(TEXT, entrypoint),
	F(LIST, command),
	F(FLAG, tty),
	F(FLAG, interactive),
	F(FLAG, remove),
	F(FLAG, as_root),
	F(FLAG, read_only),
	F(NUMBER, shm_size),
	F(LIST, ulimits),
	F(NUMBER, memory),
	F(NUMBER, cpus),
	F(NUMBER, pids_limit),
	F(TEXT, cgroup_parent),
	F(NUMBER, disk),
	F(NUMBER, disk_inodes),
	F(TEXT, disk_mode),
	F(FLAG, best_effort),
	F(TEXT, stop_signal),
	F(LIST, log_opts),
	F(LIST, cap_add),
	F(LIST, cap_drop),
	F(TEXT, seccomp),
	F(LIST, add_host),
	F(LIST, labels),
	F(FLAG, no_new_privileges),
	F(FLAG, nested),
	F(FLAG, compat32),
	F(FLAG, seccomp_log),
	F(TEXT, proc),
	F(TEXT, guard),
	F(TEXT, created),
#undef F
};

#define FIELD_COUNT (sizeof fields / sizeof *fields)

static void *member(const struct config *config, const struct field *field)
{
	return (char *)(uintptr_t)config + field->offset;
}

void config_init(struct config *config)
{
	*config = (struct config){ .rootfs_mode = xstrdup("overlay"),
		.server = xstrdup("auto"),
		.userns = xstrdup("auto"),
		.network = xstrdup("private"),
		.egress = xstrdup("none"),
		.egress_engine = xstrdup("broker"),
		.proc = xstrdup("fresh"),
		.guard = xstrdup("on"),
		.shm_size = CONFIG_UNSET,
		.memory = CONFIG_UNSET,
		.cpus = CONFIG_UNSET,
		.pids_limit = CONFIG_UNSET,
		.disk = CONFIG_UNSET,
		.disk_inodes = CONFIG_UNSET };
}

void config_free(struct config *config)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (fields[i].kind == TEXT)
			free(*(char **)member(config, &fields[i]));
		else if (fields[i].kind == LIST)
			str_list_free(member(config, &fields[i]));
	}
	*config = (struct config){ 0 };
}

static json_t *list_json(const struct str_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++) {
		if (json_array_append_new(array, json_string(list->items[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *field_json(const struct config *config, const struct field *field)
{
	void *value = member(config, field);

	switch (field->kind) {
	case TEXT:
		return *(char **)value ? json_string(*(char **)value) : json_null();
	case FLAG:
		return json_boolean(*(bool *)value);
	case NUMBER:
		return *(uint64_t *)value == CONFIG_UNSET ? json_null()
							  : json_integer((json_int_t) * (uint64_t *)value);
	case LIST:
		return list_json(value);
	}
	return NULL;
}

json_t *config_json(const struct config *config)
{
	json_t *object = json_object();

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		json_t *value = field_json(config, &fields[i]);

		if (json_object_set_new(object, fields[i].name, value) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static void load_field(struct config *config, const struct field *field, const json_t *value)
{
	void *target = member(config, field);
	size_t i;
	json_t *item;

	switch (field->kind) {
	case TEXT:
		free(*(char **)target);
		*(char **)target = json_is_string(value) ? xstrdup(json_string_value(value)) : NULL;
		break;
	case FLAG:
		*(bool *)target = json_is_true(value);
		break;
	case NUMBER:
		*(uint64_t *)target = json_is_integer(value) ? (uint64_t)json_integer_value(value) : CONFIG_UNSET;
		break;
	case LIST:
		str_list_free(target);
		json_array_foreach((json_t *)(uintptr_t)value, i, item) if (json_is_string(item))
			str_list_add(target, json_string_value(item));
		break;
	}
}

static int not_utf8(const char *file, struct azm_err *err)
{
	return err_msg(err, EILSEQ, "write", file, "a value is not UTF-8 text");
}

int json_save_at(json_t *object, int dir, const char *file, struct azm_err *err)
{
	cleanup_free char *text = json_dumps(object, JSON_INDENT(1));

	if (!text)
		return not_utf8(file, err);
	return write_file_at(dir, file, text, strlen(text), 0600) < 0 ? err_sys(err, "write", file) : 0;
}

json_t *json_load_at(int dir, const char *file, struct azm_err *err)
{
	size_t size;
	json_error_t detail;
	cleanup_fd int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_free char *text = fd < 0 ? NULL : read_file(fd, JSON_FILE_MAX, &size);

	if (!text) {
		err_sys(err, "read", file);
		return NULL;
	}
	json_t *object = json_loadb(text, size, 0, &detail);
	if (!json_is_object(object)) {
		err_msg(err, EINVAL, "read", file, "line %d: %s", detail.line, object ? "not an object" : detail.text);
		json_decref(object);
		return NULL;
	}
	return object;
}

int config_save(const struct config *config, int dir, struct azm_err *err)
{
	json_t *object = config_json(config);

	/* Dropping the value would have `start` make another sandbox than `run` did. */
	if (!object)
		return not_utf8("config.json", err);
	int result = json_save_at(object, dir, "config.json", err);

	json_decref(object);
	return result;
}

int config_from_json(struct config *config, const json_t *object, const char *file, struct azm_err *err)
{
	if (!json_is_object(object))
		return err_msg(err, EINVAL, "read", file, "there is no configuration in it");
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const json_t *value = json_object_get(object, fields[i].name);
		if (value) /* an earlier version did not write what came later */
			load_field(config, &fields[i], value);
	}
	return 0;
}

int config_load(struct config *config, int dir, struct azm_err *err)
{
	json_t *object = json_load_at(dir, "config.json", err);

	if (!object)
		return -1;
	int result = config_from_json(config, object, "config.json", err);
	json_decref(object);
	return result;
}

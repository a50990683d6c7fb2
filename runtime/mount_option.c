// SPDX-License-Identifier: GPL-2.0-or-later
/* mount_option.c: see mount_option.h. Source: docs.docker.com, "docker container run", --mount. */
#include "mount_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void mount_option_free(struct mount_option *option)
{
	free(option->source);
	free(option->target);
	*option = (struct mount_option){ 0 };
}

/* Fields of one line of CSV. Return: 0, -1: a quote is not closed or stands in the middle of a field */
static int split_fields(const char *text, struct str_list *fields)
{
	cleanup_free char *field = xcalloc(strlen(text) + 1, 1);
	size_t used = 0;

	for (const char *at = text;; at++) {
		bool quoted = *at == '"' && used == 0;
		for (at += quoted; quoted; at++) {
			if (!*at)
				return -1;
			if (*at == '"' && at[1] == '"')
				at++;
			else if (*at == '"')
				quoted = false;
			if (quoted)
				field[used++] = *at;
		}
		while (*at && *at != ',') {
			if (*at == '"')
				return -1;
			field[used++] = *at++;
		}
		field[used] = '\0';
		str_list_add(fields, field);
		used = 0;
		if (!*at)
			return 0;
	}
}

static int bad(const char *key, const char *why, struct azm_err *err)
{
	return err_msg(err, EINVAL, "use --mount", key, "%s", why);
}

/* A word that may stand alone, be true or false. */
static int take_flag(const char *key, const char *value, bool *flag, struct azm_err *err)
{
	if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*flag = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*flag = false;
	else
		return bad(key, "the value must be true or false", err);
	return 0;
}

static int take_text(const char *key, const char *value, char **text, struct azm_err *err)
{
	if (!value || !*value)
		return bad(key, "the value is missing", err);
	free(*text);
	*text = xstrdup(value);
	return 0;
}

struct parse {
	struct mount_option *option;
	const char *of; /* the type a key belongs to that was seen, and the key */
	const char *key;
	bool has_type;
};

static int key_type(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	static const char *const names[] = { "bind", "volume", "tmpfs" };

	p->has_type = true;
	for (size_t i = 0; value && i < sizeof names / sizeof *names; i++) {
		if (strcmp(value, names[i]) == 0) {
			p->option->type = (enum mount_type)i;
			return 0;
		}
	}
	return bad(key, "it must be bind, volume or tmpfs", err);
}

static int key_source(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	return take_text(key, value, &p->option->source, err);
}

static int key_target(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	return take_text(key, value, &p->option->target, err);
}

static int key_read_only(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	return take_flag(key, value, &p->option->read_only, err);
}

static int key_propagation(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	static const char *const harmless[] = { "rprivate", "private", "rslave", "slave" };

	(void)p;
	for (size_t i = 0; value && i < sizeof harmless / sizeof *harmless; i++)
		if (strcmp(value, harmless[i]) == 0)
			return 0;
	return bad(key, "mounts made inside never appear on the host: only private, rprivate, slave and rslave", err);
}

static int key_recursive(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	(void)p;
	if (value &&
		(strcmp(value, "enabled") == 0 || strcmp(value, "writable") == 0 || strcmp(value, "readonly") == 0))
		return 0; /* mounts below come along, and are as read-only as the mount */
	return bad(key, "mounts below the source always come along, as read-only as the mount itself", err);
}

static int key_non_recursive(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	bool asked = false;

	(void)p;
	if (take_flag(key, value, &asked, err) < 0)
		return -1;
	return asked ? bad(key, "the kernel lets nobody without privileges uncover what lies below a mount", err) : 0;
}

static int key_ignored(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	(void)p;
	(void)key;
	(void)value;
	(void)err;
	return 0;
}

static int key_no_copy(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	return take_flag(key, value, &p->option->no_copy, err);
}

static int key_driver(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	(void)p;
	return value && strcmp(value, "local") == 0 ? 0 : bad(key, "there is only the driver local", err);
}

static int key_unsupported(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	(void)p;
	(void)value;
	return bad(key, "it is not supported here", err);
}

static int key_size(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	return value && str_to_bytes(value, &p->option->tmpfs_size) && p->option->tmpfs_size >= 4096
		       ? 0
		       : bad(key, "it must be a size of at least 4096 bytes", err);
}

static int key_mode(struct parse *p, const char *key, const char *value, struct azm_err *err)
{
	char *end;
	unsigned long mode = value ? strtoul(value, &end, 8) : 0;

	if (!value || !strchr("01234567", *value) || end == value || *end || mode > 01777)
		return bad(key, "it must be an octal mode up to 1777", err);
	p->option->tmpfs_mode = (uint32_t)mode;
	return 0;
}

static const struct {
	const char *name, *of; /* of: the type it belongs to; NULL: any */
	int (*take)(struct parse *p, const char *key, const char *value, struct azm_err *err);
} keys[] = {
	{ "type", NULL, key_type },
	{ "source", NULL, key_source },
	{ "src", NULL, key_source },
	{ "target", NULL, key_target },
	{ "destination", NULL, key_target },
	{ "dst", NULL, key_target },
	{ "readonly", NULL, key_read_only },
	{ "ro", NULL, key_read_only },
	{ "consistency", NULL, key_ignored },
	{ "bind-propagation", "bind", key_propagation },
	{ "bind-recursive", "bind", key_recursive },
	{ "bind-nonrecursive", "bind", key_non_recursive },
	{ "volume-nocopy", "volume", key_no_copy },
	{ "volume-label", "volume", key_ignored },
	{ "volume-driver", "volume", key_driver },
	{ "volume-opt", "volume", key_unsupported },
	{ "volume-subpath", "volume", key_unsupported },
	{ "tmpfs-size", "tmpfs", key_size },
	{ "tmpfs-mode", "tmpfs", key_mode },
};

static int take_field(struct parse *p, char *field, struct azm_err *err)
{
	char *value = strchr(field, '=');

	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (strcmp(field, keys[i].name) != 0)
			continue;
		if (keys[i].of) {
			p->of = keys[i].of;
			p->key = keys[i].name;
		}
		return keys[i].take(p, field, value, err);
	}
	return bad(field, "there is no such key", err);
}

static int check(const struct parse *p, struct azm_err *err)
{
	static const char *const names[] = { "bind", "volume", "tmpfs" };
	const struct mount_option *option = p->option;

	if (p->of && strcmp(p->of, names[option->type]) != 0)
		return err_msg(err, EINVAL, "use --mount", p->key, "it goes with type=%s, not with type=%s", p->of,
			names[option->type]);
	if (!option->target)
		return bad("target", "it is missing", err);
	if (option->type == MOUNT_TMPFS && option->source)
		return bad("source", "a tmpfs has none", err);
	if (option->type != MOUNT_TMPFS && !option->source)
		return bad("source", "it is missing (volumes without a name do not exist here)", err);
	return 0;
}

int mount_option_parse(const char *text, struct mount_option *option, struct azm_err *err)
{
	cleanup_str_list struct str_list fields = { 0 };
	struct parse p = { .option = option };

	*option = (struct mount_option){ .type = MOUNT_VOLUME }; /* Docker's default */
	int result = split_fields(text, &fields) < 0 ? bad(text, "a double quote is out of place", err) : 0;
	for (size_t i = 0; result == 0 && i < fields.count; i++)
		result = take_field(&p, fields.items[i], err);
	if (result == 0)
		result = check(&p, err);
	if (result < 0)
		mount_option_free(option);
	return result;
}

/* key=value as a field of CSV. */
static char *with_field(char *text, const char *key, const char *value)
{
	cleanup_str_list struct str_list parts = { 0 };
	cleanup_free char *before = text;
	cleanup_free char *doubled = xstrdup("");

	str_list_split(&parts, value, '"');
	for (size_t i = 0; i < parts.count; i++) {
		char *longer = xasprintf("%s%s%s", doubled, i ? "\"\"" : "", parts.items[i]);
		free(doubled);
		doubled = longer;
	}
	return strpbrk(value, ",\"") ? xasprintf("%s,\"%s=%s\"", before, key, doubled)
				     : xasprintf("%s,%s=%s", before, key, value);
}

char *mount_option_text(const struct mount_option *option)
{
	static const char *const types[] = { "type=bind", "type=volume", "type=tmpfs" };
	char number[32];
	char *text = xstrdup(types[option->type]);

	if (option->source)
		text = with_field(text, "source", option->source);
	text = with_field(text, "target", option->target);
	if (option->read_only)
		text = with_field(text, "readonly", "true");
	if (option->no_copy)
		text = with_field(text, "volume-nocopy", "true");
	if (option->tmpfs_size) {
		snprintf(number, sizeof number, "%llu", (unsigned long long)option->tmpfs_size);
		text = with_field(text, "tmpfs-size", number);
	}
	if (option->tmpfs_mode) {
		snprintf(number, sizeof number, "%o", option->tmpfs_mode);
		text = with_field(text, "tmpfs-mode", number);
	}
	return text;
}

void writable_binds(const struct config *config, struct str_list *paths)
{
	if (config->workspace)
		str_list_add(paths, config->workspace);
	for (size_t i = 0; i < config->volumes.count; i++) {
		cleanup_str_list struct str_list parts = { 0 };
		str_list_split(&parts, config->volumes.items[i], ':');
		/* Read-only and copy-on-write mounts leave nothing on the host; a volume with a name lies with our own.
		 */
		if (parts.items[0][0] == '/' &&
			!(parts.count == 3 && (strstr(parts.items[2], "ro") || strstr(parts.items[2], "overlay"))))
			str_list_add(paths, parts.items[0]);
	}
	for (size_t i = 0; i < config->mounts.count; i++) {
		struct azm_err ignored = { 0 };
		cleanup_mount_option struct mount_option option;
		if (mount_option_parse(config->mounts.items[i], &option, &ignored) == 0 && option.type == MOUNT_BIND &&
			!option.read_only)
			str_list_add(paths, option.source);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registries_conf.c: see registries_conf.h. TOML as people write it there: tables, strings, booleans; what
 * we do not know is passed over, lists of several lines too.
 */
#include "rootfs-tools/registries_conf.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

enum { FILE_MAX = 1 << 20, RULES_MAX = 1024, MIRRORS_MAX = 64 };

enum table { TABLE_OTHER, TABLE_REGISTRY, TABLE_MIRROR };

struct reading {
	struct registries_conf *conf;
	const char *file;
	unsigned line;
	enum table table;
	bool in_list; /* of several lines */
};

static int bad(const struct reading *r, const char *why, struct azm_err *err)
{
	return err_msg(err, EINVAL, "read", r->file, "line %u: %s", r->line, why);
}

static void free_rule(struct registry_rule *rule)
{
	for (size_t i = 0; i < rule->mirror_count; i++)
		free(rule->mirrors[i].location);
	free(rule->mirrors);
	free(rule->prefix);
	free(rule->place.location);
}

void registries_conf_free(struct registries_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++)
		free_rule(&conf->rules[i]);
	free(conf->rules);
	*conf = (struct registries_conf){ 0 };
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static int begin_table(struct reading *r, const char *name, struct azm_err *err)
{
	struct registries_conf *conf = r->conf;
	struct registry_rule *rule = conf->count ? &conf->rules[conf->count - 1] : NULL;

	r->table = TABLE_OTHER;
	if (strcmp(name, "[[registry]]") == 0) {
		if (conf->count >= RULES_MAX)
			return bad(r, "too many registries", err);
		conf->rules = xrealloc(conf->rules, conf->count + 1, sizeof *conf->rules);
		conf->rules[conf->count++] = (struct registry_rule){ 0 };
		r->table = TABLE_REGISTRY;
	} else if (strcmp(name, "[[registry.mirror]]") == 0) {
		if (!rule || rule->mirror_count >= MIRRORS_MAX)
			return bad(r, rule ? "too many mirrors" : "a mirror of no registry", err);
		rule->mirrors = xrealloc(rule->mirrors, rule->mirror_count + 1, sizeof *rule->mirrors);
		rule->mirrors[rule->mirror_count++] = (struct registry_place){ 0 };
		r->table = TABLE_MIRROR;
	}
	return 0;
}

/* "text" or 'text', and nothing behind it but a comment; caller owns. NULL: it is none. */
static char *string_value(const char *value)
{
	const char quote = *value;
	const char *end = quote == '"' || quote == '\'' ? strchr(value + 1, quote) : NULL;

	if (!end || memchr(value, '\\', (size_t)(end - value)))
		return NULL;
	const char *rest = end + 1 + strspn(end + 1, " \t");
	return *rest && *rest != '#' ? NULL : strndup(value + 1, (size_t)(end - value - 1));
}

static int set_string(const struct reading *r, char **member, const char *value, struct azm_err *err)
{
	free(*member);
	*member = string_value(value);
	return *member ? 0 : bad(r, "a text in quotes is expected", err);
}

static int set_bool(const struct reading *r, bool *member, const char *value, struct azm_err *err)
{
	size_t length = strcspn(value, " \t#");

	*member = length == 4 && strncmp(value, "true", 4) == 0;
	return *member || (length == 5 && strncmp(value, "false", 5) == 0) ? 0
									   : bad(r, "true or false is expected", err);
}

static int take_setting(struct reading *r, const char *key, const char *value, struct azm_err *err)
{
	struct registry_rule *rule = r->table == TABLE_OTHER ? NULL : &r->conf->rules[r->conf->count - 1];
	struct registry_place *place = !rule ? NULL : &rule->place;

	if (*value == '[')
		r->in_list = !strchr(value, ']');
	if (r->table == TABLE_MIRROR)
		place = &rule->mirrors[rule->mirror_count - 1];
	if (place && strcmp(key, "location") == 0)
		return set_string(r, &place->location, value, err);
	if (place && strcmp(key, "insecure") == 0)
		return set_bool(r, &place->insecure, value, err);
	if (r->table == TABLE_REGISTRY && strcmp(key, "prefix") == 0)
		return set_string(r, &rule->prefix, value, err);
	if (r->table == TABLE_REGISTRY && strcmp(key, "blocked") == 0)
		return set_bool(r, &rule->blocked, value, err);
	return 0;
}

static int take_line(struct reading *r, char *line, struct azm_err *err)
{
	size_t length;

	line += strspn(line, " \t\r");
	for (length = strlen(line); length > 0 && strchr(" \t\r", line[length - 1]);)
		line[--length] = '\0';
	if (r->in_list) {
		r->in_list = !strchr(line, ']');
		return 0;
	}
	if (!*line || *line == '#')
		return 0;
	if (*line == '[') {
		line[strcspn(line, " \t#")] = '\0';
		return begin_table(r, line, err);
	}
	char *equals = strchr(line, '=');
	if (!equals)
		return bad(r, "neither a table nor a setting", err);
	*equals = '\0';
	line[strcspn(line, " \t")] = '\0';
	return take_setting(r, line, equals + 1 + strspn(equals + 1, " \t"), err);
}

/* What is left out is what the other one says. */
static int complete(const struct reading *r, size_t from, struct azm_err *err)
{
	for (size_t i = from; i < r->conf->count; i++) {
		struct registry_rule *rule = &r->conf->rules[i];
		if (!rule->prefix && !rule->place.location)
			return bad(r, "a registry without prefix and location", err);
		if (!rule->prefix)
			rule->prefix = xstrdup(rule->place.location);
		if (!rule->place.location && !str_starts(rule->prefix, "*."))
			rule->place.location = xstrdup(rule->prefix);
		for (size_t m = 0; m < rule->mirror_count; m++)
			if (!rule->mirrors[m].location)
				return bad(r, "a mirror without location", err);
	}
	return 0;
}

int registries_conf_add(struct registries_conf *conf, const char *file, const char *text, struct azm_err *err)
{
	struct reading reading = { .conf = conf, .file = file };
	cleanup_str_list struct str_list lines = { 0 };
	const size_t before = conf->count;

	str_list_split(&lines, text, '\n');
	for (; reading.line < lines.count;) {
		char *line = lines.items[reading.line++];
		if (take_line(&reading, line, err) < 0)
			return -1;
	}
	return complete(&reading, before, err);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static int add_file(struct registries_conf *conf, const char *path, bool must, struct azm_err *err)
{
	cleanup_free char *text = read_path(path, FILE_MAX, NULL);

	if (text)
		return registries_conf_add(conf, path, text, err);
	return !must && (errno == ENOENT || errno == ENOTDIR || errno == EACCES) ? 0 : err_sys(err, "read", path);
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int add_directory(struct registries_conf *conf, const char *path, struct azm_err *err)
{
	struct dirent **names;
	int count = scandir(path, &names, is_conf, alphasort), result = 0;

	for (int i = 0; i < count; i++) {
		cleanup_free char *file = xasprintf("%s/%s", path, names[i]->d_name);
		if (result == 0)
			result = add_file(conf, file, false, err);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return result;
}

int registries_conf_load(struct registries_conf *conf, struct azm_err *err)
{
	const char *given = getenv("CONTAINERS_REGISTRIES_CONF"), *base = getenv("XDG_CONFIG_HOME"),
		   *home = getenv("HOME");
	cleanup_free char *own = base && *base == '/'	? xasprintf("%s/containers/registries.conf", base)
				 : home && *home == '/' ? xasprintf("%s/.config/containers/registries.conf", home)
							: NULL;
	const char *main_file = own && access(own, R_OK) == 0 ? own : "/etc/containers/registries.conf";
	const char *places[] = { "/etc/containers/registries.conf", own };

	*conf = (struct registries_conf){ 0 };
	int result = given && *given ? add_file(conf, given, true, err) : add_file(conf, main_file, false, err);
	for (size_t i = 0; result == 0 && !(given && *given) && i < sizeof places / sizeof *places; i++) {
		cleanup_free char *directory = places[i] ? xasprintf("%s.d", places[i]) : NULL;
		result = directory ? add_directory(conf, directory, err) : 0;
	}
	if (result < 0)
		registries_conf_free(conf);
	return result;
}

/* ---- which one? ------------------------------------------------------------------------------------------------ */

/* How much of the name a prefix is; 0: none. "*.example.com" stands for all hosts below. */
static size_t match(const char *prefix, const char *name)
{
	size_t length = strlen(prefix), host = strcspn(name, "/:");

	if (str_starts(prefix, "*."))
		return host >= length && strncmp(name + host - (length - 1), prefix + 1, length - 1) == 0 ? length : 0;
	return strncmp(name, prefix, length) == 0 && strchr("/:@", name[length]) ? length : 0;
}

const struct registry_rule *registries_conf_find(const struct registries_conf *conf, const char *name)
{
	const struct registry_rule *found = NULL;
	size_t best = 0;

	/* Of two for the same prefix the later one counts: that of the directory. */
	for (size_t i = 0; i < conf->count; i++) {
		size_t length = match(conf->rules[i].prefix, name);
		if (length > 0 && length >= best) {
			best = length;
			found = &conf->rules[i];
		}
	}
	return found;
}

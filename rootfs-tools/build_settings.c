// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_settings.c: variables, and the instructions that change an image's configuration only.
 *
 * Sources: OCI image specification, config.md; Docker's image specification 1.2 for Healthcheck, Shell and OnBuild.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "rootfs-tools/build.h"
#include "rootfs-tools/layer_internal.h"
#include "rootfs-tools/words.h"

/* ---- variables -------------------------------------------------------------------------------------------------- */

static char **list_find(const struct str_list *list, const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = list->count; i > 0; i--)
		if (strncmp(list->items[i - 1], name, length) == 0 && list->items[i - 1][length] == '=')
			return &list->items[i - 1];
	return NULL;
}

const char *list_get(const struct str_list *list, const char *name)
{
	char **item = list_find(list, name);

	return item ? *item + strlen(name) + 1 : NULL;
}

void list_set(struct str_list *list, const char *name, const char *value)
{
	char **item = list_find(list, name);

	if (!item) {
		str_list_addf(list, "%s=%s", name, value);
		return;
	}
	free(*item);
	*item = xasprintf("%s=%s", name, value);
}

/* What is set when a word is read: ENV hides ARG. */
struct variables {
	struct str_list env;
	const struct str_list *args;
};

static const char *variable(void *context, const char *name)
{
	const struct variables *variables = context;
	const char *value = list_get(&variables->env, name);

	return value ? value : list_get(variables->args, name);
}

static char *expand(const struct build *build, const struct stage *stage, const char *word,
	char *(*how)(const char *, const struct word_scope *, struct azm_err *), struct azm_err *err)
{
	struct variables variables = { .args = stage ? &stage->args : &build->meta_args };
	const struct word_scope scope = {
		.escape = build->dockerfile.escape, .value = variable, .context = &variables
	};

	if (stage)
		variables.env = stage_env(stage);
	char *meaning = how(word, &scope, err);
	str_list_free(&variables.env);
	return meaning; /* cppcheck-suppress returnDanglingLifetime ; allocated, nothing of the scope's */
}

char *build_expand(const struct build *build, const struct stage *stage, const char *word, struct azm_err *err)
{
	return expand(build, stage, word, word_expand, err);
}

char *build_expand_heredoc(const struct build *build, const struct stage *stage, const char *text, struct azm_err *err)
{
	return expand(build, stage, text, word_expand_text, err);
}

char *build_expand_meta(const struct build *build, const char *word, struct azm_err *err)
{
	return expand(build, NULL, word, word_expand, err);
}

/* The value of one ARG: the command line's, the default's, that of before the first FROM. Caller owns; NULL: none. */
static char *arg_value(
	struct build *build, struct stage *stage, const char *name, const char *fallback, struct azm_err *err)
{
	const char *given = list_get(&build->build_args, name);

	if (given)
		str_list_add(&build->used_args, name);
	else if (!fallback && stage)
		given = list_get(&build->meta_args, name);
	if (given)
		return xstrdup(given);
	return fallback ? expand(build, stage, fallback, word_expand, err) : NULL;
}

int build_declare_args(
	struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err)
{
	for (size_t i = 0; i < instruction->args.count; i++) {
		const char *word = instruction->args.items[i];
		const char *equals = strchr(word, '=');
		cleanup_free char *name = xasprintf("%.*s", (int)strcspn(word, "="), word);
		cleanup_free char *value = arg_value(build, stage, name, equals ? equals + 1 : NULL, err);
		if (value)
			list_set(stage ? &stage->args : &build->meta_args, name, value);
		else if (err->code)
			return -1;
	}
	return 0;
}

/* ---- the configuration ------------------------------------------------------------------------------------------ */

json_t *stage_config(const struct stage *stage)
{
	return json_object_get(stage->image, "config");
}

const char *stage_text(const struct stage *stage, const char *key)
{
	const char *text = json_string_value(json_object_get(stage_config(stage), key));

	return text ? text : "";
}

static struct str_list texts_of(const json_t *array)
{
	struct str_list list = { 0 };
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)(uintptr_t)array, i, item) if (json_is_string(item))
		str_list_add(&list, json_string_value(item));
	return list;
}

struct str_list stage_env(const struct stage *stage)
{
	return texts_of(json_object_get(stage_config(stage), "Env"));
}

struct str_list stage_shell(const struct stage *stage)
{
	struct str_list shell = texts_of(json_object_get(stage_config(stage), "Shell"));

	if (shell.count == 0) {
		str_list_add(&shell, "/bin/sh");
		str_list_add(&shell, "-c");
	}
	return shell;
}

char *stage_path(const struct stage *stage, const char *path)
{
	cleanup_free char *whole =
		*path == '/' ? xstrdup(path) : xasprintf("%s/%s", stage_text(stage, "WorkingDir"), path);

	layer_clean_path(whole);
	return xasprintf("/%s", whole);
}

/* A word with its variables replaced, as JSON. NULL with @err. */
static json_t *json_word(struct build *build, struct stage *stage, const char *word, struct azm_err *err)
{
	cleanup_free char *text = build_expand(build, stage, word, err);
	json_t *value = text ? json_string(text) : NULL;

	if (text && !value)
		err_msg(err, EINVAL, "use", word, "it is not UTF-8");
	return value;
}

static int set(struct stage *stage, const char *key, json_t *value, struct azm_err *err)
{
	if (!value)
		return err->code ? -1 : err_msg(err, EINVAL, "set", key, "its text is not UTF-8");
	return json_object_set_new(stage_config(stage), key, value) < 0 ? err_code(err, ENOMEM, "set", key) : 0;
}

static json_t *json_texts(const struct str_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		if (json_array_append_new(array, json_string(list->items[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* A member that is an object, made when it is missing. */
static json_t *member(const struct stage *stage, const char *key)
{
	json_t *config = stage_config(stage);

	if (!json_is_object(json_object_get(config, key)))
		json_object_set_new(config, key, json_object());
	return json_object_get(config, key);
}

/* ---- ENV, LABEL ------------------------------------------------------------------------------------------------- */

static int set_env(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	cleanup_str_list struct str_list env = stage_env(stage);

	/* All values are read before any is set: ENV a=1 b=$a means the a there was before. */
	for (size_t i = 0; i < in->args.count; i += 2) {
		cleanup_free char *name = build_expand(build, stage, in->args.items[i], err);
		cleanup_free char *value = name ? build_expand(build, stage, in->args.items[i + 1], err) : NULL;
		if (!value)
			return -1;
		if (!*name || strchr(name, '='))
			return err_msg(err, EINVAL, "set", in->args.items[i], "not the name of a variable");
		list_set(&env, name, value);
	}
	return set(stage, "Env", json_texts(&env), err);
}

static int set_labels(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	for (size_t i = 0; i < in->args.count; i += 2) {
		cleanup_free char *name = build_expand(build, stage, in->args.items[i], err);
		json_t *value = name ? json_word(build, stage, in->args.items[i + 1], err) : NULL;
		if (!value)
			return -1;
		if (json_object_set_new(member(stage, "Labels"), name, value) < 0)
			return err_msg(err, EINVAL, "set the label", name, "it is not UTF-8");
	}
	return 0;
}

/* ---- one text --------------------------------------------------------------------------------------------------- */

static int set_workdir(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	cleanup_free char *path = build_expand(build, stage, in->args.items[0], err);

	if (!path)
		return -1;
	if (!*path)
		return err_msg(err, EINVAL, "set WORKDIR", NULL, "the path is empty");
	cleanup_free char *whole = stage_path(stage, path);
	return set(stage, "WorkingDir", json_string(whole), err);
}

static int set_user(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	return set(stage, "User", json_word(build, stage, in->args.items[0], err), err);
}

static int set_stop_signal(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	cleanup_free char *name = build_expand(build, stage, in->args.items[0], err);
	uint64_t number;

	if (!name)
		return -1;
	const char *bare = strncasecmp(name, "SIG", 3) == 0 ? name + 3 : name;
	bool word = isalpha((unsigned char)*bare) &&
		    !bare[strspn(bare, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-")];
	if (!word && !(str_to_u64(name, 64, &number) && number > 0))
		return err_msg(err, EINVAL, "set STOPSIGNAL", name, "neither the name nor the number of a signal");
	return set(stage, "StopSignal", json_string(name), err);
}

static int set_author(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	(void)build;
	return json_object_set_new(stage->image, "author", json_string(in->args.items[0])) < 0
		       ? err_msg(err, EINVAL, "set MAINTAINER", NULL, "it is not UTF-8")
		       : 0;
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

/* The vector of a command from args[first]: as it is, or the shell's. */
static json_t *command_vector(struct stage *stage, const struct instruction *in)
{
	if (in->exec)
		return json_texts(&in->args);
	cleanup_str_list struct str_list vector = stage_shell(stage);
	str_list_add(&vector, in->args.items[0]);
	return json_texts(&vector);
}

static int set_cmd(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	(void)build;
	stage->has_command = true;
	return set(stage, "Cmd", command_vector(stage, in), err);
}

static int set_entrypoint(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	(void)build;
	if (!stage->has_command) /* the base's command was for the base's entry point */
		json_object_del(stage_config(stage), "Cmd");
	return set(stage, "Entrypoint", command_vector(stage, in), err);
}

static int set_shell(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	(void)build;
	return set(stage, "Shell", json_texts(&in->args), err);
}

/* Go's time.ParseDuration: "1h2m3.5s", in nanoseconds. */
static bool read_duration(const char *text, int64_t *nanoseconds)
{
	static const struct {
		const char *unit;
		double size;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "\xc2\xb5s", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
		{ "h", 3600e9 } };
	double sum = 0;

	if (!*text)
		return false;
	while (*text) {
		size_t digits = strspn(text, "0123456789.");
		char *end, number[32];
		if (digits == 0 || digits >= sizeof number)
			return false;
		memcpy(number, text, digits);
		number[digits] = '\0';
		double value = strtod(number, &end);
		if (*end)
			return false;
		text += digits;
		size_t i = 0, length = strcspn(text, "0123456789.");
		while (i < sizeof units / sizeof *units &&
			(strlen(units[i].unit) != length || strncmp(units[i].unit, text, length) != 0))
			i++;
		if (i == sizeof units / sizeof *units)
			return false;
		sum += value * units[i].size;
		text += length;
	}
	*nanoseconds = (int64_t)sum;
	return sum < 9e18;
}

static int set_health_flags(const struct instruction *in, json_t *check, struct azm_err *err)
{
	static const char *const names[][2] = { { "interval", "Interval" }, { "timeout", "Timeout" },
		{ "start-period", "StartPeriod" }, { "start-interval", "StartInterval" } };
	const char *retries = instruction_flag(in, "retries");
	uint64_t number;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *text = instruction_flag(in, names[i][0]);
		int64_t time;
		if (!text)
			continue;
		if (!read_duration(text, &time) || (time != 0 && time < 1000000))
			return err_msg(err, EINVAL, "set HEALTHCHECK", names[i][0],
				"\"%s\" is not a time of at least 1ms, as 30s or 1m30s", text);
		json_object_set_new(check, names[i][1], json_integer(time));
	}
	if (retries && !str_to_u64(retries, 1000000, &number))
		return err_msg(err, EINVAL, "set HEALTHCHECK", "retries", "\"%s\" is not a number", retries);
	if (retries)
		json_object_set_new(check, "Retries", json_integer((json_int_t)number));
	return 0;
}

static int set_healthcheck(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	json_t *check = json_object();
	cleanup_str_list struct str_list test = { 0 };

	(void)build;
	for (size_t i = 0; i < in->args.count; i++)
		str_list_add(&test, i == 0 && in->args.count > 1 && !in->exec ? "CMD-SHELL" : in->args.items[i]);
	json_object_set_new(check, "Test", json_texts(&test));
	if (set_health_flags(in, check, err) < 0) {
		json_decref(check);
		return -1;
	}
	return set(stage, "Healthcheck", check, err);
}

/* ---- EXPOSE, VOLUME, ONBUILD ------------------------------------------------------------------------------------ */

/* "80", "80/udp", "8000-8010/tcp" */
static int expose_one(struct stage *stage, const char *word, struct azm_err *err)
{
	cleanup_free char *range = xasprintf("%.*s", (int)strcspn(word, "/"), word);
	const char *slash = strchr(word, '/'), *protocol = slash ? slash + 1 : "tcp";
	char *dash = strchr(range, '-');
	uint64_t first, last;

	if (dash)
		*dash++ = '\0';
	if (!str_to_u64(range, 65535, &first) || !first || !str_to_u64(dash ? dash : range, 65535, &last) ||
		last < first ||
		(strcasecmp(protocol, "tcp") != 0 && strcasecmp(protocol, "udp") != 0 &&
			strcasecmp(protocol, "sctp") != 0))
		return err_msg(err, EINVAL, "EXPOSE", word, "not PORT[-PORT][/tcp|/udp|/sctp]");
	for (; first <= last; first++) {
		cleanup_free char *port = xasprintf("%llu/%s", (unsigned long long)first, protocol);
		for (char *c = port; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		json_object_set_new(member(stage, "ExposedPorts"), port, json_object());
	}
	return 0;
}

static int set_expose(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	for (size_t i = 0; i < in->args.count; i++) {
		cleanup_str_list struct str_list words = { 0 };
		cleanup_free char *text = build_expand(build, stage, in->args.items[i], err);
		if (!text)
			return -1;
		words_split_blanks(text, &words); /* a variable may hold several */
		for (size_t j = 0; j < words.count; j++)
			if (expose_one(stage, words.items[j], err) < 0)
				return -1;
	}
	return 0;
}

static int set_volumes(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	for (size_t i = 0; i < in->args.count; i++) {
		cleanup_free char *path = build_expand(build, stage, in->args.items[i], err);
		if (!path)
			return -1;
		if (json_object_set_new(member(stage, "Volumes"), path, json_object()) < 0)
			return err_msg(err, EINVAL, "VOLUME", path, "it is not UTF-8");
	}
	return 0;
}

static int add_trigger(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	json_t *config = stage_config(stage);

	(void)build;
	if (!json_is_array(json_object_get(config, "OnBuild")))
		json_object_set_new(config, "OnBuild", json_array());
	return json_array_append_new(json_object_get(config, "OnBuild"), json_string(in->args.items[0])) < 0
		       ? err_msg(err, EINVAL, "ONBUILD", NULL, "it is not UTF-8")
		       : 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------ */

int build_setting(struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err)
{
	static int (*const settings[])(struct build *, struct stage *, const struct instruction *, struct azm_err *) = {
		[DF_CMD] = set_cmd,
		[DF_ENTRYPOINT] = set_entrypoint,
		[DF_ENV] = set_env,
		[DF_EXPOSE] = set_expose,
		[DF_HEALTHCHECK] = set_healthcheck,
		[DF_LABEL] = set_labels,
		[DF_MAINTAINER] = set_author,
		[DF_ONBUILD] = add_trigger,
		[DF_SHELL] = set_shell,
		[DF_STOPSIGNAL] = set_stop_signal,
		[DF_USER] = set_user,
		[DF_VOLUME] = set_volumes,
		[DF_WORKDIR] = set_workdir,
	};

	return settings[instruction->kind](build, stage, instruction, err);
}

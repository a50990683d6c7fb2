// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_parse.c: see profile_parse.h.
 *
 * Understands both forms in use: the OCI runtime specification's (linux.seccomp) and Docker's file format, which adds
 * archMap, includes and excludes. What is not understood is refused: a condition that was skipped would leave a rule
 * wider than it was written.
 */
#include "seccomp/profile_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/utsname.h>

#include "base/str.h"

#define PROFILE_STEP "read seccomp profile"

int profile_error(const struct profile *profile, size_t position, struct azm_err *err, const char *format, ...)
{
	char text[sizeof err->reason];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (position == SIZE_MAX)
		return err_msg(err, EINVAL, PROFILE_STEP, profile->path, "%s", text);
	return err_msg(err, EINVAL, PROFILE_STEP, profile->path, "syscalls[%zu]: %s", position, text);
}

struct word {
	const char *name;
	uint32_t value;
};

static const struct word actions[] = {
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ NULL, 0 },
};

static const struct word comparisons[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	{ NULL, 0 },
};

/* Architectures this machine can run: the native one first. */
static const struct word known_archs[] = {
#if defined(__x86_64__)
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64 },
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32 },
#else
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64 },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM },
#endif
	{ NULL, 0 },
};

#if defined(__x86_64__)
static const char docker_arch[] = "amd64";
#else
static const char docker_arch[] = "arm64";
#endif

static const struct word *find_word(const struct word *words, const char *name)
{
	while (words->name && strcmp(words->name, name) != 0)
		words++;
	return words->name ? words : NULL;
}

/* An optional key of a given type: absent and null are the same, as in Go, which writes these files. */
static int optional(const struct profile *profile, size_t position, const json_t *object, const char *key,
	json_type type, json_t **value, struct azm_err *err)
{
	*value = json_object_get(object, key);
	if (json_is_null(*value))
		*value = NULL;
	if (*value && json_typeof(*value) != type)
		return profile_error(profile, position, err, "\"%s\" has the wrong type", key);
	return 0;
}

static int parse_action(const struct profile *profile, size_t position, const json_t *object, const char *action_key,
	const char *errno_key, uint32_t *action, struct azm_err *err)
{
	const char *name = json_string_value(json_object_get(object, action_key));
	const struct word *word = name ? find_word(actions, name) : NULL;
	json_t *number;

	if (!name)
		return profile_error(profile, position, err, "\"%s\" is missing", action_key);
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return profile_error(profile, position, err, "SCMP_ACT_NOTIFY needs a listener, which no sandbox has");
	if (!word)
		return profile_error(profile, position, err, "unknown action \"%s\"", name);
	if (optional(profile, position, object, errno_key, JSON_INTEGER, &number, err) < 0)
		return -1;
	json_int_t code = number ? json_integer_value(number) : EPERM;
	if (code < 0 || code > 4095)
		return profile_error(profile, position, err, "\"%s\": not an errno", errno_key);
	*action = word->value;
	if (*action == SCMP_ACT_ERRNO(0) || *action == SCMP_ACT_TRACE(0))
		*action |= (uint32_t)code;
	return 0;
}

/* Names of other processors' architectures are no mistake: one file serves many machines. */
static int add_archs(struct profile *profile, const json_t *names, struct azm_err *err)
{
	size_t i;
	json_t *item;

	json_array_foreach(names, i, item)
	{
		if (!json_is_string(item))
			return profile_error(profile, SIZE_MAX, err, "an architecture is not a string");
		const struct word *word = find_word(known_archs, json_string_value(item));
		bool present = !word;
		for (size_t a = 0; a < profile->arch_count; a++)
			present |= word && profile->archs[a] == word->value;
		if (!present)
			profile->archs[profile->arch_count++] = word->value;
	}
	return 0;
}

static int parse_archs(struct profile *profile, struct azm_err *err)
{
	json_t *list, *map, *item, *subs;
	size_t i;

	profile->archs[profile->arch_count++] = known_archs[0].value;
	if (optional(profile, SIZE_MAX, profile->root, "architectures", JSON_ARRAY, &list, err) < 0 ||
		optional(profile, SIZE_MAX, profile->root, "archMap", JSON_ARRAY, &map, err) < 0)
		return -1;
	if (json_array_size(list) && json_array_size(map))
		return profile_error(profile, SIZE_MAX, err, "use \"architectures\" or \"archMap\", not both");
	if (add_archs(profile, list, err) < 0)
		return -1;
	json_array_foreach(map, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "architecture"));
		if (!name)
			return profile_error(profile, SIZE_MAX, err, "archMap[%zu] has no \"architecture\"", i);
		if (optional(profile, SIZE_MAX, item, "subArchitectures", JSON_ARRAY, &subs, err) < 0)
			return -1;
		if (strcmp(name, known_archs[0].name) == 0 && add_archs(profile, subs, err) < 0)
			return -1;
	}
	return 0;
}

/* Flags of seccomp(2): TSYNC we do anyway, LOG is --seccomp-log, SPEC_ALLOW only gives a protection up. */
static int check_flags(const struct profile *profile, struct azm_err *err)
{
	static const struct word harmless[] = { { "SECCOMP_FILTER_FLAG_TSYNC", 0 }, { "SECCOMP_FILTER_FLAG_LOG", 0 },
		{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", 0 }, { NULL, 0 } };
	json_t *flags, *item;
	size_t i;

	if (optional(profile, SIZE_MAX, profile->root, "flags", JSON_ARRAY, &flags, err) < 0)
		return -1;
	json_array_foreach(
		flags, i, item) if (!json_is_string(item) ||
				    !find_word(harmless, json_string_value(item))) return profile_error(profile,
		SIZE_MAX, err, "flags[%zu] is not supported", i);
	return 0;
}

int profile_parse(const char *text, size_t size, const char *path, unsigned long long caps, struct profile *out,
	struct azm_err *err)
{
	json_error_t where;

	*out = (struct profile){ .path = path, .caps = caps };
	out->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	if (!out->root)
		return err_msg(err, EINVAL, PROFILE_STEP, path, "line %d, column %d: %s", where.line, where.column,
			where.text);
	if (!json_is_object(out->root))
		return profile_error(out, SIZE_MAX, err, "the file is no JSON object");
	if (parse_action(out, SIZE_MAX, out->root, "defaultAction", "defaultErrnoRet", &out->default_action, err) < 0 ||
		parse_archs(out, err) < 0 || check_flags(out, err) < 0)
		return -1;
	return optional(out, SIZE_MAX, out->root, "syscalls", JSON_ARRAY, &out->entries, err);
}

void profile_free(struct profile *profile)
{
	json_decref(profile->root);
	profile->root = NULL;
}

static int has_cap(const struct profile *profile, size_t position, const json_t *name, bool *held, struct azm_err *err)
{
	cap_value_t cap;

	if (!json_is_string(name) || cap_from_name(json_string_value(name), &cap) < 0 || cap >= 64)
		return profile_error(profile, position, err, "unknown capability \"%s\"",
			json_is_string(name) ? json_string_value(name) : "?");
	*held = profile->caps >> cap & 1;
	return 0;
}

static int kernel_at_least(
	const struct profile *profile, size_t position, const char *text, bool *reached, struct azm_err *err)
{
	struct utsname host;
	unsigned want_major, want_minor, major = 0, minor = 0;
	int end = 0;

	if (sscanf(text, "%3u.%3u%n", &want_major, &want_minor, &end) != 2 || text[end])
		return profile_error(profile, position, err, "\"minKernel\" is not MAJOR.MINOR");
	if (uname(&host) < 0 || sscanf(host.release, "%u.%u", &major, &minor) != 2)
		return profile_error(profile, position, err, "cannot tell the kernel's version");
	*reached = major > want_major || (major == want_major && minor >= want_minor);
	return 0;
}

/* Judge an "includes" or "excludes" object. @some: any of its conditions holds; @all: every one does. */
static int judge(const struct profile *profile, size_t position, const json_t *conditions, bool *some, bool *all,
	struct azm_err *err)
{
	json_t *archs, *caps, *kernel, *item;
	bool holds = false;
	size_t i;

	*some = false;
	*all = true;
	if (optional(profile, position, conditions, "arches", JSON_ARRAY, &archs, err) < 0 ||
		optional(profile, position, conditions, "caps", JSON_ARRAY, &caps, err) < 0 ||
		optional(profile, position, conditions, "minKernel", JSON_STRING, &kernel, err) < 0)
		return -1;
	json_array_foreach(archs, i, item) holds |=
		json_is_string(item) && strcmp(json_string_value(item), docker_arch) == 0;
	if (json_array_size(archs)) {
		*some |= holds;
		*all &= holds;
	}
	json_array_foreach(caps, i, item)
	{
		if (has_cap(profile, position, item, &holds, err) < 0)
			return -1;
		*some |= holds;
		*all &= holds;
	}
	if (kernel) {
		if (kernel_at_least(profile, position, json_string_value(kernel), &holds, err) < 0)
			return -1;
		*some |= holds;
		*all &= holds;
	}
	return 0;
}

static int applies(const struct profile *profile, size_t position, const json_t *item, struct azm_err *err)
{
	json_t *includes, *excludes;
	bool some, all, excluded, ignored;

	if (optional(profile, position, item, "includes", JSON_OBJECT, &includes, err) < 0 ||
		optional(profile, position, item, "excludes", JSON_OBJECT, &excludes, err) < 0 ||
		judge(profile, position, excludes, &excluded, &ignored, err) < 0 ||
		judge(profile, position, includes, &some, &all, err) < 0)
		return -1;
	return !excluded && all;
}

static int parse_number(const struct profile *profile, size_t position, const json_t *item, const char *key,
	uint64_t *value, struct azm_err *err)
{
	json_t *number;

	if (optional(profile, position, item, key, JSON_INTEGER, &number, err) < 0)
		return -1;
	if (json_integer_value(number) < 0)
		return profile_error(profile, position, err, "\"%s\" is negative", key);
	*value = (uint64_t)json_integer_value(number);
	return 0;
}

static int parse_arg(const struct profile *profile, const json_t *item, struct profile_entry *out, struct azm_err *err)
{
	struct profile_arg *arg = &out->args[out->arg_count];
	const char *op = json_string_value(json_object_get(item, "op"));
	const struct word *word = op ? find_word(comparisons, op) : NULL;
	uint64_t index = 0;

	if (!json_is_object(item) || !json_is_integer(json_object_get(item, "index")))
		return profile_error(profile, out->position, err, "an argument has no \"index\"");
	if (!word)
		return profile_error(profile, out->position, err, "unknown comparison \"%s\"", op ? op : "");
	if (parse_number(profile, out->position, item, "index", &index, err) < 0 ||
		parse_number(profile, out->position, item, "value", &arg->value, err) < 0 ||
		parse_number(profile, out->position, item, "valueTwo", &arg->value_two, err) < 0)
		return -1;
	if (index >= PROFILE_ARGS_MAX)
		return profile_error(
			profile, out->position, err, "a system call has no argument %llu", (unsigned long long)index);
	arg->index = (unsigned)index;
	arg->op = (enum scmp_compare)word->value;
	out->arg_count++;
	return 0;
}

/* Docker takes two conditions on one argument for alternatives, the specification reads as if both had to hold. */
static int check_args(const struct profile *profile, const struct profile_entry *entry, struct azm_err *err)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < entry->arg_count; i++) {
		if (seen >> entry->args[i].index & 1)
			return profile_error(profile, entry->position, err,
				"two conditions on argument %u: write an entry for each alternative",
				entry->args[i].index);
		seen |= 1u << entry->args[i].index;
	}
	return 0;
}

static int parse_names(
	const struct profile *profile, const json_t *item, struct profile_entry *out, struct azm_err *err)
{
	json_t *name;
	size_t i;

	out->names = json_object_get(item, "names");
	if (!json_is_array(out->names))
		return profile_error(profile, out->position, err, "\"names\" is missing");
	json_array_foreach(out->names, i, name) if (!json_is_string(name)) return profile_error(
		profile, out->position, err, "names[%zu] is not a string", i);
	return 0;
}

int profile_entry(const struct profile *profile, size_t position, struct profile_entry *out, struct azm_err *err)
{
	const json_t *item = json_array_get(profile->entries, position);
	json_t *args, *arg;
	size_t i;

	*out = (struct profile_entry){ .position = position };
	if (!json_is_object(item))
		return profile_error(profile, position, err, "not an object");
	if (parse_names(profile, item, out, err) < 0 ||
		parse_action(profile, position, item, "action", "errnoRet", &out->action, err) < 0 ||
		optional(profile, position, item, "args", JSON_ARRAY, &args, err) < 0)
		return -1;
	if (json_array_size(args) > PROFILE_ARGS_MAX)
		return profile_error(profile, position, err, "more than %d arguments", PROFILE_ARGS_MAX);
	json_array_foreach(args, i, arg) if (parse_arg(profile, arg, out, err) < 0) return -1;
	return check_args(profile, out, err) < 0 ? -1 : applies(profile, position, item, err);
}

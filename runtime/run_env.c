// SPDX-License-Identifier: GPL-2.0-or-later
/* run_env.c: the variables users of the Docker runtime know, laid under the flags of `run` (cli.md, middle column). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "egress_service.h"
#include "run_options.h"
#include "mount_option.h"
#include "stored_image.h"

static const char *const configuration[] = { "SANDBOX_RUNTIME_CONTAINER_IMAGE", "WORKSPACE_BASE",
	"WORKSPACE_MOUNT_PATH", "WORKSPACE_MOUNT_PATH_IN_SANDBOX", "SANDBOX_VOLUMES", "SANDBOX_USER_ID",
	"SANDBOX_RUNTIME_BINDING_ADDRESS", "AZM_EGRESS", "AZM_EGRESS_PROXY", "SESSION_API_KEY", NULL };

/* The value of @name in a list of K=V; the last one wins. */
static const char *lookup(const struct str_list *list, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = list->count; i > 0; i--)
		if (strncmp(list->items[i - 1], name, length) == 0 && list->items[i - 1][length] == '=')
			return list->items[i - 1] + length + 1;
	return NULL;
}

/* -e before the caller's environment; empty counts as not given, as OpenHands has it. */
static const char *setting(const struct run_request *request, const char *name)
{
	const char *value = lookup(&request->env, name);

	if (!value)
		value = getenv(name);
	return value && *value ? value : NULL;
}

static void fall_back(char **member, const char *value)
{
	if (!*member && value)
		*member = xstrdup(value);
}

static bool is_configuration(const char *variable)
{
	for (const char *const *name = configuration; *name; name++)
		if (str_starts(variable, *name) && variable[strlen(*name)] == '=')
			return true;
	return false;
}

/* `-e K` passes the caller's K (nothing when it is unset), `-e K=V` sets. */
static void expand_passed(struct str_list *env)
{
	struct str_list expanded = { 0 };

	for (size_t i = 0; i < env->count; i++) {
		const char *value = strchr(env->items[i], '=') ? NULL : getenv(env->items[i]);
		if (strchr(env->items[i], '='))
			str_list_add(&expanded, env->items[i]);
		else if (value)
			str_list_addf(&expanded, "%s=%s", env->items[i], value);
	}
	str_list_free(env);
	*env = expanded;
}

/* The workload's variables: SANDBOX_ENV_K of the caller as K, then -e except what only configures us. */
static void workload_env(struct run_request *request)
{
	static const char prefix[] = "SANDBOX_ENV_";
	struct str_list *env = &request->config.env;

	for (char **variable = environ; *variable; variable++)
		if (str_starts(*variable, prefix) && (*variable)[sizeof prefix - 1] != '=' && strchr(*variable, '='))
			str_list_add(env, *variable + sizeof prefix - 1);
	for (size_t i = 0; i < request->env.count; i++)
		if (!is_configuration(request->env.items[i]))
			str_list_add(env, request->env.items[i]);
}

char *random_key(void)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[16];
	char key[2 * sizeof random + 1] = "";

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		abort();
	for (size_t i = 0; i < sizeof random; i++) {
		key[2 * i] = digits[random[i] >> 4];
		key[2 * i + 1] = digits[random[i] & 15];
	}
	return xstrdup(key);
}

static int choose_key(struct run_request *request, struct azm_err *err)
{
	const char *given = setting(request, "SESSION_API_KEY");
	char **key = &request->config.api_key;

	if (request->api_key_off && request->api_key_file)
		return err_msg(err, EINVAL, "use --api-key none", NULL, "--api-key-file was given as well");
	if (request->api_key_off) {
		*key = xstrdup("");
	} else if (request->api_key_file) {
		*key = read_path(request->api_key_file, 4096, NULL);
		if (!*key)
			return err_sys(err, "read the key from", request->api_key_file);
		(*key)[strcspn(*key, "\r\n")] = '\0';
		if (!**key)
			return err_msg(
				err, EINVAL, "read the key from", request->api_key_file, "its first line is empty");
	} else {
		*key = given ? xstrdup(given) : random_key();
	}
	for (const char *c = *key; *c; c++)
		if (*c <= ' ' || *c > '~')
			return err_msg(err, EINVAL, "use the key", NULL, "it must be printable ASCII without blanks");
	return 0;
}

static char *absolute(const char *path)
{
	cleanup_free char *cwd = NULL;

	if (path[0] == '/')
		return xstrdup(path);
	cwd = getcwd(NULL, 0);
	return xasprintf("%s/%s", cwd ? cwd : "", path);
}

/* Absolute and free of links; as it is when there is no such file, for the error that will come. */
static char *canonical(const char *path)
{
	cleanup_free char *full = absolute(path);
	char *real = realpath(full, NULL);

	if (real)
		return real;
	for (size_t length = strlen(full); length > 1 && full[length - 1] == '/'; length--)
		full[length - 1] = '\0';
	return steal_ptr(&full);
}

static void make_canonical(char **path)
{
	if (*path) {
		char *full = canonical(*path);
		free(*path);
		*path = full;
	}
}

/* The part of HOST:CTR[:MODE] that says where it goes inside. */
static bool same_target(const char *volume, const char *target)
{
	cleanup_str_list struct str_list parts = { 0 };

	str_list_split(&parts, volume, ':');
	return parts.count >= 2 && strcmp(parts.items[1], target) == 0;
}

static bool is_target(const struct str_list *volumes, const char *target)
{
	for (size_t i = 0; i < volumes->count; i++)
		if (same_target(volumes->items[i], target))
			return true;
	return false;
}

/* SANDBOX_VOLUMES, less what a flag mounts on the same place. WORKSPACE_* give way to both, as upstream. */
static void add_volumes(struct config *config, const char *variable, bool workspace_flag)
{
	cleanup_str_list struct str_list given = { 0 };
	size_t flags = config->volumes.count;

	str_list_split(&given, variable ? variable : "", ',');
	for (size_t i = 0; i < given.count; i++) {
		struct str_list of_flags = { .items = config->volumes.items, .count = flags };
		cleanup_str_list struct str_list parts = { 0 };
		str_list_split(&parts, given.items[i], ':');
		const char *target = parts.count >= 2 ? parts.items[1] : "";
		bool taken = is_target(&of_flags, target) ||
			     (workspace_flag && strcmp(target, config->workspace_target) == 0);
		if (*given.items[i] && !taken)
			str_list_add(&config->volumes, given.items[i]);
	}
	if (!workspace_flag && config->workspace && is_target(&config->volumes, config->workspace_target)) {
		free(config->workspace);
		config->workspace = NULL;
	}
}

/* The host side of a volume, absolute and without links: that is what `start` mounts again. It may be relative when it
 * says so (./x or ../x), as in Docker's compose files; another word is left for volumes_plan() to refuse. */
static void canonical_volumes(struct str_list *volumes)
{
	for (size_t i = 0; i < volumes->count; i++) {
		char **volume = &volumes->items[i];
		size_t length = strcspn(*volume, ":");
		if ((*volume)[0] != '.' && (*volume)[0] != '/')
			continue;
		cleanup_free char *given = xasprintf("%.*s", (int)length, *volume);
		char *host = canonical(given);
		char *full = xasprintf("%s%s", host, *volume + length);
		free(host);
		free(*volume);
		*volume = full;
	}
}

static void canonical_mounts(struct str_list *mounts)
{
	for (size_t i = 0; i < mounts->count; i++) {
		struct azm_err ignored = { 0 };
		cleanup_mount_option struct mount_option option;
		if (mount_option_parse(mounts->items[i], &option, &ignored) < 0 || option.type != MOUNT_BIND)
			continue;
		make_canonical(&option.source);
		free(mounts->items[i]);
		mounts->items[i] = mount_option_text(&option);
	}
}

/* pasta opens everything and knows no rules: nobody shall believe otherwise. */
static int check_engine(const struct config *config, struct azm_err *err)
{
	if (strcmp(config->egress_engine, "pasta") != 0)
		return 0;
	if (strcmp(config->egress, "all") != 0) {
		err_msg(err, EINVAL, "use --egress-engine pasta", NULL, "pasta cannot keep to rules (\"%s\")",
			config->egress);
		return err_hint(err, "it goes with `--egress all` only; for rules leave --egress-engine out");
	}
	if (strcmp(config->network, "private") != 0)
		return err_msg(err, EINVAL, "use --egress-engine pasta", NULL,
			"it goes with the private network only, not with --network %s", config->network);
	return 0;
}

int run_request_complete(struct run_request *request, struct azm_err *err)
{
	struct config *config = &request->config;
	const char *workspace;
	bool workspace_flag = config->workspace != NULL;

	expand_passed(&request->env);
	fall_back(&config->rootfs, setting(request, "SANDBOX_RUNTIME_CONTAINER_IMAGE"));
	workspace = setting(request, "WORKSPACE_MOUNT_PATH");
	fall_back(&config->workspace, workspace ? workspace : setting(request, "WORKSPACE_BASE"));
	workspace = setting(request, "WORKSPACE_MOUNT_PATH_IN_SANDBOX");
	fall_back(&config->workspace_target, workspace ? workspace : "/workspace");
	fall_back(&config->user, setting(request, "SANDBOX_USER_ID"));
	fall_back(&config->binding_address, setting(request, "SANDBOX_RUNTIME_BINDING_ADDRESS"));
	add_volumes(config, setting(request, "SANDBOX_VOLUMES"), workspace_flag);
	fall_back(&config->egress, setting(request, "AZM_EGRESS"));
	fall_back(&config->egress, "none");
	fall_back(&config->egress_proxy, setting(request, "AZM_EGRESS_PROXY"));
	workload_env(request);
	if (egress_check(config, err) < 0 || check_engine(config, err) < 0 || choose_key(request, err) < 0)
		return -1;
	if (stored_image_find(config, err) < 0)
		return -1;
	if (!config->image)
		make_canonical(&config->rootfs);
	make_canonical(&config->workspace);
	make_canonical(&config->seccomp);
	canonical_volumes(&config->volumes);
	canonical_mounts(&config->mounts);
	return 0;
}

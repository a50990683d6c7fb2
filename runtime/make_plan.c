// SPDX-License-Identifier: GPL-2.0-or-later
/* make_plan.c: see make_plan.h */
#include "make_plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "caps.h"
#include "devices.h"
#include "disk.h"
#include "embed.h"
#include "etc_files.h"
#include "gpus.h"
#include "named_volumes.h"
#include "resources.h"
#include "seccomp/seccomp.h"
#include "stored_image.h"
#include "volumes.h"

enum { SERVER_PORT = 3000 };

/* Replace the variable of the same name, or append. */
void env_set(struct str_list *env, const char *assignment)
{
	size_t length = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->items[i], assignment, length) == 0) {
			free(env->items[i]);
			env->items[i] = xstrdup(assignment);
			return;
		}
	}
	str_list_add(env, assignment);
}

static void env_setf(struct str_list *env, const char *name, const char *value)
{
	cleanup_free char *assignment = xasprintf("%s=%s", name, value);

	env_set(env, assignment);
}

void plan_environment(
	const struct config *config, const struct image *image, const struct identity *identity, struct str_list *env)
{
	env_set(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_setf(env, "HOME", identity->home);
	env_setf(env, "HOSTNAME", config->hostname ? config->hostname : config->name);
	if (config->tty)
		env_set(env, "TERM=xterm");
	for (size_t i = 0; image && i < image->env.count; i++)
		if (strchr(image->env.items[i], '='))
			env_set(env, image->env.items[i]);
	for (size_t i = 0; i < config->env.count; i++)
		env_set(env, config->env.items[i]);
	gpus_environment(config, env);
}

static void plan_command(const struct config *config, const struct image *image, struct str_list *argv)
{
	if (config->entrypoint && *config->entrypoint)
		str_list_add(argv, config->entrypoint);
	for (size_t i = 0; !config->entrypoint && i < image->entrypoint.count; i++)
		str_list_add(argv, image->entrypoint.items[i]);
	const struct str_list *rest = config->command.count ? &config->command : &image->cmd;
	/* As Docker: a replaced entrypoint drops the image's command. */
	for (size_t i = 0; (rest == &config->command || !config->entrypoint) && i < rest->count; i++)
		str_list_add(argv, rest->items[i]);
}

const char *plan_cwd(const struct config *config, const struct image *image)
{
	if (config->workdir)
		return config->workdir;
	if (config->workspace)
		return config->workspace_target;
	return image->workdir ? image->workdir : "/";
}

static void plan_builtin_server(const struct config *config, struct launch *launch, struct str_list *argv)
{
	const char *cwd = plan_cwd(config, &launch->image);

	str_list_add(argv, SERVER_TARGET);
	str_list_add(argv, "--port");
	str_list_addf(argv, "%u", launch->server_port);
	str_list_add(argv, "--working-dir");
	str_list_add(argv, strcmp(cwd, "/") == 0 ? config->workspace_target : cwd);
	str_list_add(argv, "--username");
	str_list_add(argv, launch->identity.name       ? launch->identity.name
			   : launch->identity.uid == 0 ? "root"
						       : "openhands");
	str_list_add(argv, "--user-id");
	str_list_addf(argv, "%u", launch->identity.uid);
	str_list_add(argv, "--no-enable-browser");
}

static int mount_server(const char *path, struct launch *launch, struct azm_err *err)
{
	struct volume *volume = mount_plan_add(&launch->plan.mount);

	volume->kind = VOLUME_BIND;
	volume->target = xstrdup(SERVER_TARGET);
	volume->read_only = true;
	volume->exec_server = true;
	if (host_path_open(path, &volume->source, err) < 0)
		return err_wrap(err, "use server", path);
	if (access(path, X_OK) < 0)
		return err_sys(err, "use server", path);
	return 0;
}

/* Which server, where it comes from, and its command line. */
static int plan_server(const struct config *config, const struct state *state, struct launch *launch,
	struct str_list *argv, struct azm_err *err)
{
	bool builtin = strcmp(config->server, "builtin") == 0;
	bool own = strcmp(config->server, "image") == 0 ||
		   (strcmp(config->server, "auto") == 0 && launch->image.has_server);
	cleanup_free char *path = NULL;

	launch->serves = true;
	launch->server_port = own && launch->image.port ? launch->image.port : SERVER_PORT;
	if (own) {
		plan_command(config, &launch->image, argv);
		if (argv->count > 0)
			return 0;
		err_msg(err, ENOENT, "start the image's server", NULL, "the image names no command");
		return err_hint(err, "use --server builtin");
	}
	if (!builtin && strcmp(config->server, "auto") != 0)
		path = xstrdup(config->server);
	else if (!(path = embed_server_path(state, err)))
		return -1;
	plan_builtin_server(config, launch, argv);
	return mount_server(path, launch, err);
}

static int plan_process(
	const struct config *config, const struct state *state, struct launch *launch, struct azm_err *err)
{
	struct str_list argv = { 0 };
	struct str_list env = { 0 };
	struct plan *plan = &launch->plan;

	plan_environment(config, &launch->image, &launch->identity, &env);
	bool serves = config->command.count == 0 && !config->entrypoint;
	int result = serves ? plan_server(config, state, launch, &argv, err)
			    : (plan_command(config, &launch->image, &argv), 0);
	if (serves && *config->api_key)
		env_setf(&env, "SESSION_API_KEY", config->api_key);
	plan->argv = argv.items;
	plan->argc = argv.count;
	plan->envp = env.items;
	plan->envc = env.count;
	if (result < 0)
		return -1;
	if (argv.count == 0)
		return err_msg(err, EINVAL, "start", NULL, "there is no command to run");
	plan->cwd = xstrdup(plan_cwd(config, &launch->image));
	if (plan->cwd[0] != '/')
		return err_msg(err, EINVAL, "use working directory", plan->cwd, "it must be an absolute path");
	plan->make_cwd = true;
	plan->tty = config->tty;
	return 0;
}

static int plan_root(const struct config *config, struct launch *launch, int dir, struct azm_err *err)
{
	struct mount_plan *mount = &launch->plan.mount;

	if (disk_check(config, err) < 0)
		return -1;
	mount->mode = strcmp(config->rootfs_mode, "overlay") == 0  ? ROOT_OVERLAY
		      : strcmp(config->rootfs_mode, "direct") == 0 ? ROOT_DIRECT
								   : ROOT_READ_ONLY;
	const struct image *image = &launch->image;
	mount->lowers = xcalloc(image->lower_count, sizeof *mount->lowers);
	for (; mount->lower_count < image->lower_count; mount->lower_count++) {
		struct host_path *lower = &mount->lowers[mount->lower_count];
		*lower = image->lowers[mount->lower_count];
		lower->path = xstrdup(lower->path);
	}
	mount->read_only = config->read_only;
	/* Several layers are one tree as an overlay only. */
	if (mount->mode == ROOT_READ_ONLY && image->lower_count > 1) {
		mount->mode = ROOT_OVERLAY;
		mount->read_only = true;
	}
	mount->shm_size = config->shm_size == CONFIG_UNSET ? 0 : config->shm_size;
	mount->proc = strcmp(config->proc, "fresh") == 0  ? PROC_FRESH
		      : strcmp(config->proc, "bind") == 0 ? PROC_BIND
							  : PROC_NONE;
	if (mount->mode == ROOT_DIRECT && image->stored) {
		err_msg(err, EINVAL, "use image", config->rootfs,
			"its layers are shared with other sandboxes: --rootfs-mode direct would change all of them");
		return err_hint(err, "leave --rootfs-mode out, or unpack the image to a directory of its own");
	}
	if (mount->mode == ROOT_DIRECT && launch->image.owner != geteuid()) {
		err_msg(err, EACCES, "use image", config->rootfs, "it belongs to uid %u: changes would fail",
			launch->image.owner);
		return err_hint(err, "copy it first, or use --rootfs-mode read-only");
	}
	if (mount->mode != ROOT_OVERLAY)
		return 0;
	if (sandbox_directory(dir, "upper", &mount->upper, err) < 0)
		return -1;
	if (disk_plan(config) == DISK_MEMORY) {
		mount->memory_layer = config->disk == CONFIG_UNSET ? DISK_MEMORY_DEFAULT : config->disk;
		mount->memory_inodes = config->disk_inodes == CONFIG_UNSET ? 0 : config->disk_inodes;
	}
	return sandbox_directory(dir, "work", &mount->work, err);
}

/* The id inside: --user, SANDBOX_USER_ID (both in config->user), the image's USER, root. */
static int settle_user(const struct config *config, struct launch *launch, struct azm_err *err)
{
	const char *text = config->user ? config->user : launch->image.user ? launch->image.user : "0";

	return user_resolve(text, &launch->image.stack, &launch->identity, err);
}

static int open_image(
	const struct config *config, const struct state *state, int dir, struct image *image, struct azm_err *err)
{
	cleanup_free char *path = xasprintf("%s/sandboxes/%s", state->path, config->name);

	if (configured_image_open(config, image, err) < 0)
		return -1;
	return config->remove ? 0 : stored_image_keep(config, dir, path, err);
}

int launch_prepare(
	const struct config *config, const struct state *state, int dir, struct launch *launch, struct azm_err *err)
{
	*launch = (struct launch){ .image = { 0 } };
	if (!config->rootfs) {
		err_msg(err, EINVAL, "start", NULL, "no image was named");
		return err_hint(err, "use --rootfs DIR; `azm-rootfs bootstrap img/` makes one");
	}
	if (open_image(config, state, dir, &launch->image, err) < 0 || settle_user(config, launch, err) < 0 ||
		plan_root(config, launch, dir, err) < 0 ||
		volumes_plan(config, state, dir, &launch->plan.mount, err) < 0 ||
		named_volumes_plan(config, state, launch, err) < 0 ||
		devices_plan(config, &launch->plan.mount, err) < 0 || gpus_plan(config, &launch->plan.mount, err) < 0 ||
		plan_process(config, state, launch, err) < 0 || limits_plan(config, &launch->plan, err) < 0)
		return -1;
	launch->plan.hostname = xstrdup(config->hostname ? config->hostname : config->name);
	/* An image's word that is no signal is no reason not to start. */
	const char *stop = config->stop_signal ? config->stop_signal : launch->image.stop_signal;
	launch->stop_signal = stop ? signal_by_name(stop) : 0;
	if (launch->stop_signal == 0)
		launch->stop_signal = SIGTERM;
	return 0;
}

int plan_identity(const struct config *config, const struct state *state, const struct identity *identity, bool wide,
	struct plan *plan, struct azm_err *err)
{
	unsigned flags = (config->nested ? FILTER_NESTED : 0u) | (config->compat32 ? FILTER_COMPAT32 : 0u) |
			 (config->seccomp_log ? FILTER_LOG : 0u);

	if (wide && (identity->uid > ID_MAX || identity->gid > ID_MAX)) {
		err_msg(err, EINVAL, "use user", NULL, "%u:%u lies outside of the sub-id range 0 to %d", identity->uid,
			identity->gid, ID_MAX);
		return err_hint(err, "--userns single maps any one id");
	}
	plan->uid = identity->uid;
	plan->gid = identity->gid;
	plan->groups = identity->groups;
	plan->group_count = wide ? identity->group_count : 0;
	plan->wide_map = wide;
	plan->nested = config->nested;
	plan->log_denials = config->seccomp_log;
	/* One id: set-id programs gain nothing anyway, so the promise is free. With sub-ids the image's sudo is meant
	 * to work. */
	plan->no_new_privs = !wide || config->no_new_privileges;
	plan->emulate_root = !wide && identity->uid == 0;
	if (plan->emulate_root)
		flags |= FILTER_EMULATE_ROOT;
	if (wide) /* real ids: package managers install set-id programs, and the image's sudo is one */
		flags |= FILTER_SET_ID;
	if (caps_resolve(&config->cap_add, &config->cap_drop, &plan->caps, err) < 0)
		return -1;
	struct filter filter = filter_builtin(flags);
	if (config->seccomp && filter_from_profile(config->seccomp, state->dir, flags & FILTER_EMULATE_ROOT, plan->caps,
				       &filter, err) < 0)
		return -1;
	/* The codec writes plans as well as it reads them, hence no const there; this one is only written out. */
	plan->filter = (struct sock_filter *)(uintptr_t)filter.insns;
	plan->filter_count = filter.count;
	return 0;
}

int launch_finish(const struct config *config, const struct state *state, bool wide, uint32_t address, uint32_t gateway,
	struct launch *launch, struct azm_err *err)
{
	if (plan_identity(config, state, &launch->identity, wide, &launch->plan, err) < 0)
		return -1;
	launch->plan.mount.tty_gid = wide ? 5 : -1;
	return etc_files_plan(
		config, address, gateway, wide, &launch->identity, &launch->image.stack, &launch->plan.mount, err);
}

static void free_strings(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void launch_unlock(const struct launch *launch)
{
	for (size_t i = 0; i < launch->held_count; i++)
		flock(launch->held[i].lock, LOCK_UN);
	if (launch->image.stored)
		flock(launch->image.store_lock, LOCK_UN);
}

void launch_free(struct launch *launch)
{
	struct mount_plan *mount = &launch->plan.mount;

	for (size_t i = 0; i < mount->lower_count; i++)
		host_path_free(&mount->lowers[i]);
	free(mount->lowers);
	host_path_free(&mount->upper);
	host_path_free(&mount->work);
	for (size_t i = 0; i < mount->volume_count; i++) {
		host_path_free(&mount->volumes[i].source);
		for (size_t k = 0; k < mount->volumes[i].layer_count; k++)
			host_path_free(&mount->volumes[i].layers[k]);
		free(mount->volumes[i].layers);
		host_path_free(&mount->volumes[i].upper);
		host_path_free(&mount->volumes[i].work);
		free(mount->volumes[i].target);
		for (size_t k = 0; k < mount->volumes[i].guarded_count; k++) {
			free(mount->volumes[i].guarded[k].path);
			free(mount->volumes[i].guarded[k].text);
		}
		free(mount->volumes[i].guarded);
	}
	free(mount->volumes);
	for (size_t i = 0; i < mount->file_count; i++) {
		free(mount->files[i].target);
		free(mount->files[i].text);
	}
	free(mount->files);
	free_strings(launch->plan.argv, launch->plan.argc);
	free_strings(launch->plan.envp, launch->plan.envc);
	free(launch->plan.cwd);
	free(launch->plan.hostname);
	free(launch->plan.limits);
	named_volumes_free(launch);
	identity_free(&launch->identity);
	image_close(&launch->image);
	*launch = (struct launch){ .image = { 0 } };
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* volumes.c: see volumes.h */
#include "volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount_option.h"

struct volume *mount_plan_add(struct mount_plan *plan)
{
	plan->volumes = xrealloc(plan->volumes, plan->volume_count + 1, sizeof *plan->volumes);
	plan->volumes[plan->volume_count] = (struct volume){ 0 };
	return &plan->volumes[plan->volume_count++];
}

bool volume_is_shared(const struct volume *volume)
{
	return volume->kind == VOLUME_BIND && !volume->read_only && !volume->exec_server;
}

static bool is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (strcmp(directory, "/") == 0)
		return true;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Sockets in there command us, or the user's session: no part of them may come inside. */
static int check_not_ours(const char *path, const struct state *state, struct azm_err *err)
{
	const char *protected[] = { state->path, state->live_path, getenv("XDG_RUNTIME_DIR") };

	for (size_t i = 0; i < sizeof protected / sizeof *protected; i++) {
		char canonical[PATH_MAX];
		if (!protected[i] || !realpath(protected[i], canonical))
			continue;
		if (is_below(path, canonical) || is_below(canonical, path)) {
			err_msg(err, EPERM, "mount", path, "it holds %s, which must stay outside of every sandbox",
				canonical);
			return err_hint(err, "mount the subdirectory that is really needed");
		}
	}
	return 0;
}

static int open_source(const char *path, const struct state *state, struct host_path *source, struct azm_err *err)
{
	if (host_path_open(path, source, err) < 0)
		return err_is(err, ENOENT) ? err_hint(err, "mkdir %s", path) : -1;
	if (source->type != S_IFDIR && source->type != S_IFREG)
		return err_msg(err, EINVAL, "mount", path, "only directories and regular files can be mounted, no %s",
			source->type == S_IFSOCK ? "sockets" : "special files");
	if (check_not_ours(source->path, state, err) < 0)
		return -1;
	/* `run` stored the canonical path. A link in it is new since: a sandbox that can write to a parent could have
	 * put it there. */
	if (strcmp(source->path, path) != 0) {
		err_msg(err, ELOOP, "mount", path, "a part of the path has become a symbolic link, to %s",
			source->path);
		return err_hint(err, "if you made it, remove the sandbox and run it anew");
	}
	return 0;
}

static int check_target(const char *target, const struct mount_plan *plan, struct azm_err *err)
{
	cleanup_str_list struct str_list parts = { 0 };

	if (target[0] != '/')
		return err_msg(err, EINVAL, "mount on", target, "the path inside must be absolute");
	str_list_split(&parts, target, '/');
	for (size_t i = 0; i < parts.count; i++)
		if (strcmp(parts.items[i], "..") == 0)
			return err_msg(err, EINVAL, "mount on", target, "\"..\" is not accepted in the path inside");
	if (strspn(target, "/") == strlen(target))
		return err_msg(err, EINVAL, "mount on", target, "the root itself is what --rootfs is for");
	for (size_t i = 0; i < plan->volume_count; i++)
		if (strcmp(plan->volumes[i].target, target) == 0)
			return err_msg(err, EEXIST, "mount on", target, "two mounts have the same target");
	return 0;
}

/* "/a//b/." and "/a/b" are one target. */
static char *normalise(const char *target)
{
	cleanup_str_list struct str_list parts = { 0 };
	char *path = xstrdup(target[0] == '/' ? "" : target);

	if (target[0] != '/')
		return path;
	str_list_split(&parts, target, '/');
	for (size_t i = 0; i < parts.count; i++) {
		if (!*parts.items[i] || strcmp(parts.items[i], ".") == 0)
			continue;
		char *longer = xasprintf("%s/%s", path, parts.items[i]);
		free(path);
		path = longer;
	}
	if (!*path) {
		free(path);
		path = xstrdup("/");
	}
	return path;
}

struct volume *volume_add(struct mount_plan *plan, const char *target, struct azm_err *err)
{
	cleanup_free char *inside = normalise(target);

	if (check_target(inside, plan, err) < 0)
		return NULL;
	struct volume *volume = mount_plan_add(plan);
	volume->target = steal_ptr(&inside);
	return volume;
}

/* Docker's mode words; those about labels and propagation have no meaning here and do no harm. */
int volume_modes(struct volume *volume, const char *modes, const char *text, struct azm_err *err)
{
	static const char *const ignored[] = { "z", "Z", "rprivate", "private", "rslave", "slave", "cached",
		"delegated", "consistent", "U" };
	cleanup_str_list struct str_list words = { 0 };

	str_list_split(&words, modes, ',');
	for (size_t i = 0; i < words.count; i++) {
		const char *word = words.items[i];
		bool known = strcmp(word, "rw") == 0;
		if (strcmp(word, "ro") == 0)
			known = volume->read_only = true;
		if (strcmp(word, "overlay") == 0 || strcmp(word, "O") == 0) {
			volume->kind = VOLUME_OVERLAY;
			known = true;
		}
		for (size_t k = 0; k < sizeof ignored / sizeof *ignored; k++)
			known = known || strcmp(word, ignored[k]) == 0;
		if (!known)
			return err_msg(err, EINVAL, "mount", text, "unknown mode \"%s\" (rw, ro, overlay)", word);
	}
	return 0;
}

static int add_bind(const char *host, const char *target, const char *modes, const struct state *state,
	struct mount_plan *plan, struct azm_err *err)
{
	struct volume *volume = volume_add(plan, target, err);

	if (!volume)
		return -1;
	volume->kind = VOLUME_BIND;
	if (volume_modes(volume, modes, host, err) < 0 || open_source(host, state, &volume->source, err) < 0)
		return -1;
	if (volume->kind == VOLUME_OVERLAY && volume->source.type != S_IFDIR)
		return err_msg(err, ENOTDIR, "mount", host, "mode overlay needs a directory");
	return 0;
}

static int add_volume(const char *text, const struct state *state, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_str_list struct str_list parts = { 0 };

	str_list_split(&parts, text, ':');
	if (parts.count < 2 || parts.count > 3 || !*parts.items[0] || !*parts.items[1])
		return err_msg(err, EINVAL, "mount", text, "expected HOST:CTR or HOST:CTR:MODE");
	if (parts.items[0][0] != '/')
		return 0; /* a volume with a name: named_volumes.c */
	return add_bind(parts.items[0], parts.items[1], parts.count == 3 ? parts.items[2] : "rw", state, plan, err);
}

static int tmpfs_option(struct volume *volume, const char *word, struct azm_err *err)
{
	static const char *const ignored[] = { "rw", "nosuid", "nodev", "noexec", "exec", "" };
	char *end;

	if (str_starts(word, "size=")) {
		if (!str_to_bytes(word + 5, &volume->size) || volume->size < 4096)
			return err_msg(err, EINVAL, "use", word, "not a size of at least 4096 bytes");
		return 0;
	}
	if (str_starts(word, "mode=")) {
		unsigned long mode = strtoul(word + 5, &end, 8);
		if (!strchr("01234567", word[5]) || end == word + 5 || *end || mode > 01777)
			return err_msg(err, EINVAL, "use", word, "not an octal mode up to 1777");
		volume->mode = (uint32_t)mode;
		return 0;
	}
	if (strcmp(word, "ro") == 0) {
		volume->read_only = true;
		return 0;
	}
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		if (strcmp(word, ignored[i]) == 0)
			return 0;
	return err_msg(err, EINVAL, "use", word, "unknown tmpfs option (size=, mode=, ro)");
}

static int add_tmpfs(const char *text, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_str_list struct str_list words = { 0 };
	size_t length = strcspn(text, ":");
	cleanup_free char *path = xasprintf("%.*s", (int)length, text);
	struct volume *volume = volume_add(plan, path, err);

	if (!volume)
		return -1;
	volume->kind = VOLUME_TMPFS;
	volume->mode = 01777;
	str_list_split(&words, text[length] ? text + length + 1 : "", ',');
	for (size_t i = 0; i < words.count; i++)
		if (tmpfs_option(volume, words.items[i], err) < 0)
			return -1;
	return 0;
}

/* A frozen layer (snapshots/layers.h) holds what a sandbox changed in "/" as "tree" and, beside it, what it changed in
 * copy-on-write volumes under the names of their upper directories. */
static int frozen_layers(const struct config *config, struct volume *volume, struct azm_err *err)
{
	const char *upper = strrchr(volume->upper.path, '/') + 1;
	int length = (int)(strlen(upper) - strlen("-upper"));

	for (size_t i = 0; i < config->layers.count; i++) {
		const char *tree = config->layers.items[i];
		const char *slash = strrchr(tree, '/');
		struct host_path layer;
		if (!slash || strcmp(slash, "/tree") != 0)
			continue;
		cleanup_free char *path = xasprintf("%.*s/%.*s", (int)(slash - tree), tree, length, upper);
		if (access(path, F_OK) < 0)
			continue;
		if (host_path_open(path, &layer, err) < 0)
			return -1;
		volume->layers = xrealloc(volume->layers, volume->layer_count + 1, sizeof *volume->layers);
		volume->layers[volume->layer_count++] = layer;
	}
	return 0;
}

static int overlay_directory(int dir, size_t number, const char *kind, struct host_path *path, struct azm_err *err)
{
	cleanup_free char *name = xasprintf("volume-%zu-%s", number, kind);

	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make directory", name);
	return sandbox_directory(dir, name, path, err);
}

/* The mode of the volume inside is the upper's: at first that of what it stands on, so that other users inside are let
 * in as there; later the sandbox's own affair. */
static int take_mode(const struct volume *volume, struct azm_err *err)
{
	const char *below = volume->layer_count ? volume->layers[0].path : volume->source.path;
	struct stat st;

	if (stat(below, &st) < 0 || chmod(volume->upper.path, st.st_mode & 01777) < 0)
		return err_sys(err, "use directory", volume->upper.path);
	return 0;
}

/* A start that is killed half-way leaves no work directory: then the next one does all of it. */
static int overlay_layers(
	const struct config *config, struct volume *volume, size_t number, int dir, struct azm_err *err)
{
	cleanup_free char *work = xasprintf("volume-%zu-work", number);
	bool is_new = faccessat(dir, work, F_OK, AT_SYMLINK_NOFOLLOW) < 0;

	if (overlay_directory(dir, number, "upper", &volume->upper, err) < 0 ||
		frozen_layers(config, volume, err) < 0 || (is_new && take_mode(volume, err) < 0))
		return -1;
	return overlay_directory(dir, number, "work", &volume->work, err);
}

static int add_mount(const char *text, const struct state *state, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_mount_option struct mount_option option;

	if (mount_option_parse(text, &option, err) < 0)
		return -1;
	if (option.type == MOUNT_VOLUME)
		return 0; /* named_volumes.c */
	if (option.type == MOUNT_BIND)
		return add_bind(option.source, option.target, option.read_only ? "ro" : "rw", state, plan, err);
	struct volume *volume = volume_add(plan, option.target, err);
	if (!volume)
		return -1;
	volume->kind = VOLUME_TMPFS;
	volume->mode = option.tmpfs_mode ? option.tmpfs_mode : 01777;
	volume->size = option.tmpfs_size;
	volume->read_only = option.read_only;
	return 0;
}

/* A mount below another one must come after it. */
static int by_depth(const void *a, const void *b)
{
	const struct volume *left = a, *right = b;

	return strcmp(left->target, right->target);
}

int volumes_plan(
	const struct config *config, const struct state *state, int dir, struct mount_plan *plan, struct azm_err *err)
{
	if (config->workspace) {
		struct azm_err found = { 0 };
		if (add_bind(config->workspace, config->workspace_target, "rw", state, plan, &found) < 0) {
			*err = found;
			return err_wrap(err, "mount workspace", config->workspace);
		}
		if (plan->volumes[plan->volume_count - 1].source.type != S_IFDIR)
			return err_msg(err, ENOTDIR, "mount workspace", config->workspace, "it is not a directory");
	}
	for (size_t i = 0; i < config->volumes.count; i++)
		if (add_volume(config->volumes.items[i], state, plan, err) < 0)
			return -1;
	for (size_t i = 0; i < config->mounts.count; i++)
		if (add_mount(config->mounts.items[i], state, plan, err) < 0)
			return -1;
	for (size_t i = 0; i < config->tmpfs.count; i++)
		if (add_tmpfs(config->tmpfs.items[i], plan, err) < 0)
			return -1;
	for (size_t i = 0; i < plan->volume_count; i++)
		if (plan->volumes[i].kind == VOLUME_OVERLAY &&
			overlay_layers(config, &plan->volumes[i], i + 1, dir, err) < 0)
			return -1;
	if (plan->volume_count > 1)
		qsort(plan->volumes, plan->volume_count, sizeof *plan->volumes, by_depth);
	return 0;
}

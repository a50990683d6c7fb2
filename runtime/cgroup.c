// SPDX-License-Identifier: GPL-2.0-or-later
/* cgroup.c: a cgroup v2 for a sandbox where the host delegates one, see resources.h. Source: the kernel's
 * cgroup-v2.rst, systemd's CGROUP_DELEGATION.
 *
 * A cgroup is ours to use when its directory and its cgroup.procs and cgroup.subtree_control are writable for us. It is
 * looked for from our own cgroup upwards: in a scope of systemd-run that is the scope, in a Slurm job or a container
 * the job's or the container's, on hosts of other kinds whatever directory somebody gave to the user and started him
 * in; --cgroup-parent names one. Moving a process takes write access to the common ancestor, too, so a directory beside
 * our own would be of no use.
 *
 * Controllers can only be enabled for children while no process sits in the parent ("no internal processes"), so the
 * caller's own processes first move to a leaf beside the sandboxes: what systemd asks of everybody it delegates to. A
 * sandbox without limits gets a cgroup without controllers, for its freezer; that moves nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "resources.h"
#include "scope.h"

static const char caller_leaf[] = "azm-caller";

/* Inode numbers that the kernel gives: include/linux/proc_ns.h, PROC_CGROUP_INIT_INO; kernfs numbers its root 1. */
#define HOST_CGROUP_NAMESPACE 0xeffffffbu
#define HIERARCHY_TOP	      1

bool limits_need_cgroup(const struct config *config)
{
	return config->memory != CONFIG_UNSET || config->cpus != CONFIG_UNSET;
}

/* Where systemd mounts all of the hierarchy, seen from the host's own cgroup namespace: what mountinfo would say, and a
 * host has hundreds of mounts to be listed. */
static char *usual_hierarchy(void)
{
	static const char *const points[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct stat st;
	struct statfs fs;

	if (stat("/proc/self/ns/cgroup", &st) < 0 || st.st_ino != HOST_CGROUP_NAMESPACE)
		return NULL;
	for (size_t i = 0; i < sizeof points / sizeof *points; i++)
		if (statfs(points[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC && stat(points[i], &st) == 0 &&
			st.st_ino == HIERARCHY_TOP)
			return xstrdup(points[i]);
	return NULL;
}

/* Where the version 2 hierarchy is mounted: alone, or beside version 1 (hybrid). */
static char *hierarchy(void)
{
	char *usual = usual_hierarchy();

	if (usual)
		return usual;
	cleanup_free char *text = read_path("/proc/self/mountinfo", 4 << 20, NULL);

	for (char *line = text, *next; line && *line; line = next) {
		char root[256], point[1024];
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %255s %1023s", root, point) == 2 &&
			strcmp(root, "/") == 0)
			return xstrdup(point);
	}
	return NULL;
}

/* The caller's cgroup in the version 2 hierarchy as a directory, or NULL. @top: set to the length of the mount point.
 */
static char *own_cgroup(size_t *top)
{
	cleanup_free char *text = read_path("/proc/self/cgroup", 65536, NULL);
	cleanup_free char *root = hierarchy();

	for (char *line = text, *next; root && line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (str_starts(line, "0::/") && !strstr(line, "/..")) {
			*top = strlen(root);
			return xasprintf("%s%s", root, strcmp(line + 3, "/") == 0 ? "" : line + 3);
		}
	}
	return NULL;
}

static bool is_delegated(const char *path)
{
	cleanup_free char *procs = xasprintf("%s/cgroup.procs", path);
	cleanup_free char *control = xasprintf("%s/cgroup.subtree_control", path);

	return access(path, W_OK) == 0 && access(procs, W_OK) == 0 && access(control, W_OK) == 0;
}

char *cgroup_delegated(const struct config *config)
{
	size_t top = 0;

	if (config->cgroup_parent)
		return is_delegated(config->cgroup_parent) ? xstrdup(config->cgroup_parent) : NULL;
	cleanup_free char *path = own_cgroup(&top);
	/* Where an earlier start has put us, see vacate(): the sandboxes are beside it. */
	char *last = path ? strrchr(path, '/') : NULL;
	if (last && strcmp(last + 1, caller_leaf) == 0)
		*last = '\0';
	while (path && !is_delegated(path)) {
		char *slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) < top)
			return NULL;
		*slash = '\0';
	}
	return steal_ptr(&path);
}

static int set_file(int dir, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
}

/* Move every process of the cgroup into its child "azm-caller", so that controllers can be enabled. */
static int vacate(int dir)
{
	if (mkdirat(dir, caller_leaf, 0755) < 0 && errno != EEXIST)
		return -1;
	cleanup_fd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	cleanup_free char *pids = fd < 0 ? NULL : read_file(fd, 1 << 20, NULL);
	for (char *line = pids, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (set_file(dir, "azm-caller/cgroup.procs", line) < 0 && errno != ESRCH)
			return -1;
	}
	return pids ? 0 : -1;
}

static int apply(const struct config *config, int dir, struct azm_err *err)
{
	char text[64];

	if (config->memory != CONFIG_UNSET) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)config->memory);
		if (set_file(dir, "memory.max", text) < 0)
			return err_sys(err, "limit memory to", text);
		set_file(dir, "memory.swap.max", "0");
	}
	if (config->cpus != CONFIG_UNSET) {
		snprintf(text, sizeof text, "%llu 100000", (unsigned long long)config->cpus * 100);
		if (set_file(dir, "cpu.max", text) < 0)
			return err_sys(err, "limit processors to", text);
	}
	if (config->pids_limit != CONFIG_UNSET && config->pids_limit > 0) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)config->pids_limit + 1);
		/* RLIMIT_NPROC holds where there is no such controller. */
		if (set_file(dir, "pids.max", text) < 0 && errno != ENOENT)
			return err_sys(err, "limit processes to", text);
	}
	return 0;
}

static int not_delegated(const struct config *config, struct azm_err *err)
{
	if (config->cgroup_parent)
		return err_msg(err, EPERM, "limit memory or processors in", config->cgroup_parent,
			"it is not a cgroup (version 2) that you may use");
	err_msg(err, EPERM, "limit memory or processors", NULL,
		"this host has not delegated a cgroup (version 2) to you, and a resource limit cannot express it");
	if (scope_in_job())
		return err_hint(err,
			"in a job of Slurm (SLURM_JOB_ID) the job's own limits hold, srun --mem; leave --memory "
			"and --cpus out, or go without them where they cannot be had: --best-effort");
	return err_hint(err, "run it as: systemd-run --user --scope -p Delegate=yes azm-sandbox run ..., leave "
			     "--memory and --cpus out, or go without them where they cannot be had: --best-effort; "
			     "see `azm-sandbox doctor`");
}

/* Whether a word is in the list of controllers that the directory offers. */
static bool offers(const char *controllers, const char *word)
{
	cleanup_str_list struct str_list words = { 0 };

	str_list_split(&words, controllers, ' ');
	for (size_t i = 0; i < words.count; i++)
		if (strncmp(words.items[i], word, strlen(word)) == 0 && strchr("\n", words.items[i][strlen(word)]))
			return true;
	return false;
}

static int enable_controllers(const struct config *config, int dir, struct azm_err *err)
{
	const struct {
		const char *name;
		bool needed;
	} wanted[] = { { "memory", config->memory != CONFIG_UNSET }, { "pids", false },
		{ "cpu", config->cpus != CONFIG_UNSET } };
	cleanup_fd int list = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
	cleanup_free char *offered = list < 0 ? NULL : read_file(list, 4096, NULL);
	char text[64] = "";

	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		if (offered && !offers(offered, wanted[i].name)) {
			if (!wanted[i].needed)
				continue;
			err_msg(err, EOPNOTSUPP, "limit memory or processors", NULL,
				"the cgroup delegated to you has no %s controller", wanted[i].name);
			return err_hint(err,
				"systemd before 252 delegates memory and pids only: as root, put `[Service]` and "
				"`Delegate=cpu memory pids` into /etc/systemd/system/user@.service.d/azm.conf; a "
				"host with version 1 beside version 2: boot with "
				"systemd.unified_cgroup_hierarchy=1. Or use --best-effort");
		}
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s+%s", *text ? " " : "", wanted[i].name);
	}
	if (set_file(dir, "cgroup.subtree_control", text) == 0 ||
		(errno == EBUSY && vacate(dir) == 0 && set_file(dir, "cgroup.subtree_control", text) == 0))
		return 0;
	return not_delegated(config, err);
}

static int open_leaf(struct cgroup *cgroup, const char *leaf)
{
	cgroup->dir = openat(cgroup->parent, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->dir < 0)
		return -1;
	cgroup->freeze = openat(cgroup->dir, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
	cgroup->events = openat(cgroup->dir, "memory.events", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int make_leaf(
	const char *own, const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err)
{
	bool limits = limits_need_cgroup(config);

	if (!own || !is_delegated(own))
		return not_delegated(config, err);
	cgroup->parent = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->parent < 0)
		return not_delegated(config, err);
	if (limits && enable_controllers(config, cgroup->parent, err) < 0)
		return -1;
	cleanup_free char *leaf = xasprintf("azm-%s", name);
	if (mkdirat(cgroup->parent, leaf, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make cgroup", leaf);
	cgroup->path = xasprintf("%s/%s", own, leaf);
	if (open_leaf(cgroup, leaf) < 0)
		return err_sys(err, "make cgroup", leaf);
	return limits ? apply(config, cgroup->dir, err) : 0;
}

int cgroup_make(const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err)
{
	cleanup_free char *own = cgroup_delegated(config);

	return cgroup_make_below(own, config, name, cgroup, err);
}

int cgroup_make_below(
	const char *own, const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err)
{
	bool limits = limits_need_cgroup(config);
	struct azm_err failure = { 0 };

	*cgroup = (struct cgroup)CGROUP_NONE;
	if (!own && !limits && !config->cgroup_parent)
		return 0;
	if (make_leaf(own, config, name, cgroup, &failure) == 0)
		return 0;
	cgroup_remove(cgroup);
	if ((limits || config->cgroup_parent) && !config->best_effort) {
		*err = failure;
		return -1;
	}
	if (limits)
		fprintf(stderr, "azm-sandbox: note: no limit on memory or processors: %s\n",
			failure.reason[0] ? failure.reason : strerror(failure.code));
	return 0;
}

int cgroup_add(const struct cgroup *cgroup, pid_t pid, struct azm_err *err)
{
	char text[16];

	if (!cgroup->path)
		return 0;
	snprintf(text, sizeof text, "%d", (int)pid);
	return set_file(cgroup->dir, "cgroup.procs", text) < 0 ? err_sys(err, "enter cgroup", cgroup->path) : 0;
}

int cgroup_freeze(const struct cgroup *cgroup, bool frozen)
{
	return cgroup->freeze >= 0 && write(cgroup->freeze, frozen ? "1" : "0", 1) == 1 ? 0 : -1;
}

unsigned long long cgroup_oom_kills(const struct cgroup *cgroup)
{
	char text[512] = "";
	unsigned long long kills = 0;

	if (cgroup->events < 0 || pread(cgroup->events, text, sizeof text - 1, 0) <= 0)
		return 0;
	const char *line = strstr(text, "oom_kill ");
	return line && sscanf(line, "oom_kill %llu", &kills) == 1 ? kills : 0;
}

void cgroup_remove(struct cgroup *cgroup)
{
	int *fds[] = { &cgroup->freeze, &cgroup->events, &cgroup->dir, &cgroup->parent };

	/* Through the parent: once confined, the supervisor may remove there, and open nothing. */
	if (cgroup->path && cgroup->parent >= 0)
		unlinkat(cgroup->parent, strrchr(cgroup->path, '/') + 1, AT_REMOVEDIR);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	free(cgroup->path);
	*cgroup = (struct cgroup)CGROUP_NONE;
}

void cgroup_remove_rest(int dir)
{
	struct azm_err ignored = { 0 };
	json_t *status = json_load_at(dir, "status.json", &ignored);
	const char *path = json_string_value(json_object_get(status, "cgroup"));
	const char *leaf = path ? strrchr(path, '/') : NULL;

	if (leaf && str_starts(leaf, "/azm-"))
		rmdir(path);
	json_decref(status);
}

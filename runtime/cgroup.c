// SPDX-License-Identifier: GPL-2.0-or-later
/* cgroup.c: a cgroup v2 for a sandbox where the host delegates one, see resources.h. Source: the kernel's
 * cgroup-v2.rst.
 *
 * A cgroup is ours to use when its directory and its cgroup.procs and cgroup.subtree_control are writable for us.
 * Controllers can only be enabled for children while no process sits in the parent ("no internal processes"), so the
 * caller's own processes first move to a leaf beside the sandboxes: what systemd asks of everybody it delegates to.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "resources.h"

static const char cgroup_root[] = "/sys/fs/cgroup";

bool limits_need_cgroup(const struct config *config)
{
	return config->memory != CONFIG_UNSET || config->cpus != CONFIG_UNSET;
}

/* The caller's cgroup in the v2 hierarchy as a directory, or NULL. */
static char *own_cgroup(void)
{
	cleanup_free char *text = read_path("/proc/self/cgroup", 65536, NULL);

	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (str_starts(line, "0::/") && !strstr(line, "/.."))
			return xasprintf("%s%s", cgroup_root, line + 3);
	}
	return NULL;
}

static bool is_delegated(const char *path)
{
	cleanup_free char *procs = xasprintf("%s/cgroup.procs", path);
	cleanup_free char *control = xasprintf("%s/cgroup.subtree_control", path);

	return access(path, W_OK) == 0 && access(procs, W_OK) == 0 && access(control, W_OK) == 0;
}

static int set_file(int dir, const char *file, const char *text)
{
	cleanup_fd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ? -1 : 0;
}

/* Move every process of the cgroup into its child "azm-caller", so that controllers can be enabled. */
static int vacate(int dir)
{
	if (mkdirat(dir, "azm-caller", 0755) < 0 && errno != EEXIST)
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

static int enable_controllers(int dir)
{
	if (set_file(dir, "cgroup.subtree_control", "+memory +pids +cpu") == 0)
		return 0;
	return errno == EBUSY && vacate(dir) == 0 ? set_file(dir, "cgroup.subtree_control", "+memory +pids +cpu") : -1;
}

static int apply(const struct config *config, int dir, struct azm_err *err)
{
	char text[64];

	if (config->memory != CONFIG_UNSET) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)config->memory);
		if (set_file(dir, "memory.max", text) < 0)
			return err_sys(err, "limit memory to", text);
		set_file(dir, "memory.swap.max", "0");
		set_file(dir, "memory.oom.group", "1");
	}
	if (config->cpus != CONFIG_UNSET) {
		snprintf(text, sizeof text, "%llu 100000", (unsigned long long)config->cpus * 100);
		if (set_file(dir, "cpu.max", text) < 0)
			return err_sys(err, "limit processors to", text);
	}
	if (config->pids_limit != CONFIG_UNSET && config->pids_limit > 0) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)config->pids_limit + 1);
		if (set_file(dir, "pids.max", text) < 0)
			return err_sys(err, "limit processes to", text);
	}
	return 0;
}

static int not_delegated(struct azm_err *err)
{
	err_msg(err, EPERM, "limit memory or processors", NULL,
		"this host has not delegated a cgroup (version 2) to you, and a resource limit cannot express it");
	return err_hint(err, "run it as: systemd-run --user --scope -p Delegate=yes azm-sandbox run ..., or leave "
			     "--memory and --cpus out; "
			     "see `azm-sandbox doctor`");
}

int cgroup_make(const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err)
{
	cleanup_free char *own = limits_need_cgroup(config) ? own_cgroup() : NULL;

	return cgroup_make_below(own, config, name, cgroup, err);
}

int cgroup_make_below(
	const char *own, const struct config *config, const char *name, struct cgroup *cgroup, struct azm_err *err)
{
	*cgroup = (struct cgroup){ .dir = -1 };
	if (!limits_need_cgroup(config))
		return 0;
	if (!own || !is_delegated(own))
		return not_delegated(err);
	cleanup_fd int parent = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || enable_controllers(parent) < 0)
		return not_delegated(err);
	cleanup_free char *leaf = xasprintf("azm-%s", name);
	if (mkdirat(parent, leaf, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make cgroup", leaf);
	cgroup->path = xasprintf("%s/%s", own, leaf);
	cgroup->dir = openat(parent, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->dir < 0 || apply(config, cgroup->dir, err) < 0) {
		if (!err->code)
			err_sys(err, "make cgroup", leaf);
		cgroup_remove(cgroup);
		return -1;
	}
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

void cgroup_remove(struct cgroup *cgroup)
{
	if (cgroup->dir >= 0)
		close(cgroup->dir);
	if (cgroup->path)
		rmdir(cgroup->path);
	free(cgroup->path);
	*cgroup = (struct cgroup){ .dir = -1 };
}

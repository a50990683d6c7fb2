// SPDX-License-Identifier: GPL-2.0-or-later
/* init/user_limits.c: see user_limits.h */
#include "init/user_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

struct user_limit {
	const char *name;
	const char *value;
	const char *nested_value; /* with --nested */
};

static const struct user_limit user_limits[] = {
	{ "max_user_namespaces", "0", "64" },
	{ "max_net_namespaces", "0", "64" },
	{ "max_pid_namespaces", "0", "64" },
	{ "max_ipc_namespaces", "0", "64" },
	{ "max_uts_namespaces", "0", "64" },
	{ "max_cgroup_namespaces", "0", "64" },
	{ "max_time_namespaces", "0", "64" },
	{ "max_inotify_instances", "64", "64" },
	{ "max_inotify_watches", "65536", "65536" },
	{ "max_fanotify_groups", "0", "0" },
};

int user_limits_open(int proc)
{
	int own = proc < 0 ? -1 : openat(proc, "sys/user", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return own < 0 ? open("/proc/sys/user", O_PATH | O_DIRECTORY | O_CLOEXEC) : own;
}

static int write_limit(int dir, const char *name, const char *value)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : write_full(fd, value, strlen(value));
}

static int apply(int dir, const struct user_limit *limit, bool nested, struct azm_err *err)
{
	if (write_limit(dir, limit->name, nested ? limit->nested_value : limit->value) == 0)
		return 0;
	/* An older kernel has fewer of them; where /proc/sys is read-only (inside a container) the seccomp filter still
	 * forbids namespaces. */
	return errno == ENOENT || errno == EROFS || errno == EACCES ? 0 : err_sys(err, "limit", limit->name);
}

int user_limits_apply(int dir, bool nested, struct azm_err *err)
{
	for (size_t i = 0; i < sizeof user_limits / sizeof *user_limits; i++)
		if (apply(dir, &user_limits[i], nested, err) < 0)
			return -1;
	return 0;
}

int user_limits_end_mounts(int dir, bool nested, struct azm_err *err)
{
	static const struct user_limit mounts = { "max_mnt_namespaces", "0", "64" };

	return apply(dir, &mounts, nested, err);
}

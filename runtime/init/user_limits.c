// SPDX-License-Identifier: GPL-2.0-or-later
/* init/user_limits.c: see user_limits.h */
#include "init/user_limits.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "base/io.h"

static const struct {
	const char *name;
	const char *value;
	const char *nested_value; /* with --nested */
} user_limits[] = {
	{ "max_user_namespaces", "0", "64" },
	{ "max_mnt_namespaces", "0", "64" },
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

int user_limits_apply(bool nested, struct azm_err *err)
{
	char path[64];

	for (size_t i = 0; i < sizeof user_limits / sizeof *user_limits; i++) {
		snprintf(path, sizeof path, "/proc/sys/user/%s", user_limits[i].name);
		if (write_path(path, nested ? user_limits[i].nested_value : user_limits[i].value) == 0)
			continue;
		/* An older kernel has fewer of them; where /proc/sys is read-only (inside a container) the seccomp
		 * filter still forbids namespaces. */
		if (errno != ENOENT && errno != EROFS && errno != EACCES)
			return err_sys(err, "limit", path);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_account.c: what the user's account and login session bring along; see probes.h */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "doctor/probes.h"

enum { SMALL_FILE = 64 << 10 };

/* ---- sub-ids -------------------------------------------------------------------------------------------------- */

int probe_subids(const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child child = PROBE_NO_CHILD;
	struct subids ids = subids_find();

	(void)env;
	if (!ids.usable)
		return err_msg(&out->err, ids.lack, "map sub-ids", NULL, "%s", ids.why);
	if (probe_child_hold(CLONE_NEWUSER, &ids, &child, &out->err) < 0)
		return err_msg(&out->err, EPERM, "map sub-ids", NULL, "%s", out->err.reason);
	return probe_detail(
		out, "%u uids from %u, %u gids from %u", ids.uid_count, ids.uid_start, ids.gid_count, ids.gid_start);
}

/* ---- cgroups -------------------------------------------------------------------------------------------------- */

/* Our cgroup in the v2 hierarchy as a path of the host (cgroups(7): the line that starts with "0::"). */
static char *own_cgroup(struct azm_err *err)
{
	struct statfs info;
	cleanup_free char *text = read_path("/proc/self/cgroup", SMALL_FILE, NULL);

	if (statfs("/sys/fs/cgroup", &info) < 0 || info.f_type != CGROUP2_SUPER_MAGIC) {
		err_msg(err, ENOENT, "find the cgroup", NULL, "/sys/fs/cgroup is not cgroup v2");
		return NULL;
	}
	char *line = !text ? NULL : str_starts(text, "0::") ? text : strstr(text, "\n0::");
	if (!line) {
		err_msg(err, ENOENT, "find the cgroup", NULL, "this process is in no v2 cgroup");
		return NULL;
	}
	line = strchr(line, '/');
	if (!line)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return xasprintf("/sys/fs/cgroup%s", line);
}

static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
		if ((at == words || at[-1] == ' ') && strchr(" \n", at[length]))
			return true;
	return false;
}

int probe_cgroup(const struct probe_env *env, struct probe_outcome *out)
{
	static const char *const wanted[] = { "memory", "pids", "cpu" };
	cleanup_free char *cgroup = own_cgroup(&out->err);

	(void)env;
	if (!cgroup)
		return -1;
	cleanup_free char *child = xasprintf("%s/azm-doctor-%d", cgroup, (int)getpid());
	if (mkdir(child, 0700) < 0)
		return err_sys(&out->err, "make a cgroup below", cgroup);
	rmdir(child);
	cleanup_free char *control = xasprintf("%s/cgroup.subtree_control", cgroup);
	if (access(control, W_OK) < 0)
		return err_sys(&out->err, "write", control);
	cleanup_free char *list = xasprintf("%s/cgroup.controllers", cgroup);
	cleanup_free char *controllers = read_path(list, SMALL_FILE, NULL);
	if (!controllers)
		return err_sys(&out->err, "read", list);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (!has_word(controllers, wanted[i]))
			return err_msg(
				&out->err, EOPNOTSUPP, "delegate", cgroup, "the %s controller is missing", wanted[i]);
	controllers[strcspn(controllers, "\n")] = '\0';
	return probe_detail(out, "%s", controllers);
}

int probe_systemd(const struct probe_env *env, struct probe_outcome *out)
{
	char *const scope[] = { (char *)"systemd-run", (char *)"--user", (char *)"--scope", (char *)"--quiet",
		(char *)"--collect", (char *)"--", (char *)"true", NULL };
	char text[256];
	int status = probe_exec(scope, text, sizeof text, &out->err);

	(void)env;
	if (status == EXIT_NOT_FOUND)
		return err_msg(&out->err, ENOENT, "run systemd-run --user", NULL, "it is not installed");
	if (status > 0)
		return err_msg(&out->err, ECONNREFUSED, "run systemd-run --user", NULL, "%s", text);
	return status;
}

/* ---- session -------------------------------------------------------------------------------------------------- */

int probe_runtime_dir(const struct probe_env *env, struct probe_outcome *out)
{
	enum { LONGEST = 64 }; /* what is left of sun_path is for our own names */
	const char *path = getenv("XDG_RUNTIME_DIR");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat info;

	if (!path || !*path)
		return err_msg(&out->err, ENOENT, "use XDG_RUNTIME_DIR", NULL, "it is not set");
	if (*path != '/' || strlen(path) > LONGEST)
		return err_msg(&out->err, EINVAL, "use XDG_RUNTIME_DIR", path, "not absolute, or longer than %d bytes",
			LONGEST);
	if (lstat(path, &info) < 0)
		return err_sys(&out->err, "use XDG_RUNTIME_DIR", path);
	if (!S_ISDIR(info.st_mode) || info.st_uid != env->facts.uid || (info.st_mode & 077))
		return err_msg(&out->err, EPERM, "use XDG_RUNTIME_DIR", path,
			"not a directory of uid %u with mode 0700", env->facts.uid);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/.azm-doctor-%d", path, (int)getpid());
	cleanup_fd int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (socket_fd < 0 || bind(socket_fd, (struct sockaddr *)&address, sizeof address) < 0)
		return err_sys(&out->err, "make a socket in", path);
	unlink(address.sun_path);
	return probe_detail(out, "%s", path);
}

int probe_limits(const struct probe_env *env, struct probe_outcome *out)
{
	enum { ENOUGH = 1024 };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_sys(&out->err, "read the limit of open files", NULL);
	if (files.rlim_max < ENOUGH)
		return err_msg(&out->err, EMFILE, "open files", NULL, "the hard limit is %" PRIu64 ", less than %d",
			(uint64_t)files.rlim_max, ENOUGH);
	return probe_detail(out,
		"open files %" PRIu64 " (hard %" PRIu64 "), user namespaces %" PRId64 ", network namespaces %" PRId64,
		(uint64_t)files.rlim_cur, (uint64_t)files.rlim_max, env->facts.max_ns[NS_USER],
		env->facts.max_ns[NS_NET]);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* lockdown.c: see lockdown.h. Sources: landlock(7), capabilities(7). */
#include "lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/str.h"
#include "guard_hold.h"
#include "seccomp/seccomp.h"
#include "volumes.h"

enum {
	FS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	/* Everything of the first Landlock version but EXECUTE: it is denied everywhere. */
	FS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
		   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_CHAR |
		   LANDLOCK_ACCESS_FS_MAKE_BLOCK,
	/* What the guard does at the end: read git configurations, remove held names, move files aside. */
	FS_GUARD = FS_READ | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		   LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM |
		   LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO,
	ABI_REFER = 2, /* Linux 5.19: renames from one directory to another can be allowed */
};

static int allow(int ruleset, int dir, unsigned long long access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = dir };

	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* @guarded: the rights over each, 0 without a guard */
static int allow_mounts(int ruleset, const struct mount_plan *mounts, unsigned long long guarded)
{
	for (size_t i = 0; i < mounts->volume_count; i++) {
		const struct volume *volume = &mounts->volumes[i];
		if (!volume_is_shared(volume) || volume->source.type != S_IFDIR)
			continue;
		cleanup_fd int dir = open(volume->source.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && allow(ruleset, dir, guarded ? guarded : LANDLOCK_ACCESS_FS_READ_DIR) < 0)
			return -1;
	}
	return 0;
}

static int allow_sockets(int ruleset, const struct publish_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rules[i].family != AF_UNIX)
			continue;
		cleanup_free char *parent = xstrdup(rules[i].unix_path);
		char *slash = strrchr(parent, '/');
		if (slash)
			slash[slash == parent] = '\0';
		cleanup_fd int dir = open(slash ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0 && allow(ruleset, dir, LANDLOCK_ACCESS_FS_REMOVE_FILE) < 0)
			return -1;
	}
	return 0;
}

static int landlock(const struct state *state, const struct mount_plan *mounts, bool guarded,
	const struct publish_rule *rules, size_t rule_count, int cgroups, struct azm_err *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	unsigned long long refer = abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0;
	struct landlock_ruleset_attr attributes = { .handled_access_fs =
							    FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE | refer };
	cleanup_fd int pool = guarded ? guard_hold_pool(state) : -1;
	cleanup_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return 0;
	if (ruleset < 0 || proc < 0 || allow(ruleset, proc, FS_READ) < 0 ||
		allow(ruleset, state->sandboxes, FS_READ | FS_WRITE) < 0 ||
		allow(ruleset, state->live, FS_READ | FS_WRITE) < 0 ||
		allow_mounts(ruleset, mounts, guarded ? FS_GUARD | refer : 0) < 0 ||
		(pool >= 0 && allow(ruleset, pool, FS_GUARD | refer) < 0) ||
		allow_sockets(ruleset, rules, rule_count) < 0 ||
		(cgroups >= 0 && allow(ruleset, cgroups, LANDLOCK_ACCESS_FS_REMOVE_DIR) < 0) ||
		syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(err, "confine the supervisor with Landlock", NULL);
	return 0;
}

/* Kept, over the network's user namespace only: to remove what sub-ids own, to leave the bridge, to hand out azm-init's
 * pidfd and signal it. */
static int drop_capabilities(struct azm_err *err)
{
	static const cap_value_t kept[] = { CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_NET_ADMIN, CAP_SYS_ADMIN,
		CAP_SYS_PTRACE };
	cap_t caps = cap_init();
	int result = caps ? cap_set_flag(caps, CAP_PERMITTED, sizeof kept / sizeof *kept, kept, CAP_SET) : -1;

	if (result == 0)
		result = cap_set_flag(caps, CAP_EFFECTIVE, sizeof kept / sizeof *kept, kept, CAP_SET);
	if (result == 0)
		result = cap_set_proc(caps);
	if (result < 0)
		err_sys(err, "drop the supervisor's capabilities", NULL);
	cap_free(caps);
	return result;
}

int supervisor_lockdown(const struct state *state, const struct mount_plan *mounts, bool guarded,
	const struct publish_rule *rules, size_t rule_count, int cgroups, struct azm_err *err)
{
	struct filter filter = filter_builtin_supervisor();

	if (drop_capabilities(err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs", NULL);
	if (landlock(state, mounts, guarded, rules, rule_count, cgroups, err) < 0)
		return -1;
	return filter_install(&filter, false, err);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* init/identity.c: see identity.h.
 *
 * Raw system calls instead of libcap: this is linked into azm-init, which has no libraries and is held to a few pages
 * of memory. The masks themselves were computed by the supervisor with libcap (runtime/caps.c).
 */
#include "init/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/id_map.h"
#include "seccomp/seccomp.h"

static int set_caps(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted = data[i].effective = (uint32_t)(permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	return (int)syscall(SYS_capset, &header, data);
}

static int get_caps(uint64_t *permitted, uint64_t *effective, uint64_t *inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*effective = data[0].effective | (uint64_t)data[1].effective << 32;
	*inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

/* Drop every capability the kernel knows and @keep does not name; EINVAL tells where the kernel's list ends. */
static int limit_bounding_set(uint64_t keep)
{
	for (int cap = 0; cap < 64; cap++) {
		if (keep >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL && cap > CAP_AUDIT_READ ? 0 : -1;
	}
	return 0;
}

static int become(const struct plan *plan, struct azm_err *err)
{
	if (!plan->wide_map)
		return 0; /* one id: we are it already, and setgroups is denied (the caller's groups stay) */
	/* The caller's own id keeps the caller's groups (a project's, say, which cannot be named inside) unless the
	 * image gives it others; nobody else inside has any business with them. */
	if ((plan->group_count > 0 || plan->uid != getuid()) && setgroups(plan->group_count, plan->groups) < 0)
		return err_sys(err, "set the supplementary groups", NULL);
	if (setresgid(plan->gid, plan->gid, plan->gid) < 0)
		return err_sys(err, "set the group id", NULL);
	/* The capabilities are set explicitly afterwards; without this the kernel would drop them in between. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(plan->uid, plan->uid, plan->uid) < 0)
		return err_sys(err, "set the user id", NULL);
	/* A change of ids takes this away: a command of `exec` has to end with its client. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return 0;
}

static int verify(const struct plan *plan, uint64_t wanted, struct azm_err *err)
{
	uint64_t permitted, effective, inheritable;
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (get_caps(&permitted, &effective, &inheritable) < 0 || getresuid(&ruid, &euid, &suid) < 0 ||
		getresgid(&rgid, &egid, &sgid) < 0)
		return err_sys(err, "read back the identity", NULL);
	if (permitted != wanted || effective != wanted || inheritable != 0)
		return err_msg(err, EPERM, "drop capabilities", NULL,
			"permitted %llx, effective %llx, inheritable %llx", (unsigned long long)permitted,
			(unsigned long long)effective, (unsigned long long)inheritable);
	if (ruid != plan->uid || euid != plan->uid || suid != plan->uid || rgid != plan->gid || egid != plan->gid ||
		sgid != plan->gid)
		return err_msg(err, EPERM, "set the ids", NULL, "the process is %u:%u instead of %u:%u", euid, egid,
			plan->uid, plan->gid);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		int held = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
		if (held == 1 && !(plan->caps >> cap & 1))
			return err_msg(err, EPERM, "limit the bounding set", NULL, "capability %d is still there", cap);
	}
	if (plan->no_new_privs && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_msg(err, EPERM, "set no_new_privs", NULL, "the kernel did not keep it");
	return 0;
}

int identity_apply(const struct plan *plan, struct azm_err *err)
{
	struct filter filter = { .insns = plan->filter, .count = plan->filter_count };
	uint64_t wanted = plan->uid == 0 ? plan->caps : 0;

	if (filter.count == 0)
		return err_msg(err, EINVAL, "install the seccomp filter", NULL, "the plan has none");
	/* Keyrings belong to a uid, and the sandbox shares it with the host's user: leave the caller's session keyring
	 * behind. */
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (limit_bounding_set(plan->caps) < 0)
		return err_sys(err, "limit the bounding set", NULL);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "clear the ambient capabilities", NULL);
	if (become(plan, err) < 0)
		return -1;
	if (!plan->no_new_privs) {
		if (plan->emulate_root)
			return err_msg(
				err, EINVAL, "install the seccomp filter", NULL, "root emulation needs no_new_privs");
		/* ids changed: the effective set is empty now, the permitted one is not (KEEPCAPS) */
		if (set_caps(plan->caps | 1ull << CAP_SYS_ADMIN, 0) < 0 ||
			filter_install(&filter, plan->log_denials, err) < 0)
			return err->code ? -1 : err_sys(err, "keep CAP_SYS_ADMIN for the seccomp filter", NULL);
	}
	if (set_caps(wanted, 0) < 0)
		return err_sys(err, "drop capabilities", NULL);
	if (plan->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "set no_new_privs", NULL);
	if (verify(plan, wanted, err) < 0)
		return -1;
	return plan->no_new_privs ? filter_install(&filter, plan->log_denials, err) : 0;
}

int identity_drop_init(struct azm_err *err)
{
	if (limit_bounding_set(INIT_KEPT_CAPS) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		set_caps(INIT_KEPT_CAPS, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "drop azm-init's capabilities", NULL);
	return 0;
}

/* Runs in a child that shares the descriptor table. Return: an errno value, 0 for success. */
static int alias_child(uint32_t uid, uint32_t gid)
{
	struct azm_err err;

	if (unshare(CLONE_NEWUSER) < 0)
		return errno;
	if (id_map_single(0, 0, uid, 0, gid, &err) < 0)
		return err.code;
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (fd == INIT_ALIAS_FD)
		return 0;
	return fd < 0 || dup3(fd, INIT_ALIAS_FD, O_CLOEXEC) < 0 || close(fd) < 0 ? errno : 0;
}

int identity_make_alias(uint32_t uid, uint32_t gid, struct azm_err *err)
{
	int status;
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	if (child == 0)
		_exit(alias_child(uid, gid));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return err_sys(err, "make a user namespace for exec -u 0", NULL);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_code(err, WIFEXITED(status) ? WEXITSTATUS(status) : EINTR,
			"make a user namespace for exec -u 0", NULL);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_ns.c: namespaces, their maps, their owner's capabilities; see probes.h */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor/probes.h"

int probe_user_namespace(const struct probe_env *env, struct probe_outcome *out)
{
	int status;
	/* Not probe_child_start(): the maps are the next probe's subject. */
	long pid = syscall(SYS_clone, (unsigned long)CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return err_sys(&out->err, "make a user namespace", NULL);
	if (waitpid((pid_t)pid, &status, 0) < 0 || !WIFEXITED(status))
		return err_msg(&out->err, EIO, "make a user namespace", NULL, "its first process died");
	return env->facts.max_ns[NS_USER] == HOST_UNKNOWN
		       ? 0
		       : probe_detail(out, "at most %" PRId64, env->facts.max_ns[NS_USER]);
}

int probe_id_map(const struct probe_env *env, struct probe_outcome *out)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (getuid() != 0 || getgid() != 0)
		return err_msg(&out->err, EINVAL, "map ids", NULL, "id 0 inside is %u:%u", getuid(), getgid());
	if (syscall(SYS_capget, &header, data) < 0)
		return err_sys(&out->err, "read the capabilities", NULL);
	if (!(data[0].effective & (1u << CAP_SYS_ADMIN)))
		return err_msg(&out->err, EPERM, "own a user namespace", NULL, "its owner has no capabilities");
	return probe_detail(out, "id %u of the host is 0 inside", env->facts.uid);
}

int probe_bounding_set(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	if (prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) < 0)
		return err_sys(&out->err, "drop a capability from the bounding set", NULL);
	if (prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0) != 0)
		return err_msg(&out->err, EPERM, "drop a capability from the bounding set", NULL, "it is still there");
	return 0;
}

/* A filter may answer success and do nothing: only another inode number proves a new namespace. */
int probe_new_namespaces(const struct probe_env *env, struct probe_outcome *out)
{
	size_t used = 0;

	for (enum ns_kind kind = 0; kind < NS_KINDS && used < sizeof out->detail; kind++)
		if (env->facts.ns_inode[kind] && host_ns_inode(kind) != env->facts.ns_inode[kind])
			used += (size_t)snprintf(out->detail + used, sizeof out->detail - used, "%s%s", used ? " " : "",
				ns_kinds[kind].name);
	if (!used)
		return err_msg(&out->err, EIO, "look at the namespaces", NULL, "none is new");
	return 0;
}

/* A process that holds the namespaces of a network, entered with setns as the supervisor of a sandbox does. */
static int enter_network(struct probe_child *holder, struct azm_err *err)
{
	char path[64];

	if (probe_child_hold(CLONE_NEWUSER | CLONE_NEWNET, NULL, holder, err) < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/ns/user", (int)holder->pid);
	cleanup_fd int userns = open(path, O_RDONLY | O_CLOEXEC);
	if (userns < 0)
		return err_sys(err, "open", "/proc/PID/ns/user");
	if (setns(userns, CLONE_NEWUSER) < 0)
		return err_sys(err, "enter a user namespace", NULL);
	return 0;
}

int probe_nested(const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child network = PROBE_NO_CHILD;

	if (enter_network(&network, &out->err) < 0)
		return -1;
	return probe_call(PROBE_SANDBOX, probe_new_namespaces, env, PROBE_INNER_DEADLINE_MS, out);
}

int probe_setns_pidfd(const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child holder = PROBE_NO_CHILD;

	if (probe_child_hold(CLONE_NEWUSER | CLONE_NEWNET, NULL, &holder, &out->err) < 0)
		return -1;
	if (setns(holder.pidfd, CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return err_sys(&out->err, "enter namespaces by pidfd", NULL);
	return host_ns_inode(NS_NET) == env->facts.ns_inode[NS_NET]
		       ? err_msg(&out->err, EIO, "enter namespaces by pidfd", NULL, "nothing changed")
		       : 0;
}

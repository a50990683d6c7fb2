// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/explain.c: see explain.h.
 *
 * Where several causes are possible, the one that is proven by a sysctl comes first, then what the surroundings make
 * likely: an outer container's filter, SELinux. Every cause names what was seen, so that a wrong guess can be checked.
 */
#include "doctor/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void advice_free(struct advice *advice)
{
	str_list_free(&advice->fix);
}

[[gnu::format(printf, 2, 3)]] static void because(struct advice *advice, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(advice->cause, sizeof advice->cause, format, args);
	va_end(args);
}

static void set_sysctl(struct advice *advice, const char *name, int64_t value)
{
	str_list_addf(&advice->fix, "sudo sysctl -w %s=%" PRId64, name, value);
	str_list_addf(
		&advice->fix, "echo '%s=%" PRId64 "' | sudo tee -a /etc/sysctl.d/90-azm-sandbox.conf", name, value);
}

static bool is_refusal(const struct azm_err *failure)
{
	return failure->code == EPERM || failure->code == EACCES;
}

/* ---- who refuses ---------------------------------------------------------------------------------------------- */

static void blame_apparmor(struct advice *advice, bool proven)
{
	because(advice, "%s",
		proven ? "AppArmor takes a program's capabilities away in its own user namespace unless a profile "
			 "allows "
			 "it (kernel.apparmor_restrict_unprivileged_userns=1)"
		       : "this is how AppArmor's restriction of user namespaces shows");
	advice->apparmor = true;
}

/* What the kinds of containers call "let a container make namespaces". */
static void blame_container(const struct host_facts *host, const char *what, struct advice *advice)
{
	static const struct {
		const char *kind, *fix;
	} ways[] = {
		{ "docker", "start the container with: docker run --security-opt seccomp=unconfined --security-opt "
			    "apparmor=unconfined --security-opt systempaths=unconfined ..." },
		{ "podman", "start the container with: podman run --security-opt seccomp=unconfined --security-opt "
			    "unmask=ALL --security-opt label=disable ..." },
		{ "kubernetes", "in the pod: hostUsers: false, securityContext.seccompProfile.type: Unconfined, "
				"appArmorProfile.type: Unconfined, procMount: Unmasked" },
		{ "lxd", "on the host: lxc config set NAME security.nesting=true" },
		{ "lxc", "on the host: lxc.include = /usr/share/lxc/config/nesting.conf in the container's config" },
		{ "systemd-nspawn",
			"start the container with: systemd-nspawn --system-call-filter='@mount @privileged' ..." },
	};

	because(advice, "%s %s %s",
		host->container[0] ? "the container around this process" : "a filter set up around this process",
		host->container[0] && !host->seccomp ? "hides or refuses" : "(seccomp) refuses", what);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (strcmp(ways[i].kind, host->container) == 0) {
			str_list_add(&advice->fix, ways[i].fix);
			return;
		}
	str_list_add(&advice->fix, "let whoever started this session allow clone and unshare with namespace flags, "
				   "mount, pivot_root and setns in its seccomp policy");
}

static void blame_selinux(struct advice *advice)
{
	because(advice, "SELinux is enforcing and its policy seems to refuse it");
	str_list_add(&advice->fix, "sudo ausearch -m avc -ts recent | audit2allow -M azm-sandbox && sudo semodule -i "
				   "azm-sandbox.pp   # after reading what it allows");
}

static void blame_outer_map(const struct host_facts *host, struct advice *advice)
{
	because(advice, "the user namespace around this process does not map id %u", host->uid);
	str_list_add(&advice->fix, "give this id a map there first (unshare --map-current-user, bwrap --uid)");
}

/* A refusal that no sysctl explains. Return: whether something is to blame. */
static bool blame_surroundings(const struct host_facts *host, const char *what, struct advice *advice)
{
	if (host->seccomp || host->container[0])
		blame_container(host, what, advice);
	else if (host->selinux_enforcing)
		blame_selinux(advice);
	else
		return false;
	return true;
}

/* ---- namespaces ----------------------------------------------------------------------------------------------- */

static void explain_limit(const struct host_facts *host, struct advice *advice)
{
	enum { ENOUGH = 15000, LARGEST = INT32_MAX / 2 };
	char name[64];
	bool found = false;

	for (int kind = 0; kind < NS_KINDS; kind++) {
		if (host->max_ns[kind] != 0)
			continue;
		snprintf(name, sizeof name, "user.max_%s_namespaces", ns_kinds[kind].name);
		because(advice, "%s is 0 on this host", name);
		set_sysctl(advice, name, ENOUGH);
		found = true;
	}
	if (found)
		return;
	because(advice,
		"a limit of namespaces is reached (user.max_user_namespaces=%" PRId64 ", "
		"user.max_net_namespaces=%" PRId64 "), here or in a namespace around this one",
		host->max_ns[NS_USER], host->max_ns[NS_NET]);
	str_list_add(&advice->fix, "stop other sandboxes (azm-sandbox ps), or raise the limit:");
	set_sysctl(advice, "user.max_user_namespaces",
		host->max_ns[NS_USER] > ENOUGH && host->max_ns[NS_USER] < LARGEST ? host->max_ns[NS_USER] * 2 : ENOUGH);
}

static void explain_userns_refusal(const struct host_facts *host, struct advice *advice)
{
	if (host->userns_clone == 0) {
		because(advice, "kernel.unprivileged_userns_clone is 0 on this host");
		set_sysctl(advice, "kernel.unprivileged_userns_clone", 1);
	} else if (host->chrooted) {
		because(advice, "this process is in a chroot, where the kernel makes no user namespaces");
		str_list_add(&advice->fix, "run azm-sandbox outside of the chroot (or enter it with pivot_root)");
	} else if (host->unmapped) {
		blame_outer_map(host, advice);
	} else if (host->apparmor_restrict > 0) {
		blame_apparmor(advice, true);
	} else if (!blame_surroundings(host, "user namespaces", advice)) {
		because(advice, "a security module of this host refuses user namespaces");
		str_list_add(&advice->fix, "ask the administrator to allow user namespaces for azm-sandbox (see "
					   "`cat /sys/kernel/security/lsm`)");
	}
}

void explain_userns(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	switch (failure->code) {
	case ENOSPC:
	case EUSERS: /* up to Linux 4.8 */
		explain_limit(host, advice);
		break;
	case EPERM:
	case EACCES:
		explain_userns_refusal(host, advice);
		break;
	case EINVAL:
		because(advice, "this kernel is built or booted without user namespaces");
		str_list_add(&advice->fix,
			"a kernel with CONFIG_USER_NS=y; RHEL 7: sudo grubby --args=user_namespace.enable=1 "
			"--update-kernel=ALL, reboot, then user.max_user_namespaces");
		break;
	case EAGAIN:
		explain_limits(host, failure, advice);
		break;
	case ENOSYS:
		blame_container(host, "user namespaces", advice);
		break;
	}
}

void explain_namespace(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code == EINVAL) {
		for (int kind = 0; kind < NS_KINDS; kind++)
			if (!host->ns_inode[kind]) {
				because(advice, "this kernel has no %s namespaces", ns_kinds[kind].name);
				str_list_addf(&advice->fix, "a kernel with %s=y", ns_kinds[kind].config);
			}
	} else if (is_refusal(failure) && host->userns_clone != 0 && !host->chrooted) {
		explain_restricted(host, failure, advice);
	} else { /* a user namespace is among those made at once */
		explain_userns(host, failure, advice);
	}
}

void explain_restricted(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code == ENOSYS) {
		explain_syscall(host, failure, advice);
	} else if (!is_refusal(failure)) {
		explain_userns(host, failure, advice);
	} else if (host->apparmor_restrict > 0 && (host->uid != 0 || host->nested_userns)) {
		blame_apparmor(advice, true);
	} else if (host->unmapped) {
		blame_outer_map(host, advice);
	} else if (!blame_surroundings(host, "what the owner of a user namespace may do", advice)) {
		blame_apparmor(advice, false);
	}
}

/* ---- mounts --------------------------------------------------------------------------------------------------- */

void explain_mount(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code == ENODEV) {
		because(advice, "this kernel does not have the file system");
		str_list_add(&advice->fix,
			"a kernel with tmpfs, devpts (CONFIG_UNIX98_PTYS), mqueue (CONFIG_POSIX_MQUEUE), "
			"sysfs and proc");
	} else {
		explain_restricted(host, failure, advice);
	}
}

void explain_proc(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	/* mount_too_revealing() of the kernel: a fresh proc must not show what the visible one hides. */
	if (!is_refusal(failure) || (!host->proc_mask[0] && !host->container[0])) {
		explain_mount(host, failure, advice);
		return;
	}
	blame_container(host, "a fresh mount", advice);
	if (host->proc_mask[0])
		because(advice, "part of /proc is hidden by a mount (%s), so the kernel gives no fresh one",
			host->proc_mask);
	str_list_add(&advice->fix, "or accept the outer one inside: azm-sandbox run --proc bind ...");
}

void explain_overlay(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (host_older_than(host, 5, 11)) {
		because(advice, "overlay in a user namespace needs Linux 5.11, this is %s", host->kernel);
		str_list_add(&advice->fix,
			"a newer kernel, or work without the layer: azm-sandbox run --rootfs-mode read-only, or "
			"cp -a img copy && azm-sandbox run --rootfs-mode direct --rootfs copy");
	} else if (failure->code == ENODEV) {
		because(advice, "the overlay module is not there");
		str_list_add(&advice->fix,
			"sudo modprobe overlay && echo overlay | sudo tee /etc/modules-load.d/azm-sandbox.conf");
	} else if (failure->code == EMFILE) {
		explain_limits(host, failure, advice);
	} else if (failure->code == ENOSPC || failure->code == EDQUOT || failure->code == EROFS) {
		because(advice, "no room or no right to write where the layer should lie");
		str_list_add(&advice->fix, "export AZM_STATE_DIR=/a/local/directory/with/room");
	} else if (is_refusal(failure) && strstr(failure->text, "mount overlay")) {
		explain_restricted(host, failure, advice);
	} else {
		because(advice,
			"the file systems of the usual places cannot carry an overlay's upper layer (network file "
			"systems, overlay and some FUSE cannot)");
		str_list_add(
			&advice->fix, "export AZM_STATE_DIR=/a/directory/on/a/local/disk   # ext4, xfs, btrfs, tmpfs");
	}
}

/* ---- network -------------------------------------------------------------------------------------------------- */

static bool no_such_protocol(const struct azm_err *failure)
{
	return failure->code == EOPNOTSUPP || failure->code == EPROTONOSUPPORT || failure->code == ENOENT ||
	       failure->code == EAFNOSUPPORT || failure->code == EINVAL;
}

void explain_links(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (!no_such_protocol(failure)) {
		explain_restricted(host, failure, advice);
		return;
	}
	because(advice, "this kernel does not have (or may not load) the veth and bridge modules");
	str_list_add(&advice->fix, "sudo modprobe -a veth bridge && printf 'veth\\nbridge\\n' | sudo tee "
				   "/etc/modules-load.d/azm-sandbox-net.conf");
	str_list_add(&advice->fix, "or without a network of its own: azm-sandbox run --network none ...");
}

void explain_nftables(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (!no_such_protocol(failure)) {
		explain_restricted(host, failure, advice);
		return;
	}
	because(advice, "this kernel does not have (or may not load) nftables with NAT and redirect");
	str_list_add(&advice->fix,
		"sudo modprobe -a nf_tables nft_chain_nat nft_redir && printf "
		"'nf_tables\\nnft_chain_nat\\nnft_redir\\n' | sudo tee /etc/modules-load.d/azm-sandbox-nft.conf");
}

/* ---- kernel features ------------------------------------------------------------------------------------------ */

void explain_syscall(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code != ENOSYS && !is_refusal(failure))
		return;
	if (host->seccomp)
		because(advice,
			"this kernel (%s) is too old for it, or the seccomp filter around this process hides it",
			host->kernel);
	else if (failure->code == ENOSYS)
		because(advice, "this kernel (%s) does not have it", host->kernel);
	str_list_add(&advice->fix, "a newer kernel: Linux 5.13 or later has everything of these");
}

void explain_seccomp(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (is_refusal(failure) || failure->code == ENOSYS) {
		blame_container(host, "seccomp filters of our own", advice);
		return;
	}
	because(advice, "this kernel has no seccomp filters");
	str_list_add(&advice->fix, "a kernel with CONFIG_SECCOMP_FILTER=y");
}

void explain_memfd(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (host->memfd_noexec > 0) {
		because(advice, "vm.memfd_noexec is %" PRId64 " on this host", host->memfd_noexec);
		set_sysctl(advice, "vm.memfd_noexec", host->memfd_noexec > 1 ? 1 : 0);
	} else if (is_refusal(failure)) {
		because(advice, "a policy of this host (fapolicyd, IMA, SELinux) refuses programs without a file");
	}
}

/* ---- the user's account --------------------------------------------------------------------------------------- */

void explain_subids(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code == ENOENT) {
		because(advice, "newuidmap and newgidmap are not installed");
		str_list_add(&advice->fix, "sudo apt-get install uidmap   # Fedora, RHEL: shadow-utils-subid");
	} else if (failure->code == ESRCH) {
		because(advice, "no range of sub-ids belongs to this user");
		str_list_addf(&advice->fix,
			"echo '%u:524288:65536' | sudo tee -a /etc/subuid /etc/subgid   # a range that nobody else has "
			"there",
			host->uid);
	} else if (strstr(failure->reason, "user name")) {
		because(advice, "newuidmap serves only users that the user database knows");
		str_list_addf(
			&advice->fix, "give uid %u an entry (getent passwd %u prints nothing)", host->uid, host->uid);
	} else if (strstr(failure->reason, "session")) {
		because(advice, "this session may not run set-uid programs with their privilege (no_new_privs, or a "
				"bounding set without SETUID): a login session may");
	} else if (is_refusal(failure)) {
		because(advice, "newuidmap has lost its privilege (set-uid bit or file capabilities)");
		str_list_add(&advice->fix, "sudo setcap cap_setuid+ep \"$(command -v newuidmap)\" && sudo setcap "
					   "cap_setgid+ep \"$(command -v newgidmap)\"");
	}
}

void explain_cgroup(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	(void)host;
	if (failure->code == ENOENT) {
		because(advice, "cgroup v2 is not mounted, or its controllers are bound to cgroup v1");
		str_list_add(&advice->fix,
			"boot with systemd.unified_cgroup_hierarchy=1 (sudo grubby --update-kernel=ALL "
			"--args=..., or GRUB_CMDLINE_LINUX in /etc/default/grub)");
		return;
	}
	because(advice, "the cgroup of this process is not delegated to the user with the needed controllers");
	str_list_add(&advice->fix, "sudo mkdir -p /etc/systemd/system/user@.service.d && printf "
				   "'[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee "
				   "/etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload");
	str_list_add(&advice->fix,
		"then log in again, or start with: systemd-run --user --scope -p Delegate=yes azm-sandbox ...");
}

void explain_systemd(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	if (failure->code == ENOENT) {
		because(advice, "systemd-run is not installed");
		return;
	}
	because(advice, "no service manager of this user answers");
	str_list_addf(&advice->fix, "sudo loginctl enable-linger %u   # then XDG_RUNTIME_DIR=/run/user/%u", host->uid,
		host->uid);
}

void explain_runtime_dir(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	(void)failure;
	because(advice, "/tmp/azm-sandbox-%u is used instead", host->uid);
	str_list_add(&advice->fix,
		"log in through PAM (pam_systemd sets it), or export XDG_RUNTIME_DIR=/a/directory/of/mine "
		"with mode 0700 and less than 64 characters");
}

void explain_layer_exec(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	(void)host;
	if (failure->code == EACCES || failure->code == EPERM) {
		because(advice, "the file system is mounted noexec, or a policy refuses programs there");
		str_list_add(&advice->fix, "export AZM_STATE_DIR=/a/directory/where/programs/may/run");
	}
}

void explain_limits(const struct host_facts *host, const struct azm_err *failure, struct advice *advice)
{
	(void)host;
	if (failure->code == EAGAIN || failure->code == ENOMEM) {
		because(advice, "the user's limit of processes (ulimit -u) or the cgroup's is reached");
		str_list_add(&advice->fix, "ulimit -u unlimited, or nproc in /etc/security/limits.conf");
	} else if (failure->code == EMFILE) {
		str_list_add(&advice->fix, "ulimit -n \"$(ulimit -Hn)\", or nofile in /etc/security/limits.conf");
	}
}

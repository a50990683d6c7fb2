// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/host.c: see host.h */
#include "doctor/host.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/str.h"

enum { SMALL_FILE = 64 << 10, LARGE_FILE = 8 << 20 };

const struct ns_kind_row ns_kinds[NS_KINDS] = {
	[NS_USER] = { CLONE_NEWUSER, "user", "CONFIG_USER_NS" },
	[NS_MNT] = { CLONE_NEWNS, "mnt", "CONFIG_NAMESPACES" },
	[NS_NET] = { CLONE_NEWNET, "net", "CONFIG_NET_NS" },
	[NS_PID] = { CLONE_NEWPID, "pid", "CONFIG_PID_NS" },
	[NS_IPC] = { CLONE_NEWIPC, "ipc", "CONFIG_IPC_NS" },
	[NS_UTS] = { CLONE_NEWUTS, "uts", "CONFIG_UTS_NS" },
	[NS_CGROUP] = { CLONE_NEWCGROUP, "cgroup", "CONFIG_CGROUPS" },
};

static int64_t read_number(const char *path)
{
	cleanup_free char *text = read_path(path, SMALL_FILE, NULL);
	uint64_t value;

	if (!text)
		return HOST_UNKNOWN;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, INT64_MAX, &value) ? (int64_t)value : HOST_UNKNOWN;
}

static bool file_has(const char *path, const char *needle)
{
	cleanup_free char *text = read_path(path, SMALL_FILE, NULL);

	return text && strstr(text, needle);
}

static void read_kernel(struct host_facts *host)
{
	struct utsname name;

	if (uname(&name) < 0)
		return;
	snprintf(host->kernel, sizeof host->kernel, "%s", name.release);
	snprintf(host->machine, sizeof host->machine, "%s", name.machine);
	(void)!sscanf(name.release, "%u.%u", &host->kernel_major, &host->kernel_minor);
}

ino_t host_ns_inode(enum ns_kind kind)
{
	char path[64];
	struct stat info;

	snprintf(path, sizeof path, "/proc/self/ns/%s", ns_kinds[kind].name);
	return stat(path, &info) < 0 ? 0 : info.st_ino;
}

static void read_limits(struct host_facts *host)
{
	for (enum ns_kind kind = 0; kind < NS_KINDS; kind++) {
		char path[64];

		snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", ns_kinds[kind].name);
		host->max_ns[kind] = read_number(path);
		host->ns_inode[kind] = host_ns_inode(kind);
	}
}

/* The first user namespace maps every id to itself; any other map means that somebody made a namespace around us. */
static void read_uid_map(struct host_facts *host)
{
	cleanup_free char *map = read_path("/proc/self/uid_map", SMALL_FILE, NULL);
	char *rest = NULL;

	if (!map)
		return;
	host->nested_userns = host->unmapped = true;
	for (char *line = strtok_r(map, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned inside, outside, count;

		if (sscanf(line, "%u %u %u", &inside, &outside, &count) != 3)
			continue;
		if (inside == 0 && outside == 0 && count == UINT32_MAX)
			host->nested_userns = false;
		if (host->uid >= inside && host->uid - inside < count)
			host->unmapped = false;
	}
}

/* One line of mountinfo: its mount point and type are all that matters here (proc_pid_mountinfo(5)). */
static void look_at_mount(struct host_facts *host, const char *line, bool *root_seen)
{
	char point[256], type[64];
	const char *separator = strstr(line, " - ");

	if (sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 || !separator || sscanf(separator, " - %63s", type) != 1)
		return;
	if (strcmp(point, "/") == 0)
		*root_seen = true;
	/* A sub-mount on an empty directory hides nothing; autofs and binfmt_misc are of that kind everywhere. */
	if (str_starts(point, "/proc/") && strcmp(type, "autofs") != 0 && strcmp(type, "binfmt_misc") != 0 &&
		!host->proc_mask[0])
		snprintf(host->proc_mask, sizeof host->proc_mask, "%.*s", (int)sizeof host->proc_mask - 1, point);
}

static void read_mounts(struct host_facts *host)
{
	cleanup_free char *mounts = read_path("/proc/self/mountinfo", LARGE_FILE, NULL);
	bool root_seen = false;
	char *rest = NULL;

	if (!mounts)
		return;
	for (char *line = strtok_r(mounts, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		look_at_mount(host, line, &root_seen);
	host->chrooted = !root_seen;
}

/* Which kind of container this is, by what each leaves for programs to find. */
static const char *container_kind(void)
{
	static const struct {
		const char *path, *kind;
	} marks[] = {
		{ "/run/.containerenv", "podman" },
		{ "/.dockerenv", "docker" },
		{ "/.singularity.d", "apptainer" },
		{ "/dev/lxd/sock", "lxd" },
		{ "/dev/.lxc", "lxc" },
	};
	const char *name = getenv("container"); /* systemd's convention: lxc, systemd-nspawn, oci, ... */

	if (getenv("KUBERNETES_SERVICE_HOST"))
		return "kubernetes";
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (access(marks[i].path, F_OK) == 0)
			return marks[i].kind;
	return name ? name : "";
}

void host_facts_read(struct host_facts *host)
{
	*host = (struct host_facts){ .uid = geteuid(), .gid = getegid() };
	read_kernel(host);
	read_limits(host);
	read_mounts(host);
	host->apparmor_restrict = read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
	host->userns_clone = read_number("/proc/sys/kernel/unprivileged_userns_clone");
	host->memfd_noexec = read_number("/proc/sys/vm/memfd_noexec");
	host->apparmor = file_has("/sys/module/apparmor/parameters/enabled", "Y");
	host->selinux_enforcing = file_has("/sys/fs/selinux/enforce", "1");
	host->seccomp = file_has("/proc/self/status", "\nSeccomp:\t2");
	read_uid_map(host);
	snprintf(host->container, sizeof host->container, "%s", container_kind());
	str_sanitise(host->container);
}

bool host_older_than(const struct host_facts *host, unsigned major, unsigned minor)
{
	return host->kernel_major < major || (host->kernel_major == major && host->kernel_minor < minor);
}

const char *host_filesystem(const char *path, char *name, size_t size)
{
	/* Kernel interface numbers; several are missing from linux/magic.h. */
	static const struct {
		unsigned magic;
		const char *name;
	} known[] = {
		{ EXT4_SUPER_MAGIC, "ext4" },
		{ 0x58465342, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" },
		{ 0x2fc12fc1, "zfs" },
		{ TMPFS_MAGIC, "tmpfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlay" },
		{ NFS_SUPER_MAGIC, "nfs" },
		{ 0x0bd00bd0, "lustre" },
		{ 0x47504653, "gpfs" },
		{ 0x19830326, "beegfs" },
		{ CEPH_SUPER_MAGIC, "ceph" },
		{ CIFS_SUPER_MAGIC, "cifs" },
		{ SMB2_SUPER_MAGIC, "smb2" },
		{ 0x65735546, "fuse" },
		{ AFS_FS_MAGIC, "afs" },
		{ V9FS_MAGIC, "9p" },
		{ ECRYPTFS_SUPER_MAGIC, "ecryptfs" },
		{ 0xf2f52010, "f2fs" },
		{ 0xca451a4e, "bcachefs" },
	};
	struct statfs info;

	if (statfs(path, &info) < 0) {
		snprintf(name, size, "unknown");
		return name;
	}
	snprintf(name, size, "file system 0x%x", (unsigned)info.f_type);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].magic == (unsigned)info.f_type)
			snprintf(name, size, "%s", known[i].name);
	return name;
}

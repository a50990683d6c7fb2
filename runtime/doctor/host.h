// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/host.h: what can be learned about the host by reading a few files, without trying anything.
 *
 * The facts only explain why something failed; whether it works is found by trying it (probe.h). They are plain data,
 * so that a test can describe any host.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* The namespaces a sandbox is made of; an index into ns_kinds and struct host_facts.max_ns. */
enum ns_kind { NS_USER, NS_MNT, NS_NET, NS_PID, NS_IPC, NS_UTS, NS_CGROUP, NS_KINDS };

struct ns_kind_row {
	int flag;	    /* CLONE_NEW* */
	const char *name;   /* in /proc/PID/ns and user.max_NAME_namespaces */
	const char *config; /* of the kernel */
};

extern const struct ns_kind_row ns_kinds[NS_KINDS];

enum { HOST_UNKNOWN = -1 };

struct host_facts {
	uid_t uid, gid;
	unsigned kernel_major, kernel_minor;
	char kernel[72], machine[72]; /* uname(2) */
	/* sysctls; HOST_UNKNOWN where the kernel has none or it cannot be read */
	int64_t apparmor_restrict; /* kernel.apparmor_restrict_unprivileged_userns */
	int64_t userns_clone;	   /* kernel.unprivileged_userns_clone (Debian) */
	int64_t memfd_noexec;	   /* vm.memfd_noexec */
	int64_t max_ns[NS_KINDS];  /* user.max_NAME_namespaces */
	ino_t ns_inode[NS_KINDS];  /* the namespaces this process is in; 0: the kernel has no such kind */
	bool apparmor;		   /* the AppArmor module is on */
	bool selinux_enforcing;
	bool seccomp;	    /* this process runs under a filter of somebody else */
	bool nested_userns; /* not in the host's first user namespace */
	bool unmapped; /* the namespace around this process has no map for its id: the kernel makes no user namespace */
	bool chrooted; /* "/" is not the root of a mount: no user namespace can be made from there */
	char container[24];  /* "docker", "podman", "kubernetes", "lxc", ...; "" outside */
	char proc_mask[128]; /* something mounted below /proc that hides part of it; "" for none */
};

/** host_facts_read() - look at the running host; what cannot be read stays unknown. */
[[gnu::nonnull]] void host_facts_read(struct host_facts *host);

/** host_ns_inode() - which namespace of a kind this process is in, 0 if the kernel has none. */
ino_t host_ns_inode(enum ns_kind kind);

/** host_older_than() - whether the kernel's version is less than major.minor. */
[[gnu::nonnull]] bool host_older_than(const struct host_facts *host, unsigned major, unsigned minor);

/** host_filesystem() - name of the file system a path lies on ("ext4", "nfs", or its magic number). Return: @name */
[[gnu::nonnull]] const char *host_filesystem(const char *path, char *name, size_t size);

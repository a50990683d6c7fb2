// SPDX-License-Identifier: GPL-2.0-or-later
/* members.c: see members.h. Sources: proc_pid_stat(5), ioctl_ns(2). */
#include "members.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/str.h"

enum { NESTED_MOST = 32 }; /* the kernel's own limit for pid namespaces */

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Whether a process lives in the namespace @inside or in one made below it. */
static bool is_inside(pid_t pid, const struct stat *inside, const struct stat *own)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
	if (stat(path, &st) < 0 || same(&st, own))
		return false;
	if (same(&st, inside))
		return true;
	cleanup_fd int ns = open(path, O_RDONLY | O_CLOEXEC);
	for (int level = 0; ns >= 0 && level < NESTED_MOST; level++) {
		int parent = ioctl(ns, NS_GET_PARENT);
		close(ns);
		ns = parent;
		if (ns >= 0 && fstat(ns, &st) == 0 && same(&st, inside))
			return true;
	}
	return false;
}

static bool describe(pid_t pid, struct member *member)
{
	char path[64];
	unsigned long long used, system;
	long long used_children, system_children;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	cleanup_free char *text = read_path(path, 4096, NULL);
	const char *rest = text ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
	if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld", &member->state,
			     &used, &system, &used_children, &system_children) != 5)
		return false;
	member->pid = pid;
	member->ticks = used + system + (unsigned long long)(used_children + system_children);
	return true;
}

int members_list(pid_t init, struct member **list, size_t *count, struct azm_err *err)
{
	char path[64];
	struct stat inside, own;
	uint64_t pid;
	cleanup_dir DIR *proc = opendir("/proc");

	*list = NULL;
	*count = 0;
	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)init);
	if (stat(path, &inside) < 0 || !proc || stat("/proc/self/ns/pid", &own) < 0)
		return err_code(err, errno == ENOENT ? ESRCH : errno, "list the sandbox's processes", NULL);
	const struct dirent *entry;
	while ((entry = dir_next(proc))) {
		struct member member;
		if (!str_to_u64(entry->d_name, INT32_MAX, &pid) || !is_inside((pid_t)pid, &inside, &own) ||
			!describe((pid_t)pid, &member))
			continue;
		*list = xrealloc(*list, *count + 1, sizeof **list);
		(*list)[(*count)++] = member;
	}
	return errno ? err_sys(err, "list the sandbox's processes", NULL) : 0;
}

/* First a descriptor, then the look: what is seen under the number is what the descriptor is of, or both are gone. */
bool members_signal(pid_t init, pid_t pid, int signal)
{
	char path[64];
	struct stat inside, own;
	cleanup_fd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)init);
	if (pidfd < 0 || stat(path, &inside) < 0 || stat("/proc/self/ns/pid", &own) < 0 ||
		!is_inside(pid, &inside, &own))
		return false;
	return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0;
}

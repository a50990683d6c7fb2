// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_mount.c: what azm-init mounts, each tried over one directory of a private mount namespace; see probes.h
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "doctor/probes.h"

/* Nothing of what follows may travel to the host's mount namespace, nor may the host's /proc hide below ours. */
static int make_private(struct azm_err *err)
{
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ? err_sys(err, "make / rslave", NULL) : 0;
}

static int mount_over(const struct probe_env *env, const char *type, unsigned long flags, const char *options,
	struct probe_outcome *out)
{
	char step[32];

	snprintf(step, sizeof step, "mount %s", type);
	if (make_private(&out->err) < 0)
		return -1;
	if (mount(type, env->target, type, flags | MS_NOSUID, options) < 0)
		return err_sys(&out->err, step, NULL);
	return chdir(env->target) < 0 ? err_sys(&out->err, "enter the new mount", type) : 0;
}

int probe_propagation(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	return make_private(&out->err);
}

int probe_tmpfs(const struct probe_env *env, struct probe_outcome *out)
{
	if (mount_over(env, "tmpfs", MS_NODEV, "mode=0755,size=1m,nr_inodes=16", out) < 0)
		return -1;
	cleanup_fd int file = open("file", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	return file < 0 ? err_sys(&out->err, "make a file in a tmpfs", NULL) : 0;
}

int probe_proc(const struct probe_env *env, struct probe_outcome *out)
{
	if (mount_over(env, "proc", MS_NODEV | MS_NOEXEC, NULL, out) < 0)
		return -1;
	return access("1/status", R_OK) < 0 ? err_sys(&out->err, "look at process 1 in", "/proc") : 0;
}

int probe_sysfs(const struct probe_env *env, struct probe_outcome *out)
{
	if (mount_over(env, "sysfs", MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL, out) < 0)
		return -1;
	return access("class/net/lo", F_OK) < 0 ? err_sys(&out->err, "find lo in", "/sys/class/net") : 0;
}

int probe_devpts(const struct probe_env *env, struct probe_outcome *out)
{
	unsigned number;

	if (mount_over(env, "devpts", MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,max=256", out) < 0)
		return -1;
	cleanup_fd int pty = open("ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (pty < 0 || ioctl(pty, TIOCGPTN, &number) < 0)
		return err_sys(&out->err, "open a terminal in a new devpts", NULL);
	return 0;
}

int probe_mqueue(const struct probe_env *env, struct probe_outcome *out)
{
	if (mount_over(env, "mqueue", MS_NODEV | MS_NOEXEC, NULL, out) == 0)
		return 0;
	/* A sandbox does without where the kernel is built without. */
	return err_is(&out->err, ENODEV) ? probe_detail(out, "this kernel has none, nothing misses it") : -1;
}

/* mount_setattr(2) and open_tree(2) have no wrapper before glibc 2.36, and two headers that define them clash. */
struct mount_attributes {
	uint64_t set, clear, propagation, userns_fd;
};

enum { TREE_CLONE = 1, TREE_RECURSIVE = 0x8000, MOVE_FROM_FD = 4, ATTR_READ_ONLY = 1 };

int probe_mount_setattr(const struct probe_env *env, struct probe_outcome *out)
{
	struct mount_attributes read_only = { .set = ATTR_READ_ONLY };

	if (mount_over(env, "tmpfs", MS_NODEV, NULL, out) < 0)
		return -1;
	if (syscall(SYS_mount_setattr, AT_FDCWD, ".", TREE_RECURSIVE, &read_only, sizeof read_only) < 0)
		return err_sys(&out->err, "mount_setattr", NULL);
	if (mkdir("directory", 0700) == 0)
		return err_msg(&out->err, EIO, "mount_setattr", NULL, "the mount is still writable");
	return 0;
}

int probe_move_mount(const struct probe_env *env, struct probe_outcome *out)
{
	if (mount_over(env, "tmpfs", MS_NODEV, NULL, out) < 0)
		return -1;
	if (mkdir("from", 0700) < 0 || mkdir("from/inner", 0700) < 0 || mkdir("to", 0700) < 0)
		return err_sys(&out->err, "make a directory in a tmpfs", NULL);
	cleanup_fd int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "from", TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC);
	if (tree < 0)
		return err_sys(&out->err, "open_tree", NULL);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, "to", MOVE_FROM_FD) < 0)
		return err_sys(&out->err, "move_mount", NULL);
	return access("to/inner", F_OK) < 0 ? err_sys(&out->err, "find a moved mount", NULL) : 0;
}

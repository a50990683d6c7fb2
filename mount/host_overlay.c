// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/host_overlay.c: see host_overlay.h.
 *
 * The child shares memory and descriptors with us and we stand still until it has gone (as after vfork(2)): what it
 * opens is open here, an error is written where we read it. In its user namespace our id is itself, so that the overlay
 * acts in our name: what is copied up is ours.
 */
#include "mount/host_overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "mount/handle.h"
#include "mount/overlay.h"

enum { STACK_SIZE = 128 << 10 };

struct order {
	/* What is to be made: descriptor of its root, -1 with @err. */
	int (*make)(const struct order *order);
	const struct host_path *lowers, *upper, *work;
	size_t count;
	const char *options; /* of a tmpfs */
	uint64_t attributes;
	struct azm_err *err;
	unsigned uid, gid;
	int root;
};

static int make_overlay(const struct order *o)
{
	return overlay_new(o->lowers, o->count, o->upper, o->work, o->attributes, o->err);
}

static int make_tmpfs(const struct order *o)
{
	int mnt = mnt_new("tmpfs", o->options, o->attributes);

	return mnt < 0 ? err_sys(o->err, "mount", "tmpfs") : mnt;
}

static int map_self(const struct order *order)
{
	char map[64];

	snprintf(map, sizeof map, "%u %u 1", order->uid, order->uid);
	if (write_path("/proc/self/uid_map", map) < 0 || write_path("/proc/self/setgroups", "deny") < 0)
		return err_sys(order->err, "map the user's id", NULL);
	snprintf(map, sizeof map, "%u %u 1", order->gid, order->gid);
	return write_path("/proc/self/gid_map", map) < 0 ? err_sys(order->err, "map the group's id", NULL) : 0;
}

static int child(void *context)
{
	struct order *order = context;

	if (map_self(order) < 0)
		return 1;
	int mnt = order->make(order);
	if (mnt < 0)
		return 1;
	order->root = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (order->root < 0)
		err_sys(order->err, "open", "a new file system");
	close(mnt);
	return order->root < 0;
}

static int carry_out(struct order order, struct azm_err *err)
{
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD;
	cleanup_free char *stack = xcalloc(1, STACK_SIZE);

	order.err = err;
	order.uid = geteuid();
	order.gid = getegid();
	order.root = -1;
	err_clear(err);
	pid_t pid = clone(child, stack + STACK_SIZE, flags, &order);
	if (pid < 0) {
		err_sys(err, "make a user namespace", NULL);
		return err_hint(err, "azm-sandbox doctor says what this host lacks");
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (order.root < 0 && !err->code)
		return err_msg(err, ECHILD, "mount", "a file system", "the child was killed");
	return order.root;
}

int host_overlay(const struct host_path *lowers, size_t count, const struct host_path *upper,
	const struct host_path *work, uint64_t attributes, struct azm_err *err)
{
	const struct order order = { .make = make_overlay,
		.lowers = lowers,
		.count = count,
		.upper = upper,
		.work = work,
		.attributes = attributes };

	return carry_out(order, err);
}

int host_tmpfs(const char *options, uint64_t attributes, struct azm_err *err)
{
	return carry_out((struct order){ .make = make_tmpfs, .options = options, .attributes = attributes }, err);
}

/* ---- a trial --------------------------------------------------------------------------------------------------- */

static int trial_path(int dir, const char *name, struct host_path *path, struct azm_err *err)
{
	cleanup_free char *full = xasprintf("/proc/self/fd/%d/%s", dir, name);

	return host_path_open(full, path, err);
}

/* Some file systems accept the mount and fail later. */
static int try_changes(int root)
{
	cleanup_fd int fd = openat(root, "lower/file", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "x", 1) != 1 || mkdirat(root, "new", 0700) < 0 ||
			       unlinkat(root, "lower/hidden", 0) < 0 ||
			       unlinkat(root, "lower/directory", AT_REMOVEDIR) < 0 ||
			       mkdirat(root, "lower/directory", 0700) < 0 ||
			       faccessat(root, "lower/hidden", F_OK, 0) == 0
		       ? -1
		       : 0;
}

static int try_overlay(int dir, struct azm_err *err)
{
	struct host_path paths[3] = { { 0 } };
	static const char *const names[] = { "below", "upper", "work" };
	int result = 0;

	for (size_t i = 0; result == 0 && i < 3; i++)
		result = trial_path(dir, names[i], &paths[i], err);
	cleanup_fd int root = result < 0 ? -1 : host_overlay(&paths[0], 1, &paths[1], &paths[2], 0, err);
	for (size_t i = 0; i < 3; i++)
		host_path_free(&paths[i]);
	if (root < 0)
		return -1;
	return try_changes(root) < 0 ? err_sys(err, "change", "an overlay") : 0;
}

static int make_trial(int dir)
{
	static const char *const directories[] = { "below", "below/lower", "below/lower/directory", "upper", "work" };
	static const char *const files[] = { "below/lower/file", "below/lower/hidden" };

	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		if (mkdirat(dir, directories[i], 0700) < 0)
			return -1;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		cleanup_fd int fd = openat(dir, files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			return -1;
	}
	return 0;
}

/* What trials left that were killed. */
static void remove_old_trials(int dir)
{
	struct azm_err ignored = { 0 };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *list = fd < 0 ? NULL : fdopendir(fd);
	int pid;

	for (const struct dirent *entry; list && (entry = dir_next(list));)
		if (sscanf(entry->d_name, ".trial-%d", &pid) == 1 && pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
			tree_remove_at(dir, entry->d_name, &ignored);
}

int overlay_trial(int dir, struct azm_err *err)
{
	struct azm_err why = { 0 }, ignored = { 0 };
	char name[32];

	remove_old_trials(dir);
	snprintf(name, sizeof name, ".trial-%d", (int)getpid());
	if (mkdirat(dir, name, 0700) < 0)
		return err_sys(err, "write to", "the directory");
	int result = -1;
	{
		cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || make_trial(fd) < 0)
			err_sys(err, "write to", "the directory");
		else if ((result = try_overlay(fd, &why)) < 0)
			err_msg(err, EOPNOTSUPP, "try an overlay on", "the directory", "%s%s",
				why.reason[0] ? why.reason : strerror(why.code),
				why.code == EPERM ? " (users may mount one since Linux 5.11)" : "");
	}
	tree_remove_at(dir, name, &ignored);
	return result;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_layer.c: where the writable layer of a sandbox can lie; see probes.h.
 *
 * For each candidate a small tree is made next to where the layers would be, an overlay of it is mounted in namespaces
 * of its own, used, and everything removed. A mount that succeeds proves little: network file systems let an upper
 * layer be mounted and then refuse the first change.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/tree.h"
#include "doctor/probes.h"

/* The candidate itself, or its nearest parent that exists: doctor leaves no state directory behind. */
static char *existing_part(const char *path)
{
	char *part = xstrdup(path), *slash;

	while (access(part, F_OK) < 0 && errno == ENOENT && (slash = strrchr(part, '/')) != NULL)
		slash[slash == part] = '\0';
	return part;
}

static int make_file(const char *path)
{
	cleanup_fd int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	return fd < 0 ? -1 : 0;
}

static int make_tree(struct azm_err *err)
{
	if (mkdir("lower", 0700) < 0 || mkdir("upper", 0700) < 0 || mkdir("work", 0700) < 0 ||
		mkdir("merged", 0700) < 0 || mkdir("lower/directory", 0700) < 0 || make_file("lower/file") < 0 ||
		make_file("lower/directory/file") < 0)
		return err_sys(err, "make files for the layer", NULL);
	return 0;
}

static int mount_overlay(struct azm_err *err)
{
	/* Relative names: the options of overlay have no way to spell every path. */
	static const char options[] = "lowerdir=lower,upperdir=upper,workdir=work,userxattr";

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_sys(err, "make / rslave", NULL);
	if (mount("overlay", "merged", "overlay", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(err, "mount overlay", NULL);
	return chdir("merged") < 0 ? err_sys(err, "enter the overlay", NULL) : 0;
}

static int use_overlay(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	if (mount_overlay(&out->err) < 0)
		return -1;
	if (make_file("new") < 0 || chmod("file", 0640) < 0)
		return err_sys(&out->err, "change a file in the overlay", NULL);
	if (access("../upper/file", F_OK) < 0)
		return err_sys(&out->err, "find the changed file in the upper layer", NULL);
	return 0;
}

/* Deleting leaves a whiteout (device 0:0, or an attribute); a directory made anew must not show the old content. */
static int delete_in_overlay(const struct probe_env *env, struct probe_outcome *out)
{
	struct stat info;

	(void)env;
	if (mount_overlay(&out->err) < 0)
		return -1;
	if (unlink("file") < 0 || unlink("directory/file") < 0 || rmdir("directory") < 0)
		return err_sys(&out->err, "delete in the overlay (whiteout)", NULL);
	if (mkdir("directory", 0700) < 0)
		return err_sys(&out->err, "make a deleted directory anew (opaque)", NULL);
	if (access("file", F_OK) == 0 || access("directory/file", F_OK) == 0)
		return err_msg(&out->err, EIO, "delete in the overlay", NULL, "what was deleted is still there");
	if (lstat("../upper/file", &info) == 0 && S_ISCHR(info.st_mode))
		return probe_detail(out, "as character device 0:0");
	return 0;
}

/* Removing the tree takes a few descriptors: better no answer than something left behind. */
static int check_descriptors(struct azm_err *err)
{
	enum { ENOUGH = 24 };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < ENOUGH)
		return err_msg(err, EMFILE, "make files for the layer", NULL, "no more than %d files may be open",
			(int)files.rlim_cur);
	return 0;
}

/* Make a tree below a candidate, run a probe in it, remove it. */
static int in_directory(
	const char *candidate, int namespaces, probe_fn *run, const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_free char *parent = existing_part(candidate);
	cleanup_free char *tree = xasprintf("%s/.azm-doctor-XXXXXX", parent);
	struct azm_err removal = { 0 };

	memset(out, 0, sizeof *out);
	if (check_descriptors(&out->err) < 0)
		return out->result = -1;
	if (!mkdtemp(tree)) {
		err_sys(&out->err, "make a directory in", parent);
		return out->result = -1;
	}
	cleanup_fd int parentfd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (chdir(tree) < 0)
		out->result = err_sys(&out->err, "enter", tree);
	else if (make_tree(&out->err) < 0)
		out->result = -1;
	else
		probe_call(namespaces, run, env, PROBE_INNER_DEADLINE_MS, out);
	if (parentfd >= 0)
		tree_remove_at(parentfd, strrchr(tree, '/') + 1, &removal);
	if (out->result == 0 && removal.code) {
		out->err = removal;
		out->result = -1;
	}
	return out->result;
}

/* The first candidate where it works. Return: its index, or -1 with @out being the last failure. */
static int first_working(int namespaces, probe_fn *run, const struct probe_env *env, struct probe_outcome *out)
{
	for (size_t i = 0; i < env->layers.count; i++)
		if (in_directory(env->layers.items[i], namespaces, run, env, out) == 0)
			return (int)i;
	return -1;
}

int probe_overlay(const struct probe_env *env, struct probe_outcome *out)
{
	char type[32];
	int found = first_working(CLONE_NEWUSER | CLONE_NEWNS, use_overlay, env, out);

	if (found < 0)
		return -1;
	const char *path = env->layers.items[found];
	cleanup_free char *part = existing_part(path);
	return probe_detail(out, "%s (%s)", path, host_filesystem(part, type, sizeof type));
}

int probe_whiteout(const struct probe_env *env, struct probe_outcome *out)
{
	return first_working(CLONE_NEWUSER | CLONE_NEWNS, delete_in_overlay, env, out) < 0 ? -1 : 0;
}

int probe_layer_first(const struct probe_env *env, struct probe_outcome *out)
{
	char type[32];
	const char *path = env->layers.items[0];
	cleanup_free char *part = existing_part(path);

	host_filesystem(part, type, sizeof type);
	if (in_directory(path, CLONE_NEWUSER | CLONE_NEWNS, use_overlay, env, out) < 0)
		return err_wrap(&out->err, path, type);
	return probe_detail(out, "%s (%s)", path, type);
}

/* Nothing that can be executed, and the kernel says so (ENOEXEC) only after every check of the right to execute it. */
static int execute_file(const struct probe_env *env, struct probe_outcome *out)
{
	static const char nonsense[] = "\177AZM";
	char *const argv[] = { (char *)"file", NULL }, *const envp[] = { NULL };

	(void)env;
	cleanup_fd int fd = open("program", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0700);
	if (fd < 0 || write(fd, nonsense, sizeof nonsense) < 0)
		return err_sys(&out->err, "write a program", NULL);
	close(steal_fd(&fd));
	execve("program", argv, envp);
	return errno == ENOEXEC ? 0 : err_sys(&out->err, "execute a program", NULL);
}

int probe_layer_exec(const struct probe_env *env, struct probe_outcome *out)
{
	int found = first_working(0, execute_file, env, out);

	return found < 0 ? -1 : probe_detail(out, "%s", env->layers.items[found]);
}

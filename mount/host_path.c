// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/host_path.c: name a file of the host on one side of a clone(2) and find the very same one on the other.
 *
 * The supervisor may not hand descriptors of its mount namespace to azm-init: the mounts behind them belong to another
 * namespace and cannot be cloned in the sandbox's. So a path travels, with the identity of what it named; whoever
 * swaps the object in between gets a refusal.
 */
#include "mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "mount/resolve.h"

int host_path_open(const char *path, struct host_path *out, struct azm_err *err)
{
	struct stat st;

	*out = (struct host_path){ 0 };
	cleanup_free char *canonical = realpath(path, NULL);
	if (!canonical)
		return err_sys(err, "open", path);
	cleanup_fd int fd = resolve_no_links(canonical, O_PATH);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open", path);
	*out = (struct host_path){
		.path = steal_ptr(&canonical),
		.dev = st.st_dev,
		.ino = st.st_ino,
		.type = st.st_mode & S_IFMT,
	};
	return 0;
}

void host_path_free(struct host_path *path)
{
	free(path->path);
	path->path = NULL;
}

int mount_source_open(const struct host_path *source, struct azm_err *err)
{
	struct stat st;

	if (!source->path)
		return err_msg(err, EINVAL, "open", NULL, "the plan names no path");
	cleanup_fd int fd = resolve_no_links(source->path, O_PATH);
	if (fd < 0 && errno != ELOOP && errno != ENOTDIR)
		return err_sys(err, "open", source->path);
	if (fd >= 0 && fstat(fd, &st) < 0)
		return err_sys(err, "open", source->path);
	if (fd < 0 || st.st_dev != source->dev || st.st_ino != source->ino || (st.st_mode & S_IFMT) != source->type) {
		err_msg(err, ESTALE, "open", source->path, "it was replaced while the sandbox was starting");
		return err_hint(err, "start again when nothing renames or replaces this path");
	}
	return steal_fd(&fd);
}

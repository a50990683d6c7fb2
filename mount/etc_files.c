// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/etc_files.c: see etc_files.h.
 *
 * As Docker does, our text is bound over the image's file: the image and the upper layer keep theirs, and what the
 * sandbox writes to its /etc/hosts ends with it. The files lie in the kit, each sandbox's own.
 *
 * The last component of a target is not followed: a link there is covered itself. /etc/resolv.conf is often a link
 * into /run that dangles until some service runs; covering the link needs neither its target nor a writable root, and
 * no text of the image decides where our file appears. The directories before it are resolved inside the root.
 */
#include "mount/etc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/handle.h"

/* Open the directory of a target, making it when the image lacks it; *name is the last component. */
static int open_parent(int root, const char *target, const char **name)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(target, '/');
	size_t length = slash ? (size_t)(slash - target) : 0;

	*name = slash ? slash + 1 : target;
	if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || length + 1 >= sizeof directory) {
		errno = EINVAL;
		return -1;
	}
	memcpy(directory, target, length);
	memcpy(directory + length, "/", 2);
	return resolve_make(root, directory, true);
}

/* Open the target itself, made as an empty file when missing. */
static int open_target(int root, const char *path)
{
	const char *name;
	cleanup_fd int parent = open_parent(root, path, &name);

	if (parent < 0)
		return -1;
	int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mknodat(parent, name, S_IFREG | 0644, 0) < 0)
		return -1;
	return openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int write_text(int files, const char *name, const struct etc_file *file)
{
	cleanup_fd int fd = openat(files, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode & 0777);

	return fd < 0 ? -1 : write_full(fd, file->text, strlen(file->text));
}

static int place_one(const struct build *b, int files, size_t number, struct azm_err *err)
{
	const struct etc_file *file = &b->plan->files[number];
	char name[24];
	struct stat st;

	cleanup_fd int target = open_target(b->root, file->target);
	if (target < 0) {
		if (!file->required && (errno == EROFS || errno == EACCES || errno == EPERM))
			return 0;
		return err_sys(err, "make mount point", file->target);
	}
	if (fstat(target, &st) < 0)
		return err_sys(err, "mount", file->target);
	if (S_ISDIR(st.st_mode))
		return err_msg(err, EISDIR, "mount", file->target, "the image has a directory where a file belongs");
	snprintf(name, sizeof name, "%zu", number);
	if (write_text(files, name, file) < 0)
		return err_sys(err, "write", file->target);
	cleanup_fd int mnt = mnt_clone(files, name, 0, 0);
	if (mnt < 0 || mnt_move(mnt, target, "") < 0)
		return err_sys(err, "mount", file->target);
	return 0;
}

int etc_files_place(const struct build *b, struct azm_err *err)
{
	cleanup_fd int files = openat(b->kit, KIT_FILES, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (files < 0)
		return err_sys(err, "open", KIT_FILES);
	for (size_t i = 0; i < b->plan->file_count; i++)
		if (place_one(b, files, i, err) < 0)
			return -1;
	return 0;
}

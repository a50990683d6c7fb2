// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/scratch.c: see scratch.h */
#include "rootfs-tools/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

int scratch_file(int dirfd, struct azm_err *err)
{
	static const char name[] = ".scratch";
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) { /* a file system without O_TMPFILE */
		fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0)
			unlinkat(dirfd, name, 0);
	}
	return fd < 0 ? err_sys(err, "make a temporary file", NULL) : fd;
}

int scratch_directory(struct azm_err *err)
{
	const char *path = getenv("TMPDIR");

	path = path && *path ? path : "/var/tmp";
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open", path) : fd;
}

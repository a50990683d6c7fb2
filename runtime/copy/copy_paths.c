// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/copy_paths.c: see copy.h. Source: openat2(2). */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/str.h"
#include "copy/copy.h"

enum { ATTEMPTS = 128 };

/* One component at a time, none of which may be a link or "..". */
static int walk(int dir, const char *path, int flags)
{
	cleanup_free char *copy = xstrdup(path);
	cleanup_fd int here = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *rest = copy;

	if (path[0] == '/') {
		errno = EXDEV;
		return -1;
	}
	while (here >= 0) {
		char *name = strsep(&rest, "/");
		bool last = !rest;
		if (strcmp(name, "..") == 0) {
			errno = EXDEV;
			return -1;
		}
		int next = openat(
			here, *name ? name : ".", (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
		if (last)
			return next;
		close(here);
		here = next;
	}
	return -1;
}

int copy_open(int dir, const char *path, int flags, enum copy_how how)
{
	struct open_how request = { .flags = (unsigned)(flags | O_CLOEXEC),
		.resolve = how == COPY_STRICT ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
					      : RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

	if (how == COPY_FREE)
		return openat(dir, path, flags | O_CLOEXEC);
	int fd = -1;
	/* EAGAIN: something was renamed while ".." was resolved, which a sandbox can do without end. */
	for (int attempt = 0; attempt == 0 || (fd < 0 && errno == EAGAIN && attempt < ATTEMPTS); attempt++)
		fd = (int)syscall(SYS_openat2, dir, path, &request, sizeof request);
	/* EPERM: some filters answer so for what they do not know */
	return fd < 0 && (errno == ENOSYS || errno == EPERM) ? walk(dir, path, flags) : fd;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_unix.c: published ports as UNIX sockets: made, and removed when nobody serves them any more.
 *
 * sun_path has room for 107 bytes, a path for 4095: a longer one is reached through a descriptor of its directory
 * (/proc/self/fd/N/NAME), so that only its last part must be short.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/publish_internal.h"

enum { BACKLOG = 4096 };

/* @dir is set to a descriptor that must stay open while the address is used; -1 when it is not needed. */
static int unix_address(const char *path, struct sockaddr_un *address, int *dir, struct azm_err *err)
{
	const char *slash = strrchr(path, '/');

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*dir = -1;
	if (strlen(path) < sizeof address->sun_path) {
		memcpy(address->sun_path, path, strlen(path));
		return 0;
	}
	cleanup_free char *parent = xasprintf("%.*s", slash ? (int)(slash - path) : 0, path);
	cleanup_fd int fd = open(!slash ? "." : *parent ? parent : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "publish to", path);
	int need = snprintf(
		address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd, slash ? slash + 1 : path);
	if (need >= (int)sizeof address->sun_path)
		return err_msg(err, ENAMETOOLONG, "publish to", path, "the name of the socket itself is too long");
	*dir = steal_fd(&fd);
	return 0;
}

/* Whether a process accepts connections there: 0 or 1, -1 with @err. */
static int is_served(const struct sockaddr_un *address, const char *path, struct azm_err *err)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_sys(err, "make a socket for", path);
	if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN)
		return 1;
	return errno == ECONNREFUSED ? 0 : err_sys(err, "publish to", path);
}

int publish_remove_socket(const char *path, dev_t device, ino_t inode, struct azm_err *err)
{
	struct stat existing;
	struct sockaddr_un address;
	cleanup_fd int dir = -1;

	if (lstat(path, &existing) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, "look at", path);
	if (!S_ISSOCK(existing.st_mode))
		return err_msg(err, EEXIST, "publish to", path, "exists and is not a socket");
	if (existing.st_uid != geteuid())
		return err_msg(err, EEXIST, "publish to", path, "a socket of another user is there");
	if (inode && (existing.st_ino != inode || existing.st_dev != device))
		return err_msg(err, EEXIST, "publish to", path, "another socket is there");
	if (unix_address(path, &address, &dir, err) < 0)
		return -1;
	int served = is_served(&address, path, err);
	if (served < 0)
		return -1;
	if (served)
		return err_msg(err, EADDRINUSE, "publish to", path, "a process is listening there");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "remove the dead socket", path);
	return 0;
}

int unix_listen(const char *path, struct azm_err *err)
{
	struct sockaddr_un address;
	struct stat created;
	cleanup_fd int dir = -1;

	if (publish_remove_socket(path, 0, 0, err) < 0 || unix_address(path, &address, &dir, err) < 0)
		return -1;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of the unbound socket becomes the file's (unix(7)): it is never open to others, not even briefly. */
	if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return err_sys(err, "publish to", path);
	if (lstat(path, &created) < 0 || listen(fd, BACKLOG) < 0) {
		err_sys(err, "publish to", path);
	} else if ((created.st_mode & 0777) != 0600 || created.st_uid != geteuid()) {
		err_msg(err, EPERM, "publish to", path,
			"this filesystem does not keep a socket's mode 0600: choose another directory");
	} else {
		return steal_fd(&fd);
	}
	(void)unlink(path);
	return -1;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/own_dir.c: see own_dir.h. */
#include "base/own_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

size_t own_dir_candidates(const char *name, const char *variable, bool temporary, char *candidates[OWN_DIR_CANDIDATES])
{
	const char *forced = getenv(variable);
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	const char *tmp = temporary ? getenv("TMPDIR") : NULL;
	size_t count = 0;

	if (forced && *forced) {
		candidates[count] = xstrdup(forced);
		/* O_NOFOLLOW would follow "link/". */
		for (size_t end = strlen(forced); end > 1 && forced[end - 1] == '/'; end--)
			candidates[count][end - 1] = '\0';
		return count + 1;
	}
	if (data && data[0] == '/')
		candidates[count++] = xasprintf("%s/%s", data, name);
	else if (home && home[0] == '/')
		candidates[count++] = xasprintf("%s/.local/share/%s", home, name);
	if (tmp && tmp[0] == '/')
		candidates[count++] = xasprintf("%s/%s", tmp, name);
	candidates[count++] = xasprintf("/var/tmp/%s-%u", name, geteuid());
	return count;
}

/* Others must not be able to replace a directory on the way to ours: @way itself or one above it; "" is the root. */
static int check_way(char *way, const char *path, const char *variable, struct azm_err *err)
{
	for (;;) {
		struct stat st;
		const char *step = *way ? way : "/";
		if (stat(step, &st) < 0) {
			if (errno != ENOENT) /* else ours to be made */
				return err_sys(err, "use directory", step);
		} else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
			err_msg(err, EPERM, "use directory", path, "%s is writable for everybody", step);
			return err_hint(err, "set %s to a directory of your own", variable);
		}
		char *slash = strrchr(way, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

/* The way as it is written, and as it is behind symbolic links. */
static int check_parents(const char *path, const char *variable, struct azm_err *err)
{
	cleanup_free char *parent = xstrdup(path);
	cleanup_free char *real = NULL;

	*strrchr(parent, '/') = '\0';
	while (*parent && !(real = realpath(parent, NULL))) {
		if (errno != ENOENT)
			return err_sys(err, "use directory", parent);
		*strrchr(parent, '/') = '\0';
	}
	if (real && check_way(real, path, variable, err) < 0)
		return -1;
	return check_way(parent, path, variable, err);
}

static int check_directory(int fd, const char *path, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "use directory", path);
	if (st.st_uid != geteuid())
		return err_msg(err, EPERM, "use directory", path, "it belongs to uid %u, not to you (uid %u)",
			st.st_uid, geteuid());
	if ((st.st_mode & 0777) != 0700) {
		err_msg(err, EPERM, "use directory", path, "its mode is %03o, not 700", st.st_mode & 0777u);
		return err_hint(err, "chmod 700 %s, after checking who else may have put files there", path);
	}
	return 0;
}

static int make_parents(const char *path)
{
	cleanup_free char *copy = xstrdup(path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

int own_dir_open(const char *path, const char *variable, struct azm_err *err)
{
	if (check_parents(path, variable, err) < 0)
		return -1;
	if (mkdir(path, 0700) < 0 && errno == ENOENT) {
		/* EEXIST: another first run of the user was faster */
		if (make_parents(path) < 0 || (mkdir(path, 0700) < 0 && errno != EEXIST))
			return err_sys(err, "make directory", path);
	}
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_msg(err, errno, "use directory", path, "it is a symbolic link or not a directory");
	if (fd < 0)
		return err_sys(err, "use directory", path);
	return check_directory(fd, path, err) < 0 ? -1 : steal_fd(&fd);
}

int own_dir_below(int parent, const char *name, struct azm_err *err)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make directory", name);
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "use directory", name);
	return check_directory(fd, name, err) < 0 ? -1 : steal_fd(&fd);
}

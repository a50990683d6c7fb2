// SPDX-License-Identifier: GPL-2.0-or-later
/* state_dirs.c: choosing and checking the directories of state.h. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"

/* Others must not be able to replace a directory on the way to ours: @way itself or one above it; "" is the root. */
static int check_way(char *way, const char *path, struct azm_err *err)
{
	for (;;) {
		struct stat st;
		const char *step = *way ? way : "/";
		if (stat(step, &st) < 0) {
			if (errno != ENOENT) /* else ours to be made */
				return err_sys(err, "use directory", step);
		} else if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX)) {
			err_msg(err, EPERM, "use directory", path, "%s is writable for everybody", step);
			return err_hint(err, "set AZM_STATE_DIR to a directory of your own");
		}
		char *slash = strrchr(way, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

/* The way as it is written, and as it is behind symbolic links. */
static int check_parents(const char *path, struct azm_err *err)
{
	cleanup_free char *parent = xstrdup(path);
	cleanup_free char *real = NULL;

	*strrchr(parent, '/') = '\0';
	while (*parent && !(real = realpath(parent, NULL))) {
		if (errno != ENOENT)
			return err_sys(err, "use directory", parent);
		*strrchr(parent, '/') = '\0';
	}
	if (real && check_way(real, path, err) < 0)
		return -1;
	return check_way(parent, path, err);
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

/* Open a directory of ours, making it and (below the caller's own) its parents. Return: descriptor, -1. */
static int own_directory(const char *path, struct azm_err *err)
{
	if (check_parents(path, err) < 0)
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

static int own_subdirectory(int parent, const char *name, struct azm_err *err)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make directory", name);
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "use directory", name);
	return check_directory(fd, name, err) < 0 ? -1 : steal_fd(&fd);
}

/* Sockets of an earlier boot are dead: a new boot gets a new directory. */
static int open_live(struct state *state, struct azm_err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	cleanup_free char *base = NULL;
	cleanup_free char *boot = read_path("/proc/sys/kernel/random/boot_id", 64, NULL);

	if (runtime && runtime[0] == '/' && access(runtime, W_OK | X_OK) == 0)
		base = xasprintf("%s/azm-sandbox", runtime);
	else
		base = xasprintf("/tmp/azm-sandbox-%u", geteuid());
	cleanup_fd int dir = own_directory(base, err);
	if (dir < 0) /* /tmp is everybody's: the name may be squatted */
		return err->hint[0] ? -1 : err_hint(err, "set XDG_RUNTIME_DIR to a directory of your own (mode 700)");
	state->live_path = xasprintf("%s/%.8s", base, boot ? boot : "boot");
	state->live = own_subdirectory(dir, strrchr(state->live_path, '/') + 1, err);
	return state->live;
}

static int overlay_trial(const char *path)
{
	char map[64];
	char options[64];
	unsigned uid = geteuid();
	unsigned gid = getegid();

	if (chdir(path) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	write_path("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", uid);
	if (write_path("/proc/self/uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof map, "0 %u 1", gid);
	if (write_path("/proc/self/gid_map", map) < 0)
		return -1;
	snprintf(options, sizeof options, "userxattr,lowerdir=lower,upperdir=upper,workdir=work");
	if (mount("overlay", "merged", "overlay", 0, options) < 0)
		return -1;
	/* Some file systems accept the mount and fail the first copy-up. */
	cleanup_fd int fd = open("merged/lower/file", O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "x", 1) != 1 || mkdir("merged/new", 0700) < 0 || rmdir("merged/lower2") < 0 ? -1 : 0;
}

/* A place to try an overlay in: a lower tree with a file and a directory, and the other three. Return: descriptor, -1
 * with errno */
static int make_trial(int dir, const char *name)
{
	static const char *const directories[] = { "lower", "lower/lower", "lower/lower2", "upper", "work", "merged" };

	if (mkdirat(dir, name, 0700) < 0)
		return -1;
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < sizeof directories / sizeof *directories; i++)
		if (mkdirat(fd, directories[i], 0700) < 0)
			return -1;
	cleanup_fd int file = fd < 0 ? -1 : openat(fd, "lower/lower/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return file < 0 ? -1 : steal_fd(&fd);
}

static int cannot_overlay(const char *path, struct azm_err *err)
{
	err_msg(err, EOPNOTSUPP, "use directory", path, "an overlay file system cannot be mounted there");
	return err_hint(err, "set AZM_STATE_DIR to a directory on a local disk (NFS and Lustre carry no upper layer), "
			     "or see `azm-sandbox doctor`");
}

/* Whether a real overlay works on this directory; a marker file keeps a good answer. */
static int check_overlay(int dir, const char *path, struct azm_err *err)
{
	struct azm_err ignored = { 0 };
	char inside[64];
	int status = -1;

	if (faccessat(dir, ".overlay-works", F_OK, 0) == 0)
		return 0;
	cleanup_free char *trial = xasprintf(".trial-%d", (int)getpid());
	cleanup_fd int fd = make_trial(dir, trial);
	if (fd < 0) {
		err_sys(err, "write to", path);
		tree_remove_at(dir, trial, &ignored);
		return -1;
	}
	snprintf(inside, sizeof inside, "/proc/self/fd/%d", fd);
	pid_t child = fork();
	if (child == 0)
		_exit(overlay_trial(inside) < 0 ? 1 : 0);
	if (child > 0)
		waitpid(child, &status, 0);
	tree_remove_at(dir, trial, &ignored);
	if (status != 0)
		return cannot_overlay(path, err);
	return write_file_at(dir, ".overlay-works", "", 0, 0600) < 0 ? err_sys(err, "write to", path) : 0;
}

/* The candidates of cli.md, in order; NULL where a variable is not set. */
static size_t state_candidates(char *candidates[4])
{
	const char *forced = getenv("AZM_STATE_DIR");
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	const char *tmp = getenv("TMPDIR");
	size_t count = 0;

	if (forced && *forced) {
		candidates[count] = xstrdup(forced);
		/* O_NOFOLLOW would follow "link/". */
		for (size_t end = strlen(forced); end > 1 && forced[end - 1] == '/'; end--)
			candidates[count][end - 1] = '\0';
		return count + 1;
	}
	if (data && data[0] == '/')
		candidates[count++] = xasprintf("%s/azm-sandbox", data);
	else if (home && home[0] == '/')
		candidates[count++] = xasprintf("%s/.local/share/azm-sandbox", home);
	if (tmp && tmp[0] == '/')
		candidates[count++] = xasprintf("%s/azm-sandbox", tmp);
	candidates[count++] = xasprintf("/var/tmp/azm-sandbox-%u", geteuid());
	return count;
}

static int use_candidate(struct state *state, const char *path, bool probe, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int dir = path[0] == '/'
				     ? own_directory(path, err)
				     : err_msg(err, EINVAL, "use directory", path, "it must be an absolute path");

	if (dir < 0)
		return -1;
	if (probe && check_overlay(dir, path, err) < 0)
		return -1;
	state->sandboxes = own_subdirectory(dir, "sandboxes", err);
	if (state->sandboxes < 0)
		return -1;
	if (fstat(state->sandboxes, &st) < 0)
		return err_sys(err, "use directory", path);
	state->key = st.st_ino;
	state->path = xstrdup(path);
	state->dir = steal_fd(&dir);
	return 0;
}

static void say_choice(const struct state *state, const char *first, const struct azm_err *why)
{
	if (faccessat(state->dir, ".choice-said", F_OK, 0) == 0)
		return;
	fprintf(stderr, "azm-sandbox: note: %s cannot be used (%s); sandboxes are kept in %s\n", first,
		why->reason[0] ? why->reason : strerror(why->code), state->path);
	write_file_at(state->dir, ".choice-said", "", 0, 0600);
}

static int open_store(struct state *state, struct azm_err *err)
{
	char *candidates[4];
	size_t count = state_candidates(candidates);
	struct azm_err first = { 0 };
	int result = -1;

	for (size_t i = 0; i < count; i++) {
		result = use_candidate(state, candidates[i], true, err);
		if (result == 0) {
			if (i > 0)
				say_choice(state, candidates[0], &first);
			break;
		}
		if (i == 0)
			first = *err;
	}
	/* Nowhere an overlay: the first one will do for --rootfs-mode direct and read-only; overlay runs say why they
	 * fail. */
	if (result < 0 && first.code == EOPNOTSUPP)
		result = use_candidate(state, candidates[0], false, err);
	if (result < 0 && count == 1)
		*err = first;
	for (size_t i = 0; i < count; i++)
		free(candidates[i]);
	return result;
}

int state_open(struct state *state, struct azm_err *err)
{
	*state = (struct state){ .live = -1, .dir = -1, .sandboxes = -1 };
	if (open_live(state, err) < 0 || open_store(state, err) < 0) {
		state_close(state);
		return -1;
	}
	return 0;
}

void state_close(struct state *state)
{
	int *fds[] = { &state->live, &state->dir, &state->sandboxes };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(state->live_path);
	free(state->path);
	state->live_path = state->path = NULL;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/mmdebstrap.c: see mmdebstrap.h
 *
 * Theory of operation
 *
 * mmdebstrap runs in its root mode, in a box (see box.h). What its root mode does and one id cannot, is done here or
 * skipped: /dev of the new root is a tmpfs with the host's harmless devices bound into it (device nodes cannot be
 * made, its own devpts mount names a second id); apt's archive and list directories are binds of the cache, so nothing
 * it downloads can be lost, and nothing of it must be cleaned. All of these mounts vanish with the box.
 *
 * It gets a terminal, because only there it shows percentages; see transcript.h for reading them.
 */
#include "rootfs-tools/mmdebstrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rootfs-tools/box.h"
#include "rootfs-tools/transcript.h"

enum { TICK_MS = 200 };

struct follower {
	const struct mmdebstrap *job;
	bool old; /* see is_old() */
	struct transcript transcript;
	FILE *dpkg_log;		  /* of the new root, once it exists */
	uint64_t archives_before; /* bytes */
};

/* ---- what the host has ---------------------------------------------------------------------------------------- */

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	cleanup_str_list struct str_list directories = { 0 };

	str_list_split(&directories, path ? path : "", ':');
	for (size_t i = 0; i < directories.count; i++) {
		cleanup_free char *file = xasprintf("%s/%s", directories.items[i], program);
		if (directories.items[i][0] && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

int mmdebstrap_present(struct azm_err *err)
{
	static const char *const needed[] = { "mmdebstrap", "apt-get", "dpkg", "mount", "unshare", NULL };

	for (const char *const *program = needed; *program; program++) {
		if (in_path(*program))
			continue;
		err_msg(err, ENOENT, "find", *program, "not installed, or not in PATH");
		return err_hint(err,
			"Debian and Ubuntu: apt-get install mmdebstrap; Fedora: dnf install mmdebstrap dpkg apt; "
			"Arch: pacman -S mmdebstrap; or unpack an image that was made elsewhere");
	}
	return 0;
}

/*
 * Before 0.8 (Debian 11) it needs a solver of its own where the cache holds anything, and its root mode is for the
 * host's root alone: it mounts a sysfs, which is for the owner of the network only. So it gets an empty cache, which is
 * not kept, and is told to mount nothing: /proc and /sys come by a hook, once base-files has been unpacked.
 */
static bool is_old(void)
{
	FILE *version = popen("mmdebstrap --version 2>/dev/null", "re");
	unsigned major = 1, minor = 0;

	if (!version)
		return false;
	bool known = fscanf(version, "mmdebstrap %u.%u", &major, &minor) == 2;
	pclose(version);
	return known && major == 0 && minor < 8;
}

char *mmdebstrap_host_settings(void)
{
	static const char *const wanted[] = {
		"Acquire::http::",
		"Acquire::https::",
		"Acquire::ForceIPv4 ",
		"Acquire::ForceIPv6 ",
		"Acquire::Retries ",
		"Acquire::Check-Valid-Until ",
		"Acquire::Check-Date ",
	};
	cleanup_free char *text = xstrdup("");
	cleanup_free char *line = NULL;
	size_t room = 0;
	FILE *dump = popen("apt-config dump 2>/dev/null", "re");

	while (dump && getline(&line, &room, dump) > 0)
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
			if (str_starts(line, wanted[i])) {
				cleanup_free char *before = text;
				text = xasprintf("%s%s", before, line);
			}
	if (dump)
		pclose(dump);
	return steal_ptr(&text);
}

/* ---- mounts, made inside the box ------------------------------------------------------------------------------ */

static int bind_file(const char *directory, const char *name, struct azm_err *err)
{
	cleanup_free char *source = xasprintf("/dev/%s", name);
	cleanup_free char *target = xasprintf("%s/%s", directory, name);
	cleanup_fd int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_sys(err, "make", target);
	if (mount(source, target, NULL, MS_BIND, NULL) < 0)
		return err_sys(err, "bind", source);
	return 0;
}

static int mount_new(
	const char *type, const char *directory, const char *name, const char *options, struct azm_err *err)
{
	cleanup_free char *target = xasprintf("%s/%s", directory, name);

	if (mkdir(target, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make", target);
	if (mount(type, target, type, MS_NOSUID | MS_NOEXEC, options) < 0)
		return err_sys(err, "mount", target);
	return 0;
}

static int mount_dev(const char *root, struct azm_err *err)
{
	static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty", NULL };
	cleanup_free char *dev = xasprintf("%s/dev", root);
	cleanup_free char *ptmx = xasprintf("%s/ptmx", dev);

	if (mount_new("tmpfs", root, "dev", "mode=0755,size=1m", err) < 0)
		return -1;
	for (const char *const *name = devices; *name; name++)
		if (bind_file(dev, *name, err) < 0)
			return -1;
	if (mount_new("devpts", dev, "pts", "newinstance,mode=0620,ptmxmode=0666", err) < 0 ||
		mount_new("tmpfs", dev, "shm", "mode=1777,size=64m", err) < 0)
		return -1;
	return symlink("pts/ptmx", ptmx) < 0 ? err_sys(err, "make", ptmx) : 0;
}

static int bind_cache(const char *source, const char *root, const char *inside, struct azm_err *err)
{
	cleanup_free char *target = xasprintf("%s%s", root, inside);

	return mount(source, target, NULL, MS_BIND, NULL) < 0 ? err_sys(err, "bind", target) : 0;
}

static int make_mounts(void *context, struct azm_err *err)
{
	const struct follower *follower = context;
	const struct mmdebstrap *job = follower->job;

	if (mount_dev(job->root, err) < 0 || bind_cache(job->lists, job->root, "/var/lib/apt/lists", err) < 0)
		return -1;
	return follower->old ? mount_new("tmpfs", job->root, "var/cache/apt/archives", "mode=0755", err)
			     : bind_cache(job->archives, job->root, "/var/cache/apt/archives", err);
}

/* ---- the command line ----------------------------------------------------------------------------------------- */

static void make_argv(const struct mmdebstrap *job, bool old, struct str_list *argv)
{
	static const char *const fixed[] = {
		"mmdebstrap",
		"--mode=root",
		"--format=directory",
		"--variant=minbase",
		/* The directory holds what debian_prepare() wrote. */
		"--skip=check/empty",
		/* Mounted by make_mounts(). */
		"--skip=chroot/mount/dev",
		/* Archives and lists are the cache, which must survive. */
		"--skip=cleanup/apt",
		NULL,
	};

	for (const char *const *arg = fixed; *arg; arg++)
		str_list_add(argv, *arg);
	if (old) {
		str_list_add(argv, "--skip=check/canmount");
		str_list_add(argv, "--extract-hook=mount -t proc proc \"$1/proc\" && mount --rbind /sys \"$1/sys\"");
	} else {
		str_list_add(argv, "--skip=essential/unlink");
	}
	str_list_addf(argv, "--include=%s", job->packages);
	for (const char *const *hook = job->hooks; *hook; hook++)
		str_list_addf(argv, "--customize-hook=%s", *hook);
	str_list_add(argv, job->suite);
	str_list_add(argv, job->root);
	for (size_t i = 0; i < job->sources->count; i++)
		str_list_add(argv, job->sources->items[i]);
}

/* Package scripts see nothing of the caller's environment but what leads to the network. What the installer leaves in
 * its TMPDIR when it is killed goes with the box; it unsets the variable for what it runs inside the root. */
static void make_env(const struct mmdebstrap *job, struct str_list *env)
{
	static const char *const passed[] = { "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH", NULL };
	const char *path = getenv("PATH");

	for (const char *const *name = passed; *name; name++)
		if (getenv(*name))
			str_list_addf(env, "%s=%s", *name, getenv(*name));
	/* chroot, useradd and dpkg's helpers live in the sbin directories, which users often lack. */
	str_list_addf(env, "PATH=%s:/usr/local/sbin:/usr/sbin:/sbin", path ? path : "/usr/local/bin:/usr/bin:/bin");
	str_list_addf(env, "TMPDIR=%s/dev/shm", job->root);
	str_list_add(env, "HOME=/root");
	str_list_add(env, "LC_ALL=C.UTF-8");
	str_list_add(env, "TERM=xterm");
	str_list_add(env, "NO_COLOR=1");
	str_list_add(env, "ANSI_COLORS_DISABLED=1");
	str_list_add(env, "DEBIAN_FRONTEND=noninteractive");
	str_list_add(env, "DEBCONF_NONINTERACTIVE_SEEN=true");
}

/* ---- following it --------------------------------------------------------------------------------------------- */

static uint64_t directory_bytes(const char *path)
{
	cleanup_dir DIR *dir = opendir(path);
	struct stat st;
	uint64_t bytes = 0;

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	return bytes;
}

static uint64_t archive_bytes(const char *archives)
{
	cleanup_free char *partial = xasprintf("%s/partial", archives);

	return directory_bytes(archives) + directory_bytes(partial);
}

static void count_downloads(struct follower *follower)
{
	uint64_t now = archive_bytes(follower->job->archives);

	if (now > follower->archives_before)
		follower->job->progress->bytes = now - follower->archives_before;
}

/* "2024-01-01 12:00:00 configure NAME:ARCH VERSION <none>": one line a package that gets ready. */
static void count_packages(struct follower *follower)
{
	struct progress *progress = follower->job->progress;
	char line[512], name[sizeof progress->detail];

	if (!follower->dpkg_log) {
		cleanup_free char *path = xasprintf("%s/var/log/dpkg.log", follower->job->root);
		follower->dpkg_log = fopen(path, "re");
	}
	if (!follower->dpkg_log)
		return;
	clearerr(follower->dpkg_log);
	while (fgets(line, sizeof line, follower->dpkg_log))
		if (sscanf(line, "%*s %*s configure %63[^: ]", name) == 1) {
			progress->packages++;
			memcpy(progress->detail, name, sizeof name);
		}
}

static void tick(struct follower *follower)
{
	const char *phase = follower->job->progress->phase;

	if (phase && str_starts(phase, "download"))
		count_downloads(follower);
	else
		count_packages(follower);
	progress_draw(follower->job->progress);
}

static void read_terminal(struct follower *follower, int terminal)
{
	char buffer[4096];
	ssize_t n;

	while ((n = read(terminal, buffer, sizeof buffer)) > 0)
		transcript_feed(&follower->transcript, buffer, (size_t)n);
}

/* Follows the box until it ends or a signal asks us to stop. Return: its wait status, or -n for signal n */
static int follow(struct follower *follower, int terminal, pid_t pid)
{
	int signals = follower->job->signals;
	struct pollfd polled[] = { { .fd = signals, .events = POLLIN }, { .fd = terminal, .events = POLLIN } };
	int status;

	for (;;) {
		/* When everything inside has closed the terminal, only the signals are left to wait for. */
		if (poll(polled, 2, TICK_MS) > 0 && (polled[1].revents & (POLLHUP | POLLIN)) == POLLHUP)
			polled[1].fd = -1;
		read_terminal(follower, terminal);
		tick(follower);
		if (waitpid(pid, &status, WNOHANG) == pid) {
			read_terminal(follower, terminal);
			return status;
		}
		struct signalfd_siginfo info;
		while (read(signals, &info, sizeof info) == sizeof info)
			if (info.ssi_signo != SIGCHLD)
				return -(int)info.ssi_signo;
	}
}

static int interrupted(struct follower *follower, int sig, pid_t pid, struct azm_err *err)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	progress_end(follower->job->progress);
	err_msg(err, EINTR, "install Debian", follower->job->suite, "interrupted by signal %d", sig);
	err_hint(err, "run it again: what was downloaded is kept");
	err->exit_status = 128 + sig;
	return -1;
}

static int conclude(struct follower *follower, int status, struct azm_err *err)
{
	count_downloads(follower);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	progress_end(follower->job->progress);
	transcript_explain(&follower->transcript, follower->job->suite, err);
	if (!err->hint[0])
		err_hint(err, "everything the installer said is in %s", follower->job->log);
	return -1;
}

/* A terminal that changes nothing of what is written to it; wide enough for mmdebstrap's percentage. */
static int open_terminal(int *master, int *slave, struct azm_err *err)
{
	struct winsize size = { .ws_row = 25, .ws_col = 100 };
	struct termios raw;

	if (openpty(master, slave, NULL, NULL, &size) < 0) {
		err_sys(err, "open a terminal", "/dev/ptmx");
		return err_hint(err, "is devpts mounted at /dev/pts, with ptmxmode=666?");
	}
	fcntl(*master, F_SETFD, FD_CLOEXEC);
	fcntl(*slave, F_SETFD, FD_CLOEXEC);
	fcntl(*master, F_SETFL, O_NONBLOCK);
	if (tcgetattr(*slave, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(*slave, TCSANOW, &raw);
	}
	return 0;
}

static int run_followed(struct follower *follower, struct azm_err *err)
{
	cleanup_str_list struct str_list argv = { 0 }, env = { 0 };
	int master, slave;
	pid_t pid;

	make_argv(follower->job, follower->old, &argv);
	make_env(follower->job, &env);
	if (open_terminal(&master, &slave, err) < 0)
		return -1;
	cleanup_fd int terminal = master, inner = slave;
	struct box box = {
		.argv = argv.items,
		.envp = env.items,
		.stdio = inner,
		.prepare = make_mounts,
		.context = follower,
	};
	if (box_start(&box, &pid, err) < 0)
		return -1;
	close(steal_fd(&inner));
	int status = follow(follower, terminal, pid);
	return status < 0 ? interrupted(follower, -status, pid, err) : conclude(follower, status, err);
}

int mmdebstrap_run(const struct mmdebstrap *job, struct azm_err *err)
{
	struct follower follower = { .job = job, .old = is_old(), .transcript.progress = job->progress };
	cleanup_file FILE *log = fopen(job->log, "we");

	follower.transcript.log = log;
	follower.archives_before = archive_bytes(job->archives);
	int result = run_followed(&follower, err);
	cleanup_close_file(&follower.dpkg_log);
	return result;
}

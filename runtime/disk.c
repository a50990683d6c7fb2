// SPDX-License-Identifier: GPL-2.0-or-later
/* disk.c: see disk.h.
 *
 * The watcher measures what lies in the writable directories (upper, work, those of copy-on-write volumes), waits ten
 * times as long as that took, and measures again: it never costs more than a tenth of a processor. Files that are
 * deleted and still open are not seen; hence "watched", not "enforced".
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

enum {
	DEPTH_MAX = 512, /* directories in each other that are followed; each takes a descriptor */
	PAUSE_LEAST_MS = 200,
	PAUSE_MOST_MS = 10000,
	PAUSE_FACTOR = 10,
};

int disk_check_mode(const char *mode, struct azm_err *err)
{
	static const char *const modes[] = { "auto", "memory", "watch" };

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (strcmp(mode, modes[i]) == 0)
			return 0;
	return err_msg(err, EINVAL, "use storage option", "mode", "\"%s\" is none of auto, memory, watch", mode);
}

static bool is_limited(const struct config *config)
{
	return config->disk != CONFIG_UNSET || config->disk_inodes != CONFIG_UNSET;
}

static bool is_mode(const struct config *config, const char *mode)
{
	return config->disk_mode && strcmp(config->disk_mode, mode) == 0;
}

enum disk_mode disk_plan(const struct config *config)
{
	if (is_mode(config, "memory"))
		return DISK_MEMORY;
	return is_limited(config) ? DISK_WATCHED : DISK_UNLIMITED;
}

int disk_check(const struct config *config, struct azm_err *err)
{
	if (!is_limited(config) && !is_mode(config, "memory"))
		return 0;
	if (strcmp(config->rootfs_mode, "overlay") != 0)
		return err_msg(err, EINVAL, "limit the disk", NULL, "there is no writable layer with --rootfs-mode %s",
			config->rootfs_mode);
	if (config->best_effort || is_mode(config, "memory") || is_mode(config, "watch"))
		return 0;
	err_msg(err, EPERM, "limit the disk", NULL, "a quota on disk can only be set by root of this host");
	return err_hint(err,
		"--storage-opt mode=memory keeps what is written in memory, with that limit; --storage-opt "
		"mode=watch (or --best-effort) ends a sandbox that is found to have written more");
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void measure(int parent, const char *name, unsigned depth, struct disk_report *report)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	nlink_t names = S_ISDIR(st.st_mode) || st.st_nlink == 0 ? 1 : st.st_nlink;
	report->bytes += (uint64_t)st.st_blocks * 512 / names;
	report->inodes++;
	if (!S_ISDIR(st.st_mode))
		return;
	if (depth >= DEPTH_MAX) {
		report->too_deep = true;
		return;
	}
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = dir_next(dir)))
		measure(fd, entry->d_name, depth + 1, report);
	/* Removed meanwhile is as good as empty. What else cannot be listed could be of any size. */
	report->unlisted = report->unlisted || (dir && errno && errno != ENOENT);
}

/* All directories of the sandbox's; what lies beside them is ours. */
static struct disk_report measure_all(int sandbox)
{
	struct disk_report report = { 0 };
	int copy = openat(sandbox, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	const struct dirent *entry;
	while (dir && (entry = dir_next(dir)))
		if (entry->d_name[0] != '.' && entry->d_type == DT_DIR)
			measure(copy, entry->d_name, 0, &report);
	report.unlisted = report.unlisted || (errno && errno != ENOENT);
	return report;
}

static bool is_too_much(const struct config *config, const struct disk_report *report)
{
	return report->too_deep || report->unlisted || (config->disk != CONFIG_UNSET && report->bytes > config->disk) ||
	       (config->disk_inodes != CONFIG_UNSET && report->inodes > config->disk_inodes);
}

_Noreturn static void watch(const struct config *config, int sandbox, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "azm-disk-watch");
	raise_open_files();
	for (;;) {
		struct pollfd reader = { .fd = out };
		int64_t began = clock_ms();
		struct disk_report report = measure_all(sandbox);
		if (is_too_much(config, &report)) {
			(void)!write_full(out, &report, sizeof report);
			_exit(0);
		}
		int64_t pause = (clock_ms() - began) * PAUSE_FACTOR;
		pause = pause < PAUSE_LEAST_MS ? PAUSE_LEAST_MS : pause > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause;
		if (poll(&reader, 1, (int)pause) > 0)
			_exit(0); /* nobody reads any more */
	}
}

int disk_watch(const struct config *config, int dir, struct azm_err *err)
{
	int ends[2];

	if (disk_plan(config) != DISK_WATCHED)
		return -1;
	if (pipe_pair(ends, err) < 0)
		return -1;
	cleanup_fd int in = ends[0], out = ends[1];
	pid_t child = fork();
	if (child == 0) {
		/* Streams, sockets and locks of the supervisor are none of its business. */
		if (dup2(dir, 3) < 0 || dup2(out, 4) < 0 || fd_close_range(5, ~0u) < 0)
			_exit(EXIT_AZM);
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		watch(config, 3, 4);
	}
	return child < 0 ? err_sys(err, "watch the disk", NULL) : steal_fd(&in);
}

char *disk_reason(const struct config *config, const struct disk_report *report)
{
	if (report->too_deep)
		return xasprintf(
			"azm-sandbox: sandbox \"%s\" is ended: it made more than %d directories in each other, "
			"which --disk cannot measure\n",
			config->name, DEPTH_MAX);
	if (report->unlisted)
		return xasprintf(
			"azm-sandbox: sandbox \"%s\" is ended: how much it wrote cannot be measured any more\n",
			config->name);
	return xasprintf("azm-sandbox: sandbox \"%s\" is ended: it wrote more than its disk limit allows (%llu MiB in "
			 "%llu files)\n",
		config->name, (unsigned long long)(report->bytes >> 20), (unsigned long long)report->inodes);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* pause.c: see pause.h. */
#include "pause.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "config.h"
#include "control.h"
#include "members.h"

enum { PAUSE_TIMEOUT_MS = 10000 };

int paused_find(int dir, struct paused *paused, struct azm_err *err)
{
	json_t *status = json_load_at(dir, "status.json", err);

	*paused = (struct paused){ 0 };
	if (!status)
		return -1;
	const char *cgroup = json_string_value(json_object_get(status, "cgroup"));
	const char *text = json_string_value(json_object_get(status, "state"));
	paused->by_user = text && strcmp(text, "paused") == 0;
	paused->init = (pid_t)json_integer_value(json_object_get(status, "pid"));
	paused->cgroup = cgroup ? xstrdup(cgroup) : NULL;
	json_decref(status);
	return 0;
}

void paused_free(struct paused *paused)
{
	free(paused->cgroup);
	*paused = (struct paused){ 0 };
}

static bool is_frozen(const struct paused *paused)
{
	cleanup_free char *path = xasprintf("%s/cgroup.events", paused->cgroup);
	cleanup_free char *text = read_path(path, 4096, NULL);

	return text && strstr(text, "frozen 1");
}

/* Whether a process is in the sandbox's cgroup: the freezer's, or one's that was made below it. */
static bool is_in_cgroup(const struct paused *paused, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
	cleanup_free char *text = read_path(path, 65536, NULL);
	char *line = text ? strstr(text, "0::/") : NULL;
	if (!line)
		return false;
	line[strcspn(line, "\n")] = '\0';
	/* The directory is the mount point and this; the last word is the sandbox's own. */
	const char *leaf = strrchr(paused->cgroup, '/');
	const char *found = strstr(line, leaf);
	return found && strchr("/", found[strlen(leaf)]);
}

static bool stands(char state)
{
	return strchr("TtZX", state) != NULL;
}

/* Return: how many processes still run; -1 with @err set */
static int running(const struct paused *paused, struct azm_err *err)
{
	cleanup_free struct member *list = NULL;
	size_t count;
	int left = 0;

	if (members_list(paused->init, &list, &count, err) < 0)
		return -1;
	if (paused->cgroup && !is_frozen(paused))
		left++;
	for (size_t i = 0; i < count; i++) {
		if (stands(list[i].state) || (!paused->cgroup && list[i].pid == paused->init) ||
			(paused->cgroup && is_in_cgroup(paused, list[i].pid)))
			continue;
		if (paused->cgroup)
			(void)members_signal(paused->init, list[i].pid, SIGSTOP);
		left++;
	}
	return left;
}

int paused_settle(const char *name, const struct paused *paused, int (*again)(void *context, struct azm_err *err),
	void *context, struct azm_err *err)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int64_t end = clock_ms() + PAUSE_TIMEOUT_MS;

	for (int round = 1;; round++) {
		int left = running(paused, err);
		if (left <= 0)
			return left;
		if (clock_ms() >= end)
			return err_msg(err, ETIMEDOUT, "pause", name, "%d of its processes go on running", left);
		/* Not at once again: a process in an uninterruptible wait stops when that is over. */
		if (round % 50 == 0 && again(context, err) < 0)
			return -1;
		nanosleep(&moment, NULL);
	}
}

void paused_let_go(const struct paused *paused)
{
	cleanup_free struct member *list = NULL;
	struct azm_err ignored = { 0 };
	size_t count;

	if (!paused->cgroup || members_list(paused->init, &list, &count, &ignored) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (list[i].state == 'T' && !is_in_cgroup(paused, list[i].pid))
			(void)members_signal(paused->init, list[i].pid, SIGCONT);
}

/* ---- holding ----------------------------------------------------------------------------------------------------- */

int hold_lock(int dir, bool exclusive, struct azm_err *err)
{
	cleanup_fd int fd = openat(dir, "hold", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && flock(fd, exclusive ? LOCK_EX : LOCK_SH) < 0)
		if (errno != EINTR)
			return err_sys(err, "lock", "hold");
	return fd < 0 ? err_sys(err, "open", "hold") : steal_fd(&fd);
}

static int stop_again(void *context, struct azm_err *err)
{
	return control_hold(*(int *)context, err);
}

int hold_begin(const struct state *state, const char *name, int dir, struct hold *hold, struct azm_err *err)
{
	*hold = HOLD_NONE;
	hold->lock = hold_lock(dir, true, err);
	if (hold->lock < 0)
		return -1;
	hold->connection = control_connect(state, name, err);
	if (hold->connection < 0 || control_hold(hold->connection, err) < 0 ||
		paused_find(dir, &hold->paused, err) < 0 ||
		paused_settle(name, &hold->paused, stop_again, &hold->connection, err) < 0) {
		hold_end(hold);
		return -1;
	}
	return 0;
}

void hold_end(struct hold *hold)
{
	struct azm_err ignored = { 0 };
	bool was_held = hold->connection >= 0 && control_release(hold->connection, &ignored) == 0;

	if (hold->connection >= 0)
		close(hold->connection);
	if (was_held && !hold->paused.by_user)
		paused_let_go(&hold->paused);
	paused_free(&hold->paused);
	if (hold->lock >= 0)
		close(hold->lock);
	*hold = HOLD_NONE;
}

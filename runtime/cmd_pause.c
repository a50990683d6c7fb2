// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_pause.c: pause and unpause.
 *
 * The supervisor begins (supervisor_pause()), and we look until nothing of the sandbox runs: signals and the freezer
 * act on the kernel's time. What is not in the sandbox's cgroup although it has one, an `exec` from another session of
 * systemd, is stopped one by one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "commands.h"
#include "control.h"
#include "members.h"

enum { PAUSE_TIMEOUT_MS = 10000 };

struct paused {
	pid_t init;
	char *cgroup; /* NULL: stopped by signals */
};

static int look_up(const struct state *state, const char *name, struct paused *paused, struct azm_err *err)
{
	json_t *status = sandbox_status(state, name, err);

	if (!status)
		return -1;
	const char *cgroup = json_string_value(json_object_get(status, "cgroup"));
	paused->init = (pid_t)json_integer_value(json_object_get(status, "pid"));
	paused->cgroup = cgroup ? xstrdup(cgroup) : NULL;
	json_decref(status);
	return 0;
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
			kill(list[i].pid, SIGSTOP);
		left++;
	}
	return left;
}

static int settle(const struct state *state, const char *name, const struct paused *paused, struct azm_err *err)
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
		if (round % 50 == 0)
			json_decref(control_ask(state, name, json_pack("{s:s}", "op", "pause"), NULL, err));
		nanosleep(&moment, NULL);
	}
}

/* Those that running() stopped itself. */
static void let_go(const struct paused *paused)
{
	cleanup_free struct member *list = NULL;
	struct azm_err ignored = { 0 };
	size_t count;

	if (!paused->cgroup || members_list(paused->init, &list, &count, &ignored) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (list[i].state == 'T' && !is_in_cgroup(paused, list[i].pid))
			kill(list[i].pid, SIGCONT);
}

static int check_state(const struct state *state, const char *name, bool wanted, struct azm_err *err)
{
	json_t *status = sandbox_status(state, name, err);
	const char *text = json_string_value(json_object_get(status, "state"));
	bool paused = text && strcmp(text, "paused") == 0;

	json_decref(status);
	if (!status)
		return -1;
	if (paused != wanted)
		return err_msg(err, EBUSY, wanted ? "unpause" : "pause", name,
			wanted ? "it is not paused" : "it is paused already");
	return 0;
}

static int pause_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	struct paused paused = { 0 };
	struct azm_err ignored = { 0 };

	(void)context;
	if (check_state(state, name, false, err) < 0)
		return -1;
	json_t *answer = control_ask(state, name, json_pack("{s:s}", "op", "pause"), NULL, err);
	if (!answer)
		return -1;
	json_decref(answer);
	int result = look_up(state, name, &paused, err);
	if (result == 0)
		result = settle(state, name, &paused, err);
	if (result < 0) { /* half paused is nothing anybody asked for */
		json_decref(control_ask(state, name, json_pack("{s:s}", "op", "resume"), NULL, &ignored));
		let_go(&paused);
	} else {
		printf("%s\n", name);
	}
	free(paused.cgroup);
	return result;
}

static int unpause_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	struct paused paused = { 0 };

	(void)context;
	if (check_state(state, name, true, err) < 0 || look_up(state, name, &paused, err) < 0)
		return -1;
	json_t *answer = control_ask(state, name, json_pack("{s:s}", "op", "resume"), NULL, err);
	if (answer) {
		let_go(&paused);
		printf("%s\n", name);
	}
	json_decref(answer);
	free(paused.cgroup);
	return answer ? 0 : -1;
}

int command_pause(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "pause"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("pause", argc, argv, first, pause_one, NULL);
}

int command_unpause(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "unpause"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("unpause", argc, argv, first, unpause_one, NULL);
}

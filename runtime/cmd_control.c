// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_control.c: stop, kill, wait, rm, gc: what is done to sandboxes by name. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "commands.h"
#include "control.h"
#include "embed.h"
#include "resources.h"
#include "snapshots/layers.h"
#include "socket_files.h"
#include "spare.h"

/* ---- stop ---- */

static int opt_time(void *target, const char *value, struct azm_err *err)
{
	uint64_t seconds;

	if (!str_to_u64(value, 86400, &seconds))
		return err_msg(err, EINVAL, "use time", NULL, "\"%s\" is not a number of seconds up to 86400", value);
	*(int *)target = (int)seconds;
	return 0;
}

const struct option_row stop_option_rows[] = {
	{ 't', "time", "SECONDS", opt_time, "grace between TERM and KILL (default: 10)" },
	OPTIONS_END,
};

/*
 * Ask a sandbox by its open directory. One that is about to start does not listen yet, and one that is about to end not
 * any more, while both hold the lock: the question is repeated until it was answered or nobody has the lock.
 */
static json_t *ask_running(const struct state *state, const char *name, int dir, json_t *request, struct azm_err *err)
{
	enum { LONGEST_PAUSE_MS = 64 };
	json_t *answer = NULL;

	for (unsigned pause_ms = 1; !answer; pause_ms *= pause_ms < LONGEST_PAUSE_MS ? 2 : 1) {
		struct azm_err ignored = { 0 };
		bool running = sandbox_running(dir) && !sandbox_busy(dir, "", name, &ignored);
		answer = control_ask(state, name, json_incref(request), NULL, err);
		if (!answer && (!running || !(err_is(err, ECONNREFUSED) || err_is(err, ECONNRESET))))
			break;
		if (!answer)
			usleep(pause_ms * 1000);
	}
	json_decref(request);
	return answer;
}

/* A sandbox that does not run is an error only for kill; -1 with ENOENT for a name that does not exist at all. */
static int stop_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);

	if (dir < 0)
		return -1;
	json_t *answer =
		ask_running(state, name, dir, json_pack("{s:s,s:i}", "op", "stop", "seconds", *(int *)context), err);
	/* It may have ended before, or between our question and its answer. */
	if (!answer && !err_is(err, ECONNREFUSED) && !err_is(err, ECONNRESET))
		return -1;
	json_decref(answer);
	socket_files_reclaim(state);
	printf("%s\n", name);
	return 0;
}

int command_stop(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int seconds = 10;
	int first = options_parse(program_find(the_program(), "stop"), &seconds, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("stop", argc, argv, first, stop_one, &seconds);
}

/* ---- kill ---- */

static int opt_signal(void *target, const char *value, struct azm_err *err)
{
	*(int *)target = signal_by_name(value);
	return *(int *)target > 0 ? 0 : err_msg(err, EINVAL, "use signal", value, "there is no such signal");
}

const struct option_row kill_option_rows[] = {
	{ 's', "signal", "SIGNAL", opt_signal, "name or number (default: KILL)" },
	OPTIONS_END,
};

static int kill_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);

	if (dir < 0)
		return -1;
	json_t *answer =
		ask_running(state, name, dir, json_pack("{s:s,s:i}", "op", "signal", "signal", *(int *)context), err);
	if (!answer)
		return -1;
	json_decref(answer);
	printf("%s\n", name);
	return 0;
}

int command_kill(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int number = SIGKILL;
	int first = options_parse(program_find(the_program(), "kill"), &number, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("kill", argc, argv, first, kill_one, &number);
}

/* ---- wait ---- */

static int wait_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);

	(void)context;
	if (dir < 0)
		return -1;
	json_t *answer = ask_running(state, name, dir, json_pack("{s:s}", "op", "wait"), err);
	if (!answer && (err_is(err, ECONNREFUSED) || err_is(err, ECONNRESET)))
		answer = sandbox_status(state, name, err);
	if (!answer)
		return -1;
	const json_t *code = json_object_get(answer, "exit_code");
	printf("%lld\n", json_is_integer(code) ? json_integer_value(code) : 128ll + SIGKILL);
	json_decref(answer);
	return 0;
}

int command_wait(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "wait"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("wait", argc, argv, first, wait_one, NULL);
}

/* ---- rm and gc ---- */

static int opt_force(void *target, const char *value, struct azm_err *err)
{
	(void)value;
	(void)err;
	*(bool *)target = true;
	return 0;
}

const struct option_row rm_option_rows[] = {
	{ 'f', "force", NULL, opt_force, "kill a running one first" },
	OPTIONS_END,
};

static int rm_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	bool force = *(bool *)context;
	struct azm_err ignored = { 0 };
	cleanup_fd int dir = sandbox_open(state, name, err);

	if (dir < 0)
		return force && err_is(err, ENOENT) ? 0 : -1;
	cleanup_fd int lock = sandbox_lock(dir, "it is being removed", err);
	/* A removal that was killed before its last step left the empty directory. */
	if (lock < 0 && err_is(err, ENOENT) && unlinkat(state->sandboxes, name, AT_REMOVEDIR) == 0) {
		err_clear(err);
		printf("%s\n", name);
		return 0;
	}
	if (lock < 0 && !err_is(err, EWOULDBLOCK))
		return -1;
	if (lock < 0 && !force && sandbox_busy(dir, "remove", name, err))
		return -1;
	if (lock < 0 && !force) {
		err_msg(err, EBUSY, "remove", name, "it is running");
		return err_hint(err, "azm-sandbox stop %s, or rm -f", name);
	}
	if (lock < 0) {
		json_decref(
			ask_running(state, name, dir, json_pack("{s:s,s:i}", "op", "stop", "seconds", 0), &ignored));
		/* The supervisor gives the lock back when everything of the sandbox is gone. */
		cleanup_fd int again = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (again >= 0 && flock(again, LOCK_EX) < 0)
			return err_sys(err, "wait for the end of", name);
		lock = steal_fd(&again); /* NOLINT(clang-analyzer-deadcode.DeadStores): held to the end */
	}
	cgroup_remove_rest(dir);
	sandbox_settle(state, name, dir);
	if (sandbox_remove_mapped(state, name, err) < 0 || layers_gc(state, err) < 0)
		return -1;
	socket_files_reclaim(state);
	printf("%s\n", name);
	return 0;
}

int command_rm(int argc, char **argv)
{
	struct azm_err err = { 0 };
	bool force = false;
	int first = options_parse(program_find(the_program(), "rm"), &force, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("rm", argc, argv, first, rm_one, &force);
}

/* Its processes may have been dying still when the first command after its end came by. */
static void reclaim_cgroups(const struct state *state)
{
	cleanup_str_list struct str_list names = { 0 };
	struct azm_err ignored = { 0 }; /* state_reclaim() has said it */

	(void)sandbox_names(state, &names, &ignored);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_fd int dir = sandbox_open(state, names.items[i], &ignored);
		cleanup_fd int lock = dir < 0 ? -1 : sandbox_lock(dir, NULL, &ignored);
		if (lock >= 0)
			cgroup_remove_rest(dir);
	}
}

int command_gc(int argc, char **argv)
{
	struct azm_err err = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };

	if (options_parse(program_find(the_program(), "gc"), NULL, argc, argv, &err) < 0 ||
		state_open(&state, &err) < 0)
		return fail_command(&err);
	spare_retire(state.sandboxes);
	state_reclaim(&state);
	reclaim_cgroups(&state);
	if (layers_gc(&state, &err) < 0)
		fail_command(&err);
	socket_files_reclaim(&state);
	embed_remove_others(&state);
	return 0;
}

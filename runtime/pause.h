// SPDX-License-Identifier: GPL-2.0-or-later
/* pause.h: letting nothing of a sandbox run: for as long as the user wants (`pause`), or while a command looks at it.
 *
 * The supervisor begins (supervisor_pause()), and the command looks until nothing of the sandbox runs: signals and the
 * freezer act on the kernel's time. What is not in the sandbox's cgroup although it has one, an `exec` from another
 * session of systemd, is stopped one by one.
 *
 * A hold lasts as long as the connection of the command that asked for it: whoever is killed meanwhile lets the sandbox
 * go on. `exec` waits for its end (hold_lock()), so that no process appears in between.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "state.h"

struct paused {
	pid_t init;
	char *cgroup; /* NULL: stopped by signals */
	bool by_user; /* `pause` was there before */
};

/** paused_find() - what a sandbox's status says. @dir: its directory. Release with paused_free(). */
int paused_find(int dir, struct paused *paused, struct azm_err *err);
void paused_free(struct paused *paused);

/**
 * paused_settle() - until nothing runs any more
 * @again:	asks the supervisor once more, now and then
 *
 * Return: 0, or -1 with @err set (ETIMEDOUT)
 */
int paused_settle(const char *name, const struct paused *paused, int (*again)(void *context, struct azm_err *err),
	void *context, struct azm_err *err);

/** paused_let_go() - those that paused_settle() stopped itself go on. */
void paused_let_go(const struct paused *paused);

struct hold {
	struct paused paused;
	int connection;
	int lock;
};

#define HOLD_NONE ((struct hold){ .connection = -1, .lock = -1 })

/** hold_begin() - nothing inside runs until hold_end(), whoever dies. @dir: the sandbox's directory. ECONNREFUSED: it
 * does not run. */
int hold_begin(const struct state *state, const char *name, int dir, struct hold *hold, struct azm_err *err);
void hold_end(struct hold *hold);

/** hold_lock() - shared: no hold begins while the descriptor that is returned is open; waits for the end of one. */
int hold_lock(int dir, bool exclusive, struct azm_err *err);

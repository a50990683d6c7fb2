// SPDX-License-Identifier: GPL-2.0-or-later
/* offline.h: the files of a sandbox that does not run, for `cp`.
 *
 * Theory of operation
 *
 * What a start would mount is mounted, in new namespaces and by azm-init as at a start: the image below the sandbox's
 * layer, its volumes with what the workspace guard covers in them, its masks; then azm-init copies instead of running
 * anything. Nothing of the sandbox's content is executed, and its links lead where they would lead inside.
 *
 * There is no network and no supervisor. The sandbox's lock is held all the time: it cannot be started meanwhile, and
 * what a killed command leaves (held names) is reclaimed like that of a killed supervisor.
 */
#pragma once
#include <stdbool.h>

#include "config.h"
#include "guard.h"
#include "idmap.h"
#include "init/plan.h"
#include "make_plan.h"
#include "spawn.h"
#include "state.h"

struct offline {
	const struct config *config;
	const struct state *state;
	int dir; /* of the sandbox, which is locked by the caller */
	struct subids subids;
	struct launch launch;
	struct guard guard;
};

/**
 * offline_begin() - everything a start does on the host, but for ports, devices and the network
 * @config:	the sandbox's; devices are taken out of it
 *
 * Return: 0, or -1 with @err set; call offline_end() in both cases
 */
int offline_begin(
	struct offline *offline, struct config *config, const struct state *state, int dir, struct azm_err *err);

/** offline_is_wide() - whether the sandbox has several ids. */
bool offline_is_wide(const struct offline *offline);

/**
 * offline_copy() - build, copy, and let all of it go
 * @init:	descriptor of azm-init
 * @copy:	what to do
 * @stdio:	the stream; in and out are closed here
 * @skipped:	set to how many objects were passed over
 *
 * Single-threaded callers only. Return: 0, or -1 with @err set
 */
int offline_copy(struct offline *offline, int init, const struct plan_copy *copy, const struct child_stdio *stdio,
	int32_t *skipped, struct azm_err *err);

/** offline_end() - let go of names and volumes. @good: volumes that were new have what the image has there */
void offline_end(struct offline *offline, bool good);

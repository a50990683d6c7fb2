// SPDX-License-Identifier: GPL-2.0-or-later
/* make_plan.h: from what was asked for and what the image says to the plan azm-init carries out. */
#pragma once
#include <stdint.h>

#include "config.h"
#include "image.h"
#include "init/plan.h"
#include "state.h"
#include "user.h"

/* Where the embedded server appears inside: /dev is the sandbox's own in every root mode. */
#define SERVER_TARGET "/dev/.azm/azm-runtime-server"

/* A volume with a name that the sandbox is mounting (named_volumes.h). */
struct held_volume {
	char *name;
	int lock;
	bool filling;
};

struct launch {
	struct plan plan;
	struct image image;
	struct identity identity;
	bool serves;	      /* the workload is a runtime server */
	uint16_t server_port; /* inside */
	int stop_signal;      /* what asks the workload to end */
	struct held_volume *held;
	size_t held_count;
};

/**
 * launch_prepare() - everything about the plan that needs the host only
 * @dir:	the sandbox's directory
 *
 * Opens the image and the volumes, settles user, environment, command and files. What depends on the network (address,
 * map width) comes with launch_finish(). Return: 0, or -1 with @err set
 */
int launch_prepare(
	const struct config *config, const struct state *state, int dir, struct launch *launch, struct azm_err *err);

/** launch_finish() - ids, filter and hosts file, once the network is known. @wide: several ids are mapped. @address:
 * eth0's, host order, 0 without. */
int launch_finish(const struct config *config, const struct state *state, bool wide, uint32_t address, uint32_t gateway,
	struct launch *launch, struct azm_err *err);

/** plan_identity() - the part of a plan that `run` and `exec` share: ids, capabilities, filter. */
int plan_identity(const struct config *config, const struct state *state, const struct identity *identity, bool wide,
	struct plan *plan, struct azm_err *err);

/** plan_environment() - the variables of `run` and `exec`: defaults, image, configuration. */
void plan_environment(
	const struct config *config, const struct image *image, const struct identity *identity, struct str_list *env);
void env_set(struct str_list *env, const char *assignment);

/** plan_cwd() - the working directory of `run` and `exec`: --workdir, the workspace, the image's, "/". */
const char *plan_cwd(const struct config *config, const struct image *image);

/**
 * launch_unlock() - the sandbox is gone: its volumes and the layers of its image are nobody's any more
 *
 * Unlocked and not just closed: a child that was forked a moment ago may have the descriptors still.
 */
void launch_unlock(const struct launch *launch);
void launch_free(struct launch *launch);

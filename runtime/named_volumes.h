// SPDX-License-Identifier: GPL-2.0-or-later
/* named_volumes.h: directories of the user's that sandboxes share by name (-v NAME:/path, `volume`).
 *
 *     volumes/NAME/data/        what is mounted
 *                  volume.json  {name, created, labels}
 *                  lock         held shared by the supervisors of sandboxes that run on it; begins with "f" when it is
 *                               being filled from an image, or was when that start was killed
 *
 * in the state directory. An empty volume gets what the image has at the place where it is mounted, as Docker's do: by
 * azm-init, inside, before anything of the image runs.
 */
#pragma once
#include <jansson.h>

#include "config.h"
#include "make_plan.h"
#include "state.h"

/** named_volumes_plan() - the volumes of -v and --mount that have a name, made when they do not exist. */
int named_volumes_plan(
	const struct config *config, const struct state *state, struct launch *launch, struct azm_err *err);

/** named_volumes_filled() - the sandbox has started: what was being filled is full. */
void named_volumes_filled(struct launch *launch);
void named_volumes_free(struct launch *launch);

/** named_volume_create() - EEXIST is no error, as Docker's. @labels: K=V, may be NULL. */
int named_volume_create(
	const struct state *state, const char *name, const struct str_list *labels, struct azm_err *err);

/** named_volume_remove() - EBUSY when a sandbox, running or not, has it. */
int named_volume_remove(const struct state *state, const char *name, struct azm_err *err);

/** named_volume_names() - append all, sorted. Return: 0, -1 with @err set */
int named_volume_names(const struct state *state, struct str_list *names, struct azm_err *err);

/** named_volume_json() - name, created, labels, mountpoint, and which sandboxes have it; the caller owns it. */
json_t *named_volume_json(const struct state *state, const char *name, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* volumes.h: -v, --workspace, --tmpfs and SANDBOX_VOLUMES as entries of the mount plan. */
#pragma once
#include "config.h"
#include "mount/mount.h"
#include "state.h"

/**
 * volumes_plan() - parse, check and open every mount the user asked for
 * @dir:	the sandbox's directory, where copy-on-write volumes keep their changes
 *
 * Refused: missing or special files, targets with "..", two mounts on one target, and anything that holds, is held by
 * or equals a state directory or $XDG_RUNTIME_DIR (their sockets would let the sandbox command us and the user's
 * session). Return: 0, or -1 with @err set
 */
int volumes_plan(
	const struct config *config, const struct state *state, int dir, struct mount_plan *plan, struct azm_err *err);

/** volume_add() - append a mount at a path inside, which is checked. Return: NULL with @err set */
struct volume *volume_add(struct mount_plan *plan, const char *target, struct azm_err *err);

/** volume_modes() - what follows the second colon of -v. @text: what an error is about */
int volume_modes(struct volume *volume, const char *modes, const char *text, struct azm_err *err);

/** mount_plan_add() - append a volume and return it, zeroed. */
struct volume *mount_plan_add(struct mount_plan *plan);

/** volume_is_shared() - whether what is written to it inside is the user's outside. */
bool volume_is_shared(const struct volume *volume);

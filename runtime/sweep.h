// SPDX-License-Identifier: GPL-2.0-or-later
/* sweep.h: a look at the user's directories after a sandbox has used them.
 *
 * Two things are looked for in one walk: set-user-ID and set-group-ID files, and what the workspace guard is about
 * (guard.h). nosuid stops set-id bits inside, but on the host a file made set-user-ID in the workspace is set-user-ID
 * *to the user*: anybody on a shared host could run it and be them. Where the seccomp filter cannot forbid such modes
 * (package managers as inside root need them in the image), they are taken away at the end.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "mount/mount.h"
#include "state.h"

/**
 * sweep_mark() - note in the sandbox's directory that its writable mounts are to be looked at when it ends
 * @mounts:	names them
 * @set_id:	set-id bits may appear: the filter lets them pass
 *
 * The mark's time is the begin: what changed since is the sandbox's or the user's own. It stays after a crash; whoever
 * reclaims the sandbox then does the looking.
 */
int sweep_mark(int dir, const struct mount_plan *mounts, bool set_id, struct azm_err *err);

/** sweep_is_due() - whether a sandbox that does not run has left a mark or held names. */
bool sweep_is_due(int dir);

/**
 * sweep() - remove held names; look at everything below the writable mounts that changed since the mark; take the mark
 * away
 * @dir:	the sandbox's directory
 *
 * Symbolic links are not followed. File systems that are mounted in a mount are looked at as well, as the sandbox could
 * write there, but for those without files of users. What was found and done is said on stderr.
 *
 * Return: what the guard found, for status.json: mode, findings (path, why, action); NULL without a guard. The caller
 * owns the reference.
 */
json_t *sweep(int dir, const struct state *state);

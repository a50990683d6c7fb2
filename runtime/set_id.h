// SPDX-License-Identifier: GPL-2.0-or-later
/* set_id.h: set-user-ID and set-group-ID files a sandbox left in the user's directories.
 *
 * nosuid stops them inside, but on the host a file made set-user-ID in the workspace is set-user-ID *to the user*:
 * anybody on a shared host could run it and be them. Where the seccomp filter cannot forbid such modes (package
 * managers as inside root need them in the image), they are taken away at the end.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "config.h"

/**
 * set_id_mark() - note in the sandbox's directory that its writable mounts are to be looked at when it ends
 *
 * The mark stays after a crash; whoever reclaims the sandbox then does the looking.
 */
int set_id_mark(int dir, struct azm_err *err);

bool set_id_is_marked(int dir);

/**
 * set_id_sweep() - strip the bits from everything below the writable mounts that changed since the mark, and take the
 * mark away
 * @dir:	the sandbox's directory
 * @config:	names the workspace and the volumes
 *
 * Symbolic links are not followed, other file systems not entered. What was stripped is reported on stderr. Nothing
 * happens without a mark.
 */
void set_id_sweep(int dir, const struct config *config);

// SPDX-License-Identifier: GPL-2.0-or-later
/* socket_files.h: UNIX sockets of published ports lie where the user wants them, where nothing else of ours is.
 *
 * A supervisor that was killed, or one that published the socket while it was locked in already, cannot remove it. So
 * the state directory remembers each, and the user's next command removes those that nobody serves any more.
 */
#pragma once
#include "base/err.h"
#include "state.h"

/** socket_files_note() - remember the socket that was just made at @path (absolute). */
int socket_files_note(const struct state *state, const char *path, struct azm_err *err);

/** socket_files_reclaim() - remove the files of dead ones; costs one system call when none was ever made. */
void socket_files_reclaim(const struct state *state);

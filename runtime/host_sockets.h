// SPDX-License-Identifier: GPL-2.0-or-later
/* host_sockets.h: sockets of the host's services in directories that are mounted into a sandbox. */
#pragma once
#include "base/err.h"
#include "config.h"
#include "mount/mount.h"

/**
 * host_sockets_check() - refuse directories by which a sandbox could command a service of the host
 *
 * A read-only mount does not stop connect(). Looked for are the usual places of well-known services, and any socket at
 * the top of a directory, of which those with unknown names are only reported, on stderr. Sockets elsewhere in a tree
 * are not looked for: a walk costs time, and another one may appear a moment later.
 *
 * With --guard report everything is only reported, with off nothing is looked at.
 *
 * Return: 0, or -1 with @err set
 */
int host_sockets_check(const struct config *config, const struct mount_plan *mounts, struct azm_err *err);

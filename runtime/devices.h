// SPDX-License-Identifier: GPL-2.0-or-later
/* devices.h: --device: device nodes of the host inside. */
#pragma once
#include "config.h"
#include "mount/mount.h"

/**
 * devices_plan() - every --device HOST[:CTR[:PERMISSIONS]]
 * @plan:	gets a bind of each node, or of each below a directory (/dev/dri)
 *
 * A node gives what the user himself may do with it: he must be able to open it. Which kinds may come inside is a list
 * of drivers (/proc/devices, /proc/misc): not what injects input or output into the host, maps its memory, or holds its
 * file systems, whatever the node's permissions say. Return: 0, or -1 with @err set
 */
int devices_plan(const struct config *config, struct mount_plan *plan, struct azm_err *err);

/** device_add() - one node without looking at its kind, for --gpus. */
int device_add(const char *host, const char *inside, struct mount_plan *plan, struct azm_err *err);

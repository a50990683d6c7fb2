// SPDX-License-Identifier: GPL-2.0-or-later
/* etc_files.h: the small files that are ours inside: hosts, resolv.conf, hostname, the sudo stand-in. */
#pragma once
#include <stdint.h>

#include "config.h"
#include "mount/mount.h"
#include "user.h"

/**
 * etc_files_plan() - add them to the mount plan
 * @address:	eth0's, host order; 0 without one
 * @wide:	several ids are mapped: the image's own sudo works
 * @stack:	the image, to see whether it has a sudo
 *
 * Nothing of the host's files goes in. --add-host lines are checked here.
 */
int etc_files_plan(const struct config *config, uint32_t address, uint32_t gateway, bool wide,
	const struct identity *identity, const struct stack *stack, struct mount_plan *plan, struct azm_err *err);

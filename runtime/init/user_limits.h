// SPDX-License-Identifier: GPL-2.0-or-later
/* init/user_limits.h: limits the kernel keeps per user namespace.
 *
 * Objects such as inotify instances are counted per user, and a sandbox's count towards the host user's: without a
 * limit of its own, a sandbox can take them all. Writing /proc/sys/user in the sandbox's user namespace limits it and
 * everything below.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/**
 * user_limits_open() - the directory of the limits
 * @proc:	the sandbox's own procfs, -1: the host's, as long as there is one
 *
 * They are the same files, but every living sandbox leaves entries of the same names in the host's: the kernel looks
 * through all of them (0.14 us each, ten times a start). Return: descriptor, -1 if none
 */
int user_limits_open(int proc);

/**
 * user_limits_apply() - set all but one for the caller's user namespace, which takes CAP_SYS_RESOURCE
 * @dir:	what user_limits_open() returned; the root may be another one by now
 * @nested:	namespaces stay possible inside
 */
int user_limits_apply(int dir, bool nested, struct azm_err *err);

/** user_limits_end_mounts() - the last one, when nobody mounts any more: the kernel counts a detached mount as a mount
 * namespace. */
int user_limits_end_mounts(int dir, bool nested, struct azm_err *err);

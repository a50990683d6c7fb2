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

/** user_limits_apply() - needs the host's /proc and CAP_SYS_RESOURCE. @nested: namespaces stay possible inside. */
int user_limits_apply(bool nested, struct azm_err *err);

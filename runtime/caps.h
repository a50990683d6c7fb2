// SPDX-License-Identifier: GPL-2.0-or-later
/* caps.h: which capabilities the workload has inside, by name (libcap). */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/**
 * caps_resolve() - the default set plus --cap-add minus --cap-drop
 *
 * Default: what rootless podman gives (no NET_RAW, MKNOD, AUDIT_WRITE). They only count over what the sandbox owns.
 * Names with or without "CAP_", any case; ALL. Capabilities over the network or the machine (NET_ADMIN, SYS_ADMIN, ...)
 * may be added by the user, except SYS_PTRACE over azm-init's protection.
 */
int caps_resolve(const struct str_list *add, const struct str_list *drop, uint64_t *caps, struct azm_err *err);

/** caps_text() - "cap_chown,cap_kill,..." for inspect; allocated. */
char *caps_text(uint64_t caps);

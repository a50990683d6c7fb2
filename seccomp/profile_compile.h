// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_compile.h: from a parsed profile to a program. Internal to seccomp/. */
#pragma once
#include "seccomp/profile_parse.h"
#include "seccomp/seccomp.h"

/**
 * profile_compile() - compile every entry that applies
 * @emulate_root:	put the root emulation layer in front
 * @out:	set; release with filter_free()
 */
int profile_compile(const struct profile *profile, bool emulate_root, struct filter *out, struct azm_err *err);

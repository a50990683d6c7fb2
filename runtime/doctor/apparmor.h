// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/apparmor.h: a profile that lets this program, and no other, use user namespaces. */
#pragma once
#include <stdio.h>

#include "base/str.h"

/**
 * apparmor_profile() - the text of a profile for one program
 * @self_path:	absolute path of azm-sandbox as installed, free of symbolic links
 *
 * "flags=(unconfined)" with "userns,": nothing else changes for the program (apparmor.d(5), AppArmor 4). Characters
 * with a meaning in AppArmor's globs are escaped, so that the profile never fits another path.
 *
 * Return: allocated, owned by the caller; NULL when @self_path is not absolute or has control characters
 */
[[gnu::nonnull]] char *apparmor_profile(const char *self_path);

/** apparmor_commands() - append the shell commands that install the profile, one (maybe long) text each. */
[[gnu::nonnull]] void apparmor_commands(const char *self_path, struct str_list *commands);

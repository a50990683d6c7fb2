// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/apparmor.c: see apparmor.h.
 *
 * Ubuntu 23.10 and later let an unconfined program make a user namespace but take its capabilities in it away, unless
 * its profile says "userns,". A profile for a shared tool (bwrap, unshare) or the sysctl would open the door for every
 * program of the host; one for our own path does not. Programs that azm-sandbox starts from a memfd keep the profile:
 * an "unconfined" one has no exec rules, and a memfd has no path another could attach to.
 */
#include "doctor/apparmor.h"

#include <stdlib.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define PROFILE_FILE "/etc/apparmor.d/azm-sandbox"

/* Quoted, with a backslash before everything AppArmor's path language gives a meaning. */
static char *quote_path(const char *path)
{
	char *quoted = xcalloc(strlen(path) * 2 + 3, 1), *out = quoted;

	*out++ = '"';
	for (; *path; path++) {
		if (strchr("\"\\*?[]{},", *path))
			*out++ = '\\';
		*out++ = *path;
	}
	*out = '"';
	return quoted;
}

static bool plain(const char *path)
{
	cleanup_free char *copy = xstrdup(path);

	str_sanitise(copy);
	return *path == '/' && strcmp(copy, path) == 0;
}

char *apparmor_profile(const char *self_path)
{
	if (!plain(self_path))
		return NULL;
	cleanup_free char *path = quote_path(self_path);
	return xasprintf("abi <abi/4.0>,\n"
			 "include <tunables/global>\n"
			 "\n"
			 "profile azm-sandbox %s flags=(unconfined) {\n"
			 "  userns,\n"
			 "\n"
			 "  include if exists <local/azm-sandbox>\n"
			 "}\n",
		path);
}

void apparmor_commands(const char *self_path, struct str_list *commands)
{
	cleanup_free char *profile = apparmor_profile(self_path);
	struct stat info;

	if (!profile) {
		str_list_add(commands,
			"install azm-sandbox (sudo make install) and run its doctor again: a profile needs "
			"the path of a program that stays");
		return;
	}
	/* Whoever can replace the file gets what the profile grants. */
	if (stat(self_path, &info) == 0 && (info.st_uid != 0 || (info.st_mode & (S_IWGRP | S_IWOTH))))
		str_list_addf(commands,
			"# %s does not belong to root alone: better `sudo make install` first, and load the "
			"profile that the installed program prints",
			self_path);
	str_list_addf(commands, "sudo tee " PROFILE_FILE " >/dev/null <<'EOF'\n%sEOF", profile);
	str_list_add(commands, "sudo apparmor_parser -r " PROFILE_FILE);
}

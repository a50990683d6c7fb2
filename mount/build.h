// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/build.h: what the steps of mount_build() share. */
#pragma once
#include "mount/mount.h"

/* Directories of the kit, a small tmpfs whose parts become mounts of the sandbox: one file system for all of them,
 * because each costs more start-up time than any other step here. The kit itself never becomes visible inside.
 */
#define KIT_DEV	  "dev"	  /* becomes /dev */
#define KIT_FILES "files" /* our files for /etc */
#define KIT_EMPTY "empty" /* covers masked directories */

struct build {
	const struct mount_plan *plan;
	int root; /* the new root */
	int kit;  /* root of the kit */
	int null; /* the host's /dev/null, verified */
};

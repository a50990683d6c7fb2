// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/masks.h: hide or freeze the kernel files a sandbox must not see. */
#pragma once
#include "mount/build.h"

enum mask_how { MASK_HIDE, MASK_READ_ONLY };

struct mask {
	enum mask_how how;
	const char *path; /* absolute, as seen inside; "cpu*" stands for the directory of every processor */
	const char *why;  /* for who reviews the table */
};

/* What every sandbox gets: the lists of Docker and of Podman. Ended by a NULL path. */
extern const struct mask mask_defaults[];

/**
 * masks_apply() - cover every path of a table below a root
 * @table:	entries, ended by one with a NULL path
 * @err:	set on failure: step "mask", the path, errno
 *
 * A path that the running kernel does not have is not an error: there is nothing to hide. What covers a file is the
 * verified /dev/null of the host, never the image's: an image may ship it as a link to something it wants written
 * (CVE-2025-31133 of runc).
 *
 * Return: 0, or -1 with @err set
 */
[[gnu::nonnull]] int masks_apply(const struct build *b, const struct mask *table, struct azm_err *err);

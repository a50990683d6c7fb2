// SPDX-License-Identifier: GPL-2.0-or-later
/* mount_option.h: --mount type=...,source=...,target=...: Docker's syntax, and which directories a sandbox writes to.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "config.h"

enum mount_type { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS };

struct mount_option {
	enum mount_type type;
	char *source; /* a path of the host, or the name of a volume; NULL for tmpfs */
	char *target;
	bool read_only;
	bool no_copy;	     /* volume-nocopy: not filled from the image */
	uint64_t tmpfs_size; /* bytes; 0: the default */
	uint32_t tmpfs_mode; /* 0: the default */
};

#define cleanup_mount_option [[gnu::cleanup(mount_option_free)]]

/**
 * mount_option_parse() - one value of --mount
 *
 * Comma separated, a field with a comma in it in double quotes (CSV). What has no meaning here without changing what is
 * visible inside (consistency, labels, bind-propagation private and slave) is accepted; what would be weaker or other
 * than asked for is an error that names the key. Return: 0, or -1 with @err set
 */
int mount_option_parse(const char *text, struct mount_option *option, struct azm_err *err);
void mount_option_free(struct mount_option *option);

/** mount_option_text() - the same in one spelling, for config.json; allocated. */
char *mount_option_text(const struct mount_option *option);

/** writable_binds() - directories and files of the host that a sandbox may change: the workspace, -v, --mount. */
void writable_binds(const struct config *config, struct str_list *paths);

// SPDX-License-Identifier: GPL-2.0-or-later
/* user.h: who the workload is inside: --user, SANDBOX_USER_ID, the image's USER. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mount/mount.h"

struct identity {
	uint32_t uid, gid;
	char *name;	  /* from the image's passwd; NULL when it has no such entry */
	char *home;	  /* likewise; "/" then, "/root" for 0 */
	char *shell;	  /* likewise */
	uint32_t *groups; /* supplementary groups of the image's group file, for wide maps */
	size_t group_count;
};

/* Largest id that can be mapped or that a wide map carries; -1 (4294967295) is no id. */
enum { ID_MAX = 65535 };

/**
 * user_resolve() - UID[:GID] or NAME[:GROUP] as seen by an image
 * @text:	what was asked for; digits only are a number, everything else a name
 * @stack:	the image's root: /etc/passwd and /etc/group are read through the resolver, bounded;
 * nothing of the image is executed
 *
 * Numbers: 0 to 4294967294, no sign, blank, or other text ("01" is 1, "1abc" and "-1" are errors). No NSS.
 */
int user_resolve(const char *text, const struct stack *stack, struct identity *out, struct azm_err *err);
void identity_free(struct identity *identity);

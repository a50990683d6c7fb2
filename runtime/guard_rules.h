// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_rules.h: names in a project from which tools on the host take orders. */
#pragma once

enum guard_how {
	GUARD_HOLD,  /* covered when it is there, else the name is held by an empty directory */
	GUARD_COVER, /* covered when it is there; what appears is moved aside at the end */
	GUARD_LIST,  /* only reported: people have an agent change these */
};

struct guard_rule {
	const char *name; /* of a file or directory at the top of a project */
	enum guard_how how;
	const char *why;
};

/* Ended by one with a NULL name. docs/workspace-guard.md shows the same table; tests/security/guard.bats tries each of
 * its rows. */
extern const struct guard_rule guard_rules[];

/** guard_rule_find() - the rule for a name, or NULL. */
const struct guard_rule *guard_rule_find(const char *name);

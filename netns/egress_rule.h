// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_rule.h: one rule, between the two files that make egress_rules.h. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum egress_kind {
	EGRESS_ALL,
	EGRESS_NAME,
	EGRESS_BELOW,  /* *.name */
	EGRESS_SUBNET, /* an address is one of full length */
	EGRESS_HOST_SERVICE,
};

struct egress_rule {
	enum egress_kind kind;
	bool deny;
	uint16_t port;	/* 0: every port */
	uint8_t length; /* of the prefix, in 128 bits: IPv4 is mapped */
	struct in6_addr prefix;
	char *name; /* NULL for other kinds; owned */
	char *text; /* normal form; owned */
};

/** egress_rule_parse() - read one rule, but "none". Return: 0 with *@rule to be released, -1 with @err (EINVAL). */
[[gnu::nonnull]] int egress_rule_parse(const char *text, struct egress_rule *rule, struct azm_err *err);

/** egress_rule_release() - free what a rule owns. */
[[gnu::nonnull]] void egress_rule_release(struct egress_rule *rule);

/** egress_name_reserved() - why a name is never looked up outside, whatever the rules say; NULL: it may be. */
[[gnu::nonnull]] const char *egress_name_reserved(const char *name);

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_rules.h: what a sandbox may reach, as the user wrote it.
 *
 *     none                      nothing (the default); stands alone
 *     all[:PORT]                every public address and every name
 *     HOST[:PORT]               that name, not its subdomains
 *     *.DOMAIN[:PORT]           every name below DOMAIN, not DOMAIN itself
 *     ADDRESS[:PORT]            IPv4, IPv6 ([IPv6]:PORT)
 *     CIDR[:PORT]               10.1.0.0/16:5432, 2001:db8::/32, [2001:db8::/32]:443
 *     host:PORT                 a service on the host's loopback, inside host.azm.internal and host.docker.internal
 *     !RULE                     refuse; wins over everything that allows
 *
 * PORT is one TCP port; without it, all. A list is separated by commas. An empty list allows nothing.
 *
 * A decision has two halves: by name when the sandbox asks or connects, egress_decide_name(), and by address once the
 * name is resolved, egress_decide_resolved(). A connection made to an address has only egress_decide_address().
 * Private addresses (see address_class.h) are open only to an exact name the user wrote and to rules that name them.
 *
 * Rule sets never change: a running sandbox gets a new one. Not locked; any number of threads may read one.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct egress_rules;

/* The names inside of what host:PORT opens. They never leave the sandbox. */
#define EGRESS_HOST_NAME  "host.azm.internal"
#define EGRESS_HOST_ALIAS "host.docker.internal"
/* The domain of a network's members (NAME.azm), which is not resolved outside. */
#define EGRESS_MEMBER_DOMAIN "azm"

enum { EGRESS_RULES_MAX = 1024 };

struct egress_decision {
	bool allowed;
	bool exact;	   /* an exact name the user wrote, or a rule that names the address: private ranges are open */
	bool host_service; /* connect to the host's loopback; the name is not resolved, the address not classified */
	const char *rule;  /* the rule that decided, as egress_rules_text() has it; NULL: no rule is about it */
	const char *why;   /* of a refusal, for the log; a literal */
};

/**
 * egress_rules_parse() - read a list of rules
 * @text:	the list; NULL, "" and "none" are the empty one. Blanks are not allowed anywhere.
 * @rules:	set to the new set, also for an empty list; owned by the caller
 * @err:	EINVAL, names the rule and says what is wrong with it
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(2, 3)]] int egress_rules_parse(const char *text, struct egress_rules **rules, struct azm_err *err);

/** egress_rules_free() - release; NULL is fine. */
void egress_rules_free(struct egress_rules *rules);

static inline void cleanup_free_egress_rules(struct egress_rules **rules)
{
	egress_rules_free(*rules);
}
#define cleanup_egress_rules [[gnu::cleanup(cleanup_free_egress_rules)]]

enum egress_edit { EGRESS_SET, EGRESS_ADD, EGRESS_REMOVE };

/**
 * egress_rules_edit() - a new set made of an old one: `azm-sandbox egress NAME --set|--add|--rm LIST`
 * @old:	stays as it is
 * @list:	as for egress_rules_parse(); "none" only with EGRESS_SET
 *
 * Adding what is there changes nothing; removing what is not there is ENOENT (spelling does not matter: rules are
 * compared in their normal form). All of @list is done or nothing.
 *
 * Return: 0 with *@rules owned by the caller, or -1 with @err
 */
[[gnu::nonnull]] int egress_rules_edit(const struct egress_rules *old, enum egress_edit edit, const char *list,
	struct egress_rules **rules, struct azm_err *err);

/** egress_rules_count(), egress_rules_text() - the rules in their order, each in its normal form; owned by the set. */
[[gnu::nonnull]] size_t egress_rules_count(const struct egress_rules *rules);
[[gnu::nonnull]] const char *egress_rules_text(const struct egress_rules *rules, size_t index);

/** egress_rules_list() - all of them, comma separated, "none" when empty; parses back to the same. Caller owns. */
[[gnu::nonnull]] char *egress_rules_list(const struct egress_rules *rules);

/**
 * egress_decide_name() - may the sandbox connect to @port of @name?
 * @name:	any text: what is no host name is refused
 *
 * Allowed without host_service means: resolve, and ask egress_decide_resolved() about every address.
 */
[[gnu::nonnull]] struct egress_decision egress_decide_name(
	const struct egress_rules *rules, const char *name, uint16_t port);

/**
 * egress_decide_resolved() - may the connection that @name allowed go to @address?
 * @name:	what egress_decide_name() said; allowed, not host_service
 * @address:	IPv4 as ::ffff:a.b.c.d
 *
 * Does not know the host's own addresses: ask address_is_own() as well, for every address.
 */
[[gnu::nonnull]] struct egress_decision egress_decide_resolved(const struct egress_rules *rules,
	const struct egress_decision *name, const struct in6_addr *address, uint16_t port);

/** egress_decide_address() - may the sandbox connect to an address it names itself? address_is_own() as well. */
[[gnu::nonnull]] struct egress_decision egress_decide_address(
	const struct egress_rules *rules, const struct in6_addr *address, uint16_t port);

/** egress_name_answerable() - whether some port of @name is allowed, so that DNS may answer. @name: any text. */
[[gnu::nonnull]] bool egress_name_answerable(const struct egress_rules *rules, const char *name);

/** egress_name_denied() - whether a deny rule is about this name and port; for a name found inside a connection that
 * was allowed by address (SNI, Host). @name: any text; what is no host name counts as denied. */
[[gnu::nonnull]] bool egress_name_denied(const struct egress_rules *rules, const char *name, uint16_t port);

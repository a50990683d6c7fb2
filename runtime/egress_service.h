// SPDX-License-Identifier: GPL-2.0-or-later
/* egress_service.h: what a sandbox may reach, from its configuration to the broker of netns/.
 *
 * A private sandbox without egress has none of this: no process, no thread, no packet filter, no route. All of it can
 * be made later, on a running sandbox whose supervisor has long been confined, except the resolver, which is a process
 * of the host: the command that adds a rule starts it and hands its socket over.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "config.h"
#include "netns/egress.h"
#include "netns/netns.h"

struct supervisor;

struct egress_service {
	struct egress_rules *rules;   /* the broker's have the same text; NULL: not prepared */
	struct broker *broker;	      /* NULL: not needed yet */
	struct network_service ports; /* of its sockets */
	int resolver;		      /* started for the broker, not its yet; -1 */
};

#define EGRESS_SERVICE_NONE                                                                                            \
	{                                                                                                              \
		.resolver = -1                                                                                         \
	}

/** egress_wanted() - whether the sandbox has a broker from the start: it has rules, or others to find by name. */
bool egress_wanted(const struct config *config);

/**
 * egress_check() - what of the command line and the environment cannot be
 *
 * Rules, proxy, name servers, and what does not go together. Return: 0, or -1 with @err and a hint
 */
int egress_check(const struct config *config, struct azm_err *err);

/** egress_prepare() - as the user on the host, single-threaded: the rules, the resolver. Return: 0, -1 with @err. */
int egress_prepare(struct supervisor *supervisor, struct azm_err *err);

/** egress_begin() - after lockdown and before the workload: what egress_wanted() promised. Return: 0, -1 with @err. */
int egress_begin(struct supervisor *supervisor, struct azm_err *err);

/** egress_edit_parse() - "set", "add", "rm". Return: 0, or -1 with @err. */
int egress_edit_parse(const char *word, enum egress_edit *edit, struct azm_err *err);

enum { EGRESS_NEEDS_RESOLVER = 1 };

/**
 * egress_request() - change the rules of a running sandbox, in its configuration, too
 * @request:	{"edit":"set|add|rm","rules":LIST}
 * @resolver:	descriptor of resolver_start() that came along, set to -1 when it is kept; NULL: none came
 *
 * Return: 0; EGRESS_NEEDS_RESOLVER: nothing was changed, ask again with one; -1 with @err
 */
int egress_request(struct supervisor *supervisor, const json_t *request, int *resolver, struct azm_err *err);

/** egress_save() - keep rules in the config.json of a sandbox's directory. Return: 0, or -1 with @err. */
int egress_save(int dir, const struct egress_rules *rules, struct azm_err *err);

/** egress_end() - the broker's end. */
void egress_end(struct supervisor *supervisor);

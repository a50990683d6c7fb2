// SPDX-License-Identifier: GPL-2.0-or-later
/* networks.h: the networks a user has made, as records in the state directory.
 *
 * Theory of operation
 *
 * A record is the file networks/NAME.json: addresses, labels, and a random id. It makes a network known; namespaces,
 * bridge and keeper come to be with the first member and go after the last (netns/). The id is part of the names the
 * keeper uses in the live directory, so that a network that was removed and made again is another one, and two state
 * directories do not meet.
 *
 * The directory's lock is held exclusively to make or remove records, and shared to join a network: `rm` counts members
 * under it, and a starting sandbox has published its name before it asks for it. So either it finds the record gone or
 * `rm` finds the sandbox.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "netns/subnet.h"
#include "state.h"

struct network_record {
	char *name;
	char *id; /* eight hexadecimal digits */
	struct subnet subnet;
	bool internal;		/* members cannot be given egress */
	struct str_list labels; /* K=V */
	char *created;		/* RFC 3339 */
};

void network_record_free(struct network_record *record);
#define cleanup_network_record [[gnu::cleanup(network_record_free)]]

/** network_is_builtin() - "private" and "none": they need no record. */
bool network_is_builtin(const char *name);

/** network_check_name() - whether a network may have that name: as sandboxes, and not one that means something else. */
int network_check_name(const char *name, struct azm_err *err);

/**
 * network_create() - choose addresses and write the record
 * @record:	name, internal, labels, and subnet or prefix 0 to have one chosen; the rest is filled in
 *
 * A subnet that overlaps a route of the host or another network of the user is refused. Host side, before any
 * namespace. Return: 0, or -1 with @err (EEXIST: there is one of that name)
 */
int network_create(const struct state *state, struct network_record *record, struct azm_err *err);

/** network_find() - the record of a network, read under the lock; ENOENT says how to make it. */
int network_find(const struct state *state, const char *name, struct network_record *record, struct azm_err *err);

/** network_remove() - EBUSY with the names while it has members. */
int network_remove(const struct state *state, const char *name, struct azm_err *err);

/** network_names() - append the names of all records, sorted. Return: 0, -1 with @err set */
int network_names(const struct state *state, struct str_list *names, struct azm_err *err);

/** network_subnets() - append the subnets of all records. One that cannot be read is passed over. */
int network_subnets(const struct state *state, struct subnet_list *list, struct azm_err *err);

/** network_live_name() - what its keeper calls it (network_options.name); allocated. */
char *network_live_name(const struct network_record *record);

/** network_json() - everything about a network, builtin or made, with its running members; the caller owns it. NULL
 * with @err. */
json_t *network_json(const struct state *state, const char *name, struct azm_err *err);

// SPDX-License-Identifier: GPL-2.0-or-later
/* published.h: the published ports of a sandbox: from its configuration, and those added and removed while it runs.
 *
 * A running supervisor is locked in: it could neither bind everywhere nor open files. So the command that adds a port
 * binds it, as the user in the host's namespaces, and passes the listening sockets (control.h):
 *
 *     {"op":"publish","publish":[-p arguments],"any_user":bool,"allow_non_loopback":bool,"diag":bool} + sockets
 *     {"op":"unpublish","publish":[-p arguments]}
 *
 * The supervisor parses the same arguments with the same parser and looks at the sockets themselves for the rest. The
 * last descriptor is the sock_diag socket when "diag" says that there is one.
 */
#pragma once
#include <jansson.h>

#include "control.h"
#include "supervisor.h"

/** published_argument() - a -p argument that means the same in every directory: a UNIX socket's path made absolute;
 * allocated. */
char *published_argument(const char *text);

/** published_warn() - say on stderr when a rule listens for other machines but will refuse them. */
void published_warn(const struct publish_rule *rules, size_t count);

/** published_open() - bind everything the configuration asks for, and a port for a server that nobody published. On
 * the host's side, before network_enter(). */
int published_open(struct supervisor *supervisor, struct azm_err *err);

/** published_status() - let status say what is published now. */
void published_status(struct supervisor *supervisor);

/** published_add() / published_remove() - the control operations, on a running sandbox. Both last: status.json and
 * config.json are written anew. Return: 0, -1 with @err and nothing changed */
int published_add(
	struct supervisor *supervisor, const json_t *request, struct control_fds *passed, struct azm_err *err);
int published_remove(struct supervisor *supervisor, const json_t *request, struct azm_err *err);

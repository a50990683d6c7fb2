// SPDX-License-Identifier: GPL-2.0-or-later
/* server/actions.c: the table of actions (spec: openhands 2.3).
 *
 * What is not supported is answered with an error observation and status 200: the client cannot connect to a server
 * that answers anything else to `run_ipython` (trap 2), and the agent can read the reason.
 */
#include "server/server.h"

const struct action actions[] = {
	{ "run", action_run, NULL },
	{ "read", action_read, NULL },
	{ "write", action_write, NULL },
	{ "run_ipython", action_ipython, NULL },
	{ "edit", action_edit, NULL },
	{ "browse", NULL, "Browser functionality is not supported or disabled." },
	{ "browse_interactive", NULL, "Browser functionality is not supported or disabled." },
	{ 0 },
};

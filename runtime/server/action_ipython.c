// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_ipython.c: the `run_ipython` action (spec: openhands 2.3, 5.1). */
#include "base/cleanup.h"
#include "base/str.h"
#include "server/cells.h"
#include "server/observation.h"
#include "server/server.h"

enum { TIMEOUT_S = 120 };

static void on_done(void *context, const char *text, json_t *images, const char *python)
{
	struct job *job = context;
	json_t *args = json_object_get(job->action, "args");
	bool extra = !json_is_false(json_object_get(args, "include_extra"));

	if (!python) {
		job_done(job, observation_error("%s", text));
		return;
	}
	cleanup_free char *content =
		xasprintf("%s%s%s%s%s%s%s", text, extra ? "\n[Jupyter current working directory: " : "",
			extra ? session_cwd(job->server->session) : "", extra ? "]" : "",
			extra ? "\n[Jupyter Python interpreter: " : "", extra ? python : "", extra ? "]" : "");
	job_done(job, observation_ipython(json_object_get(args, "code"), content, images));
}

void action_ipython(struct job *job, json_t *args)
{
	struct server *server = job->server;
	json_t *code = json_object_get(args, "code"), *timeout = json_object_get(job->action, "timeout");
	struct cell cell = { .init = "", .cwd = session_cwd(server->session), .done = on_done, .context = job };

	if (!job_string(job, args, "kernel_init_code", &cell.init))
		return;
	if (!json_is_string(code)) {
		job_fail(job, "argument \"code\" of the action is not a string");
		return;
	}
	cell.code = json_string_value(code);
	cell.code_size = json_string_length(code);
	cell.timeout_s = json_number_value(timeout) > 0 ? json_number_value(timeout) : TIMEOUT_S;
	if (!server->cells)
		server->cells = cells_new(&server->loop, &server->children);
	cells_run(server->cells, &cell);
}

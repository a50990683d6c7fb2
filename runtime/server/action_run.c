// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_run.c: the `run` action: a command in the persistent shell, or in one of its own (spec:
 * openhands 2.3, 3.10). */
#include "base/str.h"
#include "server/events.h"
#include "server/observation.h"
#include "server/server.h"

static void on_output(void *context)
{
	events_job_output(context);
}

static void on_done(void *context, json_t *observation)
{
	job_done(context, observation);
}

static struct session *session_for(struct job *job, bool is_static, const char *cwd)
{
	struct server *server = job->server;
	struct session_config config = {
		.loop = &server->loop,
		.shells = &server->shells,
		.cwd = *cwd ? cwd : server->options.working_dir,
		.username = server->options.username,
		.soft_timeout_s = server->options.soft_timeout_s,
		.single = true,
	};

	if (!is_static)
		return server->session;
	job->own_session = session_new(&config);
	return job->own_session;
}

void action_run(struct job *job, json_t *args)
{
	const char *command = NULL, *cwd = "";
	bool is_static = false;
	struct session_request request = { .done = on_done, .output = on_output, .context = job };
	json_t *timeout = json_object_get(job->action, "timeout");

	if (!job_string(job, args, "command", &command) || !job_string(job, args, "cwd", &cwd) ||
		!job_bool(job, args, "is_input", &request.is_input) ||
		!job_bool(job, args, "blocking", &request.blocking) ||
		!job_bool(job, args, "hidden", &request.hidden) || !job_bool(job, args, "is_static", &is_static))
		return;
	if (timeout && !json_is_number(timeout) && !json_is_null(timeout)) {
		job_fail(job, "timeout of the action is not a number");
		return;
	}
	request.command = command;
	request.timeout_s = json_number_value(timeout);
	job->session = session_for(job, is_static, cwd);
	session_execute(job->session, &request);
}

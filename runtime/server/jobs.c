// SPDX-License-Identifier: GPL-2.0-or-later
/* server/jobs.c: actions run one after another, in the order they arrived (spec: openhands 1.5). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/events.h"
#include "server/observation.h"
#include "server/server.h"

static const struct action *find_action(const char *name)
{
	const struct action *action = actions;

	while (action->name && strcmp(action->name, name) != 0)
		action++;
	return action->name ? action : NULL;
}

static void start(struct job *job)
{
	const char *name = json_string_value(json_object_get(job->action, "action"));
	json_t *args = json_object_get(job->action, "args");
	const struct action *action = name ? find_action(name) : NULL;

	events_job_started(job);
	if (!name)
		job_fail(job, "the action has no type");
	else if (args && !json_is_object(args))
		job_fail(job, "args of the action is not an object");
	else if (!action)
		job_done(job, observation_error("Action type \"%s\" is not known to azm-runtime-server.", name));
	else if (!action->start)
		job_done(job, observation_error("%s", action->unsupported));
	else
		action->start(job, args);
}

/* Clients send one action at a time; half of the connections remains for other requests. */
static bool too_many(const struct server *server)
{
	enum { JOBS_MAX = 64 };
	int count = 0;

	for (const struct job *job = server->jobs; job; job = job->next)
		count++;
	return count >= JOBS_MAX;
}

void job_add(struct request *request, json_t *action, bool streamed)
{
	struct server *server = request->server;
	bool idle = !server->jobs;

	if (too_many(server)) {
		request_fail(request, 429, "Too many actions are waiting");
		return;
	}
	struct job *job = xcalloc(1, sizeof *job);
	job->server = server;
	job->number = ++server->job_numbers;
	job->request = streamed ? NULL : request;
	job->action = json_incref(action);
	if (idle)
		server->jobs_end = &server->jobs;
	*server->jobs_end = job;
	server->jobs_end = &job->next;
	if (streamed)
		events_follow(request, job);
	if (idle)
		start(job);
}

static void job_free(struct job *job)
{
	session_free(job->own_session);
	json_decref(job->action);
	free(job);
}

/* Take the running job off the queue. Return: its request, which is to be answered; NULL: nobody waits for one */
static struct request *leave(struct server *server)
{
	struct job *job = server->jobs;
	struct request *request = job->request;

	server->jobs = job->next;
	job_free(job);
	return request;
}

static void start_next(struct server *server)
{
	if (server->jobs)
		start(server->jobs);
}

void job_done(struct job *job, json_t *observation)
{
	struct server *server = job->server;

	events_job_done(job, observation);
	struct request *request = leave(server);
	if (request)
		request_answer(request, 200, observation);
	else
		json_decref(observation);
	start_next(server);
}

static void refuse(struct job *job, unsigned status, const char *detail)
{
	struct server *server = job->server;

	events_job_failed(job, detail);
	struct request *request = leave(server);
	if (request)
		request_fail(request, status, "%s", detail);
}

void job_fail(struct job *job, const char *format, ...)
{
	struct server *server = job->server;
	cleanup_free char *reason = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&reason, format, args) < 0)
		reason = NULL;
	va_end(args);
	cleanup_free char *detail = xasprintf("Internal server error: %s", reason ? reason : format);
	refuse(job, 500, detail);
	start_next(server);
}

/* The link to the job for which a client waits. */
static struct job **job_of(struct server *server, const struct request *request)
{
	struct job **link = &server->jobs;

	while (*link && (*link)->request != request)
		link = &(*link)->next;
	return link;
}

void job_client_gone(struct request *request)
{
	struct server *server = request->server;
	struct job **link = job_of(server, request), *job = *link;

	if (!job)
		return;
	if (job == server->jobs) {
		if (job->session)
			session_abandon(job->session);
		return;
	}
	events_job_failed(job, "The client is gone");
	*link = job->next;
	if (server->jobs_end == &job->next)
		server->jobs_end = link;
	job_free(job);
	request_fail(request, 503, "The client is gone");
}

void jobs_abort(struct server *server)
{
	while (server->jobs)
		refuse(server->jobs, 503, "The server is shutting down");
}

static bool wrong_type(struct job *job, const char *name, const char *wanted)
{
	job_fail(job, "argument \"%s\" of the action is not %s", name, wanted);
	return false;
}

bool job_string(struct job *job, json_t *args, const char *name, const char **value)
{
	json_t *found = json_object_get(args, name);

	if (!found || (json_is_null(found) && *value))
		return *value ? true : wrong_type(job, name, "given, but needed");
	if (!json_is_string(found))
		return wrong_type(job, name, "a string");
	if (strlen(json_string_value(found)) != json_string_length(found))
		return wrong_type(job, name, "free of NUL characters");
	*value = json_string_value(found);
	return true;
}

bool job_int(struct job *job, json_t *args, const char *name, json_int_t *value)
{
	json_t *found = json_object_get(args, name);

	if (!found || json_is_null(found))
		return true;
	if (!json_is_integer(found))
		return wrong_type(job, name, "an integer");
	*value = json_integer_value(found);
	return true;
}

bool job_bool(struct job *job, json_t *args, const char *name, bool *value)
{
	json_t *found = json_object_get(args, name);

	if (!found || json_is_null(found))
		return true;
	if (!json_is_boolean(found))
		return wrong_type(job, name, "true or false");
	*value = json_is_true(found);
	return true;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_bash.c: /api/bash/...: commands that are started, polled for and stopped (spec: openhands 10.2). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/bash_commands.h"
#include "server/query.h"
#include "server/server.h"

enum { DEFAULT_TIMEOUT_S = 300 };

/* A whole number, also one that is written as 30.0. */
static bool take_timeout(const json_t *value, long *timeout_s)
{
	double number = json_number_value(value);

	if (!value)
		return true;
	if (!json_is_number(value) || number != floor(number) || fabs(number) > 1e15)
		return false;
	*timeout_s = (long)number;
	return true;
}

/* Start what the body asks for. Return: whether it runs; the request is answered if not */
static bool start(struct request *request, char id[static BASH_ID_LENGTH + 1])
{
	json_error_t error;
	json_t *body = body_json(&request->body, 0, &error);
	json_t *command = json_object_get(body, "command"), *cwd = json_object_get(body, "cwd");
	long timeout_s = DEFAULT_TIMEOUT_S;
	bool started = false;

	request->server->last_action_at = loop_now();
	if (!body)
		request_invalid(request, error.text);
	else if (!json_is_string(command))
		request_invalid(request, "command: a string is required");
	else if (cwd && !json_is_string(cwd) && !json_is_null(cwd))
		request_invalid(request, "cwd: not a string");
	else if (!take_timeout(json_object_get(body, "timeout"), &timeout_s))
		request_invalid(request, "timeout: not a whole number");
	else if (bash_commands_start(
			 &request->server->bash, json_string_value(command), json_string_value(cwd), timeout_s, id) < 0)
		request_fail(request, 429, "%d commands are running already", BASH_RUNNING_MAX);
	else
		started = true;
	json_decref(body);
	return started;
}

static json_t *event_json(const struct request *request, const char *id)
{
	const struct bash_events *events = &request->server->bash.events;
	const struct bash_event *event = bash_events_find(events, id);

	return event ? bash_event_json(events, event) : NULL;
}

void endpoint_bash_start(struct request *request)
{
	char id[BASH_ID_LENGTH + 1];

	if (start(request, id))
		request_answer(request, 200, event_json(request, id));
}

static void answer_output(void *context, const char *id)
{
	struct request *request = context;

	request_answer(request, 200, bash_events_collect(&request->server->bash.events, id));
}

void endpoint_bash_execute(struct request *request)
{
	struct bash_commands *commands = &request->server->bash;
	char id[BASH_ID_LENGTH + 1];

	if (!start(request, id))
		return;
	if (bash_commands_is_running(commands, id))
		bash_commands_wait(commands, id, answer_output, request);
	else
		answer_output(request, id);
}

static void answer_stopped(void *context, const char *id)
{
	(void)id;
	request_answer(context, 200, json_pack("{s:b}", "success", 1));
}

/* Which id a client means by the variable part of the path. false: it is none, and the request was answered */
static bool take_id(struct request *request, char id[static BASH_ID_LENGTH + 1])
{
	if (bash_id_parse(request->segment, id))
		return true;
	request_fail(request, 404, "Not Found");
	return false;
}

void endpoint_bash_stop(struct request *request)
{
	struct bash_commands *commands = &request->server->bash;
	char id[BASH_ID_LENGTH + 1];

	request->server->last_action_at = loop_now();
	if (!take_id(request, id))
		return;
	if (bash_commands_is_running(commands, id)) {
		bash_commands_wait(commands, id, answer_stopped, request);
		bash_commands_stop(commands, id);
	} else if (bash_events_find(&commands->events, id)) {
		answer_stopped(request, id);
	} else {
		request_fail(request, 404, "Not Found");
	}
}

void endpoint_bash_event(struct request *request)
{
	char id[BASH_ID_LENGTH + 1];

	if (!take_id(request, id))
		return;
	json_t *event = event_json(request, id);
	if (event)
		request_answer(request, 200, event);
	else
		request_fail(request, 404, "Not Found");
}

static bool take_time(struct request *request, const char *name, int64_t *time_us)
{
	const char *text = request_query(request, name);

	if (!text || bash_time_parse(text, time_us))
		return true;
	request_invalid(request, "a time in the form of ISO 8601 is required");
	return false;
}

static bool take_search(struct request *request, struct bash_search *search, char command[static BASH_ID_LENGTH + 1],
	char page[static BASH_ID_LENGTH + 1])
{
	static const char *const kinds[] = { "", "BashCommand", "BashOutput", NULL };
	static const char *const orders[] = { "TIMESTAMP", "TIMESTAMP_DESC", NULL };
	const char *command_id = request_query(request, "command_id__eq"), *page_id = request_query(request, "page_id");
	unsigned kind = 0, order = 0;
	int64_t limit = BASH_PAGE_EVENTS;

	*search = (struct bash_search){ .from_us = INT64_MIN, .before_us = INT64_MAX, .order_above = INT64_MIN };
	if (!query_choice(request, "kind__eq", kinds, &kind) || !query_choice(request, "sort_order", orders, &order) ||
		!query_int(request, "limit", 1, BASH_PAGE_EVENTS, &limit) ||
		!query_int(request, "order__gt", INT64_MIN, INT64_MAX, &search->order_above) ||
		!take_time(request, "timestamp__gte", &search->from_us) ||
		!take_time(request, "timestamp__lt", &search->before_us))
		return false;
	if (command_id && !bash_id_parse(command_id, command)) {
		request_invalid(request, "command_id__eq: a UUID is required");
		return false;
	}
	search->kind = (enum bash_kind)kind;
	search->command_id = command_id ? command : NULL;
	search->descending = order == 1;
	search->limit = (size_t)limit;
	search->page_id = page_id && bash_id_parse(page_id, page) ? page : NULL;
	return true;
}

void endpoint_bash_search(struct request *request)
{
	struct bash_commands *commands = &request->server->bash;
	char command[BASH_ID_LENGTH + 1], page[BASH_ID_LENGTH + 1];
	struct bash_search search;

	if (!take_search(request, &search, command, page))
		return;
	/* Who reads in order gets what there is so far. Who asks for the latest one expects all output in it. */
	if (search.command_id && !search.descending)
		bash_commands_flush(commands, search.command_id);
	request_answer(request, 200, bash_events_search(&commands->events, &search));
}

void endpoint_bash_clear(struct request *request)
{
	size_t count = bash_events_clear(&request->server->bash.events);

	request_answer(request, 200, json_pack("{s:I}", "cleared_count", (json_int_t)count));
}

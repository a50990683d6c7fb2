// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_execute.c: POST /execute_action: an action is queued (spec: openhands 1.3). */
#include "server/query.h"
#include "server/server.h"

void endpoint_execute_action(struct request *request)
{
	int64_t stream = 0;
	json_error_t error;

	request->server->last_action_at = loop_now();
	if (!query_int(request, "stream", 0, 1, &stream))
		return;
	json_t *body = body_json(&request->body, JSON_ALLOW_NUL, &error);
	json_t *action = json_object_get(body, "action");
	if (!body)
		request_invalid(request, error.text);
	else if (!json_is_object(action))
		request_invalid(request, "action: an object is required");
	else
		job_add(request, action, stream == 1);
	json_decref(body);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_git.c: /api/git/...: what changed in a repository (spec: openhands 10.2). */
#include "server/git.h"
#include "server/query.h"
#include "server/server.h"
#include "server/worker.h"

static void answer(struct request *request, json_t *(*work)(void *input, unsigned *status))
{
	struct git_question question = { .path = query_path(request, "path"), .ref = request_query(request, "ref") };

	request->server->last_action_at = loop_now();
	if (question.path)
		worker_answer(request, work, &question);
}

void endpoint_git_changes(struct request *request)
{
	answer(request, git_changes);
}

void endpoint_git_diff(struct request *request)
{
	answer(request, git_diff);
}

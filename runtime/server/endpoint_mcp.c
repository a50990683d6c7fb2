// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_mcp.c: POST /update_mcp_server (spec: openhands 1.3).
 *
 * There is no MCP proxy here. A failure inside of upstream's proxy is an answer too: 200 with its log, which the client
 * writes into its own. So a client with MCP servers works, without them, and its log says why.
 */
#include "server/observation.h"
#include "server/server.h"

static void add_name(struct text *log, const json_t *config)
{
	const char *name = json_string_value(json_object_get(config, "name"));

	text_addf(log, "%s%s", log->size ? ", " : "MCP servers are not started by azm-runtime-server: ",
		name ? name : "(without a name)");
}

void endpoint_update_mcp_server(struct request *request)
{
	json_error_t error;
	json_t *body = body_json(&request->body, 0, &error);
	cleanup_text struct text log = { 0 };

	if (!body) {
		request_invalid(request, error.text);
		return;
	}
	for (size_t i = 0; i < json_array_size(body); i++)
		add_name(&log, json_array_get(body, i));
	if (json_is_array(body))
		request_answer(request, 200,
			json_pack("{s:s, s:o}", "detail", "MCP server updated successfully", "router_error_log",
				json_text_of(log.bytes ? log.bytes : "", log.size)));
	else
		request_fail(request, 400, "Request must be a list of MCP tools to sync");
	json_decref(body);
}

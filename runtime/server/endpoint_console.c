// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_console.c: /api/console/...: what the page at / asks for (docs/server-api.md). */
#include <errno.h>
#include <string.h>

#include "server/display.h"
#include "server/listing.h"
#include "server/query.h"
#include "server/server.h"
#include "server/terminal.h"
#include "server/worker.h"

/* The terminal of the path. NULL: it is gone, and the request was answered */
static struct terminal *take_terminal(struct request *request)
{
	struct terminal *terminal = terminal_find(request->server, request->segment);

	if (!terminal)
		request_fail(request, 404, "Not Found");
	return terminal;
}

static bool size_in_bounds(json_int_t rows, json_int_t columns)
{
	return rows >= DISPLAY_SIZE_MIN && rows <= DISPLAY_ROWS_MAX && columns >= DISPLAY_SIZE_MIN &&
	       columns <= DISPLAY_COLUMNS_MAX;
}

/* {"rows": R, "columns": C} of the body. false: it is something else, and the request was answered */
static bool take_size(struct request *request, int *rows, int *columns)
{
	json_error_t error;
	json_t *body = body_json(&request->body, 0, &error);
	json_t *height = json_object_get(body, "rows"), *width = json_object_get(body, "columns");
	bool good = json_is_integer(height) && json_is_integer(width) &&
		    size_in_bounds(json_integer_value(height), json_integer_value(width));

	*rows = good ? (int)json_integer_value(height) : 0;
	*columns = good ? (int)json_integer_value(width) : 0;
	json_decref(body);
	if (!good)
		request_invalid(request, "rows, columns: two numbers of a sensible size are required");
	return good;
}

static void answer_done(struct request *request)
{
	request_answer(request, 200, json_pack("{s:b}", "success", 1));
}

void endpoint_console_open(struct request *request)
{
	struct azm_err err = { 0 };
	int rows, columns;

	if (!take_size(request, &rows, &columns))
		return;
	const struct terminal *terminal = terminal_start(request->server, rows, columns, &err);
	if (terminal)
		request_answer(request, 200, json_pack("{s:I}", "id", terminal_number(terminal)));
	else
		request_fail(request, err_is(&err, EBUSY) ? 429 : 500, "%s: %s", err.text,
			err.reason[0] ? err.reason : strerror(err.code));
}

void endpoint_console_screen(struct request *request)
{
	struct terminal *terminal = take_terminal(request);

	if (terminal)
		terminal_show(terminal, request);
}

void endpoint_console_keys(struct request *request)
{
	struct terminal *terminal = take_terminal(request);
	json_error_t error;

	if (!terminal)
		return;
	json_t *body = body_json(&request->body, 0, &error);
	if (terminal_keys(terminal, body))
		answer_done(request);
	else
		request_invalid(request, "an array of keys is required");
	json_decref(body);
}

void endpoint_console_size(struct request *request)
{
	struct terminal *terminal = take_terminal(request);
	int rows, columns;

	if (!terminal || !take_size(request, &rows, &columns))
		return;
	terminal_resize(terminal, rows, columns);
	answer_done(request);
}

void endpoint_console_close(struct request *request)
{
	struct terminal *terminal = take_terminal(request);

	if (!terminal)
		return;
	terminal_free(terminal);
	answer_done(request);
}

void endpoint_console_files(struct request *request)
{
	const char *path = query_path(request, "path");

	if (path)
		worker_answer(request, listing_files, (void *)path);
}

void endpoint_console_processes(struct request *request)
{
	worker_answer(request, listing_processes, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/events.c: see events.h
 *
 * To render the screen costs as much as there is on it. So output is looked at a moment after it changed, and after a
 * look not again for OUTPUT_SHARE times as long as the look took.
 */
#include "server/events.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/bash_commands.h"
#include "server/observation.h"
#include "server/server.h"
#include "server/stream.h"

enum {
	OUTPUT_DELAY_MS = 10,
	OUTPUT_PAUSE_MS = 50,
	OUTPUT_SHARE = 20,
	OUTPUT_WAITING_MAX = 256 << 10, /* bytes on the way: more output may wait until there are less */
	WAITING_MAX = 32 << 20,		/* the follower is cut off */
};

struct follower {
	struct server *server;
	struct stream *stream;
	json_int_t only; /* number of the job; 0: all */
	bool cut;
	char *shown; /* output of the running job that was sent; NULL: none */
	struct loop_timer timer;
	uint64_t not_before;
	struct follower *next;
};

static void on_closed(void *context)
{
	struct follower *follower = context;
	struct follower **link = &follower->server->followers;

	while (*link != follower)
		link = &(*link)->next;
	*link = follower->next;
	loop_set(&follower->server->loop, &follower->timer, 0);
	free(follower->shown);
	free(follower);
}

static const struct stream_events stream_events = { .closed = on_closed };

static void send(struct follower *follower, const char *event, json_t *data)
{
	if (stream_waiting(follower->stream) > WAITING_MAX && !follower->cut) {
		follower->cut = true;
		stream_cut(follower->stream);
	}
	if (follower->cut)
		json_decref(data);
	else
		stream_send(follower->stream, event, data);
}

static bool follows(const struct follower *follower, const struct job *job)
{
	return !follower->only || follower->only == job->number;
}

/* Lines both texts begin with. Return: their number; *size: their bytes */
static size_t common_lines(const char *a, const char *b, size_t *size)
{
	size_t lines = 0;

	*size = 0;
	for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
		if (a[i] != '\n')
			continue;
		lines++;
		*size = i + 1;
	}
	return lines;
}

static void send_output(struct follower *follower, const struct job *job)
{
	cleanup_free char *text = job->session ? session_output(job->session) : NULL;
	const char *shown = follower->shown ? follower->shown : "";
	size_t same;

	if (!text || strcmp(text, shown) == 0)
		return;
	size_t line = common_lines(shown, text, &same);
	send(follower, "output",
		json_pack("{s:I, s:I, s:o}", "id", job->number, "from_line", (json_int_t)line, "text",
			json_text(text + same)));
	free(follower->shown);
	follower->shown = steal_ptr(&text);
}

static void on_timer(struct loop_timer *timer)
{
	struct follower *follower = (struct follower *)(void *)((char *)timer - offsetof(struct follower, timer));
	struct loop *loop = &follower->server->loop;
	const struct job *job = follower->server->jobs;
	uint64_t began = loop_now();

	if (!job || !follows(follower, job))
		return;
	if (stream_waiting(follower->stream) > OUTPUT_WAITING_MAX) {
		loop_set(loop, &follower->timer, began + OUTPUT_PAUSE_MS);
		return;
	}
	send_output(follower, job);
	uint64_t pause = (loop_now() - began) * OUTPUT_SHARE;
	follower->not_before = began + (pause > OUTPUT_PAUSE_MS ? pause : OUTPUT_PAUSE_MS);
}

static void look_soon(struct follower *follower)
{
	uint64_t at = loop_now() + OUTPUT_DELAY_MS;

	if (!follower->timer.at)
		loop_set(&follower->server->loop, &follower->timer,
			at > follower->not_before ? at : follower->not_before);
}

static void tell_started(struct follower *follower, const struct job *job)
{
	free(steal_ptr(&follower->shown));
	send(follower, "action", json_pack("{s:I, s:O}", "id", job->number, "action", job->action));
}

void events_job_started(const struct job *job)
{
	for (struct follower *follower = job->server->followers; follower; follower = follower->next)
		if (follows(follower, job))
			tell_started(follower, job);
}

void events_job_output(const struct job *job)
{
	for (struct follower *follower = job->server->followers; follower; follower = follower->next)
		if (follows(follower, job))
			look_soon(follower);
}

static void tell_end(const struct job *job, const char *event, const char *name, json_t *value)
{
	for (struct follower *follower = job->server->followers; follower; follower = follower->next) {
		if (!follows(follower, job))
			continue;
		loop_set(&job->server->loop, &follower->timer, 0);
		send(follower, event, json_pack("{s:I, s:O}", "id", job->number, name, value));
		if (follower->only)
			stream_end(follower->stream);
	}
}

void events_job_done(const struct job *job, json_t *observation)
{
	tell_end(job, "observation", "observation", observation);
}

void events_job_failed(const struct job *job, const char *detail)
{
	json_t *text = json_text(detail);

	tell_end(job, "error", "detail", text);
	json_decref(text);
}

static struct server *server_of(struct bash_commands *commands)
{
	return (struct server *)(void *)((char *)commands - offsetof(struct server, bash));
}

static void tell_bash(struct server *server, const char *event, json_t *data)
{
	for (struct follower *follower = server->followers; follower; follower = follower->next)
		if (!follower->only)
			send(follower, event, json_incref(data));
	json_decref(data);
}

void events_bash_changed(struct bash_commands *commands, const struct bash_event *event)
{
	struct server *server = server_of(commands);

	if (server->followers)
		tell_bash(server, event->kind == BASH_COMMAND ? "bash_command" : "bash_end",
			bash_event_json(&commands->events, event));
}

void events_bash_printed(struct bash_commands *commands, const char *id, bool is_stderr, const char *bytes, size_t size)
{
	struct server *server = server_of(commands);

	if (server->followers)
		tell_bash(server, "bash_output",
			json_pack("{s:s, s:s, s:o}", "command_id", id, "stream", is_stderr ? "stderr" : "stdout",
				"text", json_text_of(bytes, size)));
}

void events_follow(struct request *request, const struct job *job)
{
	struct server *server = request->server;
	struct follower *follower = xcalloc(1, sizeof *follower);

	follower->server = server;
	follower->only = job ? job->number : 0;
	follower->timer.fire = on_timer;
	follower->next = server->followers;
	server->followers = follower;
	follower->stream = stream_start(request, &stream_events, follower);
	if (!job && server->jobs) { /* what is going on already */
		tell_started(follower, server->jobs);
		look_soon(follower);
	}
}

void endpoint_events(struct request *request)
{
	events_follow(request, NULL);
}

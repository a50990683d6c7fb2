// SPDX-License-Identifier: GPL-2.0-or-later
/* server/events.h: followers: clients that watch commands run, by server-sent events.
 *
 * `GET /events` shows everything everybody does; `POST /execute_action?stream=1` the action it sent, to its end.
 *
 *     action        {"id": N, "action": {...}}               an action begins
 *     output        {"id": N, "from_line": L, "text": T}     what the screen shows from line L on is now T
 *     observation   {"id": N, "observation": {...}}          it ended: what the classic call is answered with
 *     error         {"id": N, "detail": T}                   it ended: what would be an HTTP error
 *     bash_command, bash_end   an event of /api/bash         a command began, ended
 *     bash_output   {"command_id": ID, "stream": "stdout" or "stderr", "text": T}
 *
 * A line may change after it was sent (progress bars); `from_line` says from where on. A follower that cannot keep up
 * misses steps of output, never its last state; one that takes nothing at all is cut off.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct bash_commands;
struct bash_event;
struct job;
struct request;
struct server;

/** events_follow() - answer a request with the events of a job, or of everything (NULL). */
void events_follow(struct request *request, const struct job *job);

/** events_job_started() / events_job_output() / events_job_done() / events_job_failed() - what happened to a job. */
void events_job_started(const struct job *job);
void events_job_output(const struct job *job);
void events_job_done(const struct job *job, json_t *observation);
void events_job_failed(const struct job *job, const char *detail);

/** events_bash_changed() / events_bash_printed() - callbacks of struct bash_commands. */
void events_bash_changed(struct bash_commands *commands, const struct bash_event *event);
void events_bash_printed(
	struct bash_commands *commands, const char *id, bool is_stderr, const char *bytes, size_t size);

/** endpoint: GET /events. */
void endpoint_events(struct request *request);

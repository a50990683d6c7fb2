// SPDX-License-Identifier: GPL-2.0-or-later
/* server/stream.h: an answer that goes on: server-sent events (text/event-stream). */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct request;
struct server;
struct stream;

/* Both may be NULL. Called from the loop; stream_end() may be called from within the first one. */
struct stream_events {
	void (*drained)(void *context); /* all that was written is on its way: a good moment for more */
	void (*closed)(void *context);	/* the client is gone or stream_end() has taken effect; @stream is freed */
};

/**
 * stream_start() - answer a request with 200 and events to come
 *
 * A client that went away is noticed by the comment that is sent every 15 s when nothing else is.
 *
 * Return: the stream; it belongs to its connection, and lives until closed() was called
 */
struct stream *stream_start(struct request *request, const struct stream_events *events, void *context);

/** stream_cut() - break the connection off when what was written is sent, so that the client knows it is not all. */
void stream_cut(struct stream *stream);

/** stream_send() - an event with a JSON value, which is consumed. */
void stream_send(struct stream *stream, const char *event, json_t *data);

/** stream_waiting() - bytes that the client has not taken yet: who can skip something should, while there are many. */
size_t stream_waiting(const struct stream *stream);

/** stream_end() - nothing more will come; what was written is still sent. */
void stream_end(struct stream *stream);

/** stream_leave() - the same for a user that goes away: none of its functions is called any more. */
void stream_leave(struct stream *stream);

/** streams_end() - end all streams of a server that stops. */
void streams_end(struct server *server);

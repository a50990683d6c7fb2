// SPDX-License-Identifier: GPL-2.0-or-later
/* server/stream.c: see stream.h
 *
 * libmicrohttpd asks for bytes when the connection has room. When there are none the connection is suspended, so that
 * it costs nothing, and resumed by the next event. A suspended connection is not watched: a client that is gone shows
 * itself when something is written, which the heartbeat sees to.
 */
#include "server/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/server.h"

enum { HEARTBEAT_MS = 15000, BLOCK = 16 << 10 };

struct stream {
	struct server *server;
	struct MHD_Connection *connection;
	const struct stream_events *events;
	void *context;
	struct text waiting;
	bool suspended, ended;
	struct loop_timer heartbeat;
	struct stream *next;
};

static void resume(struct stream *stream)
{
	loop_set(&stream->server->loop, &stream->heartbeat, loop_now() + HEARTBEAT_MS);
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

static void on_heartbeat(struct loop_timer *timer)
{
	struct stream *stream = (struct stream *)(void *)((char *)timer - offsetof(struct stream, heartbeat));

	text_addf(&stream->waiting, ":\n\n");
	resume(stream);
}

static ssize_t read_block(void *context, uint64_t position, char *bytes, size_t room)
{
	struct stream *stream = context;

	(void)position;
	if (!stream->waiting.size && !stream->ended && stream->events->drained)
		stream->events->drained(stream->context);
	size_t size = stream->waiting.size < room ? stream->waiting.size : room;
	if (size) {
		memcpy(bytes, stream->waiting.bytes, size);
		stream->waiting.size -= size;
		memmove(stream->waiting.bytes, stream->waiting.bytes + size, stream->waiting.size);
		if (!stream->waiting.size)
			text_free(&stream->waiting);
		return (ssize_t)size;
	}
	if (stream->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	stream->suspended = true;
	MHD_suspend_connection(stream->connection);
	return 0;
}

static void on_closed(void *context)
{
	struct stream *stream = context;
	struct stream **link = &stream->server->streams;

	while (*link != stream)
		link = &(*link)->next;
	*link = stream->next;
	loop_set(&stream->server->loop, &stream->heartbeat, 0);
	if (stream->events->closed)
		stream->events->closed(stream->context);
	text_free(&stream->waiting);
	free(stream);
}

struct stream *stream_start(struct request *request, const struct stream_events *events, void *context)
{
	struct stream *stream = xcalloc(1, sizeof *stream);
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_block, stream, on_closed);

	if (!response) { /* only for want of memory */
		fputs("azm-runtime-server: out of memory\n", stderr);
		abort();
	}
	stream->server = request->server;
	stream->connection = request->connection;
	stream->events = events;
	stream->context = context;
	stream->heartbeat.fire = on_heartbeat;
	stream->next = request->server->streams;
	request->server->streams = stream;
	loop_set(&stream->server->loop, &stream->heartbeat, loop_now() + HEARTBEAT_MS);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream; charset=utf-8");
	MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx would hold events back */
	request_send(request, 200, response);
	return stream;
}

void stream_send(struct stream *stream, const char *event, json_t *data)
{
	cleanup_free char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	json_decref(data);
	if (!text || stream->ended)
		return;
	text_addf(&stream->waiting, "event: %s\ndata: ", event);
	text_add(&stream->waiting, text, strlen(text));
	text_add(&stream->waiting, "\n\n", 2);
	resume(stream);
}

size_t stream_waiting(const struct stream *stream)
{
	return stream->waiting.size;
}

void stream_end(struct stream *stream)
{
	stream->ended = true;
	resume(stream);
}

void streams_end(struct server *server)
{
	for (struct stream *stream = server->streams; stream; stream = stream->next)
		stream_end(stream);
}

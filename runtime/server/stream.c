// SPDX-License-Identifier: GPL-2.0-or-later
/* server/stream.c: see stream.h
 *
 * libmicrohttpd asks for bytes when the connection has room. When there are none the connection is suspended, so that
 * it costs nothing, and resumed by the next event. libmicrohttpd does not watch a suspended connection, so streams
 * watch for the client's end themselves. One that vanished without a word shows itself when something is
 * written, which the heartbeat sees to.
 */
#include "server/stream.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/server.h"

enum { HEARTBEAT_MS = 15000, BLOCK = 64 << 10 };

struct stream {
	struct server *server;
	struct MHD_Connection *connection;
	const struct stream_events *events;
	void *context;
	struct text waiting;
	size_t taken; /* of what is waiting */
	bool suspended, ended, cut;
	struct loop_timer heartbeat;
	struct loop_source client; /* fd -1: not watched */
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
	if (!stream_waiting(stream) && !stream->ended && stream->events->drained)
		stream->events->drained(stream->context);
	size_t size = stream_waiting(stream) < room ? stream_waiting(stream) : room;
	if (size) {
		memcpy(bytes, stream->waiting.bytes + stream->taken, size);
		stream->taken += size;
		if (!stream_waiting(stream)) {
			text_free(&stream->waiting);
			stream->taken = 0;
		}
		return (ssize_t)size;
	}
	if (stream->ended)
		return (ssize_t)(stream->cut ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM);
	stream->suspended = true;
	MHD_suspend_connection(stream->connection);
	return 0;
}

static void unwatch(struct stream *stream)
{
	if (stream->client.fd >= 0)
		loop_remove(&stream->server->loop, &stream->client);
	stream->client.fd = -1;
}

static void on_gone(struct loop_source *source, uint32_t events)
{
	struct stream *stream = (struct stream *)(void *)((char *)source - offsetof(struct stream, client));

	(void)events;
	unwatch(stream);
	stream_cut(stream);
}

/* libmicrohttpd frees the response, and so calls on_closed(), before it closes the descriptor. */
static void watch(struct stream *stream)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(stream->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	stream->client = (struct loop_source){ .fd = info ? info->connect_fd : -1, .ready = on_gone };
	if (stream->client.fd >= 0 && loop_add(&stream->server->loop, &stream->client, EPOLLRDHUP) < 0)
		stream->client.fd = -1;
}

static void on_closed(void *context)
{
	struct stream *stream = context;
	struct stream **link = &stream->server->streams;

	while (*link != stream)
		link = &(*link)->next;
	*link = stream->next;
	loop_set(&stream->server->loop, &stream->heartbeat, 0);
	unwatch(stream);
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
	stream->client.fd = -1;
	stream->next = request->server->streams;
	request->server->streams = stream;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream; charset=utf-8");
	MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx would hold events back */
	request_send(request, 200, response);
	watch(stream);
	resume(stream);
	return stream;
}

void stream_send(struct stream *stream, const char *event, json_t *data)
{
	cleanup_free char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	json_decref(data);
	if (!text || stream->ended)
		return;
	if (stream->taken > BLOCK) { /* move up what is left, now and then */
		stream->waiting.size = stream_waiting(stream);
		memmove(stream->waiting.bytes, stream->waiting.bytes + stream->taken, stream->waiting.size);
		stream->taken = 0;
	}
	text_addf(&stream->waiting, "event: %s\ndata: ", event);
	text_add(&stream->waiting, text, strlen(text));
	text_add(&stream->waiting, "\n\n", 2);
	resume(stream);
}

size_t stream_waiting(const struct stream *stream)
{
	return stream->waiting.size - stream->taken;
}

void stream_end(struct stream *stream)
{
	stream->ended = true;
	resume(stream);
}

void stream_cut(struct stream *stream)
{
	stream->cut = true;
	stream_end(stream);
}

void stream_leave(struct stream *stream)
{
	static const struct stream_events nobody = { 0 };

	stream->events = &nobody;
	stream_end(stream);
}

void streams_end(struct server *server)
{
	for (struct stream *stream = server->streams; stream; stream = stream->next)
		stream_end(stream);
}

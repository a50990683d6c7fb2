// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_flow.c: one direction of a pair, see relay.c for the theory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netns/relay_internal.h"

enum {
	BULK_READ = 32 * 1024, /* a read of this size is a large one */
	BULK_AFTER = 2,	       /* large reads in a row that switch to splicing */
	BULK_LEAST = 8 * 1024, /* a splice below this is a small one */
	BULK_UNTIL = 4,	       /* small ones in a row that switch back */
	SPLICE_MOST = 1 << 20,
};

/* The receiver's connection is gone. What it sent before may still be readable: let the other flow find out. */
static enum progress receiver_failed(struct end *to)
{
	to->failed = to->odd = to->readable = true;
	return STUCK;
}

static enum progress write_blocked(struct end *to)
{
	if (errno == EINTR)
		return MOVED;
	if (errno != EAGAIN)
		return receiver_failed(to);
	to->writable = false;
	return STUCK;
}

static enum progress read_blocked(struct end *from)
{
	if (errno == EINTR)
		return MOVED;
	if (errno != EAGAIN)
		return BROKEN;
	from->readable = false;
	return STUCK;
}

static enum progress reached_eof(struct flow *flow, struct end *from, struct end *to)
{
	if (from->failed)
		return BROKEN;
	flow->eof = true;
	if (shutdown(to->fd, SHUT_WR) < 0 && errno != ENOTCONN)
		return BROKEN;
	return STUCK;
}

static enum progress keep_rest(struct flow *flow, const uint8_t *bytes, size_t length)
{
	flow->chunk = malloc(sizeof *flow->chunk + length);
	if (!flow->chunk)
		return BROKEN;
	flow->chunk->offset = 0;
	flow->chunk->length = (uint32_t)length;
	memcpy(flow->chunk->bytes, bytes, length);
	return MOVED;
}

static void note_size(struct flow *flow, size_t size)
{
	bool towards_change = flow->bulk ? size < BULK_LEAST : size >= BULK_READ;

	flow->streak = towards_change ? (uint8_t)(flow->streak + 1) : 0;
	if (flow->streak >= (flow->bulk ? BULK_UNTIL : BULK_AFTER)) {
		flow->bulk = !flow->bulk;
		flow->streak = 0;
	}
}

/* recv() and send() of the C library are cancellation points, which costs a threaded program several percent of a
 * message. Nobody cancels threads here. */
static ssize_t receive(int fd, void *bytes, size_t size)
{
	return syscall(SYS_recvfrom, fd, bytes, size, MSG_DONTWAIT, NULL, NULL);
}

static ssize_t transmit(int fd, const void *bytes, size_t size)
{
	return syscall(SYS_sendto, fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
}

static enum progress copy_step(struct relay *relay, struct flow *flow, struct end *from, struct end *to)
{
	ssize_t size = receive(from->fd, relay->buffer, sizeof relay->buffer);

	if (size < 0)
		return read_blocked(from);
	if (size == 0)
		return reached_eof(flow, from, to);
	if ((size_t)size < sizeof relay->buffer && !from->odd)
		from->readable = false;
	note_size(flow, (size_t)size);

	ssize_t sent = transmit(to->fd, relay->buffer, (size_t)size);
	flow->moved += sent > 0 ? (size_t)sent : 0;
	if (sent == size)
		return MOVED;
	if (sent < 0 && write_blocked(to) == STUCK && to->failed)
		return STUCK;
	size_t taken = sent < 0 ? 0 : (size_t)sent;
	return keep_rest(flow, relay->buffer + taken, (size_t)size - taken);
}

static enum progress flush_chunk(struct flow *flow, struct end *to)
{
	struct chunk *chunk = flow->chunk;
	ssize_t sent = transmit(to->fd, chunk->bytes + chunk->offset, chunk->length - chunk->offset);

	if (sent < 0)
		return write_blocked(to);
	chunk->offset += (uint32_t)sent;
	flow->moved += (size_t)sent;
	if (chunk->offset == chunk->length) {
		free(chunk);
		flow->chunk = NULL;
	}
	return MOVED;
}

static enum progress flush_pipe(struct relay *relay, struct flow *flow, struct end *to)
{
	ssize_t sent = splice(flow->pipe->out, NULL, to->fd, NULL, flow->pipe->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (sent < 0)
		return write_blocked(to);
	flow->pipe->held -= (size_t)sent;
	flow->moved += (size_t)sent;
	if (flow->pipe->held == 0) {
		relay_pipe_return(&relay->pipes, flow->pipe);
		flow->pipe = NULL;
	}
	return MOVED;
}

static enum progress splice_step(struct relay *relay, struct flow *flow, struct end *from, struct end *to)
{
	flow->pipe = relay_pipe_borrow(&relay->pipes);
	if (!flow->pipe) {
		flow->bulk = false;
		return MOVED;
	}
	ssize_t size = splice(from->fd, NULL, flow->pipe->in, NULL, SPLICE_MOST, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (size > 0) {
		flow->pipe->held = (size_t)size;
		note_size(flow, (size_t)size);
		return flush_pipe(relay, flow, to);
	}
	int saved = errno;
	relay_pipe_return(&relay->pipes, flow->pipe);
	flow->pipe = NULL;
	errno = saved;
	return size == 0 ? reached_eof(flow, from, to) : read_blocked(from);
}

static enum progress look_step(struct pair *pair, struct end *from)
{
	switch (pair->guard->look(pair->guard, from->fd)) {
	case RELAY_PASS:
		pair->looking = false;
		return MOVED;
	case RELAY_WAIT:
		from->readable = false;
		return STUCK;
	case RELAY_CLOSE:
		from->spared = true;
		break;
	}
	return BROKEN;
}

enum progress flow_step(struct pair *pair, int i)
{
	struct end *from = &pair->end[i], *to = &pair->end[!i];
	struct flow *flow = &pair->flow[i];

	if (!to->writable || to->failed)
		return STUCK;
	if (flow->chunk)
		return flush_chunk(flow, to);
	if (flow->pipe)
		return flush_pipe(pair->relay, flow, to);
	if (flow->eof || !from->readable)
		return STUCK;
	if (i == 0 && pair->looking)
		return look_step(pair, from);
	return (flow->bulk ? splice_step : copy_step)(pair->relay, flow, from, to);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* streams.c: see streams.h.
 *
 * Our own stdin, stdout and stderr are never made non-blocking: the flag belongs to the open file, which the caller's
 * shell shares. Instead at most PIPE_BUF bytes are written when poll() says there is room, which a pipe then takes
 * without blocking. A side that does not read holds up its own stream only.
 */
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/str.h"

enum { STREAM_BUFFER = 16384 };

static const struct stream no_stream = { .from = -1, .to = -1 };

void streams_init(struct streams *streams)
{
	*streams =
		(struct streams){ .in = no_stream, .out = no_stream, .err = no_stream, .master = -1, .log = LOG_NONE };
	for (size_t i = 0; i < ATTACH_MOST; i++)
		streams->attached[i] = -1;
}

static int output_pipe(struct stream *stream, int to, int *child, struct azm_err *err)
{
	int ends[2];

	if (pipe_pair(ends, err) < 0)
		return -1;
	*stream = (struct stream){ .from = ends[0], .to = to, .logged = true };
	*child = ends[1];
	return 0;
}

static int input_pipe(struct stream *stream, bool ours, int *child, struct azm_err *err)
{
	int ends[2];
	struct stat st;

	if (ours && fstat(STDIN_FILENO, &st) == 0 && S_ISDIR(st.st_mode)) {
		err_msg(err, EISDIR, "relay stdin", NULL, "it is a directory");
		return err_hint(err, "mount a directory with -v HOST:CTR");
	}
	if (pipe_pair(ends, err) < 0)
		return -1;
	fd_set_nonblock(ends[1], true);
	*stream = (struct stream){ .from = ours ? STDIN_FILENO : -1, .to = ends[1], .closes_to = true };
	*child = ends[0];
	return 0;
}

int streams_open(struct streams *streams, bool interactive, bool tty, bool foreground, int logdir,
	struct child_stdio *child, struct azm_err *err)
{
	streams_init(streams);
	streams->tty = tty;
	*child = (struct child_stdio){ -1, -1, -1 };
	if (log_open(&streams->log, logdir, err) < 0)
		return -1;
	if (tty || !interactive) {
		/* With a terminal the three are replaced by it inside; until then they are null. */
		child->in = spawn_stdio_null(err);
		if (child->in < 0)
			return -1;
	} else if (input_pipe(&streams->in, foreground, &child->in, err) < 0) {
		return -1;
	}
	if (tty) {
		child->out = dup(child->in);
		child->err = dup(child->in);
		streams->out.to = foreground ? STDOUT_FILENO : -1;
		return child->out < 0 || child->err < 0 ? err_sys(err, "duplicate a descriptor", NULL) : 0;
	}
	if (output_pipe(&streams->out, foreground ? STDOUT_FILENO : -1, &child->out, err) < 0)
		return -1;
	return output_pipe(&streams->err, foreground ? STDERR_FILENO : -1, &child->err, err);
}

void streams_close_child(struct child_stdio *child)
{
	int *fds[] = { &child->in, &child->out, &child->err };

	for (size_t i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

void streams_resize(const struct streams *streams)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	const int own[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };

	if (streams->master < 0)
		return;
	for (size_t i = 0; i < 3; i++)
		if (ioctl(own[i], TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
			break;
	if (size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	ioctl(streams->master, TIOCSWINSZ, &size);
}

int streams_take_terminal(struct streams *streams, int pidfd, int master, bool interactive, struct azm_err *err)
{
	struct termios raw;

	if (!streams->tty)
		return 0;
	streams->master = (int)syscall(SYS_pidfd_getfd, pidfd, master, 0);
	if (streams->master < 0) {
		err_sys(err, "take over the sandbox's terminal", NULL);
		return err->code == ENOSYS || err->code == EPERM
			       ? err_hint(err,
					 "an outer container refuses pidfd_getfd(2): let its seccomp profile allow "
					 "it, or do without -t")
			       : -1;
	}
	fd_set_nonblock(streams->master, true);
	streams_resize(streams);
	streams->out = (struct stream){ .from = streams->master, .to = streams->out.to, .logged = true };
	bool ours = interactive && streams->out.to >= 0;
	if (interactive)
		streams->in = (struct stream){ .from = ours ? STDIN_FILENO : -1, .to = streams->master };
	if (ours && tcgetattr(STDIN_FILENO, &streams->saved) == 0) {
		raw = streams->saved;
		cfmakeraw(&raw);
		streams->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
	}
	return 0;
}

static void end_stream(struct stream *stream)
{
	if (stream->from > STDERR_FILENO)
		close(stream->from);
	if (stream->closes_to && stream->to >= 0)
		close(stream->to);
	free(stream->buffer);
	*stream = no_stream;
}

/* Everybody has what was read. */
static void finish_pending(struct stream *stream)
{
	if (stream->sent < stream->pending || stream->owed)
		return;
	stream->pending = stream->sent = 0;
	free(stream->buffer);
	stream->buffer = NULL;
}

static void write_pending(struct stream *stream)
{
	size_t size = stream->pending - stream->sent;
	ssize_t n = write(stream->to, stream->buffer + stream->sent, size < PIPE_BUF ? size : PIPE_BUF);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		/* Our reader is gone: end this stream, so that the workload learns of it as it would without us. */
		end_stream(stream);
		return;
	}
	stream->sent += (size_t)n;
	finish_pending(stream);
}

/* ---- attach ---------------------------------------------------------------------------------------------------- */

int streams_attach(struct streams *streams, int socket, struct azm_err *err)
{
	for (size_t i = 0; i < ATTACH_MOST; i++) {
		if (streams->attached[i] < 0) {
			streams->attached[i] = socket;
			return 0;
		}
	}
	close(socket);
	return err_msg(err, EUSERS, "attach", NULL, "%d are attached already", ATTACH_MOST);
}

static void drop_attached(struct streams *streams, size_t i)
{
	close(streams->attached[i]);
	streams->attached[i] = -1;
	streams->out.owed &= ~(1u << i);
	streams->err.owed &= ~(1u << i);
	finish_pending(&streams->out);
	finish_pending(&streams->err);
}

static unsigned everybody(const struct streams *streams)
{
	unsigned mask = 0;

	for (size_t i = 0; i < ATTACH_MOST; i++)
		mask |= streams->attached[i] >= 0 ? 1u << i : 0;
	return mask;
}

static void send_owed(struct streams *streams, struct stream *stream, char type, size_t i)
{
	struct iovec parts[] = { { &type, 1 }, { stream->buffer, stream->pending } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (!(stream->owed & 1u << i))
		return;
	if (sendmsg(streams->attached[i], &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			drop_attached(streams, i);
		return;
	}
	stream->owed &= ~(1u << i);
	finish_pending(stream);
}

static void take_input(struct streams *streams, const char *data, size_t size)
{
	struct stream *in = &streams->in;

	if (in->to < 0 || in->pending || size == 0)
		return;
	in->buffer = xcalloc(size, 1);
	memcpy(in->buffer, data, size);
	in->pending = size;
	in->sent = 0;
}

static void take_size(const struct streams *streams, const char *data, size_t size)
{
	uint16_t cells[2];

	if (size != sizeof cells || streams->master < 0)
		return;
	memcpy(cells, data, sizeof cells);
	struct winsize window = { .ws_row = cells[0], .ws_col = cells[1] };
	if (window.ws_row && window.ws_col)
		ioctl(streams->master, TIOCSWINSZ, &window);
}

static void serve_attached(struct streams *streams, size_t i, short events)
{
	char message[ATTACH_MESSAGE];

	if (events & POLLOUT) {
		send_owed(streams, &streams->out, ATTACH_OUT, i);
		if (streams->attached[i] >= 0)
			send_owed(streams, &streams->err, ATTACH_ERR, i);
	}
	if (streams->attached[i] < 0 || !(events & (POLLIN | POLLHUP | POLLERR)))
		return;
	if (!(events & POLLIN)) {
		drop_attached(streams, i);
		return;
	}
	ssize_t n = recv(streams->attached[i], message, sizeof message, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			drop_attached(streams, i);
	} else if (message[0] == ATTACH_IN) {
		take_input(streams, message + 1, (size_t)n - 1);
	} else if (message[0] == ATTACH_SIZE) {
		take_size(streams, message + 1, (size_t)n - 1);
	}
}

static short attached_events(const struct streams *streams, size_t i)
{
	bool owed = (streams->out.owed | streams->err.owed) & 1u << i;

	/* What was typed before stays in the socket until the workload has read it. */
	return (short)((streams->in.pending ? 0 : POLLIN) | (owed ? POLLOUT : 0));
}

void streams_tell_exit(struct streams *streams, int status)
{
	char message[2] = { ATTACH_EXIT, (char)status };

	for (size_t i = 0; i < ATTACH_MOST; i++)
		if (streams->attached[i] >= 0)
			(void)!send(streams->attached[i], message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static void read_more(struct streams *streams, struct stream *stream)
{
	char buffer[STREAM_BUFFER];
	ssize_t n = read(stream->from, buffer, sizeof buffer);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) { /* EIO: the last slave of the pty was closed */
		end_stream(stream);
		return;
	}
	if (stream->logged)
		log_append(&streams->log, buffer, (size_t)n);
	stream->owed = stream == &streams->in ? 0 : everybody(streams);
	if (stream->to < 0 && !stream->owed)
		return;
	stream->buffer = xcalloc((size_t)n, 1);
	memcpy(stream->buffer, buffer, (size_t)n);
	stream->pending = (size_t)n;
	stream->sent = stream->to < 0 ? stream->pending : 0;
}

static struct stream *nth(struct streams *streams, int i)
{
	struct stream *all[] = { &streams->in, &streams->out, &streams->err };

	return all[i];
}

int streams_poll(const struct streams *streams, struct pollfd *polls)
{
	int count = 0;

	for (int i = 0; i < 3; i++) {
		const struct stream *stream = nth((struct streams *)(uintptr_t)streams, i);
		if (stream->sent < stream->pending)
			polls[count++] = (struct pollfd){ .fd = stream->to, .events = POLLOUT };
		else if (!stream->pending && stream->from >= 0)
			polls[count++] = (struct pollfd){ .fd = stream->from, .events = POLLIN };
	}
	for (size_t i = 0; i < ATTACH_MOST; i++)
		if (streams->attached[i] >= 0)
			polls[count++] =
				(struct pollfd){ .fd = streams->attached[i], .events = attached_events(streams, i) };
	return count;
}

static short events_of(const struct pollfd *polls, int count, int fd)
{
	for (int k = 0; fd >= 0 && k < count; k++)
		if (polls[k].fd == fd && polls[k].revents)
			return polls[k].revents;
	return 0;
}

void streams_serve(struct streams *streams, const struct pollfd *polls, int count)
{
	for (int i = 0; i < 3; i++) {
		struct stream *stream = nth(streams, i);
		bool writes = stream->sent < stream->pending;
		if (!writes && stream->pending)
			continue; /* somebody who is attached has not read it yet */
		if (!events_of(polls, count, writes ? stream->to : stream->from))
			continue;
		if (writes)
			write_pending(stream);
		else
			read_more(streams, stream);
	}
	for (size_t i = 0; i < ATTACH_MOST; i++) {
		short events = events_of(polls, count, streams->attached[i]);
		/* What has just been read goes out at once. */
		if (streams->attached[i] >= 0)
			serve_attached(streams, i, (short)(events | POLLOUT));
	}
	/* The terminal went away with its last user: its number must not be written to again. */
	if (streams->master >= 0 && streams->out.from < 0) {
		streams->master = -1;
		end_stream(&streams->in);
	}
}

void streams_drain(struct streams *streams)
{
	struct pollfd polls[STREAM_POLLS];
	int count;

	end_stream(&streams->in);
	while ((count = streams_poll(streams, polls)) > 0) {
		/* Every writer is dead: what is to be read is there already, and only a reader of ours can be slow. */
		bool pending = streams->out.pending || streams->err.pending;
		if (!pending && streams->out.from < 0 && streams->err.from < 0)
			break; /* those who are attached have it all */
		if (poll(polls, (nfds_t)count, pending ? 1000 : 0) <= 0)
			break;
		streams_serve(streams, polls, count);
	}
}

void streams_log(struct streams *streams, const char *line)
{
	log_append(&streams->log, line, strlen(line));
}

void streams_detach(struct streams *streams)
{
	streams->out.to = streams->err.to = -1;
	streams->out.pending = streams->err.pending = streams->out.owed = streams->err.owed = 0;
	if (streams->in.from == STDIN_FILENO)
		end_stream(&streams->in);
}

void streams_close(struct streams *streams)
{
	if (streams->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &streams->saved);
	streams->raw = false;
	end_stream(&streams->in);
	if (streams->out.from == streams->master)
		streams->master = -1;
	end_stream(&streams->out);
	end_stream(&streams->err);
	if (streams->master >= 0)
		close(streams->master);
	log_close(&streams->log);
	for (size_t i = 0; i < ATTACH_MOST; i++)
		cleanup_close_fd(&streams->attached[i]);
	streams_init(streams);
}

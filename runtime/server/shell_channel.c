// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_channel.c: see shell_channel.h */
#include "server/shell_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "server/shell_script.h"

int shell_channel_open(struct shell_channel *channel, int *peer, struct azm_err *err)
{
	int ends[2], on = 1;

	/* A stream: a shell may write a report in several pieces, at a newline in it. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "make the shell's channel", NULL);
	channel->fd = ends[0];
	*peer = ends[1];
	if (setsockopt(channel->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
		return err_sys(err, "set up the shell's channel", NULL);
	return 0;
}

void shell_channel_close(struct shell_channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	text_free(&channel->partial);
	text_free(&channel->report);
}

static pid_t writer_of(struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	struct ucred credentials;

	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
		return 0;
	memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
	return credentials.pid;
}

static void take(struct shell_channel *channel, pid_t writer, const char *bytes, size_t size)
{
	if (writer != channel->writer)
		channel->partial.size = 0;
	channel->writer = writer;
	for (const char *end; size && (end = memchr(bytes, '\0', size)); bytes = end + 1) {
		size_t length = (size_t)(end - bytes);
		size -= length + 1;
		channel->report.size = 0;
		text_add(&channel->report, channel->partial.bytes, channel->partial.size);
		text_add(&channel->report, bytes, length);
		channel->reporter = writer;
		channel->partial.size = 0;
	}
	if (channel->partial.size + size > SHELL_MARK_MAX)
		channel->partial.size = 0;
	else
		text_add(&channel->partial, bytes, size);
}

bool shell_channel_receive(struct shell_channel *channel)
{
	enum { PIECES_PER_TURN = 64 };
	char bytes[4096];
	/* No room for descriptors, which anybody may try to send: the kernel closes what does not fit. */
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;

	for (int i = 0; channel->fd >= 0 && i < PIECES_PER_TURN; i++) {
		struct iovec vector = { bytes, sizeof bytes };
		struct msghdr message = {
			.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
		};
		ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		take(channel, writer_of(&message), bytes, (size_t)n);
	}
	return true;
}

char *shell_channel_report(struct shell_channel *channel, pid_t *reporter)
{
	*reporter = channel->reporter;
	return channel->reporter ? channel->report.bytes : NULL;
}

void shell_channel_forget(struct shell_channel *channel)
{
	channel->reporter = 0;
	channel->report.size = 0;
}

void shell_channel_go(struct shell_channel *channel, unsigned command)
{
	char line[16];
	int size = snprintf(line, sizeof line, "%u\n", command);

	/* When nobody can read it, the shell does not wait for it either. */
	(void)!send(channel->fd, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

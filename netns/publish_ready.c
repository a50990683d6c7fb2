// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_ready.c: is the server inside up? See publish_wait_ready() in netns.h.
 *
 * The calling thread works with sockets that the inner thread made, so it needs no namespace of its own to change. It
 * tries often at first, because a fast server is up within a few milliseconds and the user waits for nothing else, and
 * each pause is a quarter longer than the last: the delay is at most a quarter of the server's own time.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/publish_internal.h"

enum {
	FIRST_PAUSE_US = 100,
	LONGEST_PAUSE_US = 20000,
	ANSWER_US = 2000000, /* a server that accepted but stays silent is asked again after this */
};

/* One wait for a server, and what the last try met. */
struct waiting {
	struct publisher *publisher;
	uint16_t port;
	const char *request;
	int cancel_fd;
	int64_t deadline; /* microseconds of the monotonic clock */
	int status;	  /* last HTTP status, 0 for none */
	int code;	  /* last errno, 0 for none */
};

enum outcome { READY, CANCELLED, AGAIN, EXPIRED, EVENT };

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Wait for @events on @fd (-1 for none) until @until. EXPIRED means that @until has passed. */
static enum outcome wait_event(const struct waiting *waiting, int fd, short events, int64_t until)
{
	struct pollfd fds[2] = { { waiting->cancel_fd, POLLIN, 0 }, { fd, events, 0 } };

	for (;;) {
		int64_t left = until - now_us();
		struct timespec timeout = { .tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000 };
		if (left <= 0)
			timeout = (struct timespec){ 0 };
		int count = ppoll(fds, 2, &timeout, NULL);
		if (count < 0 && errno != EINTR)
			return EXPIRED;
		if (count > 0 && fds[0].revents)
			return CANCELLED;
		if (count > 0)
			return EVENT;
		if (left <= 0)
			return EXPIRED;
	}
}

static enum outcome failed_with(struct waiting *waiting, int code)
{
	waiting->code = code;
	waiting->status = 0;
	return AGAIN;
}

/* "HTTP/1.1 200": the three digits, 0 if it is not that. */
static int parse_status(const char *text)
{
	int status = 0;

	return sscanf(text, "HTTP/1.%*1[01] %3d", &status) == 1 ? status : 0;
}

/* Send the request over a connected socket and read the status line. */
static enum outcome ask(struct waiting *waiting, int fd, int64_t until)
{
	char answer[4096];
	size_t used = 0;

	if (send(fd, waiting->request, strlen(waiting->request), MSG_NOSIGNAL) < 0)
		return failed_with(waiting, errno);
	while (used < sizeof answer - 1) {
		enum outcome outcome = wait_event(waiting, fd, POLLIN, until);
		if (outcome != EVENT)
			return outcome;
		ssize_t size = recv(fd, answer + used, sizeof answer - 1 - used, 0);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (size < 0)
			return failed_with(waiting, errno);
		used += (size_t)size;
		if (size == 0 || used >= sizeof "HTTP/1.1 200" - 1)
			break;
	}
	answer[used] = '\0';
	waiting->code = 0;
	waiting->status = parse_status(answer);
	return waiting->status / 100 == 2 ? READY : AGAIN;
}

static int make_socket(struct publisher *publisher, void *family)
{
	int fd = inside_socket(*(int *)family);

	(void)publisher;
	return fd < 0 ? -errno : fd;
}

/* Try one address. AGAIN with code ECONNREFUSED: nobody listens there. */
static enum outcome try_address(struct waiting *waiting, const union inside_address *address, socklen_t size)
{
	int64_t until = now_us() + ANSWER_US;
	if (until > waiting->deadline)
		until = waiting->deadline;

	int family = address->any.sa_family;
	cleanup_fd int fd = inner_call(waiting->publisher, make_socket, &family);
	if (fd < 0)
		return failed_with(waiting, -fd);
	if (connect(fd, &address->any, size) < 0) {
		if (errno != EINPROGRESS)
			return failed_with(waiting, errno);
		enum outcome outcome = wait_event(waiting, fd, POLLOUT, until);
		if (outcome != EVENT)
			return outcome;
		if (connect(fd, &address->any, size) < 0 && errno != EISCONN)
			return failed_with(waiting, errno);
	}
	return ask(waiting, fd, until);
}

/* Try the addresses in order until one accepts. */
static enum outcome try_all(struct waiting *waiting)
{
	union inside_address address;
	enum outcome outcome = AGAIN;
	socklen_t size;

	for (int attempt = 0; outcome == AGAIN; attempt++) {
		size = inside_address(waiting->publisher, attempt, waiting->port, &address);
		if (!size)
			break;
		outcome = try_address(waiting, &address, size);
		if (waiting->code == 0)
			break;
	}
	return outcome;
}

static enum outcome wait_until_ready(struct waiting *waiting)
{
	int64_t pause = FIRST_PAUSE_US;

	for (;;) {
		enum outcome outcome = try_all(waiting);
		if (outcome == READY || outcome == CANCELLED)
			return outcome;
		if (now_us() >= waiting->deadline)
			return EXPIRED;
		int64_t until = now_us() + pause;
		if (wait_event(waiting, -1, 0, until < waiting->deadline ? until : waiting->deadline) == CANCELLED)
			return CANCELLED;
		pause = pause + pause / 4 < LONGEST_PAUSE_US ? pause + pause / 4 : LONGEST_PAUSE_US;
	}
}

int publish_wait_ready(struct publisher *publisher, uint16_t port, const char *path, int cancel_fd, unsigned timeout_ms,
	struct azm_err *err)
{
	cleanup_free char *request =
		xasprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", path, port);
	struct waiting waiting = { .publisher = publisher,
		.port = port,
		.request = request,
		.cancel_fd = cancel_fd,
		.deadline = now_us() + (int64_t)timeout_ms * 1000 };

	if (publisher->state == THREAD_NONE)
		return err_msg(err, EINVAL, "wait for the server", path, "publishing has not been started");
	switch (wait_until_ready(&waiting)) {
	case READY:
		return 0;
	case CANCELLED:
		return 1;
	default:
		break;
	}
	if (waiting.status)
		return err_msg(err, ETIMEDOUT, "wait for the server", path, "it answers HTTP status %d on port %u",
			waiting.status, port);
	if (waiting.code)
		return err_msg(err, ETIMEDOUT, "wait for the server", path, "no answer on port %u within %u ms (%s)",
			port, timeout_ms, strerror(waiting.code));
	return err_msg(err, ETIMEDOUT, "wait for the server", path, "no HTTP answer on port %u within %u ms", port,
		timeout_ms);
}

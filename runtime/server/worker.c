// SPDX-License-Identifier: GPL-2.0-or-later
/* server/worker.c: see worker.h. The child writes the status, two bytes, and the JSON text to a pipe. */
#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/children.h"
#include "server/server.h"

enum { PIPE_FD = 3 };

struct worker {
	struct loop_source source;
	struct server *server;
	struct request *request;
	pid_t group;
	struct text answer;
	struct loop_timer timer;
	unsigned timeout_s;
	struct worker *next;
};

/* Return: the request, which is to be answered */
static struct request *leave(struct worker *worker)
{
	struct worker **link = &worker->server->workers;
	struct request *request = worker->request;

	while (*link != worker)
		link = &(*link)->next;
	*link = worker->next;
	loop_set(&worker->server->loop, &worker->timer, 0);
	loop_remove(&worker->server->loop, &worker->source);
	close(worker->source.fd);
	kill(-worker->group, SIGKILL); /* it has said all it had to say; nothing it started stays */
	text_free(&worker->answer);
	free(worker);
	return request;
}

static void finish(struct worker *worker)
{
	struct text answer = worker->answer;
	uint16_t status;

	worker->answer = (struct text){ 0 };
	struct request *request = leave(worker);
	if (answer.size <= sizeof status) {
		text_free(&answer);
		request_fail(request, 500, "An unexpected error occurred. Please try again later.");
		return;
	}
	memcpy(&status, answer.bytes, sizeof status);
	struct MHD_Response *response = MHD_create_response_from_buffer(
		answer.size - sizeof status, answer.bytes + sizeof status, MHD_RESPMEM_MUST_COPY);
	text_free(&answer);
	if (!response)
		abort(); /* out of memory */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	request_send(request, status, response);
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	struct worker *worker = (struct worker *)(void *)source;
	char bytes[64 << 10];
	ssize_t n = read(source->fd, bytes, sizeof bytes);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		finish(worker);
	else if (worker->answer.size + (size_t)n > WORKER_ANSWER_MAX)
		request_fail(leave(worker), 500, "The answer is larger than %d bytes", WORKER_ANSWER_MAX);
	else
		text_add(&worker->answer, bytes, (size_t)n);
}

static void on_timeout(struct loop_timer *timer)
{
	struct worker *worker = (struct worker *)(void *)((char *)timer - offsetof(struct worker, timer));
	unsigned timeout_s = worker->timeout_s;

	request_fail(leave(worker), 504, "No answer within %u seconds", timeout_s);
}

/* Connections of the server must not stay open for as long as this process lives. Return: 0, -1 */
static int keep_only(int pipe, const int keep[2])
{
	int moved[3];

	for (int i = 0; i < 3; i++) { /* out of the way of the numbers they are to have */
		int fd = i == 0 ? pipe : keep[i - 1];
		moved[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, WORKER_FDS + 2);
	}
	(void)fd_close_range(STDERR_FILENO + 1, WORKER_FDS + 1);
	if (dup2(moved[0], PIPE_FD) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (keep[i] >= 0 && dup3(moved[i + 1], WORKER_FDS + i, O_CLOEXEC) < 0)
			return -1;
	fd_set_cloexec(PIPE_FD, true);
	return fd_close_range(WORKER_FDS + 2, ~0u);
}

[[gnu::noreturn]] static void work_and_exit(int pipe, const struct worker_job *job)
{
	unsigned status = 200;
	json_t *answer;

	if (child_begin((const int[]){ -1, -1, -1 }) < 0 || keep_only(pipe, job->keep) < 0)
		_exit(1);
	answer = job->work(job->input, &status);
	cleanup_free char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	uint16_t short_status = (uint16_t)status;
	if (text && write_full(PIPE_FD, &short_status, sizeof short_status) == 0)
		(void)!write_full(PIPE_FD, text, strlen(text));
	_exit(0);
}

static size_t count(const struct server *server)
{
	size_t found = 0;

	for (const struct worker *worker = server->workers; worker; worker = worker->next)
		found++;
	return found;
}

void worker_answer(struct request *request, json_t *(*work)(void *input, unsigned *status), void *input)
{
	worker_start(
		request, &(const struct worker_job){
				 .work = work, .input = input, .timeout_s = WORKER_TIMEOUT_S, .keep = { -1, -1 } });
}

void worker_start(struct request *request, const struct worker_job *job)
{
	struct server *server = request->server;
	struct azm_err err = { 0 };
	int ends[2];

	if (count(server) >= WORKERS_MAX) {
		request_fail(request, 503, "Too many requests of this kind at once");
		return;
	}
	if (pipe_pair(ends, &err) < 0) {
		request_fail(request, 500, "%s: %s", err.text, strerror(err.code));
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		work_and_exit(ends[1], job);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		request_fail(request, 500, "start a process: %s", strerror(errno));
		return;
	}
	struct worker *worker = xcalloc(1, sizeof *worker);
	worker->source = (struct loop_source){ .fd = ends[0], .ready = on_readable };
	worker->server = server;
	worker->request = request;
	worker->group = pid;
	worker->timer.fire = on_timeout;
	worker->timeout_s = job->timeout_s;
	worker->next = server->workers;
	server->workers = worker;
	fd_set_nonblock(ends[0], true);
	loop_add(&server->loop, &worker->source, EPOLLIN);
	loop_set(&server->loop, &worker->timer, loop_now() + job->timeout_s * 1000ull);
}

void workers_abort(struct server *server)
{
	for (struct worker *worker = server->workers, *next; worker; worker = next) {
		next = worker->next;
		request_fail(leave(worker), 503, "The server is shutting down");
	}
}

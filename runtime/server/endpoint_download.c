// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_download.c: GET /download_files (spec: openhands 1.3): a directory as a zip archive.
 *
 * A child process packs into a pipe, whose bytes go to the client as they come; the connection sleeps while there are
 * none. The client stores whatever it gets without looking at the status, so an archive that is not complete ends with
 * the connection broken off.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/children.h"
#include "server/server.h"
#include "server/zip.h"

enum { BLOCK = 128 << 10, PIPE_SIZE = 1 << 20 };

struct download {
	struct child child;
	struct loop_source pipe;
	struct server *server;
	struct MHD_Connection *connection; /* NULL once the request is over */
	int status;			   /* of the child, once it has ended */
	bool ended, suspended;
};

static void resume(struct download *download)
{
	if (!download->suspended)
		return;
	download->suspended = false;
	loop_remove(&download->server->loop, &download->pipe);
	MHD_resume_connection(download->connection);
}

static void on_pipe(struct loop_source *source, uint32_t events)
{
	(void)events;
	resume((struct download *)(void *)((char *)source - offsetof(struct download, pipe)));
}

static void on_child(struct child *child, int status)
{
	struct download *download = (struct download *)(void *)child;

	download->ended = true;
	download->status = status;
	if (download->connection)
		resume(download);
	else
		free(download);
}

static ssize_t sleep_until_readable(struct download *download, uint32_t events)
{
	download->suspended = true;
	loop_add(&download->server->loop, &download->pipe, events);
	MHD_suspend_connection(download->connection);
	return 0;
}

static ssize_t on_read(void *context, uint64_t position, char *buffer, size_t room)
{
	struct download *download = context;
	ssize_t n = read(download->pipe.fd, buffer, room);

	(void)position;
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return sleep_until_readable(download, EPOLLIN);
	if (!download->ended) /* its status is yet to come, and nothing else: the pipe would be ready all the time */
		return sleep_until_readable(download, EPOLLONESHOT);
	return (ssize_t)(download->status == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR);
}

static void on_free(void *context)
{
	struct download *download = context;

	if (download->suspended)
		loop_remove(&download->server->loop, &download->pipe);
	close(download->pipe.fd);
	download->connection = NULL;
	if (download->ended)
		free(download);
	else
		kill(download->child.pid, SIGKILL); /* on_child() frees it */
}

[[gnu::noreturn]] static void pack_and_exit(int pipe, const char *path)
{
	struct azm_err err = { 0 };

	if (child_begin((const int[]){ -1, pipe, STDERR_FILENO }) < 0 || fd_close_range(STDERR_FILENO + 1, ~0u) < 0)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	_exit(zip_create(STDOUT_FILENO, path, &err) < 0 ? err_print(&err, "azm-runtime-server") : 0);
}

static struct download *start(struct request *request, const char *path, struct azm_err *err)
{
	int ends[2];

	if (pipe_pair(ends, err) < 0)
		return NULL;
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
	pid_t pid = fork();
	if (pid == 0)
		pack_and_exit(ends[1], path);
	int saved = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		errno = saved;
		err_sys(err, "start a process", NULL);
		return NULL;
	}
	fd_set_nonblock(ends[0], true);
	struct download *download = xcalloc(1, sizeof *download);
	download->child = (struct child){ .pid = pid, .ended = on_child };
	download->pipe = (struct loop_source){ .fd = ends[0], .ready = on_pipe };
	download->server = request->server;
	download->connection = request->connection;
	children_watch(&request->server->children, &download->child);
	return download;
}

/* attachment; filename="x.zip", or as RFC 5987 has it when the name is not plain */
static char *disposition(const char *path)
{
	cleanup_free char *copy = xstrdup(path);
	const char *name = strcmp(path, "/") == 0 ? "" : basename(copy);
	struct text out = { 0 };
	bool plain = true;

	for (const char *at = name; *at; at++)
		plain &= *at >= ' ' && *at < 0x7f && !strchr("\"\\%", *at);
	text_addf(&out, plain ? "attachment; filename=\"" : "attachment; filename*=utf-8''");
	for (const char *at = name; *at; at++)
		if (plain || (*at > ' ' && *at < 0x7f && !strchr("\"\\%'();,/:<>?@[]{}*=&+$#`|^~", *at)))
			text_add(&out, at, 1);
		else
			text_addf(&out, "%%%02X", (unsigned char)*at);
	text_addf(&out, plain ? ".zip\"" : ".zip");
	return text_take(&out);
}

static void send_archive(struct request *request, const char *path)
{
	struct azm_err err = { 0 };
	struct download *download = start(request, path, &err);

	if (!download) {
		request_fail(request, 500, "%s: %s", err.text, strerror(err.code));
		return;
	}
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, download, on_free);
	cleanup_free char *attachment = disposition(path);
	if (!response)
		abort(); /* out of memory */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/zip");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, attachment);
	request_send(request, 200, response);
}

void endpoint_download_files(struct request *request)
{
	const char *path = request_query(request, "path");
	struct stat info;

	request->server->last_action_at = loop_now();
	if (!path)
		request_invalid(request, "path: a parameter is required");
	else if (*path != '/')
		request_fail(request, 500, "400: Path must be an absolute path");
	else if (stat(path, &info) < 0 && (errno == ENOENT || errno == ENOTDIR))
		request_fail(request, 500, "404: File not found");
	else
		send_archive(request, path);
}

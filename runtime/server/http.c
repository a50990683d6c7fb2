// SPDX-License-Identifier: GPL-2.0-or-later
/* server/http.c: libmicrohttpd, driven by our loop, and the rules that hold for every endpoint (spec: openhands 1.2).
 *
 * The daemon has no thread of its own: its epoll descriptor is a source of the loop and http_run() does its work. A
 * request that is not answered at once has its connection suspended; the answer resumes it.
 *
 * Bounds, because a sandbox's published port may be reached by any program of the user: headers (the connection's
 * memory pool), body, connections, and silence of a client. The key is checked before a body is accepted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/observation.h"
#include "server/origin.h"
#include "server/server.h"
#include "server/stream.h"

/* SIGPIPE is ignored, see main.c; files are not sent by sendfile() otherwise. Debian 11's library does not ask. */
#if MHD_VERSION >= 0x00097302
#define SENDFILE_OPTION MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
#else
#define SENDFILE_OPTION
#endif

enum {
	CONNECTION_MEMORY =
		128 << 10,     /* for headers, and for what is read of a body at once: 32 KiB cost 30 times the CPU */
	CONNECTIONS_MAX = 160, /* 128 of them with a request: see connections.c */
};

static struct connection *connection_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*state = connection_start(
			context, MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else
		connection_end(*state);
}

static void resume(struct request *request)
{
	if (!request->suspended)
		return;
	request->suspended = false;
	connection_watch(connection_of(request->connection), NULL);
	MHD_resume_connection(request->connection);
}

void request_send(struct request *request, unsigned status, struct MHD_Response *response)
{
	request->response = response;
	request->status = status;
	resume(request);
}

const char *request_header(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

void request_answer(struct request *request, unsigned status, json_t *value)
{
	request->answer = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	request->status = request->answer ? status : 500;
	if (!request->answer)
		request->answer = xstrdup("{\"detail\":\"An unexpected error occurred. Please try again later.\"}");
	json_decref(value);
	resume(request);
}

void request_fail(struct request *request, unsigned status, const char *format, ...)
{
	cleanup_free char *detail = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&detail, format, args) < 0)
		detail = NULL;
	va_end(args);
	request_answer(request, status, json_pack("{s:o}", "detail", json_text(detail)));
}

void request_invalid(struct request *request, const char *reason)
{
	cleanup_free char *list = xasprintf("[%s]", reason);

	request_answer(request, 422,
		json_pack("{s:s, s:o}", "detail", "Invalid request parameters", "errors", json_text(list)));
}

static struct MHD_Response *json_response(struct request *request)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(request->answer), request->answer, MHD_RESPMEM_MUST_FREE);

	request->answer = NULL;
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return response;
}

/* The methods of all endpoints with this path. */
static void add_allowed_methods(const struct request *request, struct MHD_Response *response)
{
	cleanup_text struct text methods = { 0 };

	for (const struct endpoint *endpoint = endpoints; endpoint->path; endpoint++)
		if (strcmp(endpoint->path, request->endpoint->path) == 0)
			text_addf(&methods, "%s%s", methods.size ? ", " : "", endpoint->method);
	MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, methods.bytes);
}

static enum MHD_Result send_answer(struct request *request)
{
	struct MHD_Response *response = request->response ? steal_ptr(&request->response) : json_response(request);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (request->status == MHD_HTTP_METHOD_NOT_ALLOWED && request->endpoint)
		add_allowed_methods(request, response);
	if (request->status == MHD_HTTP_SERVICE_UNAVAILABLE || request->status == MHD_HTTP_TOO_MANY_REQUESTS)
		MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	if (request->unserved)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result result = MHD_queue_response(request->connection, request->status, response);
	MHD_destroy_response(response);
	return result;
}

/* Whether a path is the one of an endpoint. Return: what its `*` stands for ("" when it has none), NULL: it is not */
static const char *match(const char *pattern, const char *path, size_t *length)
{
	size_t same = strcspn(pattern, "*");

	*length = 0;
	if (strncmp(pattern, path, same) != 0)
		return NULL;
	if (!pattern[same])
		return path[same] ? NULL : "";
	*length = strcspn(path + same, "/");
	return *length && strcmp(pattern + same + 1, path + same + *length) == 0 ? path + same : NULL;
}

/* The endpoint of the path and the method, else one of the path: its method is not allowed then. */
static void find_endpoint(struct request *request, const char *method, const char *path)
{
	for (const struct endpoint *endpoint = endpoints; endpoint->path; endpoint++) {
		size_t length;
		const char *segment = match(endpoint->path, path, &length);
		bool same_method = strcmp(endpoint->method, method) == 0;

		if (!segment || (request->endpoint && !same_method))
			continue;
		request->endpoint = endpoint;
		free(request->segment);
		request->segment = length ? strndup(segment, length) : NULL;
		if (same_method)
			return;
	}
}

static bool key_given(const struct request *request)
{
	const char *given = request_header(request, "X-Session-API-Key");

	return request->server->api_key && given && key_equal(request->server->api_key, given);
}

/* The key is proof enough. Who comes without one must not be a page of somebody else's in the user's browser. */
static void check_origin(struct request *request)
{
	const char *host = request_header(request, MHD_HTTP_HEADER_HOST);
	const char *origin = request_header(request, "Origin");

	if (origin && !origin_is_ours(origin, host))
		request_fail(request, 403, "Requests of other origins need the key");
	else if (host && !request->server->api_key && !host_is_local(host))
		request_fail(request, 403, "Without a key, the server answers to addresses and local names only");
}

static void check_key(struct request *request, const char *path)
{
	if (key_given(request))
		return;
	if (!request->server->api_key || (request->endpoint && request->endpoint->public))
		check_origin(request);
	else if (str_starts(path, "/api/")) /* the two generations of clients know it by different numbers */
		request_fail(request, 401, "Unauthorized");
	else
		request_fail(request, 403, "Invalid API Key");
}

static uint64_t body_limit(const struct request *request)
{
	return request->endpoint->sink ? request->endpoint->sink->limit : BODY_MAX;
}

static void refuse_size(struct request *request)
{
	request_fail(
		request, 413, "The request body is larger than %llu bytes", (unsigned long long)body_limit(request));
}

static bool declares_too_much(const struct request *request)
{
	const char *length = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t size;

	return length && !str_to_u64(length, body_limit(request), &size);
}

/* What the request line and the headers decide. An answer given here is sent without reading the body. */
static void check_headers(struct request *request, const char *method, const char *path)
{
	check_key(request, path);
	if (request->status)
		return;
	if (!request->endpoint)
		request_fail(request, 404, "Not Found");
	else if (strcmp(method, request->endpoint->method) != 0)
		request_fail(request, 405, "Method Not Allowed");
	else if (declares_too_much(request))
		refuse_size(request);
	else if (request->unserved && !request->endpoint->public)
		request_fail(request, 503, "Too many requests are being served");
}

static void add_to_body(struct request *request, const char *bytes, size_t size)
{
	const struct body_sink *sink = request->endpoint->sink;

	if (request->status)
		return; /* answered already; the rest is read and forgotten */
	request->received += size;
	if (request->received > body_limit(request))
		refuse_size(request);
	else if (sink)
		sink->take(request, bytes, size);
	else if (body_add(&request->body, bytes, size) < 0)
		request_fail(request, 507, "The request body cannot be stored: %s", strerror(errno));
}

static struct request *new_request(
	struct server *server, struct MHD_Connection *connection, const char *method, const char *path)
{
	struct request *request = xcalloc(1, sizeof *request);

	request->unserved = connections_full(&server->connections);
	connection_busy(connection_of(connection));
	request->server = server;
	request->connection = connection;
	find_endpoint(request, method, path);
	check_headers(request, method, path);
	return request;
}

/* An end that came together with bytes is one event, and libmicrohttpd is content with the bytes: it would find the end
 * of a client that broke off only by its silence. This makes another event.
 */
static void notice_end(struct MHD_Connection *connection)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	char byte;

	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		shutdown(fd, SHUT_RD);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *bytes, size_t *size, void **state)
{
	struct request *request = *state;

	(void)version;
	if (!request) { /* the headers are here */
		*state = request = new_request(context, connection, method, path);
		if (request->status)
			return send_answer(request);
		request->sinking = request->endpoint->sink;
		if (request->sinking)
			request->endpoint->sink->start(request);
		return MHD_YES;
	}
	if (*size) {
		connection_body(connection_of(connection), *size);
		add_to_body(request, bytes, *size);
		notice_end(connection);
		*size = 0;
		return MHD_YES;
	}
	connection_watch(connection_of(connection), NULL);
	if (!request->status)
		request->endpoint->handle(request);
	if (request->status)
		return send_answer(request);
	request->suspended = true;
	connection_watch(connection_of(connection), request);
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	struct request *request = *state;

	(void)context;
	(void)how;
	if (!request)
		return;
	connection_idle(connection_of(connection));
	if (request->sinking)
		request->endpoint->sink->drop(request);
	body_free(&request->body);
	free(request->answer);
	if (request->response)
		MHD_destroy_response(request->response);
	free(request->segment);
	free(request);
	*state = NULL;
}

static int listen_on(const struct options *options, struct azm_err *err)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)options->port) };
	bool is_v6 = inet_pton(AF_INET6, options->host, &v6.sin6_addr) == 1;
	int on = 1;

	if (!is_v6 && inet_pton(AF_INET, options->host, &v4.sin_addr) != 1)
		return err_msg(err, EINVAL, "listen on", options->host, "it is not a numeric address");
	cleanup_fd int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "make a socket", NULL);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	const struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	if (bind(fd, address, is_v6 ? sizeof v6 : sizeof v4) < 0 || listen(fd, 511) < 0) {
		cleanup_free char *where = xasprintf("%s port %u", options->host, options->port);
		return err_sys(err, "listen on", where);
	}
	return steal_fd(&fd);
}

static void announce(const struct options *options, int fd)
{
	struct sockaddr_in6 bound = { 0 }; /* the port is at the same place in both families */
	socklen_t size = sizeof bound;

	getsockname(fd, (struct sockaddr *)&bound, &size);
	bool is_v6 = bound.sin6_family == AF_INET6;
	fprintf(stderr, "azm-runtime-server: listening on http://%s%s%s:%u\n", is_v6 ? "[" : "", options->host,
		is_v6 ? "]" : "", ntohs(bound.sin6_port));
}

static void on_ready(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events; /* http_run() follows every turn of the loop */
}

int http_start(struct server *server, struct azm_err *err)
{
	cleanup_fd int fd = listen_on(&server->options, err);

	if (fd < 0)
		return -1;
	connections_init(&server->connections, &server->loop, server->options.client_timeout_s, CONNECTIONS_MAX,
		job_client_gone);
	server->http = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, server->options.client_timeout_s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, &server->connections, SENDFILE_OPTION MHD_OPTION_END);
	if (!server->http)
		return err_msg(err, EIO, "start the HTTP server", NULL, "libmicrohttpd refused");
	announce(&server->options, steal_fd(&fd));
	server->http_source.ready = on_ready;
	server->http_source.fd = MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	if (loop_add(&server->loop, &server->http_source, EPOLLIN) < 0)
		return err_sys(err, "watch the HTTP server", NULL);
	return 0;
}

void http_stop(struct server *server)
{
	if (!server->http)
		return;
	streams_end(server);
	MHD_run(server->http); /* sends what jobs_abort() answered */
	loop_remove(&server->loop, &server->http_source);
	MHD_stop_daemon(server->http);
	server->http = NULL;
}

int http_run(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG left;

	/* Out of connections, libmicrohttpd looks at the listening socket again only in the run after the one in which
	 * a connection ended. */
	do {
		server->connections.ended = false;
		MHD_run(server->http);
	} while (server->connections.ended);
	return MHD_get_timeout(server->http, &left) == MHD_YES ? (left > 60000 ? 60000 : (int)left) : -1;
}

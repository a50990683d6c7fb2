// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_http.c: any bytes sent to the server's socket, through libmicrohttpd and http.c to endpoints
 * of the target's own: a body as JSON, in pieces, with a query, and one that is answered later. Whatever comes back is
 * HTTP, nothing is left of the connection, and the next client is served. */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "server/observation.h"
#include "server/query.h"
#include "server/server.h"
#include "tests/fuzz/fuzz.h"

#define KEY "k"

static struct server *server;
static struct request *late;

static void answer_json(struct request *request)
{
	json_error_t error;
	json_t *body = body_json(&request->body, JSON_ALLOW_NUL, &error);

	if (body)
		request_answer(request, 200, body);
	else
		request_invalid(request, error.text);
}

static void answer_query(struct request *request)
{
	int64_t number = 0;
	const char *text = request_query(request, "text");

	if (query_int(request, "number", 0, 100, &number))
		request_answer(request, 200,
			json_pack("{s:I, s:o, s:b}", "number", (json_int_t)number, "text", json_text(text), "segment",
				request->segment != NULL));
}

static void answer_late(struct request *request)
{
	if (late)
		request_fail(request, 429, "one at a time");
	else
		late = request;
}

static void sink_start(struct request *request)
{
	request->state = xcalloc(1, sizeof(size_t));
}

static void sink_take(struct request *request, const char *bytes, size_t size)
{
	must(bytes && size);
	*(size_t *)request->state += size;
	if (bytes[size - 1] == '!')
		request_fail(request, 400, "enough");
}

static void sink_drop(struct request *request)
{
	free(request->state);
}

static void answer_sink(struct request *request)
{
	must(*(size_t *)request->state == request->received);
	request_answer(request, 200, json_integer((json_int_t)request->received));
}

static const struct body_sink sink = { 1000, sink_start, sink_take, sink_drop };

/* Instead of endpoints.c */
const struct endpoint endpoints[] = {
	{ "GET", "/query", true, answer_query, NULL },
	{ "GET", "/of/*/query", false, answer_query, NULL },
	{ "POST", "/json", false, answer_json, NULL },
	{ "POST", "/open", true, answer_json, NULL },
	{ "POST", "/sink", false, answer_sink, &sink },
	{ "GET", "/late", true, answer_late, NULL },
	{ 0 },
};

/* Instead of the jobs' own: only answer_late() waits. */
void __wrap_job_client_gone(struct request *request);

void __wrap_job_client_gone(struct request *request)
{
	must(request == late);
	late = NULL;
	request_fail(request, 503, "gone");
}

static void start_server(void)
{
	struct azm_err err = { 0 };

	server = xcalloc(1, sizeof *server);
	server->api_key = xstrdup(KEY);
	server->options = (struct options){ .host = "127.0.0.1", .client_timeout_s = 30 };
	must(loop_open(&server->loop, &err) == 0);
	must(http_start(server, &err) == 0);
}

static int dial(void)
{
	/* Ports that wait for stragglers would run out: none where we end a connection, another address each time where
	 * the server did. */
	static unsigned dialled;
	const struct linger reset = { 1, 0 };
	const struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + dialled++ % 10000) };
	struct sockaddr_in address;
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int listening = MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd;

	must(getsockname(listening, (struct sockaddr *)&address, &size) == 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	must(fd >= 0 && bind(fd, (const struct sockaddr *)&from, sizeof from) == 0);
	/* The fuzzer's alarm may interrupt it: it goes on then. */
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINTR);
	while (poll(&writable, 1, -1) != 1)
		;
	return fd;
}

static void turn(void)
{
	struct azm_err err = { 0 };

	http_run(server);
	must(loop_turn(&server->loop, 0, &err) == 0);
	http_run(server);
}

/* Let the server work until nothing comes back any more. Return: bytes that came */
static size_t receive(int fd)
{
	char answer[4096];
	size_t total = 0;

	for (int quiet = 0; quiet < 3; quiet++) {
		turn();
		ssize_t n = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
		if (n > 0 && total == 0)
			must(n < 5 || memcmp(answer, "HTTP/", 5) == 0);
		if (n > 0) {
			total += (size_t)n;
			quiet = 0;
		}
	}
	return total;
}

static void send_pieces(int fd, const char *text, size_t size, size_t step)
{
	for (size_t at = 0; at < size; at += step) {
		size_t part = size - at < step ? size - at : step;
		if (send(fd, text + at, part, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			return; /* refused already */
		turn();
	}
}

static void serve_another(void)
{
	static const char request[] = "GET /query HTTP/1.0\r\nX-Session-API-Key: " KEY "\r\n\r\n";
	int fd = dial();

	must(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)sizeof request - 1);
	must(receive(fd) > 0);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!server)
		start_server();
	char *text = fuzz_text(data + (size > 0), size ? size - 1 : 0);
	/* The first byte: how many pieces it comes in, whether the end is told, and whether a late answer comes. */
	unsigned how = size ? data[0] : 0;
	int fd = dial();

	send_pieces(fd, text, size ? size - 1 : 0, how & 0x0f ? size / (how & 0x0f) + 1 : size + 1);
	if (how & 0x10)
		shutdown(fd, SHUT_WR);
	receive(fd);
	if (late && how & 0x20) {
		struct request *request = late;
		late = NULL;
		request_answer(request, 200, json_true());
		receive(fd);
	}
	close(fd);
	for (int i = 0; i < 100 && server->connections.count; i++)
		turn();
	must(server->connections.count == 0);
	must(!late);
	serve_another();
	free(text);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/floor_http.c: the least a server can do for an action: libmicrohttpd reads a request, /bin/true is
 * started and waited for, and the body goes back. Prints its port on 127.0.0.1; ends with its standard input.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

static bool run_true(void)
{
	char *const argv[] = { (char *)"/bin/true", NULL };
	pid_t pid;
	int status;

	return posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0 && waitpid(pid, &status, 0) == pid && !status;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *path, const char *method,
	const char *version, const char *bytes, size_t *size, void **state)
{
	char **body = (char **)state;

	(void)context, (void)path, (void)method, (void)version;
	if (!*body) {
		*body = xstrdup("");
		return MHD_YES;
	}
	if (*size) {
		char *more = xasprintf("%s%.*s", *body, (int)*size, bytes);
		free(*body);
		*body = more;
		*size = 0;
		return MHD_YES;
	}
	char *text = xasprintf("{\"exit_code\":%d,\"echo\":%s}", run_true() ? 0 : 1, *body);
	struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how)
{
	(void)context, (void)connection, (void)how;
	free(*state);
	*state = NULL;
}

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL,
		MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
	char end;

	if (!daemon)
		return 1;
	printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	MHD_stop_daemon(daemon);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* control_client.c: the asking side of control.h. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "control.h"

int control_connect(const struct state *state, const char *name, struct azm_err *err)
{
	struct sockaddr_un address;

	if (control_address(state, name, &address, err) < 0)
		return -1;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED) {
			err_msg(err, ECONNREFUSED, "reach sandbox", name, "it is not running");
			return err_hint(err, "azm-sandbox start %s", name);
		}
		return err_sys(err, "reach sandbox", name);
	}
	return steal_fd(&fd);
}

static json_t *receive(int socket_fd, int *fd, struct azm_err *err)
{
	char text[CONTROL_MESSAGE];
	cleanup_fd int passed = -1;
	size_t count = 1;
	ssize_t n = fds_receive(socket_fd, text, sizeof text, &passed, &count, 0);

	if (n < 0) {
		err_sys(err, "hear from the sandbox", NULL);
		return NULL;
	}
	json_t *object = json_loadb(text, (size_t)n, 0, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		err_msg(err, ECONNRESET, "hear from the sandbox", NULL, "it ended");
		return NULL;
	}
	if (fd)
		*fd = steal_fd(&passed);
	return object;
}

static json_t *exchange(const struct state *state, const char *name, json_t *request, const int *fds, size_t count,
	int *fd, struct azm_err *err)
{
	cleanup_free char *text = json_dumps(request, JSON_COMPACT);

	json_decref(request);
	if (fd)
		*fd = -1;
	if (!text || strlen(text) > CONTROL_MESSAGE) {
		err_msg(err, EMSGSIZE, "ask the sandbox", name,
			text ? "too long for one request" : "a value is not UTF-8 text");
		return NULL;
	}
	cleanup_fd int connection = control_connect(state, name, err);
	if (connection < 0)
		return NULL;
	if (fds_send(connection, text, strlen(text), fds, count, 0) < 0) {
		err_sys(err, "ask the sandbox", name);
		return NULL;
	}
	json_t *object = receive(connection, fd, err);
	const char *error = json_string_value(json_object_get(object, "error"));
	if (error) {
		err_msg(err, EINVAL, "ask the sandbox", name, "%s", error);
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *control_ask(const struct state *state, const char *name, json_t *request, int *fd, struct azm_err *err)
{
	return exchange(state, name, request, NULL, 0, fd, err);
}

json_t *control_pass(
	const struct state *state, const char *name, json_t *request, const int *fds, size_t count, struct azm_err *err)
{
	return exchange(state, name, request, fds, count, NULL, err);
}

static int ask_held(int connection, const char *text, struct azm_err *err)
{
	if (fds_send(connection, text, strlen(text), NULL, 0, 0) < 0)
		return err_sys(err, "ask the sandbox", NULL);
	json_t *object = receive(connection, NULL, err);
	const char *error = json_string_value(json_object_get(object, "error"));
	int result = object ? 0 : -1;
	if (error)
		result = err_msg(err, EBUSY, "ask the sandbox", NULL, "%s", error);
	json_decref(object);
	return result;
}

int control_hold(int connection, struct azm_err *err)
{
	return ask_held(connection, "{\"op\":\"hold\"}", err);
}

int control_release(int connection, struct azm_err *err)
{
	return ask_held(connection, "{\"op\":\"release\"}", err);
}

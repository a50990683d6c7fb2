// SPDX-License-Identifier: GPL-2.0-or-later
/* control.c: see control.h */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd_passing.h"
#include "base/io.h"
#include "base/str.h"
#include "egress_service.h"
#include "published.h"
#include "status.h"
#include "supervisor.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int control_address(const struct state *state, const char *name, struct sockaddr_un *address, struct azm_err *err)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int need = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s.%llx.sock", state->live,
		name, (unsigned long long)state->key);

	return need < (int)sizeof address->sun_path
		       ? 0
		       : err_msg(err, ENAMETOOLONG, "use socket", name, "the name is too long");
}

int control_open(struct control *control, const struct state *state, const char *name, struct azm_err *err)
{
	struct sockaddr_un address;

	*control = (struct control){ .listener = -1, .live = state->live };
	if (control_address(state, name, &address, err) < 0)
		return -1;
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "make the control socket", NULL);
	control->path = xstrdup(strrchr(address.sun_path, '/') + 1);
	/* We hold the name's lock, so a socket that is there belongs to nobody any more. */
	unlinkat(state->live, control->path, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
		return err_sys(err, "make the control socket", control->path);
	control->listener = steal_fd(&fd);
	return 0;
}

/* "NSpid:" lists the pid in every namespace from the reader's down to the process's own: one number means the host's.
 */
static bool one_nspid(const char *text)
{
	const char *line = strstr(text, "NSpid:");

	if (!line)
		return false;
	line += strlen("NSpid:");
	line += strspn(line, "\t ");
	size_t digits = strspn(line, "0123456789");
	return digits > 0 && line[0] != '0' && (line[digits] == '\n' || line[digits] == '\0');
}

static bool peer_is_host_user(int fd)
{
	char path[64];
	struct ucred peer;
	int pidfd = -1;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid())
		return false;
	size = sizeof pidfd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0) {
		cleanup_fd int held = pidfd;
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", held);
		cleanup_free char *info = read_path(path, 4096, NULL);
		return info && one_nspid(info);
	}
	/* < 6.5: by number, with the small risk that the number was reused since connect(). */
	snprintf(path, sizeof path, "/proc/%d/status", (int)peer.pid);
	cleanup_free char *status = read_path(path, 16384, NULL);
	return status && one_nspid(status);
}

static void answer(int fd, json_t *object, int passed)
{
	cleanup_free char *text = json_dumps(object, JSON_COMPACT);

	fds_send(fd, text, text ? strlen(text) : 0, &passed, passed >= 0, MSG_DONTWAIT);
	json_decref(object);
}

static void answer_result(int fd, int result, const struct azm_err *err)
{
	if (result == 0)
		return answer(fd, json_pack("{s:b}", "ok", 1), -1);
	cleanup_free char *text = xasprintf("%s: %s", err->text, err->reason[0] ? err->reason : strerror(err->code));
	answer(fd, json_pack("{s:s}", "error", text), -1);
}

static void drop_client(struct control *control, size_t i)
{
	close(control->clients[i].fd);
	control->clients[i] = control->clients[--control->count];
}

static void op_signal(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	json_int_t number = json_integer_value(json_object_get(request, "signal"));

	if (number <= 0 || number >= NSIG) {
		answer(client->fd, json_pack("{s:s}", "error", "no such signal"), -1);
		return;
	}
	if (number == SIGKILL)
		supervisor_kill(supervisor);
	else
		supervisor_signal(supervisor, (int)number);
	answer(client->fd, json_pack("{s:b}", "ok", 1), -1);
}

static void op_stop(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	json_int_t seconds = json_integer_value(json_object_get(request, "seconds"));

	supervisor_stop(supervisor, seconds < 0 || seconds > 86400 ? 10 : (unsigned)seconds);
	client->waiting = true;
}

static void op_wait(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	(void)supervisor;
	(void)request;
	client->waiting = true;
}

static void op_enter(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	if (supervisor->paused && json_is_true(json_object_get(request, "runs"))) {
		answer(client->fd, json_pack("{s:s}", "error", "it is paused: `azm-sandbox unpause` it first"), -1);
		return;
	}
	answer(client->fd, json_pack("{s:i}", "pid", (int)supervisor->child.pid), supervisor->child.pidfd);
}

static void op_attach(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };
	int result = 0;

	(void)request;
	if (supervisor->paused)
		result = err_msg(&err, EBUSY, "attach", NULL, "it is paused: `azm-sandbox unpause` it first");
	else if (passed->count == 0)
		result = err_msg(&err, EINVAL, "attach", NULL, "no socket came with the request");
	else
		result = streams_attach(&supervisor->streams, steal_fd(&passed->items[0]), &err);
	answer_result(client->fd, result, &err);
}

static void op_pause(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };

	(void)passed;
	(void)request;
	answer_result(client->fd, supervisor_pause(supervisor, &err), &err);
}

static void op_resume(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };

	(void)passed;
	(void)request;
	answer_result(client->fd, supervisor_resume(supervisor, &err), &err);
}

static void op_hold(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	(void)request;
	client->holds = true;
	supervisor_hold(supervisor, true);
	answer(client->fd, json_pack("{s:b}", "ok", 1), -1);
}

static void op_release(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	(void)passed;
	(void)request;
	if (client->holds)
		supervisor_hold(supervisor, false);
	client->holds = false;
	answer(client->fd, json_pack("{s:b}", "ok", 1), -1);
}

static void op_publish(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };

	answer_result(client->fd, published_add(supervisor, request, passed, &err), &err);
}

static void op_unpublish(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };

	(void)passed;
	answer_result(client->fd, published_remove(supervisor, request, &err), &err);
}

static void op_egress(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	struct azm_err err = { 0 };
	int result = egress_request(supervisor, request, passed->count ? &passed->items[0] : NULL, &err);

	if (result == EGRESS_NEEDS_RESOLVER)
		answer(client->fd, json_pack("{s:b}", "needs_resolver", 1), -1);
	else
		answer_result(client->fd, result, &err);
}

static const struct {
	const char *name;
	void (*run)(struct control_client *client, struct supervisor *supervisor, const json_t *request,
		struct control_fds *passed);
} operations[] = { { "signal", op_signal }, { "stop", op_stop }, { "wait", op_wait }, { "enter", op_enter },
	{ "attach", op_attach }, { "pause", op_pause }, { "resume", op_resume }, { "hold", op_hold },
	{ "release", op_release }, { "publish", op_publish }, { "unpublish", op_unpublish }, { "egress", op_egress } };

static void serve_request(
	struct control_client *client, struct supervisor *supervisor, const json_t *request, struct control_fds *passed)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; op && i < sizeof operations / sizeof *operations; i++) {
		if (strcmp(op, operations[i].name) == 0)
			return operations[i].run(client, supervisor, request, passed);
	}
	answer(client->fd, json_pack("{s:s}", "error", "no such request"), -1);
}

/* Return: false when the client is to be dropped. */
static bool serve_client(struct control_client *client, struct supervisor *supervisor)
{
	char message[CONTROL_MESSAGE];
	struct control_fds passed;

	passed.count = CONTROL_FDS;
	ssize_t n =
		fds_receive(client->fd, message, sizeof message, passed.items, &passed.count, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n > 0 && n <= (ssize_t)sizeof message) {
		json_t *request = json_loadb(message, (size_t)n, 0, NULL);
		serve_request(client, supervisor, request, &passed);
		json_decref(request);
	}
	for (size_t i = 0; i < passed.count; i++)
		if (passed.items[i] >= 0)
			close(passed.items[i]);
	return n > 0 && n <= (ssize_t)sizeof message;
}

static void accept_client(struct control *control)
{
	int fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (control->count == CONTROL_CLIENTS || !peer_is_host_user(fd)) {
		close(fd);
		return;
	}
	control->clients[control->count++] = (struct control_client){ .fd = fd };
}

int control_poll(const struct control *control, struct pollfd *polls)
{
	int used = 0;

	polls[used++] = (struct pollfd){ .fd = control->listener, .events = POLLIN };
	for (size_t i = 0; i < control->count; i++)
		polls[used++] = (struct pollfd){ .fd = control->clients[i].fd, .events = POLLIN };
	return used;
}

void control_serve(struct control *control, struct supervisor *supervisor, const struct pollfd *polls, int count)
{
	/* Backwards: dropping a client moves the last one into its place. */
	for (int i = count - 1; i > 0; i--)
		if (polls[i].revents && !serve_client(&control->clients[i - 1], supervisor)) {
			if (control->clients[i - 1].holds)
				supervisor_hold(supervisor, false);
			drop_client(control, (size_t)i - 1);
		}
	if (polls[0].revents)
		accept_client(control);
}

void control_hide(struct control *control)
{
	if (control->listener < 0)
		return;
	unlinkat(control->live, control->path, 0);
	close(steal_fd(&control->listener));
}

void control_end(struct control *control, int wait_status)
{
	while (control->count > 0) {
		struct control_client *client = &control->clients[control->count - 1];
		if (client->waiting && wait_status >= 0)
			answer(client->fd,
				json_pack("{s:i,s:i}", "exit_code", status_exit_code(wait_status), "signal",
					WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0),
				-1);
		drop_client(control, control->count - 1);
	}
	control_hide(control);
	free(control->path);
	*control = (struct control){ .listener = -1 };
}

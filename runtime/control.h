// SPDX-License-Identifier: GPL-2.0-or-later
/* control.h: how other commands of the user speak to a running supervisor.
 *
 * A SOCK_SEQPACKET socket NAME.KEY.sock in the live directory (KEY tells the user's state directories apart); a request
 * and its answer are one JSON object each:
 *
 *     {"op":"signal","signal":15}   {"op":"stop","seconds":10}   {"op":"wait"}   {"op":"enter"}   {"op":"attach"}
 * (streams.h)   {"op":"pause"}
 * {"op":"resume"}
 *     {"op":"publish", ...}   {"op":"unpublish", ...}   (published.h)   {"op":"egress", ...}   (egress_service.h)
 *
 *     {"op":"hold"}   {"op":"release"}   (pause.h; the end of the connection releases as well)
 *
 * Descriptors may come with a request; what an operation does not take is closed. "enter" answers with a pidfd of
 * azm-init ("runs":true: for a command, which a paused sandbox does not take); "stop" and "wait" answer when the
 * sandbox has ended:
 * {"exit_code":...,"signal":...}. Errors: {"error":text}.
 *
 * Being the same uid proves nothing, the sandbox is the same uid: a peer is accepted only when it lives in the host's
 * pid namespace (the kernel says so: NSpid of its pidfd has one number), where no process of a sandbox can be.
 */
#pragma once
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/fd_passing.h"
#include "state.h"

enum { CONTROL_CLIENTS = 32, CONTROL_POLLS = CONTROL_CLIENTS + 1, CONTROL_MESSAGE = 8192, CONTROL_FDS = FDS_MAX };

struct control_client {
	int fd;
	bool waiting; /* gets an answer when the sandbox ends */
	bool holds;   /* nothing inside runs as long as it is connected */
};

/* What came with a request; an operation that takes one leaves -1 (or sets count to 0). */
struct control_fds {
	int items[CONTROL_FDS];
	size_t count;
};

struct control {
	int listener;
	struct control_client clients[CONTROL_CLIENTS];
	size_t count;
	char *path; /* name of the socket below the live directory */
	int live;
};

struct supervisor;

int control_open(struct control *control, const struct state *state, const char *name, struct azm_err *err);
int control_poll(const struct control *control, struct pollfd *polls);
void control_serve(struct control *control, struct supervisor *supervisor, const struct pollfd *polls, int count);

/** control_hide() - nobody else can connect; those who wait still get their answer from control_end(). */
void control_hide(struct control *control);

/** control_end() - answer all who wait, close and unlink the socket. */
void control_end(struct control *control, int wait_status);

/** control_address() - where a sandbox's socket is: through our own descriptor of the live directory, which may lie
 * deeper than sun_path is long. */
int control_address(const struct state *state, const char *name, struct sockaddr_un *address, struct azm_err *err);

/** control_connect() - client side: a connection for control_hold() and control_release(). */
int control_connect(const struct state *state, const char *name, struct azm_err *err);
int control_hold(int connection, struct azm_err *err);
int control_release(int connection, struct azm_err *err);

/**
 * control_ask() - client side: send one request and wait for the answer
 * @request:	taken over
 * @fd:		set to a descriptor that came with the answer, -1 without; may be NULL
 *
 * Return: the answer (caller owns), NULL with @err set: ECONNREFUSED or ENOENT when the sandbox does not run
 */
json_t *control_ask(const struct state *state, const char *name, json_t *request, int *fd, struct azm_err *err);

/** control_pass() - the same, with descriptors for the supervisor (at most CONTROL_FDS); they stay the caller's, too.
 */
json_t *control_pass(const struct state *state, const char *name, json_t *request, const int *fds, size_t count,
	struct azm_err *err);

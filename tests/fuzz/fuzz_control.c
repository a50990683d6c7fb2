// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_control.c: any message on the control socket: the client stays or is dropped, a request that was
 * understood reaches the supervisor with values it can bear. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "control.h"
#include "published.h"
#include "supervisor.h"
#include "tests/fuzz/fuzz.h"

/* Instead of the supervisor's own. */
void supervisor_signal(struct supervisor *supervisor, int signal)
{
	(void)supervisor;
	must(signal > 0 && signal < NSIG && signal != SIGKILL);
}

void supervisor_stop(struct supervisor *supervisor, unsigned seconds)
{
	(void)supervisor;
	must(seconds <= 86400);
}

int supervisor_pause(struct supervisor *supervisor, struct azm_err *err)
{
	(void)err;
	supervisor->paused = true;
	return 0;
}

int supervisor_resume(struct supervisor *supervisor, struct azm_err *err)
{
	(void)err;
	supervisor->paused = false;
	return 0;
}

void supervisor_hold(struct supervisor *supervisor, bool on)
{
	supervisor->held = on;
}

void supervisor_kill(struct supervisor *supervisor)
{
	(void)supervisor;
}

int published_add(struct supervisor *supervisor, const json_t *request, struct control_fds *passed, struct azm_err *err)
{
	(void)supervisor;
	(void)request;
	must(passed->count == 0);
	return err_msg(err, EINVAL, "publish", NULL, "not here");
}

int published_remove(struct supervisor *supervisor, const json_t *request, struct azm_err *err)
{
	(void)supervisor;
	(void)request;
	return err_msg(err, EINVAL, "unpublish", NULL, "not here");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];
	struct supervisor supervisor = { .child = { .pid = 1, .pidfd = -1 } };
	struct control control = { .listener = -1, .live = -1, .count = 1 };
	struct pollfd polls[CONTROL_POLLS];

	if (size == 0 || size > CONTROL_MESSAGE * 2)
		return 0;
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	control.clients[0] = (struct control_client){ .fd = pair[1] };
	must(send(pair[0], data, size, MSG_NOSIGNAL) == (ssize_t)size);
	int count = control_poll(&control, polls);
	must(count == 2);
	polls[0].revents = 0;
	polls[1].revents = POLLIN;
	control_serve(&control, &supervisor, polls, count);
	must((size > CONTROL_MESSAGE) == (control.count == 0));
	bool waiting = control.count && control.clients[0].waiting;
	control_end(&control, 0);
	char answer[1024];
	ssize_t n = recv(pair[0], answer, sizeof answer, MSG_DONTWAIT);
	must(n > 0 || (n == 0 && !waiting));
	must(n <= 0 || answer[0] == '{');
	close(pair[0]);
	return 0;
}

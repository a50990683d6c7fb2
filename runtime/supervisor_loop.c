// SPDX-License-Identifier: GPL-2.0-or-later
/* supervisor_loop.c: the life of a running sandbox, see supervisor.h.
 *
 * One poll() over everything; nothing in here blocks. Waiting for the server to answer is the only thing that takes
 * time, so a thread of its own does it and tells the result through a pipe.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/footprint.h"
#include "disk.h"
#include "supervisor.h"

enum {
	READY_TIMEOUT_MS = 120000,
	STOP_GRACE = 10, /* seconds, Docker's */
	PUBLISH_RETRY_MS = 250,
	TRIM_AFTER_MS = 300,
	POLL_REPORT = 0,
	POLL_SIGNALS,
	POLL_READY,
	POLL_DISK,
	POLL_PUBLISHED,
	POLL_FIXED,
};

struct ready_job {
	struct publisher *publisher;
	uint16_t port;
	int cancel; /* read end */
	int result; /* write end */
};

struct ready_result {
	int code; /* of publish_wait_ready() */
	struct azm_err err;
};

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / 1000000;
}

static void *wait_ready(void *context)
{
	struct ready_job *job = context;
	struct ready_result result = { 0 };

	result.code =
		publish_wait_ready(job->publisher, job->port, "/alive", job->cancel, READY_TIMEOUT_MS, &result.err);
	(void)!write(job->result, &result, sizeof result);
	close(job->cancel);
	close(job->result);
	free(job);
	return NULL;
}

static int start_waiting(struct supervisor *s, struct azm_err *err)
{
	int cancel[2], result[2];
	pthread_attr_t attributes;

	if (pipe_pair(cancel, err) < 0 || pipe_pair(result, err) < 0)
		return -1;
	struct ready_job *job = malloc(sizeof *job);
	if (!job)
		return err_sys(err, "wait for the server", NULL);
	*job = (struct ready_job){ s->publisher, s->launch.server_port, cancel[0], result[1] };
	s->ready = result[0];
	s->ready_cancel = cancel[1];
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	int code = pthread_create(&s->ready_thread, &attributes, wait_ready, job);
	pthread_attr_destroy(&attributes);
	return code ? err_code(err, code, "start a thread", NULL) : 0;
}

/* The last thing of the start; from now on we mostly wait. A command that has ended by then needs us once more. */
static int on_ready(struct supervisor *s, struct azm_err *err)
{
	s->trim_at = now_ms() + TRIM_AFTER_MS;
	return s->on_ready ? s->on_ready(s, s->context, err) : 0;
}

static int take_ready(struct supervisor *s, struct azm_err *err)
{
	struct ready_result result;
	ssize_t n = read_full(s->ready, &result, sizeof result);

	close(steal_fd(&s->ready_cancel));
	pthread_join(s->ready_thread, NULL);
	close(steal_fd(&s->ready));
	if (n == (ssize_t)sizeof result && result.code == 0)
		return on_ready(s, err);
	if (n == (ssize_t)sizeof result && result.code > 0)
		return 0; /* cancelled: the end of the sandbox says why */
	*err = result.err;
	err_wrap(err, "wait for the runtime server", NULL);
	return err_hint(err, "its output is in `azm-sandbox logs %s`", s->config->name);
}

static void tell_init(const struct supervisor *s, enum init_op op, int value)
{
	struct init_command command = { .op = op, .value = value };

	(void)!write(s->child.command, &command, sizeof command);
}

static void stop_processes(const struct supervisor *s, bool stop)
{
	if (cgroup_freeze(&s->cgroup, stop) < 0)
		tell_init(s, INIT_STOP_ALL, stop ? SIGSTOP : SIGCONT);
}

void supervisor_hold(struct supervisor *s, bool on)
{
	s->held = on;
	if (!s->paused)
		stop_processes(s, on);
}

int supervisor_pause(struct supervisor *s, struct azm_err *err)
{
	bool before = s->paused;

	/* Said first: `exec` looks at it once its process exists, so that none slips in. */
	s->paused = s->status.paused = true;
	if (!before && status_save(s->config, &s->status, s->dir, err) < 0) {
		s->paused = s->status.paused = false;
		return -1;
	}
	stop_processes(s, true);
	return 0;
}

int supervisor_resume(struct supervisor *s, struct azm_err *err)
{
	if (!s->paused)
		return 0;
	s->paused = s->status.paused = false;
	if (!s->held)
		stop_processes(s, false);
	return status_save(s->config, &s->status, s->dir, err);
}

void supervisor_signal(struct supervisor *s, int signal)
{
	struct azm_err ignored = { 0 };

	tell_init(s, INIT_SIGNAL, signal);
	if (signal == SIGKILL || signal == s->launch.stop_signal)
		supervisor_resume(s, &ignored);
}

void supervisor_kill(struct supervisor *s)
{
	/* Through azm-init, so that the workload's wait status says what happened; the kernel's way if azm-init is
	 * stuck. */
	supervisor_signal(s, SIGKILL);
	s->stop_at = now_ms() + 1000;
}

void supervisor_stop(struct supervisor *s, unsigned seconds)
{
	long long until = now_ms() + seconds * 1000ll;

	if (!s->stop_at)
		supervisor_signal(s, s->launch.stop_signal);
	if (!s->stop_at || until < s->stop_at)
		s->stop_at = until;
}

static void take_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	switch (info.ssi_signo) {
	case SIGWINCH:
		streams_resize(&s->streams);
		break;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		/* A second one means: at once. */
		supervisor_stop(s, s->stop_at ? 0 : STOP_GRACE);
		break;
	default:
		break;
	}
}

/* Return: 1 when the sandbox has ended, 0 to go on, -1 with @err set. */
static int take_report(struct supervisor *s, struct azm_err *err)
{
	struct report report;
	int result = spawn_report(&s->child, &report, err);

	if (result < 0)
		return -1;
	if (result == 0 && report.kind == REPORT_EXITED) {
		s->status.wait_status = report.value;
		s->ended = true; /* azm-init is exiting */
		return 1;
	}
	if (result == 1) {
		/* Killed, by us or by somebody else: nobody is left to tell the workload's own status. */
		s->status.wait_status = SIGKILL;
		return 1;
	}
	return 0;
}

static void take_disk(struct supervisor *s)
{
	struct disk_report report;

	if (read_full(s->disk, &report, sizeof report) == (ssize_t)sizeof report) {
		cleanup_free char *line = disk_reason(s->config, &report);
		fputs(line, stderr);
		streams_log(&s->streams, line);
		s->status.disk_exceeded = true;
		supervisor_kill(s);
	}
	close(steal_fd(&s->disk));
}

/* The first client of a published port. When the host has no thread for it now, it waits, as others of a busy server
 * do. */
static void serve_published(struct supervisor *s)
{
	struct azm_err err = { 0 };

	s->publish_at = 0;
	if (supervisor_publish(s, &err) == 0)
		return;
	err_print(&err, "azm-sandbox");
	s->publish_at = now_ms() + PUBLISH_RETRY_MS;
}

static int poll_timeout(const struct supervisor *s)
{
	const long long times[] = { s->stop_at, s->publish_at, s->trim_at };
	long long next = 0;

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (times[i] && (!next || times[i] < next))
			next = times[i];
	if (!next)
		return -1;
	long long left = next - now_ms();
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

static int published_fd(const struct supervisor *s)
{
	return s->publish_at ? -1 : publish_awaited(s->publisher);
}

static void check_times(struct supervisor *s)
{
	if (s->publish_at && now_ms() >= s->publish_at)
		s->publish_at = 0;
	if (s->trim_at && now_ms() >= s->trim_at) {
		s->trim_at = 0;
		footprint_trim();
	}
	if (s->stop_at && now_ms() >= s->stop_at) {
		kill(s->child.pid, SIGKILL);
		s->stop_at = now_ms() + 3600000;
	}
}

static int serve_once(struct supervisor *s, struct azm_err *err)
{
	struct pollfd polls[POLL_FIXED + STREAM_POLLS + CONTROL_POLLS];
	struct pollfd *stream_polls = polls + POLL_FIXED;

	polls[POLL_REPORT] = (struct pollfd){ .fd = s->child.report, .events = POLLIN };
	polls[POLL_SIGNALS] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	polls[POLL_READY] = (struct pollfd){ .fd = s->ready, .events = POLLIN };
	polls[POLL_DISK] = (struct pollfd){ .fd = s->disk, .events = POLLIN };
	polls[POLL_PUBLISHED] = (struct pollfd){ .fd = published_fd(s), .events = POLLIN };
	int streams = streams_poll(&s->streams, stream_polls);
	struct pollfd *control_polls = stream_polls + streams;
	int controls = control_poll(&s->control, control_polls);
	if (poll(polls, (nfds_t)(POLL_FIXED + streams + controls), poll_timeout(s)) < 0 && errno != EINTR)
		return err_sys(err, "wait for events", NULL);
	check_times(s);
	streams_serve(&s->streams, stream_polls, streams);
	if (polls[POLL_SIGNALS].revents)
		take_signal(s);
	if (polls[POLL_DISK].revents)
		take_disk(s);
	control_serve(&s->control, s, control_polls, controls);
	if (polls[POLL_PUBLISHED].revents)
		serve_published(s);
	if (polls[POLL_READY].revents && take_ready(s, err) < 0)
		return -1;
	return polls[POLL_REPORT].revents ? take_report(s, err) : 0;
}

int supervisor_serve(struct supervisor *s, struct azm_err *err)
{
	int result = 0;

	if (s->launch.serves ? start_waiting(s, err) < 0 : on_ready(s, err) < 0)
		return -1;
	while (result == 0)
		result = serve_once(s, err);
	return result < 0 ? -1 : 0;
}

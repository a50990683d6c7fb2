// SPDX-License-Identifier: GPL-2.0-or-later
/* server/main.c: azm-runtime-server, the action execution server inside a sandbox: start, loop, end. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/footprint.h"
#include "base/io.h"
#include "server/children.h"
#include "server/events.h"
#include "server/cells.h"
#include "server/server.h"
#include "server/terminal.h"
#include "server/worker.h"

enum { MAPPED_FROM = 64 << 10, IDLE_MS = 1000 };

struct signals {
	struct loop_source source;
	struct server *server;
};

static void reap(struct server *server)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		shell_set_reap(&server->shells, pid, status);
		if (!WIFSTOPPED(status))
			children_reap(&server->children, pid, status);
	}
}

static void on_signal(struct loop_source *source, uint32_t events)
{
	struct signals *signals = (struct signals *)(void *)source;
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	if (info.ssi_signo == SIGCHLD)
		reap(signals->server);
	else
		signals->server->loop.stopping = true;
}

static int watch_signals(struct signals *signals, struct azm_err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals->source.ready = on_signal;
	signals->source.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->source.fd < 0 || loop_add(&signals->server->loop, &signals->source, EPOLLIN) < 0)
		return err_sys(err, "watch for signals", NULL);
	return 0;
}

/* Nothing of the server is open to its children, and nothing of its memory: they run as the same user. What was
 * inherited beyond stdio (the pipe of --key-file, say) goes; the counters are opened first, the file is root's
 * afterwards.
 */
static void protect_self(struct server *server)
{
	(void)fd_close_range(STDERR_FILENO + 1, ~0u);
	server->io_counters = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
	prctl(PR_SET_DUMPABLE, 0);
}

/* A server that nobody has asked anything for a while rests: the pages of the program that it used go back, and come
 * again from the page cache as they are touched. Hundreds of idle servers may sit on a machine, each in a sandbox of
 * its own. */
struct idleness {
	struct loop_timer timer;
	bool resting;
};

static void rest(struct loop_timer *timer)
{
	struct idleness *idleness = (struct idleness *)((char *)timer - offsetof(struct idleness, timer));

	footprint_trim();
	idleness->resting = true;
}

static int serve_requests(struct server *server, struct azm_err *err)
{
	struct idleness idleness = { .timer.fire = rest };
	int result = 0;

	while (!server->loop.stopping && result == 0) {
		/* Not after the rest itself: an idle server sleeps. */
		if (!idleness.resting)
			loop_set(&server->loop, &idleness.timer, loop_now() + IDLE_MS);
		idleness.resting = false;
		result = loop_turn(&server->loop, http_run(server), err);
	}
	loop_set(&server->loop, &idleness.timer, 0);
	return result;
}

static int serve(struct server *server, struct azm_err *err)
{
	struct signals signals = { .server = server };

	if (loop_open(&server->loop, err) < 0 || http_start(server, err) < 0 || watch_signals(&signals, err) < 0)
		return -1;
	const struct session_config config = {
		.loop = &server->loop,
		.shells = &server->shells,
		.cwd = server->options.working_dir,
		.username = server->options.username,
		.soft_timeout_s = server->options.soft_timeout_s,
	};
	server->session = session_new(&config);
	server->editor.working_dir = server->options.working_dir;
	server->bash = (struct bash_commands){
		.loop = &server->loop,
		.children = &server->children,
		.default_cwd = server->options.working_dir,
		.changed = events_bash_changed,
		.printed = events_bash_printed,
	};
	int result = serve_requests(server, err);
	jobs_abort(server);
	bash_commands_end(&server->bash);
	workers_abort(server);
	terminals_free(server);
	http_stop(server);
	session_free(server->session);
	edit_history_free(&server->editor.history);
	cells_free(server->cells);
	vscode_stop(&server->vscode, &server->children);
	close(signals.source.fd);
	loop_close(&server->loop);
	return result;
}

int main(int argc, char *argv[])
{
	struct azm_err err = { 0 };
	struct server server = { 0 };

	mallopt(M_MMAP_THRESHOLD, MAPPED_FROM); /* fixed: large buffers go back to the system when they are freed */
	if (settings_parse(argc, argv, &server.options, &err) < 0 ||
		key_take(server.options.key_file, &server.api_key, &err) < 0)
		return err_print(&err, "azm-runtime-server");
	protect_self(&server);
	server.started_at = server.last_action_at = loop_now();
	int result = serve(&server, &err);
	free(server.api_key);
	return result < 0 ? err_print(&err, "azm-runtime-server") : 0;
}

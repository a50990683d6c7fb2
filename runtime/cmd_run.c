// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_run.c: `run` and `start`: the command line around a supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/signals.h"
#include "commands.h"
#include "control.h"
#include "run_options.h"
#include "scope.h"
#include "snapshots/layers.h"
#include "snapshots/rollback.h"
#include "socket_files.h"
#include "supervisor.h"

enum { LOCK_PATIENCE_MS = 2000 };

/* How one start reports: to a terminal, to a program, to the waiting parent of -d. */
struct reporting {
	bool json;
	int status_fd; /* -1 */
	int parent;    /* -d: write end of the pipe to the parent; -1 in the foreground */
	int null;      /* -d: what stdin, stdout and stderr become; opened before the supervisor confines itself */
};

static void write_line(int fd, json_t *object)
{
	cleanup_free char *text = json_escaped(object, JSON_COMPACT);
	cleanup_free char *line = text ? xasprintf("%s\n", text) : NULL;

	if (line)
		(void)!write_full(fd, line, strlen(line));
}

static void report_json(const struct supervisor *s, const struct reporting *reporting)
{
	if (!reporting->json && reporting->status_fd < 0)
		return;
	json_t *object = status_json(s->config, &s->status);
	if (reporting->json)
		write_line(STDOUT_FILENO, object);
	if (reporting->status_fd >= 0)
		write_line(reporting->status_fd, object);
	json_decref(object);
}

/* The address of the console page. The key goes behind the #, which browsers keep to themselves; and only to a
 * terminal: a log may have other readers, and the address is what people paste. */
static void print_console(const char *url, const char *key)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	printf("Console    %s/", url);
	if (*key && isatty(STDOUT_FILENO)) {
		putchar('#');
		for (; *key; key++)
			printf(strchr(plain, *key) ? "%c" : "%%%02X", (unsigned char)*key);
	}
	putchar('\n');
}

static void print_server(const struct supervisor *s)
{
	const struct config *config = s->config;
	cleanup_free char *url = status_url(&s->status);
	cleanup_free char *header =
		*config->api_key ? xasprintf(" -H 'X-Session-API-Key: %s'", config->api_key) : xstrdup("");

	printf("Sandbox    %s\n", config->name);
	printf("URL        %s\n", url ? url : "(not published on TCP)");
	if (url)
		print_console(url, config->api_key);
	printf("Key        %s\n", *config->api_key ? config->api_key : "(none: every process of yours can drive it)");
	printf("Workspace  %s\n", config->workspace ? config->workspace : "(none; --workspace DIR mounts one)");
	printf("Egress     %s\n", config->egress);
	if (url)
		printf("Try        curl -s%s -H 'Content-Type: application/json' \\\n"
		       "             -d '{\"action\":{\"action\":\"run\",\"args\":{\"command\":\"uname "
		       "-a\"},\"timeout\":30}}' \\\n"
		       "             %s/execute_action\n",
			header, url);
	printf("Stop       Ctrl-C, or: azm-sandbox stop %s\n\n", config->name);
	fflush(stdout);
}

/* The sandbox is ready: tell everybody; with -d let go of the terminal. */
static int when_ready(struct supervisor *s, void *context, struct azm_err *err)
{
	const struct reporting *reporting = context;

	report_json(s, reporting);
	if (reporting->parent < 0) {
		if (s->launch.serves && !reporting->json)
			print_server(s);
		return 0;
	}
	if (!reporting->json)
		printf("%s\n", s->config->name);
	if (fflush(stdout) != 0)
		return err_sys(err, "write to stdout", NULL);
	streams_detach(&s->streams);
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(reporting->null, fd) < 0)
			return err_sys(err, "let go of the terminal", NULL);
	close(reporting->null);
	(void)!write(reporting->parent, "r", 1);
	close(reporting->parent);
	return 0;
}

static int supervise(const struct config *config, const struct state *state, int dir, int lock,
	struct reporting *reporting, bool fresh, int knocked)
{
	struct supervisor supervisor;
	struct azm_err err = { 0 };
	struct config effective = *config;

	/* A sandbox that never started leaves nothing behind. */
	supervisor_init(&supervisor, &effective, state, dir, lock);
	supervisor.foreground = reporting->parent < 0;
	supervisor.knocked = knocked;
	supervisor.on_ready = when_ready;
	supervisor.context = reporting;
	int result = supervisor_start(&supervisor, &err);
	if (result < 0)
		effective.remove = effective.remove || fresh;
	else
		result = supervisor_serve(&supervisor, &err);
	supervisor_end(&supervisor);
	if (result == 0)
		report_json(&supervisor, reporting);
	free(supervisor.status.egress);
	json_decref(supervisor.status.guard);
	return result < 0 ? fail_command(&err) : status_exit_code(supervisor.status.wait_status);
}

/* A new sandbox under its name, locked, with its configuration written. Return: its directory. */
static int create(struct config *config, const struct state *state, int *lock, struct azm_err *err)
{
	bool generated = !config->name;

	for (int attempt = 0;; attempt++) {
		cleanup_free char *temporary = NULL;
		if (generated) {
			free(config->name);
			config->name = name_generate();
		}
		cleanup_fd int dir = sandbox_create(state, &temporary, lock, err);
		if (dir < 0)
			return -1;
		cleanup_fd int held = *lock;
		if (config_save(config, dir, err) == 0 && layers_show_root(config, dir, err) == 0 &&
			sandbox_publish_name(state, temporary, config->name, err) == 0) {
			steal_fd(&held);
			return steal_fd(&dir);
		}
		struct azm_err ignored = { 0 };
		sandbox_remove(state, temporary, &ignored);
		if (!generated || !err_is(err, EEXIST) || attempt == 8)
			return -1;
	}
}

/* -d: the child becomes the supervisor, in a session of its own; the parent waits for its word. Return: 0 in the child,
 * -1 with *status in the parent. */
static int detach(struct reporting *reporting, int *status)
{
	int ends[2];
	char word;
	struct azm_err err = { 0 };

	if (pipe_pair(ends, &err) < 0) {
		*status = fail_command(&err);
		return -1;
	}
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		reporting->parent = ends[1];
		reporting->null = spawn_stdio_null(&err);
		if (reporting->null < 0)
			exit(fail_command(&err));
		setsid();
		return 0;
	}
	close(ends[1]);
	cleanup_fd int reader = ends[0];
	signals_unblock(); /* this side may be interrupted while it waits */
	if (child < 0) {
		err_sys(&err, "fork", NULL);
		*status = fail_command(&err);
	} else if (read_full(reader, &word, 1) == 1) {
		*status = 0;
	} else {
		/* It said why on our stderr. */
		int wait_status;
		while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
			continue;
		*status = status_exit_code(wait_status);
	}
	return -1;
}

/* @closed: a descriptor that a detached supervisor must not keep; -1 */
static int run_created(struct config *config, const struct state *state, struct reporting *reporting, int closed)
{
	struct azm_err err = { 0 };
	cleanup_fd int lock = -1;
	int status;

	supervisor_block_signals();
	int knocked = supervisor_knock(config, state);
	cleanup_fd int dir = create(config, state, &lock, &err);
	if (dir < 0 || !config->detach)
		return dir < 0 ? fail_command(&err)
			       : supervise(config, state, dir, steal_fd(&lock), reporting, true, knocked);
	if (detach(reporting, &status) == 0) {
		if (closed >= 0)
			close(closed);
		exit(supervise(config, state, dir, steal_fd(&lock), reporting, true, knocked));
	}
	if (knocked > 0)
		close(knocked);
	return status;
}

int run_detached(struct config *config, const struct state *state, bool json, int closed)
{
	struct reporting reporting = { .json = json, .status_fd = -1, .parent = -1 };

	config->detach = true;
	free(config->created);
	config->created = status_time();
	return run_created(config, state, &reporting, closed);
}

int command_run(int argc, char **argv)
{
	cleanup_run_request struct run_request request;
	struct azm_err err = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };

	run_request_init(&request);
	int first = options_parse(program_find(the_program(), "run"), &request, argc, argv, &err);
	if (first < 0)
		return fail_command(&err);
	for (int i = first; i < argc; i++)
		str_list_add(&request.config.command, argv[i]);
	if (run_request_complete(&request, &err) < 0 || invocation_check(request.config.as_root, &err) < 0)
		return fail_command(&err);
	scope_enter(&request.config, argv, request.status_fd, request.config.detach);
	request.config.created = status_time();
	if (state_open(&state, &err) < 0)
		return fail_command(&err);
	state_reclaim(&state);
	socket_files_reclaim(&state);
	struct reporting reporting = { .json = request.json, .status_fd = request.status_fd, .parent = -1 };
	return run_created(&request.config, &state, &reporting, -1);
}

struct start_options {
	bool attach, as_root;
	char **again; /* the command line, when it names one sandbox only */
};

OPTION_STORES(opt_start_attach, struct start_options, attach, true)
OPTION_STORES(opt_start_as_root, struct start_options, as_root, true)

const struct option_row start_option_rows[] = {
	{ 'a', "attach", NULL, opt_start_attach, "stay in the foreground" },
	{ 0, "as-root", NULL, opt_start_as_root, "start although started by real root" },
	OPTIONS_END,
};

/* A supervisor answers. A child of a command that was killed does not, and has the lock for a moment only. */
static int lock_to_start(const struct state *state, const char *name, int dir, struct azm_err *err)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	int64_t end = clock_ms() + LOCK_PATIENCE_MS;

	for (;;) {
		struct azm_err ignored = { 0 };
		int lock = sandbox_lock(dir, NULL, err);
		if (lock >= 0 || !err_is(err, EWOULDBLOCK))
			return lock;
		cleanup_fd int supervisor = control_connect(state, name, &ignored);
		if (supervisor < 0 && clock_ms() >= end && sandbox_busy(dir, "start", name, err))
			return -1;
		if (supervisor >= 0 || clock_ms() >= end)
			return err_msg(err, EEXIST, "start", name, "it is running already");
		err_clear(err);
		nanosleep(&moment, NULL);
	}
}

static int start_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	const struct start_options *options = context;
	struct reporting reporting = { .status_fd = -1, .parent = -1 };
	cleanup_config struct config config;
	int status;

	config_init(&config);
	cleanup_fd int dir = sandbox_open(state, name, err);
	if (dir < 0)
		return -1;
	int lock = lock_to_start(state, name, dir, err);
	if (lock < 0)
		return -1;
	sandbox_settle(state, name, dir);
	if (rollback_finish(dir, err) < 0 || config_load(&config, dir, err) < 0)
		return err_wrap(err, "start", name);
	if (options->again)
		scope_enter(&config, options->again, -1, !options->attach);
	if (!options->attach && detach(&reporting, &status) < 0) {
		close(lock);
		return status == 0 ? 0 : err_msg(err, ECHILD, "start", name, "it did not start, see above");
	}
	exit(supervise(&config, state, dir, lock, &reporting, false, 0));
}

int start_again(const struct state *state, const char *name)
{
	struct start_options options = { 0 };
	struct azm_err err = { 0 };

	return start_one(state, name, &options, &err) < 0 ? fail_command(&err) : 0;
}

int command_start(int argc, char **argv)
{
	struct start_options options = { 0 };
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "start"), &options, argc, argv, &err);

	if (first < 0 || invocation_check(options.as_root, &err) < 0)
		return fail_command(&err);
	if (options.attach && argc - first > 1) {
		err_msg(&err, EINVAL, "start", NULL, "--attach takes one NAME");
		return fail_command(&err);
	}
	options.again = argc - first == 1 ? argv : NULL;
	return for_each_name("start", argc, argv, first, start_one, &options);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_exec.c: a command in a running sandbox.
 *
 * Theory of operation
 *
 * The supervisor hands out a pidfd of the sandbox's azm-init, so there is no race with a reused pid. setns() with it
 * enters all namespaces at once; the child then executes azm-init from a sealed memfd, never a program of the image,
 * with a plan that only says who and what (plan->enter). The command dies with this process, and this process relays
 * its streams: a descriptor of ours never gets inside.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "commands.h"
#include "control.h"
#include "embed.h"
#include "resources.h"
#include "scope.h"
#include "make_plan.h"
#include "netns/netns.h"
#include "pause.h"
#include "spawn.h"
#include "status.h"
#include "stored_image.h"
#include "streams.h"

struct exec_options {
	bool interactive, tty;
	const char *user, *workdir;
	struct str_list env;
};

OPTION_STORES(opt_interactive, struct exec_options, interactive, true)
OPTION_STORES(opt_tty, struct exec_options, tty, true)
OPTION_STORES(opt_user, struct exec_options, user, value)
OPTION_STORES(opt_workdir, struct exec_options, workdir, value)

static int opt_env(void *target, const char *value, struct azm_err *err)
{
	const char *own = strchr(value, '=') ? NULL : getenv(value);
	struct exec_options *options = target;

	if (value[0] == '=' || value[0] == '\0')
		return err_msg(err, EINVAL, "set variable", NULL, "the name is missing");
	if (strchr(value, '='))
		str_list_add(&options->env, value);
	else if (own)
		str_list_addf(&options->env, "%s=%s", value, own);
	return 0;
}

const struct option_row exec_option_rows[] = {
	{ 'i', "interactive", NULL, opt_interactive, "pass stdin on" },
	{ 't', "tty", NULL, opt_tty, "give the command a terminal of its own" },
	{ 'u', "user", "UID[:GID]|NAME", opt_user, "identity inside (default: the sandbox's)" },
	{ 'w', "workdir", "DIR", opt_workdir, "working directory inside (default: the sandbox's)" },
	{ 'e', "env", "K=V|K", opt_env, "set a variable, or pass the caller's" },
	OPTIONS_END,
};

struct entry {
	struct config config;
	struct image image;
	struct identity identity;
	struct plan plan;
	struct str_list env;
	bool wide, alias;
	int target;   /* pidfd of the sandbox's azm-init */
	int dir;      /* the sandbox's directory */
	int cgroup;   /* cgroup.procs of its cgroup; -1: it has none */
	char **again; /* our own command line */
	char **argv;
	size_t argc;
};

static void entry_free(struct entry *entry)
{
	config_free(&entry->config);
	image_close(&entry->image);
	identity_free(&entry->identity);
	str_list_free(&entry->env);
	free(entry->plan.limits);
	cleanup_close_fd(&entry->target);
	cleanup_close_fd(&entry->dir);
	cleanup_close_fd(&entry->cgroup);
}

/* With one id there is that id, and 0 as an alias for it; anything else cannot be. */
static int settle_identity(
	struct entry *entry, const json_t *status, const struct exec_options *options, struct azm_err *err)
{
	uint32_t uid = (uint32_t)json_integer_value(json_object_get(status, "uid"));
	uint32_t gid = (uint32_t)json_integer_value(json_object_get(status, "gid"));
	char own[32];

	snprintf(own, sizeof own, "%u:%u", uid, gid);
	entry->wide = json_is_false(json_object_get(status, "single_id"));
	if (user_resolve(options->user ? options->user : own, &entry->image.stack, &entry->identity, err) < 0)
		return -1;
	if (entry->wide || (entry->identity.uid == uid && entry->identity.gid == gid))
		return 0;
	if (entry->identity.uid == uid) { /* a passwd entry with another group, or "-u UID" alone */
		entry->identity.gid = gid;
		return 0;
	}
	if (entry->identity.uid != 0) {
		err_msg(err, EINVAL, "use user", options->user, "this sandbox has a single id: %u (and 0 as its alias)",
			uid);
		return err_hint(
			err, "with /etc/subuid entries and newuidmap on the host, new sandboxes have 65536 ids");
	}
	entry->identity.gid = 0;
	entry->alias = true;
	return 0;
}

/* Now: inside, there is no way to it. */
static void open_cgroup(struct entry *entry, const json_t *status)
{
	const char *path = json_string_value(json_object_get(status, "cgroup"));
	cleanup_free char *procs = path ? xasprintf("%s/cgroup.procs", path) : NULL;

	if (procs)
		entry->cgroup = open(procs, O_WRONLY | O_CLOEXEC);
}

/* The command is one of the sandbox's processes, for its limits and for `pause`. A cgroup takes processes only from
 * below a directory that is the user's: another session of systemd is not. */
static int join_cgroup(const struct entry *entry, const struct child *child, struct azm_err *err)
{
	char pid[16];
	const struct config *config = &entry->config;

	snprintf(pid, sizeof pid, "%d", (int)child->pid);
	if (entry->cgroup < 0 || write(entry->cgroup, pid, strlen(pid)) > 0 || !limits_need_cgroup(config) ||
		config->best_effort)
		return 0;
	err_sys(err, "enter the sandbox's cgroup", NULL);
	return err_hint(err, "its limits would not hold for this command; run it as: systemd-run --user --scope "
			     "azm-sandbox exec ..., or give the sandbox --best-effort");
}

/* `pause` says that it has begun before it stops anything: who does not see that here exists early enough to be
 * stopped. */
static int check_paused(const struct entry *entry, struct azm_err *err)
{
	json_t *status = json_load_at(entry->dir, "status.json", err);
	const char *state = json_string_value(json_object_get(status, "state"));
	bool paused = state && strcmp(state, "paused") == 0;

	json_decref(status);
	return paused ? err_msg(err, EBUSY, "exec", NULL, "the sandbox is paused") : status ? 0 : -1;
}

static int prepare_entry(const struct state *state, const char *name, const struct exec_options *options,
	struct entry *entry, struct azm_err *err)
{
	int dir = entry->dir = sandbox_open(state, name, err);

	if (dir < 0)
		return -1;
	json_decref(control_ask(state, name, json_pack("{s:s,s:b}", "op", "enter", "runs", 1), &entry->target, err));
	if (entry->target < 0)
		return err->code ? -1 : err_msg(err, EPROTO, "enter sandbox", name, "it did not answer");
	json_t *status = sandbox_status(state, name, err);
	if (!status)
		return -1;
	int result = config_load(&entry->config, dir, err);
	if (result == 0)
		scope_enter(&entry->config, entry->again, -1, false);
	if (result == 0)
		result = configured_image_open(&entry->config, &entry->image, err);
	if (result == 0)
		result = settle_identity(entry, status, options, err);
	if (result == 0)
		open_cgroup(entry, status);
	json_decref(status);
	return result;
}

static int plan_entry(
	const struct state *state, const struct exec_options *options, struct entry *entry, struct azm_err *err)
{
	struct plan *plan = &entry->plan;
	const struct config *config = &entry->config;

	entry->config.tty = options->tty;
	plan->enter = true;
	if (plan_identity(config, state, &entry->identity, entry->wide, plan, err) < 0 ||
		limits_plan(config, plan, err) < 0)
		return -1;
	plan_environment(config, &entry->image, &entry->identity, &entry->env);
	for (size_t i = 0; i < options->env.count; i++)
		env_set(&entry->env, options->env.items[i]);
	plan->argv = entry->argv;
	plan->argc = entry->argc;
	plan->envp = entry->env.items;
	plan->envc = entry->env.count;
	plan->cwd = (char *)(uintptr_t)(options->workdir ? options->workdir : plan_cwd(config, &entry->image));
	plan->tty = options->tty;
	if (plan->cwd[0] != '/')
		return err_msg(err, EINVAL, "use working directory", plan->cwd, "it must be an absolute path");
	return 0;
}

/* The user namespace the sandbox's azm-init made for us; it must be taken while we still are the host's user. */
static int take_alias(const struct entry *entry, struct azm_err *err)
{
	if (!entry->alias)
		return -1;
	int fd = (int)syscall(SYS_pidfd_getfd, entry->target, INIT_ALIAS_FD, 0);
	return fd < 0 ? err_sys(err, "become root inside", NULL) : fd;
}

static int forward_signals(struct azm_err *err)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return fd < 0 ? err_sys(err, "watch for signals", NULL) : fd;
}

static void take_signal(int signals, const struct child *child, const struct streams *streams)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	if (info.ssi_signo == SIGWINCH)
		streams_resize(streams);
	else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE)
		syscall(SYS_pidfd_send_signal, child->pidfd, (int)info.ssi_signo, NULL, 0);
}

/* Until the command has ended. Return: its wait status. */
static int relay(const struct child *child, struct streams *streams, int signals)
{
	int status = 0;

	for (;;) {
		struct pollfd polls[2 + STREAM_POLLS] = { { .fd = child->pidfd, .events = POLLIN },
			{ .fd = signals, .events = POLLIN } };
		int count = streams_poll(streams, polls + 2);
		if (poll(polls, (nfds_t)(2 + count), -1) < 0)
			continue;
		streams_serve(streams, polls + 2, count);
		if (polls[1].revents)
			take_signal(signals, child, streams);
		if (polls[0].revents)
			break;
	}
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

static int start_entered(const struct exec_options *options, struct entry *entry, struct child *child,
	struct streams *streams, int init, struct azm_err *err)
{
	struct child_stdio stdio;
	struct report report;
	cleanup_fd int alias = take_alias(entry, err);

	if (entry->alias && alias < 0)
		return -1;
	/* Until it is there and can be stopped, nobody begins to look at the sandbox with nothing running in it. */
	cleanup_fd int unheld = hold_lock(entry->dir, false, err);
	if (unheld < 0)
		return -1;
	if (streams_open(streams, options->interactive, options->tty, true, -1, &stdio, err) < 0 ||
		spawn_entered(init, entry->target, alias, &stdio, child, err) < 0)
		return -1;
	streams_close_child(&stdio);
	if (spawn_send_plan(child, &entry->plan, err) < 0)
		return spawn_reason(child, err);
	int result = spawn_report(child, &report, err);
	if (result != 0)
		return result < 0 ? -1 : err_msg(err, ECHILD, "start azm-init", NULL, "it died without a word");
	if (join_cgroup(entry, child, err) < 0 || check_paused(entry, err) < 0 ||
		streams_take_terminal(streams, child->pidfd, report.value, options->interactive, err) < 0 ||
		spawn_go(child, err) < 0)
		return -1;
	/* The pipe ends with a successful execve; everything else is a failure. */
	result = spawn_report(child, &report, err);
	return result == 1 ? 0 : result == 0 ? err_msg(err, EPROTO, "start azm-init", NULL, "unexpected report") : -1;
}

static int execute(const struct state *state, const char *name, const struct exec_options *options, struct entry *entry,
	struct azm_err *err)
{
	struct child child = { .pidfd = -1, .plan = -1, .report = -1, .command = -1 };
	struct streams streams;
	int status = -1;

	if (prepare_entry(state, name, options, entry, err) < 0 || plan_entry(state, options, entry, err) < 0)
		return -1;
	cleanup_fd int init = embed_init_open(state, err);
	cleanup_fd int signals = init < 0 ? -1 : forward_signals(err);
	if (signals < 0)
		return -1;
	if (start_entered(options, entry, &child, &streams, init, err) == 0) {
		status = relay(&child, &streams, signals);
		streams_drain(&streams);
	}
	streams_close(&streams);
	child_close(&child);
	return status;
}

int command_exec(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct exec_options options = { 0 };
	struct entry entry = { .target = -1, .dir = -1, .cgroup = -1, .image = { 0 } };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = options_parse(program_find(the_program(), "exec"), &options, argc, argv, &err);

	if (first >= 0 && argc - first < 2)
		first = err_msg(&err, EINVAL, "exec", NULL, "needs the NAME of a sandbox and a COMMAND");
	if (first < 0 || invocation_check(false, &err) < 0 || state_open(&state, &err) < 0)
		return fail_command(&err);
	entry.again = argv;
	entry.argv = argv + first + 1;
	entry.argc = (size_t)(argc - first - 1);
	config_init(&entry.config);
	int status = execute(&state, argv[first], &options, &entry, &err);
	entry_free(&entry);
	str_list_free(&options.env);
	return status < 0 ? fail_command(&err) : status_exit_code(status);
}

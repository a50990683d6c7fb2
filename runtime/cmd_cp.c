// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_cp.c: files between a sandbox and the host.
 *
 * Theory of operation
 *
 * Whoever enters a sandbox's namespaces stays there, so a child of ours does it and starts azm-init inside, which reads
 * or writes the sandbox's files (copy/copy.h); we stay on the host and do the same for the host's. Between the two
 * there is one pipe with a tar stream, and another on which the child says how it went. For a sandbox that does not run
 * the child builds one for the purpose (offline.h), in a process of ours that a signal may end: who has to take away
 * what that holds is its parent.
 *
 * A path of the host that leads into a directory the sandbox can write to is resolved from that directory on so that it
 * cannot lead out of it: the link that the sandbox puts there while we look is its own, not the user's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "commands.h"
#include "control.h"
#include "copy/copy.h"
#include "embed.h"
#include "init/plan.h"
#include "mount_option.h"
#include "offline.h"
#include "snapshots/rollback.h"
#include "spawn.h"

enum { LOCK_PATIENCE_MS = 10000 };

struct cp_options {
	bool archive, follow, quiet;
};

OPTION_STORES(opt_archive, struct cp_options, archive, true)
OPTION_STORES(opt_follow, struct cp_options, follow, true)
OPTION_STORES(opt_quiet, struct cp_options, quiet, true)

const struct option_row cp_option_rows[] = {
	{ 'a', "archive", NULL, opt_archive,
		"keep owners, as far as the sandbox has such ids; yours becomes its user's" },
	{ 'L', "follow-link", NULL, opt_follow, "when SRC is a symbolic link, copy what it leads to" },
	{ 'q', "quiet", NULL, opt_quiet, "do not say how much was copied" },
	OPTIONS_END,
};

struct cp {
	const struct cp_options *options;
	char *name;	    /* of the sandbox */
	const char *inside; /* path inside */
	const char *host;   /* path of the host, or "-" */
	bool into;	    /* host to sandbox */
	struct copy_base base;
	char *path; /* the host's path as seen from the base */
	struct plan plan;
};

/* Where the files are: one of the two. */
struct inside {
	int init;		 /* azm-init */
	int target;		 /* pidfd of the sandbox's azm-init, -1 */
	struct offline *offline; /* a sandbox that does not run, NULL */
};

/* What became of the part inside. */
struct outcome {
	struct azm_err err;
	int32_t skipped;
};

/* "NAME:PATH"; a path of the host that has a colon is written with a slash before it. */
static bool split_operand(const char *text, char **name, const char **path)
{
	const char *colon = strchr(text, ':');

	if (!colon || memchr(text, '/', (size_t)(colon - text)) || colon == text)
		return false;
	*name = xasprintf("%.*s", (int)(colon - text), text);
	*path = colon[1] ? colon + 1 : "/";
	return true;
}

static int parse_operands(struct cp *cp, const char *source, const char *target, struct azm_err *err)
{
	cleanup_free char *other = NULL;
	const char *other_path;

	if (split_operand(source, &cp->name, &cp->inside)) {
		cp->host = target;
		if (split_operand(target, &other, &other_path))
			return err_msg(err, EINVAL, "cp", NULL,
				"one side must be the host's: copying between sandboxes goes through -");
	} else if (split_operand(target, &cp->name, &cp->inside)) {
		cp->host = source;
		cp->into = true;
	} else {
		return err_msg(err, EINVAL, "cp", NULL, "one side must be NAME:PATH");
	}
	return *cp->host ? 0 : err_code(err, ENOENT, "cp", "\"\"");
}

/* ---- the host's side ------------------------------------------------------------------------------------------- */

static bool is_same_directory(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && S_ISDIR(first.st_mode) &&
	       first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

/* If a leading part of the path is this directory: begin there. */
static void begin_beneath(struct cp *cp, const char *directory)
{
	cleanup_free char *cwd = cp->host[0] == '/' ? NULL : getcwd(NULL, 0);
	cleanup_free char *full = xasprintf("%s%s%s", cwd ? cwd : "", cwd ? "/" : "", cp->host);

	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (is_same_directory(full, directory)) {
			int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
			const char *rest = slash + 1 + strspn(slash + 1, "/");
			if (fd >= 0) {
				free(cp->path);
				cp->path = xstrdup(*rest ? rest : ".");
				cp->base = (struct copy_base){ .dir = fd, .beneath = true };
			}
			return;
		}
		*slash = '/';
	}
}

static void settle_host_path(struct cp *cp, const struct config *config)
{
	cleanup_str_list struct str_list paths = { 0 };

	cp->base = (struct copy_base){ .dir = AT_FDCWD };
	cp->path = xstrdup(cp->host);
	writable_binds(config, &paths);
	for (size_t i = 0; i < paths.count && !cp->base.beneath; i++)
		begin_beneath(cp, paths.items[i]);
}

static bool is_stream(const struct cp *cp)
{
	return strcmp(cp->host, "-") == 0;
}

static bool means_contents(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, ".") == 0;
}

/* The last part of a path, "." and slashes at its end left out; "copy" for "/" and the like. */
static char *base_name(const char *path)
{
	cleanup_str_list struct str_list parts = { 0 };

	str_list_split(&parts, path, '/');
	for (size_t i = parts.count; i > 0; i--)
		if (*parts.items[i - 1] && strcmp(parts.items[i - 1], ".") != 0 &&
			strcmp(parts.items[i - 1], "..") != 0)
			return xstrdup(parts.items[i - 1]);
	return xstrdup("copy");
}

/* All bytes from one descriptor to another. */
static int pump(int from, int to, struct copy_count *count, struct azm_err *err)
{
	char buffer[65536];
	ssize_t n;

	while ((n = read(from, buffer, sizeof buffer)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || write_full(to, buffer, (size_t)n) < 0)
			return err_sys(err, "copy the stream", NULL);
		count->bytes += (uint64_t)n;
	}
	return 0;
}

static int host_side(const struct cp *cp, int stream, struct copy_count *count, struct azm_err *err)
{
	const struct copy_target target = {
		.path = cp->path, .name = cp->plan.copy.name, .contents = means_contents(cp->inside)
	};

	if (is_stream(cp))
		return cp->into ? pump(STDIN_FILENO, stream, count, err) : pump(stream, STDOUT_FILENO, count, err);
	if (cp->into)
		return copy_send(&cp->base, cp->path, "copy", cp->options->follow, stream, count, err);
	cleanup_free char *name = base_name(cp->inside);
	struct copy_target named = target;
	named.name = name;
	return copy_receive(&cp->base, stream, &named, count, err);
}

/* ---- the side inside ------------------------------------------------------------------------------------------- */

static void work_entered(
	const struct cp *cp, const struct inside *inside, const struct child_stdio *stdio, struct outcome *out)
{
	struct child child = { .pidfd = -1, .plan = -1, .report = -1, .command = -1 };
	struct plan plan = cp->plan;

	if (spawn_entered(inside->init, inside->target, -1, stdio, &child, &out->err) < 0)
		return;
	close(stdio->in);
	close(stdio->out);
	if (spawn_copy(&child, &plan, &out->skipped, &out->err) == 0)
		waitpid(child.pid, NULL, 0);
}

/* A child that enters. Return: its pid; the read end of its outcome in @result, our end of the stream in @stream */
static pid_t start_inside(
	const struct cp *cp, const struct inside *inside, int *stream, int *result, struct azm_err *err)
{
	int data[2], said[2];
	cleanup_fd int null = spawn_stdio_null(err);

	if (null < 0 || pipe_pair(data, err) < 0 || pipe_pair(said, err) < 0)
		return -1;
	int theirs = data[cp->into ? 0 : 1];
	*stream = data[cp->into ? 1 : 0];
	*result = said[0];
	pid_t pid = fork();
	if (pid == 0) {
		struct outcome outcome = { 0 };
		int spare = dup(null);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct child_stdio stdio = {
			.in = cp->into ? theirs : spare, .out = cp->into ? spare : theirs, .err = null
		};
		close(*stream);
		close(*result);
		if (!inside->offline)
			work_entered(cp, inside, &stdio, &outcome);
		else
			offline_copy(
				inside->offline, inside->init, &cp->plan.copy, &stdio, &outcome.skipped, &outcome.err);
		(void)!write_full(said[1], &outcome, sizeof outcome);
		_exit(0);
	}
	close(theirs);
	close(said[1]);
	return pid < 0 ? err_sys(err, "fork", NULL) : pid;
}

/* Docker's: what is copied in belongs to root; with -a to its owner, ours being the sandbox's user. */
static void make_plan(struct cp *cp, uint32_t uid, uint32_t gid, bool wide)
{
	struct plan *plan = &cp->plan;
	const bool archive = cp->options->archive;

	plan->enter = true;
	plan->copy = (struct plan_copy){ .op = cp->into ? PLAN_COPY_RECEIVE : PLAN_COPY_SEND,
		.path = (char *)(uintptr_t)cp->inside,
		.follow = cp->options->follow,
		.contents = cp->into && means_contents(cp->host),
		.plain = is_stream(cp),
		.set_owner = wide && !archive,
		.keep_owner = wide && archive,
		.uid = archive ? uid : 0,
		.gid = archive ? gid : 0,
		.from_uid = geteuid() };
	plan->copy.name = cp->into ? base_name(cp->host) : is_stream(cp) ? NULL : xstrdup("copy");
}

static char *human(uint64_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
		value /= 1000;
	return xasprintf(unit ? "%.3g%s" : "%.0f%s", value, units[unit]);
}

static void say(const struct cp *cp, const struct copy_count *count, const struct outcome *outcome)
{
	cleanup_free char *size = human(count->bytes);
	uint64_t skipped = count->skipped + (uint64_t)(outcome->skipped > 0 ? outcome->skipped : 0);

	if (skipped)
		fprintf(stderr, "azm-sandbox: note: passed over %llu devices, sockets or the like\n",
			(unsigned long long)skipped);
	if (!cp->options->quiet && !(is_stream(cp) && !cp->into))
		fprintf(stderr, "Successfully copied %s to %s%s%s\n", size, cp->into ? cp->name : "",
			cp->into ? ":" : "", cp->into ? cp->inside : cp->host);
}

static int transfer(const struct cp *cp, const struct inside *inside, struct azm_err *err)
{
	int stream = -1, result = -1;
	struct outcome outcome = { 0 };
	struct copy_count count = { 0 };
	pid_t pid = start_inside(cp, inside, &stream, &result, err);

	if (pid < 0)
		return -1;
	int ours = host_side(cp, stream, &count, err);
	close(stream);
	bool heard = read_full(result, &outcome, sizeof outcome) == (ssize_t)sizeof outcome;
	close(result);
	waitpid(pid, NULL, 0);
	/* The cause, not what it did to the other end of the pipe. */
	if (heard && outcome.err.code && (ours == 0 || err_is(err, EPIPE))) {
		*err = outcome.err;
		return err_wrap(err, "in the sandbox", NULL);
	}
	if (!heard && ours == 0)
		return err_msg(err, ECHILD, "copy", NULL, "the process inside was killed");
	if (ours == 0)
		say(cp, &count, &outcome);
	return ours;
}

/* ---- a sandbox that runs ---------------------------------------------------------------------------------------- */

static int copy_running(const struct state *state, struct cp *cp, int target, struct azm_err *err)
{
	json_t *status = sandbox_status(state, cp->name, err);

	if (!status)
		return -1;
	const json_t *uid = json_object_get(status, "uid"), *gid = json_object_get(status, "gid");
	bool known = json_is_integer(uid);
	make_plan(cp, (uint32_t)json_integer_value(uid), (uint32_t)json_integer_value(gid),
		json_is_false(json_object_get(status, "single_id")));
	json_decref(status);
	if (!known)
		return err_msg(err, EPROTO, "enter sandbox", cp->name, "it has no status");
	cleanup_fd int init = embed_init_open(state, err);
	const struct inside inside = { .init = init, .target = target };
	return init < 0 ? -1 : transfer(cp, &inside, err);
}

/* ---- a sandbox that does not ------------------------------------------------------------------------------------ */

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

static void awaited_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof ending_signals / sizeof *ending_signals; i++)
		sigaddset(set, ending_signals[i]);
}

/* A signal to us ends the child, and the child's end is the copy's. Return: its exit status, or 128+n */
static int wait_for_child(pid_t pid, const sigset_t *signals)
{
	int status = 0;

	for (;;) {
		int signal = sigwaitinfo(signals, NULL);
		if (signal > 0 && signal != SIGCHLD)
			kill(pid, SIGTERM);
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

/* Return: the exit status; errors of the child are printed, ours are not: -1 with @err set */
static int copy_in_child(struct cp *cp, const struct inside *inside, const sigset_t *before, struct azm_err *err)
{
	sigset_t signals;

	awaited_signals(&signals);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_SETMASK, before, NULL);
		int status = transfer(cp, inside, err) < 0 ? fail_command(err) : 0;
		_exit(fflush(NULL) == 0 ? status : EXIT_AZM);
	}
	return pid < 0 ? err_sys(err, "fork", NULL) : wait_for_child(pid, &signals);
}

static int copy_stopped(const struct state *state, struct cp *cp, struct config *config, int dir, struct azm_err *err)
{
	struct offline offline;
	sigset_t signals, before;
	int status = -1;

	if (rollback_finish(dir, err) < 0)
		return -1;
	/* What is held is taken away whatever happens. */
	awaited_signals(&signals);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (offline_begin(&offline, config, state, dir, err) == 0) {
		const struct identity *identity = &offline.launch.identity;
		make_plan(cp, identity->uid, identity->gid, offline_is_wide(&offline));
		cleanup_fd int init = embed_init_open(state, err);
		const struct inside inside = { .init = init, .target = -1, .offline = &offline };
		status = init < 0 ? -1 : copy_in_child(cp, &inside, &before, err);
	}
	offline_end(&offline, status == 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

/* Whoever has the lock and does not answer is starting, ending, or another command. */
static int find_files(const struct state *state, const char *name, int dir, int *target, struct azm_err *err)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	int64_t end = clock_ms() + LOCK_PATIENCE_MS;

	for (;;) {
		int lock = sandbox_lock(dir, "it is being copied from or to", err);
		if (lock >= 0 || !err_is(err, EWOULDBLOCK))
			return lock;
		err_clear(err);
		json_decref(control_ask(state, name, json_pack("{s:s}", "op", "enter"), target, err));
		if (*target >= 0 || !err_is(err, ECONNREFUSED))
			return -1;
		if (clock_ms() >= end) {
			(void)sandbox_busy(dir, "copy", name, err);
			return -1;
		}
		err_clear(err);
		nanosleep(&moment, NULL);
	}
}

/* Return: the exit status; -1 with @err set */
static int copy(const struct state *state, struct cp *cp, struct azm_err *err)
{
	cleanup_config struct config config;
	int target = -1;

	config_init(&config);
	cleanup_fd int dir = sandbox_open(state, cp->name, err);
	if (dir < 0)
		return -1;
	cleanup_fd int lock = find_files(state, cp->name, dir, &target, err);
	cleanup_fd int pidfd = target;
	if ((lock < 0 && pidfd < 0) || config_load(&config, dir, err) < 0)
		return err->code ? -1 : err_msg(err, EPROTO, "enter sandbox", cp->name, "it did not answer");
	if (lock >= 0)
		sandbox_settle(state, cp->name, dir);
	settle_host_path(cp, &config);
	signal(SIGPIPE, SIG_IGN);
	return lock < 0 ? copy_running(state, cp, pidfd, err) : copy_stopped(state, cp, &config, dir, err);
}

int command_cp(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct cp_options options = { 0 };
	struct cp cp = { .options = &options, .host = "", .base = { .dir = AT_FDCWD } };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = options_parse(program_find(the_program(), "cp"), &options, argc, argv, &err);

	if (first >= 0 && argc - first != 2)
		first = err_msg(&err, EINVAL, "cp", NULL, "needs SRC and DST, one of them NAME:PATH");
	int status =
		first < 0 || parse_operands(&cp, argv[first], argv[first + 1], &err) < 0 || state_open(&state, &err) < 0
			? -1
			: copy(&state, &cp, &err);
	if (cp.base.dir >= 0)
		close(cp.base.dir);
	free(cp.name);
	free(cp.path);
	free(cp.plan.copy.name);
	return status < 0 ? fail_command(&err) : status;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_commit.c: `azm-sandbox commit NAME DIR|ARCHIVE|azm:NAME`: what a sandbox is now, as an image.
 *
 * azm-rootfs writes images (`azm-rootfs commit`); this command finds out what it needs to know: the directories of
 * changes, the image below them, whose the sandbox's own files are. Nothing of a running sandbox runs meanwhile. Where
 * its files belong to sub-ids, azm-rootfs is started in a user namespace with the ids the sandbox has.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/die_with.h"
#include "base/io.h"
#include "commands.h"
#include "disk.h"
#include "idmap.h"
#include "pause.h"
#include "snapshots/rollback.h"

struct commit {
	struct str_list passed; /* options for azm-rootfs */
	const char *name, *out;
	struct config config;
	uint32_t uid, gid; /* the sandbox's own */
	bool wide;
	bool pause;
	struct hold hold;
	int lock;
	int stored; /* what azm:NAME meant when the sandbox was made, for azm-rootfs; -1: it was a directory */
	struct str_list arguments; /* of azm-rootfs */
};

/* ---- options --------------------------------------------------------------------------------------------------- */

static int pass(void *config, const char *option, const char *value)
{
	str_list_addf(&((struct commit *)config)->passed, "--%s%s%s", option, value ? "=" : "", value ? value : "");
	return 0;
}

static int set_change(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "change", value);
}

static int set_message(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "message", value);
}

static int set_author(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "author", value);
}

static int set_format(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "format", value);
}

static int set_image_name(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "name", value);
}

static int set_quiet(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "quiet", NULL);
}

static int set_json(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	return pass(config, "json", NULL);
}

static int set_pause(void *config, const char *value, struct azm_err *err)
{
	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_msg(err, EINVAL, "commit", NULL, "--pause is true or false, not \"%s\"", value);
	((struct commit *)config)->pause = strcmp(value, "true") == 0;
	return 0;
}

const struct option_row commit_option_rows[] = {
	{ 'c', "change", "INSTRUCTION", set_change, "a line of a Dockerfile: CMD, ENTRYPOINT, ENV, LABEL, USER ..." },
	{ 'm', "message", "TEXT", set_message, "for the image's history" },
	{ 'a', "author", "TEXT", set_author, "who made it" },
	{ 'p', "pause", "true|false", set_pause, "let nothing inside run meanwhile (default true)" },
	{ 0, "format", "oci|docker", set_format, "of an archive: as azm-rootfs export" },
	{ 0, "name", "NAME[:TAG]", set_image_name, "what the image is called in an archive" },
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	OPTIONS_END,
};

static int parse(struct commit *c, int argc, char **argv, struct azm_err *err)
{
	const struct command *row = program_find(the_program(), "commit");
	const char *operands[2];
	int count = 0;

	for (int at = 0; at < argc - 1;) {
		int used = options_parse(row, c, argc - at, argv + at, err);
		if (used < 0)
			return -1;
		at += used;
		if (at < argc && count == 2)
			return err_msg(err, EINVAL, "commit", argv[at], "more than is expected");
		if (at < argc)
			operands[count++] = argv[at];
	}
	if (count < 2) {
		err_msg(err, EINVAL, "commit", NULL, count ? "to where?" : "which sandbox, and to where?");
		return err_hint(err, "azm-sandbox commit NAME DIR, or an archive: image.tar");
	}
	c->name = operands[0];
	c->out = operands[1];
	return 0;
}

/* ---- the sandbox ----------------------------------------------------------------------------------------------- */

/* Nothing of it runs, or it does not start, while the image is written. */
static int keep_still(struct commit *c, const struct state *state, int dir, struct azm_err *err)
{
	c->lock = sandbox_lock(dir, "an image is being made of it", err);
	if (c->lock >= 0)
		return rollback_finish(dir, err);
	if (!err_is(err, EWOULDBLOCK) || sandbox_busy(dir, "commit", c->name, err))
		return -1;
	err_clear(err);
	return c->pause ? hold_begin(state, c->name, dir, &c->hold, err) : 0;
}

static int read_facts(struct commit *c, const struct state *state, int dir, struct azm_err *err)
{
	json_t *status = sandbox_status(state, c->name, err);

	if (!status)
		return -1;
	c->uid = (uint32_t)json_integer_value(json_object_get(status, "uid"));
	c->gid = (uint32_t)json_integer_value(json_object_get(status, "gid"));
	c->wide = json_is_false(json_object_get(status, "single_id"));
	json_decref(status);
	if (config_load(&c->config, dir, err) < 0)
		return -1;
	if (disk_plan(&c->config) == DISK_MEMORY)
		return err_msg(
			err, EINVAL, "commit", c->name, "its writable layer is in memory (--storage-opt mode=memory)");
	if (c->config.rootfs_mode && strcmp(c->config.rootfs_mode, "overlay") == 0)
		return 0;
	err_msg(err, EINVAL, "commit", c->name, "its root file system is %s: it has no layer of its own",
		c->config.rootfs_mode);
	return err_hint(err, "azm-rootfs export %s writes an image of it", c->config.rootfs);
}

/* A name may mean another image by now. */
static int describe_image(struct commit *c, struct azm_err *err)
{
	if (!c->config.image)
		return 0;
	c->stored = memfd_create("image", 0); /* azm-rootfs inherits it */
	return c->stored < 0 || write_full(c->stored, c->config.image, strlen(c->config.image)) < 0
		       ? err_sys(err, "describe the image of", c->name)
		       : 0;
}

/* ---- azm-rootfs ------------------------------------------------------------------------------------------------ */

static void add_arguments(struct commit *c, const struct state *state)
{
	struct str_list *arguments = &c->arguments;

	str_list_add(arguments, "azm-rootfs");
	str_list_add(arguments, "commit");
	for (size_t i = 0; i < c->passed.count; i++)
		str_list_add(arguments, c->passed.items[i]);
	str_list_addf(arguments, "--owner=%u:%u", c->uid, c->gid);
	str_list_addf(arguments, "--upper=%s/sandboxes/%s/upper", state->path, c->name);
	for (size_t i = 0; i < c->config.layers.count; i++)
		str_list_addf(arguments, "--upper=%s", c->config.layers.items[i]);
	if (c->stored >= 0)
		str_list_addf(arguments, "--stored=/proc/self/fd/%d", c->stored);
	str_list_add(arguments, "--");
	str_list_add(arguments, c->config.rootfs);
	str_list_add(arguments, c->out);
}

/* The one that was installed with us, else the one in PATH. */
_Noreturn static void execute(char **argv)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
	struct azm_err err = { 0 };

	path[length < 0 ? 0 : length] = '\0';
	char *slash = strrchr(path, '/');
	if (slash && (size_t)(slash - path) + sizeof "/azm-rootfs" <= sizeof path) {
		memcpy(slash, "/azm-rootfs", sizeof "/azm-rootfs");
		execv(path, argv);
	}
	execvp("azm-rootfs", argv);
	err_sys(&err, "run", "azm-rootfs");
	err_hint(&err, "it belongs beside azm-sandbox, or in PATH");
	_exit(err_print(&err, PROGRAM_NAME));
}

/* azm-rootfs has said itself what was wrong. */
static int failed(int status, struct azm_err *err)
{
	err_code(err, ECANCELED, "commit", NULL);
	err->exit_status = status;
	return -1;
}

static int wait_for_child(pid_t pid, struct azm_err *err)
{
	int status;

	if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0)
		return err_sys(err, "wait for", "azm-rootfs");
	int result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return result == 0 ? 0 : failed(result, err);
}

/* In the child: with @channel, in a user namespace of its own as soon as the parent has written its maps. */
_Noreturn static void child(const struct commit *c, pid_t parent, int channel)
{
	char go = 0;

	if (channel >= 0) {
		(void)prctl(PR_SET_DUMPABLE, 1); /* or the maps would not be the parent's to write */
		if (unshare(CLONE_NEWUSER) < 0 || write_full(channel, &go, 1) < 0 || read_full(channel, &go, 1) != 1)
			_exit(EXIT_AZM);
	}
	die_with_parent(parent, SIGTERM);
	execute(c->arguments.items);
}

static int start_mapped(const struct commit *c, int channel, pid_t pid, struct azm_err *err)
{
	char go;

	if (read_full(channel, &go, 1) != 1)
		return err_msg(err, EPERM, "commit", c->name, "a user namespace could not be made");
	if (idmap_sandbox(pid, c->uid, c->gid, true, err) < 0)
		return -1;
	return write_full(channel, "g", 1) < 0 ? err_sys(err, "start", "azm-rootfs") : 0;
}

/* Runs as uid 0 of a namespace that maps all the caller's ids: one below it maps them as the sandbox's does. */
static int run_mapped(void *context, struct azm_err *err)
{
	const struct commit *c = context;
	struct azm_err ignored = { 0 };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "make a socket pair", NULL);
	cleanup_fd int ours = ends[0], theirs = ends[1];
	pid_t self = getpid(), pid = fork();
	if (pid < 0)
		return err_sys(err, "fork", NULL);
	if (pid == 0)
		child(c, self, theirs);
	close(steal_fd(&theirs));
	int result = start_mapped(c, ours, pid, err);
	close(steal_fd(&ours)); /* without its byte the child ends */
	return wait_for_child(pid, result < 0 ? &ignored : err) < 0 ? -1 : result;
}

static int run_plain(const struct commit *c, struct azm_err *err)
{
	pid_t self = getpid(), pid = fork();

	if (pid < 0)
		return err_sys(err, "fork", NULL);
	if (pid == 0)
		child(c, self, -1);
	return wait_for_child(pid, err);
}

static int run(struct commit *c, struct azm_err *err)
{
	if (!c->wide)
		return run_plain(c, err);
	const struct subids subids = subids_find();
	if (!subids.usable)
		return err_msg(err, EPERM, "commit", c->name, "its files belong to sub-ids: %s", subids.why);
	return idmap_in_child(&subids, run_mapped, c, err);
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static int commit(struct commit *c, struct azm_err *err)
{
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };

	if (state_open(&state, err) < 0)
		return -1;
	cleanup_fd int dir = sandbox_open(&state, c->name, err);
	if (dir < 0 || read_facts(c, &state, dir, err) < 0 || describe_image(c, err) < 0 ||
		keep_still(c, &state, dir, err) < 0)
		return -1;
	add_arguments(c, &state);
	int result = run(c, err);
	hold_end(&c->hold);
	return result;
}

int command_commit(int argc, char **argv)
{
	struct commit c = { .pause = true, .hold = HOLD_NONE, .lock = -1, .stored = -1 };
	struct azm_err err = { 0 };

	config_init(&c.config);
	int result = parse(&c, argc, argv, &err);
	if (result == 0)
		result = commit(&c, &err);
	cleanup_close_fd(&c.lock);
	cleanup_close_fd(&c.stored);
	config_free(&c.config);
	str_list_free(&c.passed);
	str_list_free(&c.arguments);
	if (result < 0 && err_is(&err, ECANCELED))
		return err.exit_status;
	return result < 0 ? fail_command(&err) : 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_snapshot.c: snapshot, fork, rollback, diff, snapshots ls, inspect and rm. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "commands.h"
#include "control.h"
#include "disk.h"
#include "idmap.h"
#include "run_options.h"
#include "snapshots/diff.h"
#include "snapshots/layers.h"
#include "snapshots/rollback.h"
#include "snapshots/snapshot.h"
#include "stored_image.h"

enum { FORKS_MAX = 10000 };

struct snapshot_options {
	bool json, quiet, restart, remove;
	char *prefix;
};

OPTION_STORES(opt_json, struct snapshot_options, json, true)
OPTION_STORES(opt_quiet, struct snapshot_options, quiet, true)
OPTION_STORES(opt_restart, struct snapshot_options, restart, true)
OPTION_STORES(opt_remove, struct snapshot_options, remove, true)

static int opt_prefix(void *target, const char *value, struct azm_err *err)
{
	struct snapshot_options *options = target;

	free(options->prefix);
	options->prefix = xstrdup(value);
	return name_check(value, err);
}

const struct option_row snapshot_option_rows[] = {
	{ 0, "json", NULL, opt_json, "an object" },
	OPTIONS_END,
};

const struct option_row fork_option_rows[] = {
	{ 0, "name-prefix", "PREFIX", opt_prefix, "names PREFIX-1 to PREFIX-N (default: made up)" },
	{ 0, "rm", NULL, opt_remove, "remove each at its end" },
	{ 0, "json", NULL, opt_json, "one JSON line for each, as run --json" },
	OPTIONS_END,
};

const struct option_row rollback_option_rows[] = {
	{ 0, "restart", NULL, opt_restart, "stop it before and start it again afterwards, if it runs" },
	OPTIONS_END,
};

const struct option_row diff_option_rows[] = {
	{ 0, "json", NULL, opt_json, "an array of objects with kind and path" },
	OPTIONS_END,
};

const struct option_row snapshots_ls_option_rows[] = {
	{ 'q', "quiet", NULL, opt_quiet, "tags only" },
	{ 0, "json", NULL, opt_json, "an array of objects" },
	OPTIONS_END,
};

enum { OPERANDS = 2 };

/* One invocation: its options, its operands, the state. */
struct invocation {
	struct snapshot_options options;
	struct state state;
	const char *operands[OPERANDS];
	int count;
	char **rest; /* what follows the operands: a command for the inside */
	int rest_count;
};

static void invocation_free(struct invocation *invocation)
{
	state_close(&invocation->state);
	free(invocation->options.prefix);
}

#define cleanup_invocation [[gnu::cleanup(invocation_free)]]

/* Operands with options before, between and behind them. */
static int parse(const char *command, int argc, char **argv, int most, struct invocation *in, struct azm_err *err)
{
	const struct command *row = program_find(the_program(), command);
	int at = 0;

	for (;;) {
		int next = options_parse(row, &in->options, argc - at, argv + at, err);
		if (next < 0)
			return -1;
		at += next;
		if (at >= argc || in->count == most)
			break;
		in->operands[in->count++] = argv[at];
	}
	in->rest = argv + at;
	in->rest_count = argc - at;
	return 0;
}

static int invoke(const char *command, int argc, char **argv, int least, int most, const char *operands,
	struct invocation *in, struct azm_err *err)
{
	*in = (struct invocation){ .state = { .live = -1, .dir = -1, .sandboxes = -1 } };
	if (parse(command, argc, argv, most, in, err) < 0)
		return -1;
	if (in->count < least || (in->rest_count && strcmp(command, "fork") != 0))
		return err_msg(err, EINVAL, command, NULL, "needs %s", operands);
	return invocation_check(false, err) < 0 || state_open(&in->state, err) < 0 ? -1 : 0;
}

static json_t *snapshot_json(const struct state *state, const struct snapshot *snapshot)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < snapshot->config.layers.count; i++)
		json_array_append_new(layers, json_string(snapshot->config.layers.items[i]));
	return json_pack("{s:s?,s:s,s:s,s:s?,s:I,s:o}", "tag", snapshot->tag, "sandbox", snapshot->sandbox, "created",
		snapshot->created, "rootfs", snapshot->config.rootfs, "own_layers",
		(json_int_t)snapshot_own_layers(state, &snapshot->config), "layers", layers);
}

static int done(int result, const struct azm_err *err)
{
	return result < 0 ? fail_command(err) : end_command(0);
}

/* ---- snapshot ---------------------------------------------------------------------------------------------------- */

int command_snapshot(int argc, char **argv)
{
	cleanup_invocation struct invocation in;
	cleanup_snapshot struct snapshot snapshot = { .lock = -1 };
	struct azm_err err = { 0 }, ignored = { 0 };
	int result = invoke("snapshot", argc, argv, 2, 2, "the NAME of a sandbox and a TAG", &in, &err);

	if (result == 0)
		result = snapshot_take(&in.state, in.operands[0], in.operands[1], &snapshot, &err);
	if (result == 0 && in.options.json) {
		json_t *object = snapshot_json(&in.state, &snapshot);
		json_object_set_new(object, "frozen_ms", json_integer(snapshot.frozen_ms));
		print_json(object);
	}
	if (result == 0 && !in.options.json)
		puts(snapshot.tag);
	else if (result < 0 && in.state.dir >= 0)
		layers_gc(&in.state, &ignored); /* what it had copied */
	return done(result, &err);
}

/* ---- fork -------------------------------------------------------------------------------------------------------- */

/* A host port can be taken once: forks publish the same ports of theirs on free ones. Sockets in the file system are
 * the parent's. */
static void free_ports(struct str_list *publish)
{
	struct str_list changed = { 0 };

	for (size_t i = 0; i < publish->count; i++) {
		const char *text = publish->items[i];
		const char *port = strrchr(text, ':');
		const char *host = port ? memrchr(text, ':', (size_t)(port - text)) : NULL;
		if (str_starts(text, "unix:"))
			continue;
		if (host)
			str_list_addf(&changed, "%.*s:%s", (int)(host - text), text, port);
		else
			str_list_add(&changed, port ? port + 1 : text);
	}
	str_list_free(publish);
	*publish = changed;
}

static void fork_config(struct config *config, const struct invocation *in, int number)
{
	free(steal_ptr(&config->name));
	if (in->options.prefix)
		config->name = xasprintf("%s-%d", in->options.prefix, number);
	if (!config->api_key || *config->api_key) {
		free(config->api_key);
		config->api_key = random_key();
	}
	config->remove = config->remove || in->options.remove;
	config->interactive = false;
	if (in->rest_count) {
		str_list_free(&config->command);
		for (int i = 0; i < in->rest_count; i++)
			str_list_add(&config->command, in->rest[i]);
	}
}

/* A snapshot that was kept, or one of a sandbox taken now. */
static int find_source(const struct state *state, const char *name, struct snapshot *snapshot, struct azm_err *err)
{
	bool sandbox = faccessat(state->sandboxes, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (name_check(name, err) < 0)
		return -1;
	int result = snapshot_load(state, name, snapshot, err);
	if (result == 0 && sandbox) {
		snapshot_free(snapshot);
		err_msg(err, EEXIST, "fork", name, "a sandbox and a snapshot have that name");
		return err_hint(err, "take a snapshot of the sandbox under another TAG and fork that");
	}
	if (result == 0 || !err_is(err, ENOENT))
		return result;
	if (!sandbox) {
		err_msg(err, ENOENT, "fork", name, "no such sandbox or snapshot");
		return err_hint(err, "`azm-sandbox ps -a` and `azm-sandbox snapshots ls` list them");
	}
	err_clear(err);
	return snapshot_take(state, name, NULL, snapshot, err);
}

int command_fork(int argc, char **argv)
{
	cleanup_invocation struct invocation in;
	cleanup_snapshot struct snapshot snapshot = { .lock = -1 };
	struct azm_err err = { 0 };
	uint64_t number = 1;
	int status = 0;
	int result = invoke("fork", argc, argv, 1, 2, "the NAME of a sandbox or the TAG of a snapshot", &in, &err);

	if (result == 0 && in.count > 1 && (!str_to_u64(in.operands[1], FORKS_MAX, &number) || number == 0))
		result = err_msg(&err, EINVAL, "fork", in.operands[1], "expected how many, 1 to %d", FORKS_MAX);
	if (result == 0)
		result = find_source(&in.state, in.operands[0], &snapshot, &err);
	if (result == 0)
		free_ports(&snapshot.config.publish);
	for (int i = 1; result == 0 && status == 0 && i <= (int)number; i++) {
		fork_config(&snapshot.config, &in, i);
		status = run_detached(&snapshot.config, &in.state, in.options.json, snapshot.lock);
	}
	return status ? status : done(result, &err);
}

/* ---- rollback ---------------------------------------------------------------------------------------------------- */

/* The lock of a sandbox that does not run, or of one that was stopped for it. */
static int lock_stopped(const struct invocation *in, int dir, bool *stopped, struct azm_err *err)
{
	const char *name = in->operands[0];
	int lock = sandbox_lock(dir, "it is being rolled back", err);

	*stopped = false;
	if (lock >= 0 || !err_is(err, EWOULDBLOCK) || sandbox_busy(dir, "roll back", name, err))
		return lock;
	if (!in->options.restart) {
		err_msg(err, EBUSY, "roll back", name, "it is running, and its processes have files of it open");
		return err_hint(err, "azm-sandbox stop %s, or rollback --restart %s %s", name, name, in->operands[1]);
	}
	err_clear(err);
	json_t *answer = control_ask(&in->state, name, json_pack("{s:s,s:i}", "op", "stop", "seconds", 10), NULL, err);
	if (!answer && !err_is(err, ECONNREFUSED) && !err_is(err, ECONNRESET))
		return -1;
	json_decref(answer);
	err_clear(err);
	cleanup_fd int held = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	while (held >= 0 && flock(held, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the end of", name);
	*stopped = true;
	return held < 0 ? err_sys(err, "wait for the end of", name) : steal_fd(&held);
}

static int roll_back(const struct invocation *in, bool *stopped, struct azm_err *err)
{
	cleanup_snapshot struct snapshot snapshot = { .lock = -1 };
	cleanup_config struct config config;
	const char *name = in->operands[0];
	int result = -1;

	config_init(&config);
	cleanup_fd int dir = sandbox_open(&in->state, name, err);
	if (dir < 0 || snapshot_load(&in->state, in->operands[1], &snapshot, err) < 0)
		return -1;
	cleanup_fd int lock = lock_stopped(in, dir, stopped, err);
	if (lock >= 0 && rollback_finish(dir, err) == 0 && config_load(&config, dir, err) == 0 &&
		rollback_begin(&in->state, dir, &config, &snapshot, err) == 0)
		result = rollback_finish(dir, err);
	return result;
}

int command_rollback(int argc, char **argv)
{
	cleanup_invocation struct invocation in;
	struct azm_err err = { 0 }, ignored = { 0 };
	bool stopped = false;
	int result = invoke("rollback", argc, argv, 2, 2, "the NAME of a sandbox and a TAG", &in, &err);

	if (result == 0)
		result = roll_back(&in, &stopped, &err);
	int status = stopped ? start_again(&in.state, in.operands[0]) : 0;
	if (result == 0)
		layers_gc(&in.state, &ignored);
	if (result == 0 && !stopped)
		puts(in.operands[0]);
	return result < 0 || status == 0 ? done(result, &err) : status;
}

/* ---- diff -------------------------------------------------------------------------------------------------------- */

struct difference {
	const struct invocation *in;
	const struct stack *before, *after;
};

static void print_change(const char *line)
{
	cleanup_free char *shown = xstrdup(line);

	str_sanitise(shown);
	puts(shown);
}

static json_t *change_json(const char *line)
{
	json_t *object = json_pack("{s:s%,s:s}", "kind", line, (size_t)1, "path", line + 2);

	if (object)
		return object;
	/* A name that is not UTF-8 cannot be told in JSON; what is shown of it can. */
	cleanup_free char *shown = xstrdup(line);
	str_sanitise(shown);
	return json_pack("{s:s%,s:s}", "kind", shown, (size_t)1, "path", shown + 2);
}

/* In the id map: a sandbox's directories may be closed to the user. */
static int print_difference(void *context, struct azm_err *err)
{
	const struct difference *d = context;
	cleanup_str_list struct str_list lines = { 0 };
	json_t *array = d->in->options.json ? json_array() : NULL;

	int result = layers_diff(d->before, d->after, &lines, err);
	for (size_t i = 0; result == 0 && i < lines.count; i++) {
		if (array)
			json_array_append_new(array, change_json(lines.items[i]));
		else
			print_change(lines.items[i]);
	}
	if (result == 0 && array)
		print_json(steal_ptr(&array));
	json_decref(array);
	return result;
}

/* What is compared with: a snapshot, or the image. */
static int open_before(
	const struct invocation *in, const struct config *config, struct image *image, struct azm_err *err)
{
	cleanup_snapshot struct snapshot snapshot = { .lock = -1 };
	struct config bare = *config;

	bare.layers = (struct str_list){ 0 };
	if (in->count < OPERANDS)
		return configured_image_open(&bare, image, err);
	if (snapshot_load(&in->state, in->operands[1], &snapshot, err) < 0)
		return -1;
	if (!snapshot_same_image(config, &snapshot.config))
		return err_msg(err, EINVAL, "compare with", in->operands[1], "it is a state of another image");
	return configured_image_open(&snapshot.config, image, err);
}

/* The writable layer on top of the others. */
static int open_now(const struct invocation *in, const struct config *config, struct image *image, struct azm_err *err)
{
	cleanup_str_list struct str_list layers = { 0 };
	struct config whole = *config;

	str_list_addf(&layers, "%s/sandboxes/%s/upper", in->state.path, in->operands[0]);
	for (size_t i = 0; i < config->layers.count; i++)
		str_list_add(&layers, config->layers.items[i]);
	whole.layers = layers;
	return configured_image_open(&whole, image, err);
}

static int settle(int dir, struct azm_err *err)
{
	cleanup_fd int lock = sandbox_lock(dir, NULL, err);
	bool running = lock < 0 && err_is(err, EWOULDBLOCK);

	err_clear(err);
	return running ? 0 : rollback_finish(dir, err);
}

static int diff(const struct invocation *in, struct azm_err *err)
{
	cleanup_config struct config config;
	cleanup_image struct image old = { 0 };
	cleanup_image struct image now = { 0 };
	const char *name = in->operands[0];
	struct subids subids = subids_find();

	config_init(&config);
	cleanup_fd int dir = sandbox_open(&in->state, name, err);
	if (dir < 0 || settle(dir, err) < 0 || config_load(&config, dir, err) < 0)
		return -1;
	if (strcmp(config.rootfs_mode, "overlay") != 0)
		return err_msg(err, EINVAL, "compare", name, "it has no writable layer (--rootfs-mode %s)",
			config.rootfs_mode);
	if (disk_plan(&config) == DISK_MEMORY)
		return err_msg(
			err, EINVAL, "compare", name, "its writable layer is in memory (--storage-opt mode=memory)");
	if (open_before(in, &config, &old, err) < 0 || open_now(in, &config, &now, err) < 0)
		return -1;
	struct difference d = { in, &old.stack, &now.stack };
	return idmap_in_child(&subids, print_difference, &d, err);
}

int command_diff(int argc, char **argv)
{
	cleanup_invocation struct invocation in;
	struct azm_err err = { 0 };
	int result = invoke("diff", argc, argv, 1, 2, "the NAME of a sandbox, and perhaps a TAG", &in, &err);

	return done(result < 0 ? -1 : diff(&in, &err), &err);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

static void print_row(const json_t *object)
{
	const char *const keys[] = { "tag", "sandbox", "created", "rootfs" };
	char *shown[4];

	for (size_t i = 0; i < 4; i++) {
		const char *text = json_string_value(json_object_get(object, keys[i]));
		shown[i] = xstrdup(text ? text : "-");
		str_sanitise(shown[i]);
	}
	printf("%-24s %-24s %-20s %6lld  %s\n", shown[0], shown[1], shown[2],
		json_integer_value(json_object_get(object, "own_layers")), shown[3]);
	for (size_t i = 0; i < 4; i++)
		free(shown[i]);
}

static int list_snapshots(const struct invocation *in, struct azm_err *err)
{
	cleanup_str_list struct str_list tags = { 0 };
	json_t *list = json_array(), *object;
	size_t i;

	int result = snapshot_tags(&in->state, &tags, err);
	for (size_t k = 0; result == 0 && k < tags.count; k++) {
		cleanup_snapshot struct snapshot snapshot = { .lock = -1 };
		struct azm_err gone = { 0 };
		if (snapshot_load(&in->state, tags.items[k], &snapshot, &gone) == 0)
			json_array_append_new(list, snapshot_json(&in->state, &snapshot));
		else if (!err_is(&gone, ENOENT))
			err_print(&gone, PROGRAM_NAME);
	}
	if (result == 0 && in->options.json) {
		print_json(list);
		return 0;
	}
	if (result == 0 && !in->options.quiet)
		printf("%-24s %-24s %-20s %6s  %s\n", "TAG", "SANDBOX", "CREATED", "LAYERS", "ROOTFS");
	json_array_foreach(list, i, object)
	{
		if (in->options.quiet)
			puts(json_string_value(json_object_get(object, "tag")));
		else
			print_row(object);
	}
	json_decref(list);
	return result;
}

int command_snapshots_ls(int argc, char **argv)
{
	cleanup_invocation struct invocation in;
	struct azm_err err = { 0 };
	int result = invoke("snapshots ls", argc, argv, 0, 0, "no operand", &in, &err);

	return done(result < 0 ? -1 : list_snapshots(&in, &err), &err);
}

static json_t *inspection(const struct state *state, const char *tag, struct azm_err *err)
{
	cleanup_snapshot struct snapshot snapshot = { .lock = -1 };

	if (snapshot_load(state, tag, &snapshot, err) < 0)
		return NULL;
	json_t *object = snapshot_json(state, &snapshot);
	json_object_set_new(object, "config", config_json(&snapshot.config));
	return object;
}

int command_snapshots_inspect(int argc, char **argv)
{
	return inspect_names("snapshots inspect", argc, argv, inspection);
}

static int remove_one(const struct state *state, const char *tag, void *context, struct azm_err *err)
{
	(void)context;
	if (snapshot_remove(state, tag, err) < 0 || layers_gc(state, err) < 0)
		return -1;
	puts(tag);
	return 0;
}

int command_snapshots_rm(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "snapshots rm"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("snapshots rm", argc, argv, first, remove_one, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_run.c: RUN: a command in a sandbox on the stage's layers; what it changed is the next layer.
 *
 * Theory of operation
 *
 * azm-sandbox runs the command as it runs any: with one id, root emulation for root, no network but what --egress
 * allows. Its state directory is a temporary one on the store's file system, so the sandbox's writable layer becomes
 * the layer by a rename. The image it is given is a file: the layers, and a configuration with nothing but the
 * environment, user and working directory. Variables go that way, and the caller's that configure azm-sandbox are taken
 * away, because a Dockerfile must not be able to set them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/die_with.h"
#include "base/io.h"
#include "base/signals.h"
#include "base/tree.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"
#include "rootfs-tools/build_cache.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/tree_walk.h"

#define SANDBOX_NAME "build"
#define SCRIPT	     "script"
#define RECORD	     "image"
#define STATE	     "state"

enum { TAIL_SIZE = 8 << 10 };

struct run {
	struct build *build;
	struct stage *stage;
	const struct instruction *instruction;
	struct str_list argv;	    /* the command */
	struct str_list env;	    /* what it sees */
	struct str_list options;    /* of azm-sandbox, for --mount */
	struct str_list mounted;    /* their targets */
	struct build_caches caches; /* --mount=type=cache */
	const char *script;	    /* a here-document that is a program; NULL */
	const char *egress;
	struct layer_step step;
	char tail[TAIL_SIZE]; /* the end of the output, for a hint */
	size_t tail_size;
};

/* ---- the command ------------------------------------------------------------------------------------------------ */

/* RUN <<EOF: the document is the command; else the shell is given the documents as they were written. */
static char *shell_text(struct run *run)
{
	const struct instruction *in = run->instruction;
	const char *word = in->args.items[0];

	if (in->heredoc_count == 1 && strcmp(word, in->heredocs[0].token) == 0) {
		if (str_starts(in->heredocs[0].text, "#!"))
			run->script = in->heredocs[0].text;
		return xstrdup(in->heredocs[0].text);
	}
	char *whole = xstrdup(word);
	for (size_t i = 0; i < in->heredoc_count; i++) {
		char *more = xasprintf("%s\n%s%s", whole, in->heredocs[i].text, in->heredocs[i].name);
		free(whole);
		whole = more;
	}
	return whole;
}

static void make_argv(struct run *run)
{
	const struct instruction *in = run->instruction;

	if (in->exec) {
		for (size_t i = 0; i < in->args.count; i++)
			str_list_add(&run->argv, in->args.items[i]);
		return;
	}
	cleanup_free char *text = shell_text(run);
	if (run->script) {
		str_list_add(&run->argv, "/dev/shm/" SCRIPT);
		return;
	}
	run->argv = stage_shell(run->stage);
	str_list_add(&run->argv, text);
}

/* ENV, over ARG, over the proxies everybody may pass without an ARG: those are no part of the key. */
static void make_env(struct run *run)
{
	static const char *const proxies[] = { "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
		"ftp_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy" };
	struct build *build = run->build;

	run->env = stage_env(run->stage);
	for (size_t i = 0; i < run->stage->args.count; i++) {
		cleanup_free char *name =
			xasprintf("%.*s", (int)strcspn(run->stage->args.items[i], "="), run->stage->args.items[i]);
		if (!list_get(&run->env, name))
			str_list_add(&run->env, run->stage->args.items[i]);
	}
	for (size_t i = 0; i < run->env.count; i++)
		layer_step_add(&run->step, run->env.items[i]);
	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
		const char *value = list_get(&build->build_args, proxies[i]);
		if (!value)
			continue;
		str_list_add(&build->used_args, proxies[i]);
		if (!list_get(&run->env, proxies[i]))
			list_set(&run->env, proxies[i], value);
	}
}

/* ---- flags ------------------------------------------------------------------------------------------------------ */

static int add_mount(struct run *run, const char *text, struct azm_err *err)
{
	cleanup_str_list struct str_list fields = { 0 }, values = { 0 };
	cleanup_free char *expanded = build_expand(run->build, run->stage, text, err);
	static const char *const known[] = { "type", "target", "id", "sharing", "size" };

	if (!expanded)
		return -1;
	str_list_split(&fields, expanded, ',');
	for (size_t i = 0; i < fields.count; i++) {
		char *value = strchr(fields.items[i], '=');
		if (value)
			*value++ = '\0';
		const char *name = strcmp(fields.items[i], "dst") == 0 || strcmp(fields.items[i], "destination") == 0
					   ? "target"
					   : fields.items[i];
		bool found = false;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			found = found || strcmp(known[k], name) == 0;
		if (!found || !value)
			return err_msg(err, ENOTSUP, "use --mount", text, "\"%s\" is not possible here", name);
		list_set(&values, name, value);
	}
	const char *type = list_get(&values, "type"), *target = list_get(&values, "target");
	const char *size = list_get(&values, "size"), *id = list_get(&values, "id");
	if (!type || (strcmp(type, "cache") != 0 && strcmp(type, "tmpfs") != 0)) {
		err_msg(err, ENOTSUP, "use --mount", text, "only type=cache and type=tmpfs are possible");
		return err_hint(
			err, "instead of type=bind, COPY into an earlier stage; secrets have no place in a layer");
	}
	if (!target || !*target || strchr(target, ':'))
		return err_msg(err, EINVAL, "use --mount", text, "it needs a target without ':'");
	cleanup_free char *path = stage_path(run->stage, target);
	str_list_add(&run->mounted, path + 1);
	if (*type == 't') {
		str_list_add(&run->options, "--tmpfs");
		str_list_addf(&run->options, "%s%s%s", path, size ? ":size=" : "", size ? size : "");
		return 0;
	}
	return build_caches_add(&run->caches, id ? id : path, list_get(&values, "sharing"), path, err);
}

static int read_flags(struct run *run, struct azm_err *err)
{
	const struct instruction *in = run->instruction;
	const char *network = instruction_flag(in, "network"), *security = instruction_flag(in, "security");

	run->egress = run->build->egress;
	if (network && strcmp(network, "none") == 0)
		run->egress = "none";
	else if (network && strcmp(network, "default") != 0)
		return err_msg(err, ENOTSUP, "use --network", network, "only none and default are possible");
	if (security && strcmp(security, "sandbox") != 0)
		return err_msg(err, ENOTSUP, "use --security", security, "only sandbox is possible");
	for (size_t i = 0; i < in->flags.count; i++)
		if (str_starts(in->flags.items[i], "mount=") &&
			add_mount(run, in->flags.items[i] + strlen("mount="), err) < 0)
			return -1;
	return 0;
}

/* ---- the sandbox ------------------------------------------------------------------------------------------------ */

/* The image as azm-sandbox reads it, and what else it needs, in the maker's directory. */
static int write_files(struct run *run, struct azm_err *err)
{
	const char *user = stage_text(run->stage, "User"), *workdir = stage_text(run->stage, "WorkingDir");
	json_t *env = json_array();
	int dir = run->step.maker.dir;

	for (size_t i = 0; i < run->env.count; i++) {
		if (json_array_append_new(env, json_string(run->env.items[i])) == 0)
			continue;
		json_decref(env);
		return err_msg(err, EINVAL, "use the variable", run->env.items[i], "it is not UTF-8");
	}
	json_t *config = json_pack("{s:{s:o, s:s, s:s}}", "config", "Env", env, "User", *user ? user : "0",
		"WorkingDir", *workdir ? workdir : "/");
	cleanup_free char *text = config ? json_dumps(config, JSON_COMPACT) : NULL;
	const struct store_image image = {
		.name = (char[]){ SANDBOX_NAME }, .config = text, .layers = run->stage->layers
	};
	json_decref(config);
	cleanup_free char *record = text ? store_image_text(&image) : NULL;
	if (!record)
		return err_msg(err, EINVAL, "describe the image", NULL, "a text is not UTF-8");
	if (write_file_at(dir, RECORD, record, strlen(record), 0600) < 0 ||
		(run->script && write_file_at(dir, SCRIPT, run->script, strlen(run->script), 0755) < 0) ||
		mkdirat(dir, STATE, 0700) < 0)
		return err_sys(err, "write to", "the store");
	return 0;
}

/* Beside this program, as in a build directory; else in PATH. */
static char *find_sandbox(void)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

	if (length > 0) {
		self[length] = '\0';
		*strrchr(self, '/') = '\0';
		cleanup_free char *beside = xasprintf("%s/azm-sandbox", self);
		if (access(beside, X_OK) == 0)
			return steal_ptr(&beside);
	}
	return xstrdup("azm-sandbox");
}

static void add_all(struct str_list *to, const struct str_list *from)
{
	for (size_t i = 0; i < from->count; i++)
		str_list_add(to, from->items[i]);
}

static struct str_list command_line(const struct run *run, const char *dir)
{
	static const char *const fixed[] = { "run", "--name", SANDBOX_NAME, "--hostname", SANDBOX_NAME, "--userns",
		"single" };
	cleanup_free char *program = find_sandbox();
	struct str_list line = { 0 };

	str_list_add(&line, program);
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		str_list_add(&line, fixed[i]);
	str_list_addf(&line, "--rootfs=azm:%s/" RECORD, dir);
	str_list_addf(&line, "--egress=%s", run->egress ? run->egress : "none");
	if (run->build->egress_proxy_file)
		str_list_addf(&line, "--egress-proxy-file=%s", run->build->egress_proxy_file);
	if (run->build->as_root)
		str_list_add(&line, "--as-root");
	if (run->script)
		str_list_addf(&line, "--volume=%s/" SCRIPT ":/dev/shm/" SCRIPT ":ro", dir);
	add_all(&line, &run->options);
	str_list_add(&line, "--");
	add_all(&line, &run->argv);
	return line;
}

/* Our own environment without what configures a sandbox. */
static struct str_list sandbox_env(const char *dir)
{
	static const char *const foreign[] = { "SANDBOX_", "WORKSPACE_",
		"SESSION_API_KEY=", "AZM_EGRESS=", "AZM_STATE_DIR=" };
	struct str_list env = { 0 };

	for (char **variable = environ; *variable; variable++) {
		bool wanted = true;
		for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
			wanted = wanted && !str_starts(*variable, foreign[i]);
		if (wanted)
			str_list_add(&env, *variable);
	}
	str_list_addf(&env, "AZM_STATE_DIR=%s/" STATE, dir);
	return env;
}

[[gnu::noreturn]] static void exec_sandbox(pid_t parent, char *const *line, char *const *env, int output)
{
	int null = open("/dev/null", O_RDONLY);

	/* Killed with us: and a sandbox dies with its supervisor. */
	die_with_parent(parent, SIGKILL);
	signals_unblock();
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* Ctrl-C is ours to pass on, once */
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(EXIT_AZM);
	execvpe(line[0], line, env);
	dprintf(2, "%s: cannot run %s: %s\n", rootfs_program.name, line[0], strerror(errno));
	_exit(EXIT_AZM);
}

/* ---- its output ------------------------------------------------------------------------------------------------- */

static void keep_tail(struct run *run, const char *text, size_t size)
{
	if (size > sizeof run->tail / 2) {
		text += size - sizeof run->tail / 2;
		size = sizeof run->tail / 2;
	}
	if (run->tail_size + size >= sizeof run->tail) {
		size_t half = sizeof run->tail / 2;
		memmove(run->tail, run->tail + run->tail_size - half + size, half - size);
		run->tail_size = half - size;
	}
	memcpy(run->tail + run->tail_size, text, size);
	run->tail_size += size;
	run->tail[run->tail_size] = '\0';
}

/* What a command says goes to our standard error, with nothing in it that drives a terminal. */
static void show(struct run *run, char *text, size_t size)
{
	keep_tail(run, text, size);
	if (run->build->style == PROGRESS_QUIET)
		return;
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0' || text[i] == '\r')
			text[i] = text[i] ? '\n' : '?';
	text[size] = '\0';
	str_sanitise_lines(text);
	(void)!write_full(STDERR_FILENO, text, strlen(text));
}

/* The text up to its last whole line; the rest is kept for later. */
static void show_lines(struct run *run, char *buffer, size_t *size, bool all)
{
	char line[4096];
	size_t end = *size;

	while (!all && end > 0 && buffer[end - 1] != '\n' && buffer[end - 1] != '\r')
		end--;
	if (end == 0 && *size == sizeof line - 1)
		end = *size;
	if (end == 0)
		return;
	memcpy(line, buffer, end);
	show(run, line, end);
	memmove(buffer, buffer + end, *size - end);
	*size -= end;
}

/* Follow the sandbox until it closes its output. Return: 0, or -1 with @err: interrupted, the sandbox has been told. */
static int follow(struct run *run, pid_t pid, int output, struct azm_err *err)
{
	struct pollfd fds[2] = { { .fd = output, .events = POLLIN },
		{ .fd = run->build->job.signals, .events = POLLIN } };
	char buffer[4096];
	size_t size = 0;
	int result = 0;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return err_sys(err, "wait for", "the command");
		if ((fds[1].revents & POLLIN) && job_interrupted(&run->build->job, err) < 0) {
			kill(pid, SIGTERM);
			fds[1].fd = -1;
			result = -1;
		}
		if (!(fds[0].revents & (POLLIN | POLLHUP)))
			continue;
		ssize_t n = read(output, buffer + size, sizeof buffer - 1 - size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		size += (size_t)n;
		show_lines(run, buffer, &size, false);
	}
	show_lines(run, buffer, &size, true);
	return result;
}

/* ---- how it ended ----------------------------------------------------------------------------------------------- */

static bool looks_like_network(const char *text)
{
	static const char *const signs[] = { "Temporary failure in name resolution", "Temporary failure resolving",
		"Could not resolve", "Name or service not known", "Network is unreachable", "getaddrinfo", "EAI_AGAIN",
		"ENOTFOUND", "bad address", "Connection refused", "ECONNREFUSED",
		"Failed to establish a new connection", "Could not connect", "unable to resolve host",
		"Failed to fetch", "No route to host" };

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (strstr(text, signs[i]))
			return true;
	return false;
}

static int explain(const struct run *run, int status, struct azm_err *err)
{
	const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);

	if (WIFEXITED(status) && code == 0)
		return 0;
	if (code == EXIT_AZM && strstr(run->tail, "azm-sandbox: "))
		err_msg(err, EIO, "RUN", NULL, "the sandbox could not be made, see above");
	else if (WIFSIGNALED(status) || code > 128)
		err_msg(err, EIO, "RUN", NULL, "the command ended with status %d (signal %d)", code, code - 128);
	else
		err_msg(err, EIO, "RUN", NULL, "the command ended with status %d", code);
	if (run->build->style == PROGRESS_QUIET && run->tail_size) {
		char tail[sizeof run->tail];
		memcpy(tail, run->tail, run->tail_size + 1);
		str_sanitise_lines(tail);
		fputs(tail, stderr);
	}
	if (looks_like_network(run->tail) && (!run->egress || strcmp(run->egress, "none") == 0))
		err_hint(err, "it seems to want the network, and nothing is allowed: --egress HOST[,HOST...] or "
			      "--egress all");
	else if (looks_like_network(run->tail))
		err_hint(err, "it seems to want the network; allowed is: %s", run->egress);
	return -1;
}

static int run_sandbox(struct run *run, struct azm_err *err)
{
	char magic[64], dir[PATH_MAX];
	int ends[2], status = 0;

	snprintf(magic, sizeof magic, "/proc/self/fd/%d", run->step.maker.dir);
	ssize_t length = readlink(magic, dir, sizeof dir - 1);
	if (length < 0 || pipe_pair(ends, err) < 0)
		return length < 0 ? err_sys(err, "look at", "the store") : -1;
	dir[length] = '\0';
	cleanup_str_list struct str_list line = command_line(run, dir), env = sandbox_env(dir);
	cleanup_fd int output = ends[0];
	pid_t self = getpid(), pid = fork();
	if (pid == 0)
		exec_sandbox(self, line.items, env.items, ends[1]);
	close(ends[1]);
	if (pid < 0)
		return err_sys(err, "fork", NULL);
	int result = follow(run, pid, output, err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return result < 0 ? -1 : explain(run, status, err);
}

/* ---- what it left ----------------------------------------------------------------------------------------------- */

struct upper {
	int view;
	struct owner_log *owners;
	struct owner owner;
};

/* What is new belongs to the user that made it; what was copied up keeps the owner it had. */
static int note_new(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct upper *upper = context;
	struct owner owner = upper->owner;
	struct stat st;

	if (S_ISCHR(entry->st.st_mode)) /* a whiteout */
		return 0;
	cleanup_fd int below = resolve_in_root(upper->view, entry->path, O_PATH | O_NOFOLLOW);
	if (below >= 0 && fstat(below, &st) == 0 && (st.st_mode & S_IFMT) == (entry->st.st_mode & S_IFMT))
		return 0;
	owner.mode = entry->st.st_mode;
	return owner_log_add(upper->owners, entry->path, entry->st.st_ino, &owner, false, err);
}

static int note_owners(struct run *run, int tree, struct azm_err *err)
{
	struct upper upper = { .view = stage_view(run->build, run->stage, err) };
	const struct tree_visitor visitor = { .visit = note_new, .context = &upper };

	const char *user = stage_text(run->stage, "User");

	if (upper.view < 0 || (*user && build_owner(run->build, run->stage, user, false, &upper.owner, err) < 0))
		return -1;
	if (upper.owner.uid == 0 && upper.owner.gid == 0)
		return 0;
	upper.owners = owner_log_new(run->step.maker.dir, err);
	if (!upper.owners)
		return -1;
	int result = tree_walk(tree, &visitor, err);
	if (result == 0)
		result = owner_log_save(upper.owners, tree, run->step.maker.dir, err);
	owner_log_free(upper.owners);
	return result;
}

/* Where azm-sandbox mounts something it makes a file or directory first, when there is none. */
static int remove_mount_points(struct run *run, int upper, struct azm_err *err)
{
	static const char *const always[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc", "dev", "proc",
		"sys" };
	cleanup_str_list struct str_list paths = { 0 };
	int view = stage_view(run->build, run->stage, err);

	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		str_list_add(&paths, always[i]);
	add_all(&paths, &run->mounted);
	for (size_t i = 0; view >= 0 && i < paths.count; i++) {
		cleanup_fd int below = resolve_in_root(view, paths.items[i], O_PATH | O_NOFOLLOW);
		const char *slash = strrchr(paths.items[i], '/');
		cleanup_free char *above =
			slash ? xasprintf("%.*s", (int)(slash - paths.items[i]), paths.items[i]) : xstrdup(".");
		cleanup_fd int dir = below >= 0 ? -1 : resolve_in_root(upper, above, O_PATH | O_DIRECTORY);
		const char *name = slash ? slash + 1 : paths.items[i];
		struct stat st;
		if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			(void)unlinkat(dir, name, AT_REMOVEDIR); /* one that is not empty stays */
		else if (S_ISREG(st.st_mode) && st.st_size == 0)
			(void)unlinkat(dir, name, 0);
	}
	return view < 0 ? -1 : 0;
}

static int take_upper(struct run *run, struct azm_err *err)
{
	struct layer_maker *maker = &run->step.maker;
	cleanup_fd int sandbox = resolve_in_root(maker->dir, STATE "/sandboxes/" SANDBOX_NAME, O_RDONLY | O_DIRECTORY);
	cleanup_fd int upper =
		sandbox < 0 ? -1 : openat(sandbox, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (upper < 0)
		return err_sys(err, "find", "the sandbox's writable layer");
	if (remove_mount_points(run, upper, err) < 0 || note_owners(run, upper, err) < 0 ||
		layer_maker_adopt(maker, sandbox, "upper", maker->dir, err) < 0)
		return -1;
	unlinkat(maker->dir, RECORD, 0);
	unlinkat(maker->dir, SCRIPT, 0);
	return tree_remove_at(maker->dir, STATE, err) < 0 ? -1
							  : layer_step_commit(&run->step, run->instruction->text, err);
}

/* ---- the instruction -------------------------------------------------------------------------------------------- */

static int make_layer(struct run *run, struct azm_err *err)
{
	if (read_flags(run, err) < 0)
		return -1;
	layer_step_begin(&run->step, run->build, run->stage, "RUN");
	make_argv(run);
	for (size_t i = 0; i < run->argv.count; i++)
		layer_step_add(&run->step, run->argv.items[i]);
	layer_step_add(&run->step, run->script ? run->script : "");
	for (size_t i = 0; i < run->options.count; i++)
		layer_step_add(&run->step, run->options.items[i]);
	for (size_t i = 0; i < run->caches.count; i++) {
		layer_step_add(&run->step, run->caches.items[i].name);
		layer_step_add(&run->step, run->caches.items[i].target);
	}
	layer_step_add(&run->step, stage_text(run->stage, "User"));
	layer_step_add(&run->step, stage_text(run->stage, "WorkingDir"));
	make_env(run);
	if (run->stage->layers.count == 0)
		return err_msg(err, EINVAL, "RUN", NULL, "there are no files yet: nothing can run");
	int there = layer_step_find(&run->step, err);
	if (there != 0)
		return there;
	return build_caches_take(&run->caches, &run->build->store, &run->build->job, &run->options, err) < 0 ||
			       write_files(run, err) < 0 || run_sandbox(run, err) < 0
		       ? -1
		       : take_upper(run, err);
}

int build_run(struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err)
{
	struct run run = {
		.build = build, .stage = stage, .instruction = instruction, .step = { .maker = LAYER_MAKER_NONE }
	};

	int result = make_layer(&run, err);
	layer_step_end(&run.step);
	str_list_free(&run.argv);
	str_list_free(&run.env);
	str_list_free(&run.options);
	str_list_free(&run.mounted);
	build_caches_free(&run.caches);
	return result;
}

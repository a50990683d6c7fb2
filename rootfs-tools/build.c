// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build.c: `azm-rootfs build CONTEXT [DIR]`: an image from a Dockerfile.
 *
 * Stages are built in the order of the file, those alone that the result needs. Every layer is in the store before the
 * next instruction looks at it; what a build that fails or is interrupted made so far is found again by the next one.
 * DIR and the name appear at the very end.
 */
#include "rootfs-tools/build.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json_out.h"
#include "mount/mount.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/staging.h"

enum { SHOWN_MAX = 160 };

/* What went wrong at an instruction: "FILE:LINE: " in front of what is set. Return: -1. */
static int fail_at(const struct build *build, const struct instruction *instruction, struct azm_err *err)
{
	cleanup_free char *where = xasprintf("%s:%u", build->dockerfile.name, instruction->line);

	return err_wrap(err, where, NULL);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

OPTION_STORES(set_file, struct build, file, value)
OPTION_STORES(set_tag, struct build, tag, value)
OPTION_STORES(set_target, struct build, target, value)
OPTION_STORES(set_egress_proxy_file, struct build, egress_proxy_file, value)
OPTION_STORES(set_no_cache, struct build, no_cache, true)
OPTION_STORES(set_pull, struct build, pull, true)
OPTION_STORES(set_as_root, struct build, as_root, true)

static int set_egress(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	struct build *build = config;

	/* Several are one list, as with azm-sandbox, which checks it. */
	build->egress = build->egress ? xasprintf("%s,%s", build->egress, value) : value;
	return 0;
}

static int set_build_arg(void *config, const char *value, struct azm_err *err)
{
	struct build *build = config;
	cleanup_free char *name = xasprintf("%.*s", (int)strcspn(value, "="), value);
	const char *text = strchr(value, '=') ? strchr(value, '=') + 1 : getenv(name);

	if (!*name)
		return err_msg(err, EINVAL, "use --build-arg", value, "not NAME=VALUE");
	if (text)
		list_set(&build->build_args, name, text);
	return 0;
}

static int set_context(void *config, const char *value, struct azm_err *err)
{
	struct build *build = config;
	const char *equals = strchr(value, '=');

	if (!equals || equals == value || !equals[1])
		return err_msg(err, EINVAL, "use --build-context", value, "not NAME=PATH");
	cleanup_free char *name = xasprintf("%.*s", (int)(equals - value), value);
	list_set(&build->contexts, name, equals + 1);
	return 0;
}

static int set_platform(void *config, const char *value, struct azm_err *err)
{
	struct build *build = config;

	platform_free(&build->platform);
	build->platform_given = true;
	return platform_parse(value, &build->platform, err);
}

static int set_max_size(void *config, const char *value, struct azm_err *err)
{
	return command_max_size(value, &((struct build *)config)->max_size, err);
}

OPTION_STORES(set_json, struct build, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct build, style, PROGRESS_QUIET)

const struct option_row build_options[] = {
	{ 'f', "file", "FILE", set_file,
		"the Dockerfile (default: CONTEXT/Dockerfile or Containerfile; -: standard input)" },
	{ 't', "tag", "NAME", set_tag, "keep the image in the store, as azm:NAME" },
	{ 0, "build-arg", "K=V|K", set_build_arg, "value of an ARG, or the caller's variable K" },
	{ 0, "build-context", "NAME=PATH", set_context,
		"a directory, archive or image that FROM and --from call NAME" },
	{ 0, "target", "STAGE", set_target, "stop at this stage" },
	{ 0, "egress", "RULE[,RULE]", set_egress,
		"what RUN may reach: none (default), all, or rules as of azm-sandbox run" },
	{ 0, "egress-proxy-file", "FILE", set_egress_proxy_file,
		"RUN reaches out through the proxy whose URL is in FILE" },
	{ 0, "no-cache", NULL, set_no_cache, "make every layer anew" },
	{ 0, "pull", NULL, set_pull, "ask the registry for bases the store has already" },
	{ 0, "platform", "OS/ARCH[/VARIANT]", set_platform, "which base of several (default: this machine's)" },
	{ 0, "max-size", "SIZE", set_max_size, "largest sum of all files of a base or archive (default 128g)" },
	{ 0, "mirror", "HOST[/PATH]", registry_set_mirror, "ask there before the registry itself; may be repeated" },
	REGISTRY_OPTION_ROWS,
	{ 'q', "quiet", NULL, set_quiet, "say nothing but errors, and then the end of the output" },
	{ 0, "json", NULL, set_json, "steps and result as JSON lines on standard output" },
	{ 0, "as-root", NULL, set_as_root, "build although started by root" },
	OPTIONS_END,
};

static int parse(struct build *build, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("build", build, argc, argv, build->operands, 2, err);

	if (count < 0)
		return -1;
	if (count < 1 || (count < 2 && !build->tag)) {
		err_msg(err, EINVAL, "build", count ? build->operands[0] : NULL,
			count ? "to which directory, or with which --tag?" : "from which directory?");
		return err_hint(err, "%s build [-t NAME] CONTEXT [DIR]", rootfs_program.name);
	}
	if (!build->platform_given)
		build->platform = bundle_platform();
	if (build->tag) {
		cleanup_free char *name = store_name(build->tag, err);
		return name ? 0 : -1;
	}
	return 0;
}

/* ---- the context ----------------------------------------------------------------------------------------------- */

/* A file of the host; "-" is standard input. */
static char *read_named(const char *path, size_t *size, struct azm_err *err)
{
	cleanup_fd int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						   : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = fd < 0 ? NULL : read_file(fd, DOCKERFILE_MAX, size);

	if (!text)
		err_sys(err, "read", path);
	return text;
}

static char *read_dockerfile(struct build *build, const char **name, size_t *size, struct azm_err *err)
{
	static const char *const names[] = { "Dockerfile", "Containerfile" };

	*name = build->file;
	if (build->file)
		return read_named(build->file, size, err);
	for (size_t i = 0; i < 2; i++) {
		char *text = resolve_read(build->context, names[i], DOCKERFILE_MAX, size);
		*name = names[i];
		if (text)
			return text;
		if (errno != ENOENT) {
			err_sys(err, "read", names[i]);
			return NULL;
		}
	}
	err_code(err, ENOENT, "read", "Dockerfile");
	err_hint(err, "-f FILE says where it is");
	return NULL;
}

/* FILE.dockerignore beside a -f FILE, else the context's. */
static int read_ignore(struct build *build, struct azm_err *err)
{
	static const char name[] = ".dockerignore";
	cleanup_free char *beside = xasprintf("%s%s", build->file ? build->file : "", name);
	cleanup_free char *text =
		build->file && strcmp(build->file, "-") != 0 ? read_path(beside, DOCKERIGNORE_MAX, NULL) : NULL;

	if (text)
		return dockerignore_parse(text, beside, &build->ignore, err);
	text = resolve_read(build->context, name, DOCKERIGNORE_MAX, NULL);
	if (text)
		return dockerignore_parse(text, name, &build->ignore, err);
	return errno == ENOENT ? 0 : err_sys(err, "read", name);
}

static int open_context(struct build *build, struct azm_err *err)
{
	const char *name;
	size_t size;

	build->context = open(build->operands[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (build->context < 0)
		return err_sys(err, "use as context", build->operands[0]);
	cleanup_free char *text = read_dockerfile(build, &name, &size, err);
	if (!text)
		return -1;
	const char *slash = strrchr(name, '/');
	return dockerfile_parse(text, size, slash ? slash + 1 : name, &build->dockerfile, err) < 0
		       ? -1
		       : read_ignore(build, err);
}

/* ---- stages ---------------------------------------------------------------------------------------------------- */

static void set_platform_args(struct build *build)
{
	struct platform ours = bundle_platform();
	const struct {
		const char *prefix;
		const struct platform *platform;
	} both[] = { { "TARGET", &build->platform }, { "BUILD", &ours } };

	for (size_t i = 0; i < 2; i++) {
		const struct platform *p = both[i].platform;
		const struct {
			const char *name, *value;
		} parts[] = { { "OS", p->os }, { "ARCH", p->architecture }, { "VARIANT", p->variant } };
		cleanup_free char *whole = platform_text(p), *name = xasprintf("%sPLATFORM", both[i].prefix);
		list_set(&build->meta_args, name, whole);
		for (size_t k = 0; k < 3; k++) {
			cleanup_free char *part = xasprintf("%s%s", both[i].prefix, parts[k].name);
			list_set(&build->meta_args, part, parts[k].value ? parts[k].value : "");
		}
	}
	platform_free(&ours);
}

/* Divide the file at its FROMs; the ARGs in front of the first one are read. */
static int find_stages(struct build *build, struct azm_err *err)
{
	const struct dockerfile *file = &build->dockerfile;

	build->stages = xcalloc(file->count, sizeof *build->stages);
	for (size_t i = 0; i < file->count; i++) {
		const struct instruction *in = &file->items[i];
		if (in->kind == DF_FROM)
			build->stages[build->stage_count++] =
				(struct stage){ .from = in, .first = i + 1, .lock = -1, .view = -1 };
		else if (build->stage_count == 0 && build_declare_args(build, NULL, in, err) < 0)
			return fail_at(build, in, err);
		if (build->stage_count)
			build->stages[build->stage_count - 1].end = i + 1;
	}
	return 0;
}

static struct stage *find_target(const struct build *build, struct azm_err *err)
{
	struct stage *stage = &build->stages[build->stage_count - 1];

	if (build->target)
		stage = build_find_stage(build, build->target, build->stage_count);
	if (!stage)
		err_msg(err, ENOENT, "build", build->target, "no stage is called that");
	return stage;
}

static const char *stage_name(const struct stage *stage)
{
	return stage->from->args.count > 1 ? stage->from->args.items[1] : NULL;
}

/* Mark a stage and those it is made of. They are earlier ones, so this ends. */
static int mark_needed(struct build *build, struct stage *stage, struct azm_err *err)
{
	const size_t index = (size_t)(stage - build->stages);
	cleanup_free char *base = build_expand_meta(build, stage->from->args.items[0], err);

	if (!base)
		return fail_at(build, stage->from, err);
	if (stage->needed)
		return 0;
	stage->needed = true;
	build->steps += (unsigned)(1 + stage->end - stage->first);
	struct stage *other = build_find_stage(build, base, index);
	if (other && stage_name(other) && strcasecmp(stage_name(other), base) == 0 &&
		mark_needed(build, other, err) < 0)
		return -1;
	for (size_t i = stage->first; i < stage->end; i++) {
		const char *from = instruction_flag(&build->dockerfile.items[i], "from");
		other = from ? build_find_stage(build, from, index) : NULL;
		if (other && mark_needed(build, other, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

static void say_step(const struct build *build, const struct instruction *in, const char *state, double seconds)
{
	cleanup_free char *text = xasprintf("%.*s%s", SHOWN_MAX, in->text, strlen(in->text) > SHOWN_MAX ? "..." : "");

	str_sanitise(text);
	if (build->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:f}", "phase", "step", "step",
			(int)build->step, "of", (int)build->steps, "line", (int)in->line, "text", text, "state", state,
			"seconds", seconds);
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
		fflush(stdout);
	} else if (build->style != PROGRESS_QUIET && strcmp(state, "start") == 0) {
		fprintf(stderr, "%s: [%u/%u] %s\n", rootfs_program.name, build->step, build->steps, text);
	} else if (build->style != PROGRESS_QUIET && strcmp(state, "cached") == 0) {
		fprintf(stderr, "%s: [%u/%u] cached\n", rootfs_program.name, build->step, build->steps);
	} else if (build->style != PROGRESS_QUIET && seconds >= 0.1) {
		fprintf(stderr, "%s: [%u/%u] %.1f s\n", rootfs_program.name, build->step, build->steps, seconds);
	}
}

static int add_history(struct stage *stage, const struct instruction *in, bool layer, struct azm_err *err)
{
	char created[32];

	if (bundle_created(created, err) < 0)
		return -1;
	json_t *item = json_pack("{s:s, s:s}", "created", created, "created_by", in->text);
	if (item && !layer)
		json_object_set_new(item, "empty_layer", json_true());
	return json_array_append_new(json_object_get(stage->image, "history"), item) < 0
		       ? err_msg(err, EINVAL, instruction_name(in->kind), NULL, "its text is not UTF-8")
		       : 0;
}

/* Return: 1 when a layer was found instead of made, 0, -1 with @err. */
static int perform(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	switch (in->kind) {
	case DF_ARG:
		return build_declare_args(build, stage, in, err);
	case DF_RUN:
		return build_run(build, stage, in, err);
	case DF_COPY:
	case DF_ADD:
		return build_copy(build, stage, in, err);
	case DF_WORKDIR:
		return build_setting(build, stage, in, err) < 0 ? -1 : build_workdir(build, stage, err);
	default:
		return build_setting(build, stage, in, err);
	}
}

static int run_step(struct build *build, struct stage *stage, const struct instruction *in, struct azm_err *err)
{
	const int64_t begin = clock_ms();
	const size_t layers = stage->layers.count;

	if (job_interrupted(&build->job, err) < 0)
		return -1;
	say_step(build, in, "start", 0);
	int cached = perform(build, stage, in, err);
	if (cached < 0 || add_history(stage, in, stage->layers.count > layers, err) < 0)
		return fail_at(build, in, err);
	const bool was_cached = cached == 1 && stage->layers.count > layers;
	say_step(build, in, was_cached ? "cached" : "done", (double)(clock_ms() - begin) / 1000);
	return 0;
}

/* What the base's configuration wants done first. */
static int run_triggers(struct build *build, struct stage *stage, struct azm_err *err)
{
	json_t *triggers = json_incref(json_object_get(stage_config(stage), "OnBuild"));
	size_t i;
	json_t *item;
	int result = 0;

	json_object_del(stage_config(stage), "OnBuild");
	json_array_foreach(triggers, i, item)
	{
		cleanup_dockerfile struct dockerfile file = { 0 };
		cleanup_free char *text =
			xasprintf("FROM scratch\n%s", json_is_string(item) ? json_string_value(item) : "");
		result = dockerfile_parse(text, strlen(text), "ONBUILD", &file, err);
		if (result == 0 && file.count != 2)
			result = err_msg(err, EINVAL, "ONBUILD", NULL, "the base has one that is no instruction");
		if (result == 0 && file.items[1].kind == DF_ONBUILD)
			result = err_msg(err, EINVAL, "ONBUILD", NULL, "the base has one in another");
		if (result == 0)
			result = run_step(build, stage, &file.items[1], err);
		if (result < 0)
			break;
	}
	json_decref(triggers);
	return result;
}

static int begin_stage(struct build *build, struct stage *stage, struct azm_err *err)
{
	const char *platform_word = instruction_flag(stage->from, "platform");
	cleanup_free char *name = build_expand_meta(build, stage->from->args.items[0], err);
	cleanup_free char *text = platform_word ? build_expand_meta(build, platform_word, err) : NULL;
	struct platform platform = { 0 };

	if (!name || (platform_word && !text))
		return -1;
	if (!*name)
		return err_msg(err, EINVAL, "FROM", stage->from->args.items[0],
			"no image is left when its variables are replaced");
	if (text && *text && platform_parse(text, &platform, err) < 0)
		return -1;
	int result = build_from(build, stage, name, text && *text ? &platform : NULL, err);
	platform_free(&platform);
	return result;
}

static int run_stage(struct build *build, struct stage *stage, struct azm_err *err)
{
	const int64_t begin = clock_ms();

	build->step++;
	say_step(build, stage->from, "start", 0);
	if (begin_stage(build, stage, err) < 0)
		return fail_at(build, stage->from, err);
	say_step(build, stage->from, "done", (double)(clock_ms() - begin) / 1000);
	if (run_triggers(build, stage, err) < 0)
		return fail_at(build, stage->from, err);
	for (size_t i = stage->first; i < stage->end; i++) {
		build->step++;
		if (run_step(build, stage, &build->dockerfile.items[i], err) < 0)
			return -1;
	}
	stage->done = true;
	return 0;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

static void say_unused_args(const struct build *build)
{
	for (size_t i = 0; i < build->build_args.count; i++) {
		cleanup_free char *name =
			xasprintf("%.*s", (int)strcspn(build->build_args.items[i], "="), build->build_args.items[i]);
		bool used = false;
		for (size_t k = 0; k < build->used_args.count; k++)
			used = used || strcmp(build->used_args.items[k], name) == 0;
		if (!used && build->style != PROGRESS_QUIET)
			fprintf(stderr, "%s: no ARG asks for --build-arg %s\n", rootfs_program.name, name);
	}
}

static int build_all(struct build *build, struct azm_err *err)
{
	set_platform_args(build);
	if (find_stages(build, err) < 0)
		return -1;
	struct stage *target = find_target(build, err);
	if (!target || mark_needed(build, target, err) < 0)
		return -1;
	if (build->operands[1] && staging_check(build->operands[1], err) < 0)
		return -1;
	if (store_open(&build->store, STORE_LAYERS, err) < 0)
		return -1;
	for (struct stage *stage = build->stages; stage <= target; stage++)
		if (stage->needed && run_stage(build, stage, err) < 0)
			return -1;
	say_unused_args(build);
	return build_result(build, target, err);
}

static void release(struct build *build)
{
	for (size_t i = 0; i < build->stage_count; i++)
		stage_release(&build->stages[i]);
	free(build->stages);
	cleanup_close_fd(&build->context);
	cleanup_close_fd(&build->job.signals);
	dockerignore_free(&build->ignore);
	dockerfile_free(&build->dockerfile);
	str_list_free(&build->build_args);
	str_list_free(&build->contexts);
	str_list_free(&build->meta_args);
	str_list_free(&build->used_args);
	platform_free(&build->platform);
	registry_options_free(&build->registry);
	store_close(&build->store);
}

static int build_image(struct build *build, struct azm_err *err)
{
	if (!build->as_root && refuse_root("build", build->operands[0], err) < 0)
		return -1;
	if (open_context(build, err) < 0)
		return -1;
	build->job.signals = watch_signals(err);
	if (build->job.signals < 0)
		return -1;
	build->job.command = "build";
	build->job.object = build->operands[0];
	progress_begin(&build->job.progress, build->style, rootfs_program.name);
	int result = build_all(build, err);
	progress_end(&build->job.progress);
	return result;
}

int build_main(int argc, char **argv)
{
	struct build build = {
		.context = -1, .store = STORE_NONE, .job = { .signals = -1 }, .max_size = IMAGE_SIZE_MOST
	};
	struct azm_err err = { 0 };

	int result = parse(&build, argc, argv, &err);
	if (result == 0)
		result = build_image(&build, &err);
	release(&build);
	return command_end(result, &err);
}

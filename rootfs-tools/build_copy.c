// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_copy.c: COPY, ADD, and the directory of WORKDIR.
 *
 * Theory of operation
 *
 * The sources are found first: each pattern becomes paths below a root, which is the context, what another stage or
 * image shows, or nothing for here-documents. Every path is resolved inside that root; a link that leads out of it, or
 * nowhere, is copied as the link it is. Then the files are gone through twice by the same code: once to add them to the
 * layer's key and, when no such layer is there, once to copy them to where the layers below are seen with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"
#include "rootfs-tools/build_sources.h"
#include "rootfs-tools/layer_internal.h"
#include "rootfs-tools/stream.h"
#include "rootfs-tools/tar_index.h"
#include "rootfs-tools/tree_walk.h"

struct copying {
	struct build *build;
	struct stage *stage;
	const struct instruction *instruction;
	struct copy_sources sources;
	char *target; /* absolute; with a '/' at its end a directory */
	bool into;    /* it is a directory, or becomes one */
	bool chown, chmod;
	struct owner owner; /* with chown: uid, gid; with chmod: mode */
	struct layer_step step;
	struct tree_copy copy;
	bool copies; /* the second time */
	/* the source that is being gone through */
	const char *source;
	char *destination; /* of it, without '/' in front */
};

/* ---- what is copied --------------------------------------------------------------------------------------------- */

static bool is_url(const char *text)
{
	static const char *const schemes[] = { "http://", "https://", "ftp://", "git://", "git@" };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (str_starts(text, schemes[i]))
			return true;
	return false;
}

static const struct heredoc *find_heredoc(const struct instruction *in, const char *token)
{
	for (size_t i = 0; i < in->heredoc_count; i++)
		if (strcmp(in->heredocs[i].token, token) == 0)
			return &in->heredocs[i];
	return NULL;
}

static int find_source(struct copying *c, const char *word, struct azm_err *err)
{
	cleanup_free char *path = build_expand(c->build, c->stage, word, err);

	if (!path)
		return -1;
	if (c->instruction->kind == DF_ADD && is_url(path)) {
		err_msg(err, ENOTSUP, "ADD", path, "nothing is fetched by ADD");
		return err_hint(
			err, "fetch it before the build, or with RUN and --egress HOST, and check its hash there");
	}
	return copy_sources_add(&c->sources, path, err);
}

static int find_sources(struct copying *c, struct azm_err *err)
{
	const struct instruction *in = c->instruction;
	const size_t last = in->args.count - 1;

	for (size_t i = 0; i < last; i++)
		if (!find_heredoc(in, in->args.items[i]) && find_source(c, in->args.items[i], err) < 0)
			return -1;
	if (c->sources.count == 0 && in->heredoc_count == 0)
		return err_msg(err, ENOENT, "copy", NULL, "no file matches");
	return 0;
}

/* ---- where to --------------------------------------------------------------------------------------------------- */

static bool names_directory(const char *path)
{
	const size_t length = strlen(path);

	return strcmp(path, ".") == 0 || strcmp(path, "..") == 0 || (length && path[length - 1] == '/') ||
	       (length > 1 && strcmp(path + length - 2, "/.") == 0) ||
	       (length > 2 && strcmp(path + length - 3, "/..") == 0);
}

static int find_target(struct copying *c, struct azm_err *err)
{
	const struct instruction *in = c->instruction;
	cleanup_free char *word = build_expand(c->build, c->stage, in->args.items[in->args.count - 1], err);
	int view = word ? stage_view(c->build, c->stage, err) : -1;

	if (view < 0)
		return -1;
	c->target = stage_path(c->stage, word);
	cleanup_fd int there = resolve_in_root(view, c->target, O_PATH | O_DIRECTORY);
	c->into = there >= 0 || names_directory(word) || c->sources.parents;
	if (!c->into && c->sources.count + in->heredoc_count > 1)
		return err_msg(err, EINVAL, "copy", c->target,
			"several files need a directory: the target has to end with '/'");
	return 0;
}

/* Where a source goes: below the target, or as the target. @name: of it there. Without '/' in front. Caller owns. */
static char *destination_of(const struct copying *c, const char *name, bool directory)
{
	const bool below = c->into && !(directory && !c->sources.parents);
	char *path = below ? xasprintf("%s/%s", c->target, name) : xstrdup(c->target);

	layer_clean_path(path);
	return path;
}

/* ---- owners ----------------------------------------------------------------------------------------------------- */

static int read_chown(struct copying *c, const char *flag, struct azm_err *err)
{
	cleanup_free char *text = build_expand(c->build, c->stage, flag, err);

	c->chown = true;
	return text ? build_owner(c->build, c->stage, text, true, &c->owner, err) : -1;
}

static int read_chmod(struct copying *c, const char *flag, struct azm_err *err)
{
	cleanup_free char *text = build_expand(c->build, c->stage, flag, err);

	if (!text)
		return -1;
	const size_t length = strlen(text);
	if (length < 1 || length > 5 || strspn(text, "01234567") != length || strtoul(text, NULL, 8) > 07777)
		return err_msg(err, EINVAL, "use --chmod", text, "not an octal mode such as 0755");
	c->chmod = true;
	c->owner.mode = (mode_t)strtoul(text, NULL, 8);
	return 0;
}

static struct owner owner_of(const struct copying *c, mode_t mode)
{
	struct owner owner = { .mode = mode };

	if (c->chown) {
		owner.uid = c->owner.uid;
		owner.gid = c->owner.gid;
	}
	if (c->chmod && !S_ISLNK(mode))
		owner.mode = (mode & S_IFMT) | c->owner.mode;
	return owner;
}

/* ---- going through the files ------------------------------------------------------------------------------------ */

/* Where an entry of the present source goes. Caller owns. */
static char *entry_destination(const struct copying *c, const struct tree_entry *entry)
{
	const char *below = entry->path + strlen(c->source);

	below += *below == '/';
	return xasprintf("%s%s%s", c->destination, *c->destination && *below ? "/" : "", below);
}

static int copy_visit(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct copying *c = context;
	const struct owner owner = owner_of(c, entry->st.st_mode);
	cleanup_free char *path = entry_destination(c, entry);

	if (job_interrupted(&c->build->job, err) < 0)
		return -1;
	/* Directories of what is hidden are made for what is seen in them. */
	if (copy_sources_hide(&c->sources, entry->path))
		return copy_sources_have_exceptions(&c->sources) ? 0 : 1;
	if (!*path)
		return 0; /* the root is there */
	return c->copies ? tree_copy_entry(&c->copy, entry, path, &owner, err)
			 : tree_hash_entry(c->step.key, entry, path, &owner, err);
}

static int copy_leave(void *context, const struct tree_entry *entry, struct azm_err *err)
{
	struct copying *c = context;
	cleanup_free char *path = entry_destination(c, entry);

	/* The directory that is copied into, not as, keeps its own time. */
	if (!c->copies || !*path || strcmp(entry->path, c->source) == 0 || copy_sources_hide(&c->sources, entry->path))
		return 0;
	return tree_copy_times(&c->copy, entry, path, err);
}

/* Where below its root an open file is. Return: false: nowhere, or too far. */
static bool real_path(int root, int fd, char path[static PATH_MAX])
{
	char of_root[PATH_MAX], magic[64];

	snprintf(magic, sizeof magic, "/proc/self/fd/%d", root);
	ssize_t prefix = readlink(magic, of_root, sizeof of_root);
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(magic, path, PATH_MAX - 1);
	if (prefix < 0 || length < 0 || length >= PATH_MAX - 1 || prefix >= PATH_MAX - 1)
		return false;
	path[length] = '\0';
	if (prefix == 1) /* "/": a tree that is mounted nowhere */
		prefix = 0;
	if (length < prefix || memcmp(path, of_root, (size_t)prefix) != 0)
		return false;
	while (path[prefix] == '/')
		prefix++;
	memmove(path, path + prefix, (size_t)(length - prefix) + 1);
	return true;
}

/* One source: the directory it is in and its name there. A link is followed when it leads to something. Return: the
 * directory, -1 with @err. */
static int open_source(struct copying *c, const char *source, char **name, struct stat *st, struct azm_err *err)
{
	char path[PATH_MAX];
	cleanup_fd int meant = resolve_in_root(c->sources.root, source, O_PATH);

	if (meant < 0)
		meant = resolve_in_root(c->sources.root, source, O_PATH | O_NOFOLLOW);
	if (meant < 0 || fstat(meant, st) < 0)
		return err_sys(err, "copy", source);
	if (!real_path(c->sources.root, meant, path))
		return err_msg(err, ENAMETOOLONG, "copy", source, "its path is too long");
	char *slash = strrchr(path, '/');
	*name = xstrdup(slash ? slash + 1 : path);
	if (slash)
		*slash = '\0';
	int dir = resolve_in_root(c->sources.root, slash ? path : ".", O_RDONLY | O_DIRECTORY);
	if (dir < 0) {
		err_sys(err, "copy", source);
		free(steal_ptr(name));
	}
	return dir;
}

static int add_archive(struct copying *c, int dir, const char *name, struct azm_err *err);

/* --parents: the directories in front of a source, with their modes. */
static int copy_parents(struct copying *c, const struct copy_source *source, struct azm_err *err)
{
	for (const char *end = strchr(source->name, '/'); end; end = strchr(end + 1, '/')) {
		struct tree_entry entry = { .name = "." };
		cleanup_free char *path = xasprintf("%.*s", (int)(end - source->path), source->path);
		cleanup_free char *destination = destination_of(c, path + (source->name - source->path), true);
		cleanup_fd int dir = resolve_in_root(c->sources.root, path, O_RDONLY | O_DIRECTORY);
		if (dir < 0 || fstat(dir, &entry.st) < 0)
			return err_sys(err, "copy", path);
		entry.dir = dir;
		entry.path = c->source = path;
		c->destination = destination;
		if (copy_visit(c, &entry, err) < 0)
			return -1;
	}
	return 0;
}

static int copy_source(struct copying *c, const struct copy_source *from, struct azm_err *err)
{
	const char *source = from->path;
	const struct tree_visitor visitor = { copy_visit, copy_leave, c };
	cleanup_free char *name = NULL;
	struct stat st = { 0 };

	if (!*source) { /* all of the root */
		cleanup_free char *whole = destination_of(c, "", true);
		cleanup_fd int made = c->copies ? resolve_make(c->step.maker.root, c->target, true) : -1;
		if (c->copies && made < 0)
			return err_sys(err, "make directory", c->target);
		c->source = "";
		c->destination = whole;
		return tree_walk(c->sources.root, &visitor, err);
	}
	cleanup_fd int dir = open_source(c, source, &name, &st, err);
	if (dir < 0 || !name)
		return -1;
	if (c->sources.parents && copy_parents(c, from, err) < 0)
		return -1;
	cleanup_free char *destination = destination_of(c, from->name, S_ISDIR(st.st_mode));
	c->source = source;
	c->destination = destination;
	if (c->copies && c->instruction->kind == DF_ADD && S_ISREG(st.st_mode)) {
		int archive = add_archive(c, dir, name, err);
		if (archive <= 0)
			return archive;
	}
	return tree_walk_entry(dir, name, source, &visitor, err);
}

static int copy_heredoc(struct copying *c, const struct heredoc *heredoc, struct azm_err *err)
{
	const struct owner owner = owner_of(c, S_IFREG | 0644);
	const char *slash = strrchr(heredoc->name, '/');
	cleanup_free char *path = destination_of(c, slash ? slash + 1 : heredoc->name, false);
	cleanup_free char *text =
		heredoc->expand ? build_expand_heredoc(c->build, c->stage, heredoc->text, err) : xstrdup(heredoc->text);

	if (!text)
		return -1;
	if (c->copies)
		return tree_copy_text(&c->copy, text, path, &owner, err);
	cleanup_free char *head = xasprintf("%o %u:%u %s", owner.mode, owner.uid, owner.gid, path);
	layer_step_add(&c->step, head);
	layer_step_add(&c->step, text);
	return 0;
}

static int copy_all(struct copying *c, struct azm_err *err)
{
	for (size_t i = 0; i < c->sources.count; i++)
		if (copy_source(c, &c->sources.items[i], err) < 0)
			return -1;
	for (size_t i = 0; i < c->instruction->heredoc_count; i++)
		if (copy_heredoc(c, &c->instruction->heredocs[i], err) < 0)
			return -1;
	return 0;
}

/* ---- ADD of an archive ------------------------------------------------------------------------------------------ */

static int is_archive(struct stream *stream, struct azm_err *err)
{
	const void *data;
	ssize_t size = stream_peek(stream, &data, err);

	return size > 0 && tar_begins(data, (size_t)size);
}

/* Unpack a tar, however it is compressed. Return: 0; 1 it is none; -1 with @err. */
static int add_archive(struct copying *c, int dir, const char *name, struct azm_err *err)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *below = xstrdup(c->target);
	struct azm_err ignored = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read", c->source);
	layer_clean_path(below);
	const struct stream_source source = { .fd = fd,
		.size = (uint64_t)st.st_size,
		.limit = c->build->max_size,
		.tick = job_tick,
		.context = &c->build->job };
	struct stream *stream = stream_new(&source, err);
	if (!stream)
		return -1;
	int result = 1;
	if (is_archive(stream, &ignored)) {
		struct layer_target target = { .root = c->step.maker.root,
			.owners = c->step.maker.owners,
			.scratch = c->step.maker.dir,
			.size_left = c->build->max_size,
			.below = *below ? below : NULL,
			.owner = c->chown ? &c->owner : NULL };
		result = layer_apply(&target, stream, err);
		if (result < 0)
			err_wrap(err, "unpack", c->source);
	}
	stream_close(stream);
	return result;
}

/* ---- the instruction -------------------------------------------------------------------------------------------- */

/* Where --from leads. @other: an image that is no stage of this build. */
static int open_from(struct copying *c, const char *from, struct stage *other, struct azm_err *err)
{
	struct build *build = c->build;
	struct stage *stage = build_find_stage(build, from, (size_t)(c->stage - build->stages));

	if (!stage) {
		if (build_from(build, other, from, NULL, err) < 0)
			return -1;
		stage = other;
	}
	c->sources.root = stage_view(build, stage, err);
	return c->sources.root < 0 ? -1 : 0;
}

static int read_excludes(struct copying *c, struct azm_err *err)
{
	cleanup_free char *text = xstrdup("");

	for (size_t i = 0; i < c->instruction->flags.count; i++) {
		if (!str_starts(c->instruction->flags.items[i], "exclude="))
			continue;
		cleanup_free char *pattern = build_expand(c->build, c->stage, c->instruction->flags.items[i] + 8, err);
		if (!pattern)
			return -1;
		char *more = xasprintf("%s%s\n", text, pattern);
		free(text);
		text = more;
	}
	return dockerignore_parse(text, "--exclude", &c->sources.exclude, err);
}

static int prepare(struct copying *c, struct stage *other, struct azm_err *err)
{
	const char *from = instruction_flag(c->instruction, "from");
	const char *chown = instruction_flag(c->instruction, "chown");
	const char *chmod = instruction_flag(c->instruction, "chmod");

	c->sources = (struct copy_sources){ .root = c->build->context,
		.ignore = from ? NULL : &c->build->ignore,
		.parents = instruction_flag(c->instruction, "parents") != NULL,
		.job = &c->build->job };
	if (from && open_from(c, from, other, err) < 0)
		return -1;
	if ((chown && read_chown(c, chown, err) < 0) || (chmod && read_chmod(c, chmod, err) < 0))
		return -1;
	return read_excludes(c, err) < 0 || find_sources(c, err) < 0 ? -1 : find_target(c, err);
}

static int make_layer(struct copying *c, struct azm_err *err)
{
	layer_step_begin(&c->step, c->build, c->stage, instruction_name(c->instruction->kind));
	layer_step_add(&c->step, c->target);
	layer_step_add(&c->step, c->into ? "into" : "as");
	if (copy_all(c, err) < 0)
		return -1;
	int there = layer_step_find(&c->step, err);
	if (there != 0)
		return there;
	c->copies = true;
	c->copy = (struct tree_copy){ .to = c->step.maker.root, .owners = c->step.maker.owners };
	return copy_all(c, err) < 0 ? -1 : layer_step_commit(&c->step, c->instruction->text, err);
}

int build_copy(struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err)
{
	struct copying c = {
		.build = build, .stage = stage, .instruction = instruction, .step = { .maker = LAYER_MAKER_NONE }
	};
	struct stage other = { .lock = -1, .view = -1 };

	int result = prepare(&c, &other, err) < 0 ? -1 : make_layer(&c, err);
	layer_step_end(&c.step);
	stage_release(&other);
	copy_sources_free(&c.sources);
	free(c.target);
	return result;
}

int build_workdir(struct build *build, struct stage *stage, struct azm_err *err)
{
	const char *path = stage_text(stage, "WorkingDir");
	[[gnu::cleanup(layer_step_end)]] struct layer_step step = { .maker = LAYER_MAKER_NONE };
	int view = stage_view(build, stage, err);

	if (view < 0)
		return -1;
	cleanup_fd int there = resolve_in_root(view, path, O_PATH);
	struct stat st;
	if (there >= 0)
		return fstat(there, &st) == 0 && S_ISDIR(st.st_mode) ? 1 : err_code(err, ENOTDIR, "set WORKDIR", path);
	layer_step_begin(&step, build, stage, "WORKDIR");
	layer_step_add(&step, path);
	int cached = layer_step_find(&step, err);
	if (cached != 0)
		return cached;
	cleanup_fd int made = resolve_make(step.maker.root, path, true);
	if (made < 0)
		return err_sys(err, "make the directory of WORKDIR", path);
	return layer_step_commit(&step, "WORKDIR", err);
}

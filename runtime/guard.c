// SPDX-License-Identifier: GPL-2.0-or-later
/* guard.c: see guard.h
 *
 * Theory of operation
 *
 * A workspace goes back to the user, whose tools obey files in it: git hooks, editor tasks, an agent's own settings.
 * The guard has two lines.
 *
 * First line, in force while the sandbox runs: names are covered by read-only binds (mount/guard.c).
 *
 *     what                                  where
 *     the rules of guard_rules.c            top of the directory and of each git work tree found in it; names that are
 *                                           absent are held (guard_hold.c) at the top of the directory only
 *     config, hooks, commondir,             of each git directory found, those of submodules included; .git itself is
 *     config.worktree                       pinned, so that it cannot be renamed away; hooks and commondir are held
 *     commondir, gitdir of work trees       of each linked work tree that exists
 *     core.hooksPath, include.path          what the configuration names, when it lies in the directory
 *     the target of a covered link          when it lies in the directory, with the directories on the way pinned
 *
 * Git directories are looked for in the first SCAN_DEPTH levels, SCAN_DIRECTORIES directories at most: a start must not
 * read a whole tree. Everything else of .git stays writable, and so do new repositories: agents clone and init.
 *
 * Second line, at the end: the sweep reads the whole tree and reports what changed (guard_check.c). It knows from
 * guard.json which names were absent and what each git configuration said, moves aside what the first line was meant
 * to keep from appearing, and the hooks and dangerous configuration of repositories that the first line did not know.
 *
 * Why not otherwise: Landlock knows no names, only what exists. An overlay of the workspace shows neither what the user
 * changes meanwhile nor, outside, what the agent changes until the end. A supervisor that is asked about each creating
 * call (seccomp notification) reads a path that another thread may change before the kernel reads it.
 *
 * Everything here happens on the host as the user, while other sandboxes may write to the same tree: no link is
 * followed, and azm-init, which mounts, follows none either and fails when a name has gone.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "git_config.h"
#include "guard_hold.h"
#include "guard_rules.h"
#include "volumes.h"

enum {
	SCAN_DEPTH = 2,
	SCAN_DIRECTORIES = 128,
	SCAN_ENTRIES = 4096, /* of one directory */
	MODULE_DEPTH = 4,    /* .git/modules/a/b/c: names of submodules may have slashes */
	GUARDED_MAX = 2048,
	CONFIG_MAX = 256 << 10,
};

static const char record_file[] = "guard.json";

/* One writable directory of the sandbox. */
struct plan_root {
	const struct state *state;
	struct guard *guard;
	struct volume *volume;
	int fd;
	bool project;	 /* the workspace, or a git work tree: absent names are held */
	bool mounts;	 /* false: --guard report */
	json_t *held;	 /* DIRECTORY: [NAME...], both relative */
	json_t *absent;	 /* names of rules that nothing had at the top */
	json_t *configs; /* PATH: hash of what is dangerous in it */
	json_t *git;	 /* git directories */
	unsigned budget; /* directories that may still be read */
	struct azm_err *err;
};

static char *join(const char *directory, const char *name)
{
	return *directory ? xasprintf("%s/%s", directory, name) : xstrdup(name);
}

static bool is_guarded(const struct plan_root *p, const char *path)
{
	for (size_t i = 0; i < p->volume->guarded_count; i++)
		if (strcmp(p->volume->guarded[i].path, path) == 0)
			return true;
	return false;
}

static int add(struct plan_root *p, const char *path, bool pin)
{
	struct volume *v = p->volume;

	if (!p->mounts || is_guarded(p, path))
		return 0;
	if (v->guarded_count == GUARDED_MAX) {
		err_msg(p->err, E2BIG, "guard", v->source.path, "more than %d names are to be guarded", GUARDED_MAX);
		return err_hint(p->err, "mount a part of it, or use --guard report");
	}
	v->guarded = xrealloc(v->guarded, v->guarded_count + 1, sizeof *v->guarded);
	v->guarded[v->guarded_count++] = (struct guarded){ .path = xstrdup(path), .pin = pin };
	return 0;
}

/* The type of a name, 0 when it is absent or out of reach. */
static mode_t type_of(const struct plan_root *p, const char *path)
{
	char name[NAME_MAX + 1];
	struct stat st;
	cleanup_fd int parent = resolve_parent(p->fd, path, name);

	return parent >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

static int open_directory(const struct plan_root *p, const char *path)
{
	char name[NAME_MAX + 1];

	if (!*path)
		return openat(p->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int parent = resolve_parent(p->fd, path, name);
	return parent < 0 ? -1 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Take part in the lock of a directory in which names are going to be held. */
static json_t *held_in(struct plan_root *p, const char *directory)
{
	json_t *names = json_object_get(p->held, directory);

	if (names)
		return names;
	cleanup_fd int fd = open_directory(p, directory);
	int lock = fd < 0 ? err_sys(p->err, "guard", directory) : guard_hold_lock(p->state, fd, p->err);
	if (lock < 0)
		return NULL;
	struct guard *guard = p->guard;
	guard->locks = xrealloc(guard->locks, guard->lock_count + 1, sizeof *guard->locks);
	guard->locks[guard->lock_count++] = lock;
	names = json_array();
	return json_object_set_new(p->held, directory, names) < 0 ? NULL : names;
}

/* An absent name: it is made in guard_prepare(), once guard.json says so. */
static int hold(struct plan_root *p, const char *directory, const char *name)
{
	json_t *names = p->mounts ? held_in(p, directory) : NULL;
	cleanup_free char *path = join(directory, name);

	if (!p->mounts)
		return 0;
	if (!names || json_array_append_new(names, json_string(name)) < 0)
		return p->err->code ? -1 : err_msg(p->err, EILSEQ, "guard", path, "the name is not UTF-8 text");
	return add(p, path, false);
}

/* Whether nothing is there, or what another sandbox holds the name with. */
static bool is_absent(const struct plan_root *p, const char *path)
{
	char name[NAME_MAX + 1];
	struct stat st;
	cleanup_fd int parent = resolve_parent(p->fd, path, name);

	if (parent < 0)
		return true;
	return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || guard_hold_is_placeholder(parent, name);
}

/* Cover a path and pin the directories on the way, so that none of them can be exchanged. */
static int add_deep(struct plan_root *p, const char *path)
{
	cleanup_free char *part = xstrdup(path);

	for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (add(p, part, true) < 0)
			return -1;
		*slash = '/';
	}
	return add(p, path, false);
}

/* Where a link leads, if that is in the directory: relative to it; allocated. */
static char *target_inside(const struct plan_root *p, const char *path)
{
	const char *root = p->volume->source.path;
	cleanup_free char *full = xasprintf("%s/%s", root, path);
	cleanup_free char *real = realpath(full, NULL);
	size_t length = strlen(root);

	if (!real || strncmp(real, root, length) != 0 || real[length] != '/')
		return NULL;
	return xstrdup(real + length + 1);
}

/* Something that is there: cover it; if it is a link, what it leads to as well. */
static int cover(struct plan_root *p, const char *path)
{
	mode_t type = type_of(p, path);

	if (!type)
		return 0;
	if (add(p, path, false) < 0)
		return -1;
	cleanup_free char *target = type == S_IFLNK ? target_inside(p, path) : NULL;
	return target ? add_deep(p, target) : 0;
}

static int cover_or_hold(struct plan_root *p, const char *directory, const char *name)
{
	cleanup_free char *path = join(directory, name);

	return is_absent(p, path) ? hold(p, directory, name) : cover(p, path);
}

/* ---- git ------------------------------------------------------------------------------------------------------- */

char *guard_config_text(int parent, const char *name)
{
	struct stat st;
	size_t size = 0;
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return NULL;
	char *text = read_file(fd, CONFIG_MAX, &size);
	/* A NUL would hide what follows from us, and not from git. */
	for (size_t i = 0; text && i < size; i++)
		if (!text[i])
			text[i] = '\1';
	return text;
}

unsigned guard_depth(const char *path)
{
	unsigned components = *path != '\0';

	for (; *path; path++)
		components += *path == '/';
	return components;
}

struct named_paths {
	struct str_list hooks, includes;
};

static void collect_paths(const struct git_setting *setting, void *context)
{
	struct named_paths *paths = context;

	if (strcmp(setting->section, "core") == 0 && strcmp(setting->key, "hookspath") == 0)
		str_list_add(&paths->hooks, setting->value);
	if ((strcmp(setting->section, "include") == 0 || strcmp(setting->section, "includeif") == 0) &&
		strcmp(setting->key, "path") == 0)
		str_list_add(&paths->includes, setting->value);
}

/* A path that a configuration names, relative to the volume's root; NULL when it leads elsewhere. "a/../b" is "b". */
static char *named_path(const char *base, const char *path)
{
	cleanup_str_list struct str_list parts = { 0 };
	cleanup_free char *whole = xasprintf("%s/%s", base, path);
	const char *kept[64];
	size_t count = 0;

	if (!*path || strchr("/~\"%", *path))
		return NULL;
	str_list_split(&parts, whole, '/');
	for (size_t i = 0; i < parts.count; i++) {
		const char *part = parts.items[i];
		if (!*part || strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") != 0 && count < sizeof kept / sizeof *kept)
			kept[count++] = part;
		else if (count == 0 || strcmp(part, "..") != 0)
			return NULL;
		else
			count--;
	}
	char *result = NULL;
	for (size_t i = 0; i < count; i++) {
		char *longer = join(result ? result : "", kept[i]);
		free(result);
		result = longer;
	}
	return result;
}

/* Cover what is named; where it is absent, hold its first missing part. */
static int guard_named(struct plan_root *p, const char *base, const char *value)
{
	cleanup_free char *path = named_path(base, value);

	if (!path)
		return 0;
	for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		mode_t type = type_of(p, path);
		if (!type) {
			char *last = strrchr(path, '/');
			cleanup_free char *name = xstrdup(last ? last + 1 : path);
			if (last)
				*last = '\0';
			return hold(p, last ? path : "", name);
		}
		if (!slash || type != S_IFDIR)
			break;
		if (add(p, path, true) < 0)
			return -1;
		*slash = '/';
	}
	return cover(p, path);
}

/* What the configuration says now, and the paths in it that git takes commands from. */
static int read_config(struct plan_root *p, const char *top, const char *git, const char *name)
{
	cleanup_free char *path = join(git, name);
	cleanup_free char *first = NULL;
	char last[NAME_MAX + 1];
	struct named_paths paths = { 0 };
	int result = 0;

	cleanup_fd int parent = resolve_parent(p->fd, path, last);
	cleanup_free char *text = parent < 0 ? NULL : guard_config_text(parent, last);
	if (!text)
		return 0;
	uint64_t hash = git_config_risk(text, guard_depth(git), &first);
	if (hash)
		json_object_set_new(p->configs, path, json_integer((json_int_t)hash));
	git_config_each(text, collect_paths, &paths);
	for (size_t i = 0; result == 0 && top && i < paths.hooks.count; i++)
		result = guard_named(p, top, paths.hooks.items[i]);
	for (size_t i = 0; result == 0 && i < paths.includes.count; i++)
		result = guard_named(p, git, paths.includes.items[i]);
	str_list_free(&paths.hooks);
	str_list_free(&paths.includes);
	return result;
}

/* @top: the work tree, NULL for a submodule's git directory. */
static int guard_git_files(struct plan_root *p, const char *top, const char *git)
{
	static const char *const configs[] = { "config", "config.worktree" };

	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
		cleanup_free char *path = join(git, configs[i]);
		if (cover(p, path) < 0 || read_config(p, top, git, configs[i]) < 0)
			return -1;
	}
	return cover_or_hold(p, git, "hooks") < 0 || cover_or_hold(p, git, HOLD_COMMONDIR) < 0 ? -1 : 0;
}

/* Call @each for every directory in a directory, within the budget. */
static int each_directory(struct plan_root *p, const char *path,
	int (*each)(struct plan_root *p, const char *path, unsigned depth), unsigned depth)
{
	cleanup_str_list struct str_list found = { 0 };
	int entries = 0;

	if (p->budget == 0)
		return 0;
	p->budget--;
	int fd = open_directory(p, path);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	for (const struct dirent *entry; dir && entries < SCAN_ENTRIES && (entry = readdir(dir)); entries++)
		if ((entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) && strcmp(entry->d_name, ".") != 0 &&
			strcmp(entry->d_name, "..") != 0)
			str_list_add(&found, entry->d_name);
	for (size_t i = 0; i < found.count; i++) {
		cleanup_free char *inner = join(path, found.items[i]);
		json_t *text = json_string(inner);
		json_decref(text);
		/* What cannot be written down in guard.json is left to the second line. */
		if (text && type_of(p, inner) == S_IFDIR && each(p, inner, depth) < 0)
			return -1;
	}
	return 0;
}

static int guard_worktree(struct plan_root *p, const char *path, unsigned depth)
{
	static const char *const names[] = { HOLD_COMMONDIR, "gitdir", "config.worktree" };

	(void)depth;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		cleanup_free char *name = join(path, names[i]);
		if (cover(p, name) < 0)
			return -1;
	}
	return 0;
}

static int guard_git(struct plan_root *p, const char *top, const char *git, bool deep);

static int guard_module(struct plan_root *p, const char *path, unsigned depth)
{
	cleanup_free char *head = join(path, "HEAD");

	if (type_of(p, head))
		return add(p, path, true) < 0 || guard_git(p, NULL, path, false) < 0 ? -1 : 0;
	return depth < MODULE_DEPTH ? each_directory(p, path, guard_module, depth + 1) : 0;
}

/* One git directory. */
static int guard_git(struct plan_root *p, const char *top, const char *git, bool deep)
{
	cleanup_free char *modules = join(git, "modules");
	cleanup_free char *worktrees = join(git, "worktrees");

	for (char *slash = deep ? strchr(git, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *part = xasprintf("%.*s", (int)(slash - git), git);
		if (add(p, part, true) < 0)
			return -1;
	}
	if (add(p, git, true) < 0 || guard_git_files(p, top, git) < 0)
		return -1;
	json_array_append_new(p->git, json_string(git));
	if (type_of(p, modules) == S_IFDIR && each_directory(p, modules, guard_module, 1) < 0)
		return -1;
	return type_of(p, worktrees) == S_IFDIR ? each_directory(p, worktrees, guard_worktree, 0) : 0;
}

/* The ".git" of a work tree: a directory, a file that names one, or a link. */
static int guard_dot_git(struct plan_root *p, const char *top)
{
	cleanup_free char *git = join(top, ".git");
	mode_t type = type_of(p, git);

	if (type == S_IFDIR)
		return guard_git(p, top, git, false);
	if (!type || add(p, git, false) < 0)
		return type ? -1 : 0;
	cleanup_free char *target = type == S_IFLNK ? target_inside(p, git) : NULL;
	return target && type_of(p, target) == S_IFDIR ? guard_git(p, top, target, true) : 0;
}

/* ---- the directory ----------------------------------------------------------------------------------------------- */

static int guard_top(struct plan_root *p, const char *top, bool may_hold)
{
	for (const struct guard_rule *rule = guard_rules; rule->name; rule++) {
		cleanup_free char *path = join(top, rule->name);
		bool absent = rule->how != GUARD_LIST && is_absent(p, path);
		if (rule->how == GUARD_LIST)
			continue;
		if (!absent && cover(p, path) < 0)
			return -1;
		if (!absent || !may_hold)
			continue;
		json_array_append_new(p->absent, json_string(rule->name));
		if (rule->how == GUARD_HOLD && hold(p, top, rule->name) < 0)
			return -1;
	}
	return 0;
}

static bool is_worth_reading(const char *path)
{
	static const char *const skipped[] = { "node_modules", "venv", "vendor", "target", "build", "dist" };
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
		if (strcmp(name, skipped[i]) == 0)
			return false;
	return name[0] != '.';
}

static int scan(struct plan_root *p, const char *path, unsigned depth)
{
	cleanup_free char *git = join(path, ".git");

	if (type_of(p, git) && (guard_dot_git(p, path) < 0 || guard_top(p, path, false) < 0))
		return -1;
	return depth < SCAN_DEPTH && is_worth_reading(path) ? each_directory(p, path, scan, depth + 1) : 0;
}

/* A name that could not be held has no cover; if the sandbox makes it nevertheless, the second line finds it. */
static void forget(struct volume *v, const char *path)
{
	for (size_t i = 0; i < v->guarded_count; i++) {
		if (strcmp(v->guarded[i].path, path) != 0)
			continue;
		free(v->guarded[i].path);
		memmove(&v->guarded[i], &v->guarded[i + 1], (v->guarded_count - i - 1) * sizeof *v->guarded);
		v->guarded_count--;
		return;
	}
}

static int make_held_in(struct plan_root *p, const char *directory, const json_t *names)
{
	size_t i;
	const json_t *item;
	int result = 0;
	cleanup_fd int parent = open_directory(p, directory);

	if (parent < 0)
		return err_sys(p->err, "hold guarded names in", directory);
	struct guard_hold_parent held = guard_hold_begin(p->state, parent);
	json_array_foreach(names, i, item)
	{
		cleanup_free char *path = join(directory, json_string_value(item));
		int made = guard_hold_name(&held, json_string_value(item));
		if (made == 1)
			forget(p->volume, path);
		if (made >= 0)
			continue;
		err_sys(p->err, "hold a guarded name", path);
		result = err_hint(p->err, "--guard report starts without");
		break;
	}
	guard_hold_end(&held);
	return result;
}

static int make_held(struct plan_root *p)
{
	const char *directory;
	json_t *names;

	json_object_foreach(p->held, directory, names)
	{
		if (make_held_in(p, directory, names) < 0)
			return -1;
	}
	return 0;
}

/* `git stash -u` and `git clean` inside try to remove empty directories that are not ignored, and fail. */
static int ignore_held(struct plan_root *p)
{
	static const char exclude[] = ".git/info/exclude";
	const json_t *item, *names = json_object_get(p->held, "");
	char name[NAME_MAX + 1];
	size_t i;
	cleanup_fd int parent = resolve_parent(p->fd, exclude, name);
	char *text = names && parent >= 0 ? guard_config_text(parent, name) : NULL;

	if (!text)
		return 0;
	json_array_foreach(names, i, item)
	{
		char *longer = xasprintf(
			"%s%s/%s\n", text, i ? "" : "\n# held by azm-sandbox while it runs\n", json_string_value(item));
		free(text);
		text = longer;
	}
	int result = add(p, exclude, false);
	if (result == 0 && is_guarded(p, exclude))
		p->volume->guarded[p->volume->guarded_count - 1].text = text;
	else
		free(text);
	return result;
}

static int find_in_volume(struct plan_root *p)
{
	if (type_of(p, ".git"))
		p->project = true;
	if (guard_top(p, "", p->project) < 0 || guard_dot_git(p, "") < 0 || ignore_held(p) < 0)
		return -1;
	return p->project ? each_directory(p, "", scan, 1) : 0;
}

static int open_root(struct plan_root *p)
{
	p->fd = open(p->volume->source.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->fd >= 0)
		return 0;
	/* What we may not read has no names that a tool of ours would find. */
	return errno == EACCES ? 1 : err_sys(p->err, "guard", p->volume->source.path);
}

/* All of one volume but the held names. Adds an entry to @roots. */
static int plan_volume(struct plan_root *p, json_t *roots)
{
	int opened = open_root(p);

	if (opened != 0)
		return opened < 0 ? -1 : 0;
	int result = find_in_volume(p);
	json_t *root = json_pack("{s:s, s:b, s:O, s:O, s:O, s:O}", "path", p->volume->source.path, "project",
		p->project, "absent", p->absent, "held", p->held, "configs", p->configs, "git", p->git);
	if (!root || json_array_append_new(roots, root) < 0)
		return p->err->code ? -1
				    : err_msg(p->err, EILSEQ, "guard", p->volume->source.path,
					      "a path in it is not UTF-8 text");
	return result;
}

static void plan_root_free(struct plan_root *p)
{
	if (p->fd >= 0)
		close(p->fd);
	json_decref(p->held);
	json_decref(p->absent);
	json_decref(p->configs);
	json_decref(p->git);
}

static int plan_all(const struct config *config, struct plan_root *list, size_t count, int dir, struct azm_err *err)
{
	json_t *roots = json_array();
	int result = 0;

	for (size_t i = 0; result == 0 && i < count; i++)
		result = plan_volume(&list[i], roots);
	json_t *record = json_pack("{s:s, s:o}", "mode", config->guard, "roots", roots);
	if (result == 0)
		result = record ? json_save_at(record, dir, record_file, err)
				: err_msg(err, ENOMEM, "write", record_file, "no memory");
	json_decref(record);
	for (size_t i = 0; result == 0 && i < count; i++)
		result = list[i].fd < 0 ? 0 : make_held(&list[i]);
	return result;
}

int guard_prepare(const struct config *config, const struct state *state, int dir, struct mount_plan *mounts,
	struct guard *guard, struct azm_err *err)
{
	size_t count = 0;

	if (strcmp(config->guard, "off") == 0)
		return 0;
	struct plan_root *list = xcalloc(mounts->volume_count + 1, sizeof *list);
	for (size_t i = 0; i < mounts->volume_count; i++) {
		struct volume *volume = &mounts->volumes[i];
		if (!volume_is_shared(volume) || volume->source.type != S_IFDIR)
			continue;
		list[count++] = (struct plan_root){ .state = state,
			.guard = guard,
			.volume = volume,
			.fd = -1,
			.project = config->workspace && strcmp(config->workspace, volume->source.path) == 0,
			.mounts = strcmp(config->guard, "on") == 0,
			.held = json_object(),
			.absent = json_array(),
			.configs = json_object(),
			.git = json_array(),
			.budget = SCAN_DIRECTORIES,
			.err = err };
	}
	int result = count ? plan_all(config, list, count, dir, err) : 0;
	for (size_t i = 0; i < count; i++)
		plan_root_free(&list[i]);
	free(list);
	return result;
}

void guard_close(struct guard *guard)
{
	for (size_t i = 0; i < guard->lock_count; i++) {
		flock(guard->locks[i], LOCK_UN); /* a child may have a copy */
		close(guard->locks[i]);
	}
	free(guard->locks);
	*guard = (struct guard){ 0 };
}

json_t *guard_record(int dir)
{
	struct azm_err ignored = { 0 };

	return faccessat(dir, record_file, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? NULL
									  : json_load_at(dir, record_file, &ignored);
}

/* The held names of one directory. */
static void release_in(const struct state *state, int root, const char *directory, const json_t *names)
{
	char name[NAME_MAX + 1];
	const char **list = xcalloc(json_array_size(names) + 1, sizeof *list);
	cleanup_fd int above = *directory ? resolve_parent(root, directory, name) : -1;
	cleanup_fd int parent =
		*directory ? (above < 0 ? -1 : openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
			   : openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < json_array_size(names); i++)
		list[i] = json_string_value(json_array_get(names, i));
	if (parent >= 0)
		guard_hold_release(state, parent, list);
	free(list);
}

void guard_release(const json_t *record, const struct state *state)
{
	size_t i;
	json_t *root, *names;
	const char *directory;

	json_array_foreach(json_object_get(record, "roots"), i, root)
	{
		const char *path = json_string_value(json_object_get(root, "path"));
		cleanup_fd int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		json_object_foreach(json_object_get(root, "held"), directory, names)
		{
			if (fd >= 0)
				release_in(state, fd, directory, names);
		}
	}
}

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
#include "guard_hold.h"
#include "guard_plan.h"
#include "guard_rules.h"
#include "volumes.h"

enum {
	SCAN_DEPTH = 2,
	SCAN_DIRECTORIES = 128,
};

static int guard_top(struct plan_root *p, const char *top, bool may_hold)
{
	for (const struct guard_rule *rule = guard_rules; rule->name; rule++) {
		cleanup_free char *path = guard_join(top, rule->name);
		bool absent = rule->how != GUARD_LIST && guard_is_absent(p, path);
		if (rule->how == GUARD_LIST)
			continue;
		if (!absent && guard_cover(p, path) < 0)
			return -1;
		if (!absent || !may_hold)
			continue;
		json_array_append_new(p->absent, json_string(rule->name));
		if (rule->how == GUARD_HOLD && guard_hold_absent(p, top, rule->name) < 0)
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
	cleanup_free char *git = guard_join(path, ".git");

	if (guard_type_of(p, git) && (guard_dot_git(p, path) < 0 || guard_top(p, path, false) < 0))
		return -1;
	return depth < SCAN_DEPTH && is_worth_reading(path) ? guard_each_directory(p, path, scan, depth + 1) : 0;
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
	cleanup_fd int parent = guard_open_directory(p, directory);

	if (parent < 0)
		return err_sys(p->err, "hold guarded names in", directory);
	struct guard_hold_parent held = guard_hold_begin(p->state, parent);
	json_array_foreach(names, i, item)
	{
		cleanup_free char *path = guard_join(directory, json_string_value(item));
		int made = guard_hold_name(&held, json_string_value(item));
		struct stat st;
		if (made == 1)
			forget(p->volume, path);
		else if (made == 0 && fstatat(parent, json_string_value(item), &st, AT_SYMLINK_NOFOLLOW) == 0)
			guard_remember(p->volume, path, st.st_ino);
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
	int result = guard_add(p, exclude, false);
	if (result == 0 && guard_is_listed(p, exclude))
		p->volume->guarded[p->volume->guarded_count - 1].text = text;
	else
		free(text);
	return result;
}

static int find_in_volume(struct plan_root *p)
{
	if (guard_type_of(p, ".git"))
		p->project = true;
	if (guard_top(p, "", p->project) < 0 || guard_dot_git(p, "") < 0 || ignore_held(p) < 0)
		return -1;
	return p->project ? guard_each_directory(p, "", scan, 1) : 0;
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
		result = record ? json_save_at(record, dir, GUARD_RECORD, err)
				: err_msg(err, ENOMEM, "write", GUARD_RECORD, "no memory");
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

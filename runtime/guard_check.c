// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_check.c: see guard_check.h. The second line of the guard; guard.c has the theory.
 *
 * What is moved aside becomes NAME.azm-quarantined in its place: nothing is lost, no tool looks for that name, and
 * `mv` brings it back. That is done to
 *
 *   - a name that was absent at the start, is held or covered by rule, and is there now. Only an empty directory that
 *     held it since before the start and that the user has filled meanwhile is the user's beyond doubt: the sandbox
 *     saw it read-only;
 *   - hooks, configuration that makes git run something, and a commondir file, in a git directory that is new or whose
 *     cover the host may have dropped by replacing what was covered.
 *
 * A git directory is known by its parts, not by its name: git obeys any directory that has them (a bare repository
 * hidden in a tree). Other files that tools obey are common in what agents fetch and write; they are listed.
 */
#include "guard_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include "git_config.h"
#include "guard.h"
#include "guard_hold.h"

#define ASIDE ".azm-quarantined"

enum {
	FINDINGS_MAX = 256,
	SEEN_MAX = 128, /* of these: a flood of what is harmless must not keep the rest out */
	ASIDE_TRIES = 100,
	GIT_HEAD = 1,
	GIT_OBJECTS = 2,
	GIT_REFS = 4,
	GIT_COMMONDIR = 8,
};

static bool has_changed(const struct guard_check *check, const struct stat *st)
{
	return !clock_before(&st->st_ctim, &check->since);
}

/* Whether a name is the very file or directory that was covered when the sandbox began, and so all along: another one
 * may be older and was renamed, once the host had removed what was covered; its number may be a new one's. */
static bool was_there(const struct guard_check *check, const char *directory, int parent, const char *name)
{
	cleanup_free char *path = xasprintf("%s%s%s", directory, *directory ? "/" : "", name);
	const json_t *ino = json_object_get(check->covered, path);
	struct statx st;

	if (statx(parent, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_INO, &st) < 0 ||
		!(st.stx_mask & STATX_BTIME) || !ino || (uint64_t)json_integer_value(ino) != st.stx_ino)
		return false;
	struct timespec birth = { .tv_sec = st.stx_btime.tv_sec, .tv_nsec = st.stx_btime.tv_nsec };
	/* Not after: both may be of one tick of the clock, and what is held or covered is there before the mark. */
	return !clock_before(&check->begin, &birth);
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool guard_is_daily(const char *action)
{
	return strcmp(action, "seen") == 0;
}

static unsigned daily(const json_t *findings)
{
	size_t i;
	const json_t *item;
	unsigned count = 0;

	json_array_foreach(findings, i, item)
	{
		count += guard_is_daily(json_string_value(json_object_get(item, "action")));
	}
	return count;
}

static void note(
	struct guard_check *check, const char *directory, const char *name, const char *why, const char *action)
{
	cleanup_free char *path = xasprintf("%s/%s%s%s", check->root_path, directory, *directory ? "/" : "", name);

	bool seen = guard_is_daily(action);

	if (json_array_size(check->findings) >= FINDINGS_MAX || (seen && daily(check->findings) >= SEEN_MAX)) {
		check->more++;
		check->more_daily += seen;
		return;
	}
	str_sanitise(path); /* also makes it UTF-8 */
	json_array_append_new(
		check->findings, json_pack("{s:s, s:s, s:s}", "path", path, "why", why, "action", action));
}

/* Return: whether it has another name now. */
static bool move_aside(int parent, const char *name)
{
	for (int i = 0; i < ASIDE_TRIES; i++) {
		struct stat st;
		char number[16] = "";
		if (i > 0)
			snprintf(number, sizeof number, ".%d", i);
		cleanup_free char *aside = xasprintf("%s" ASIDE "%s", name, number);
		if (renameat2(parent, name, parent, aside, RENAME_NOREPLACE) == 0)
			return true;
		/* A file system that cannot refuse in one step. */
		if ((errno == EINVAL || errno == ENOSYS) && fstatat(parent, aside, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
			renameat(parent, name, parent, aside) == 0)
			return true;
		if (errno != EEXIST && errno != EINVAL && errno != ENOSYS)
			return false;
	}
	return false;
}

/* What must not stay. */
static void reject(struct guard_check *check, int parent, const char *directory, const char *name, const char *why)
{
	if (!check->move)
		note(check, directory, name, why, "listed");
	else if (move_aside(parent, name))
		note(check, directory, name, why, "moved aside");
	else
		note(check, directory, name, why, "could not be moved aside");
}

void guard_check_top(struct guard_check *check)
{
	size_t i;
	const json_t *item;

	json_array_foreach(json_object_get(check->known, "absent"), i, item)
	{
		const struct guard_rule *rule = guard_rule_find(json_string_value(item));
		struct stat st;
		if (!rule || fstatat(check->root, rule->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!check->move || rule->how != GUARD_HOLD || !S_ISDIR(st.st_mode) ||
			!was_there(check, "", check->root, rule->name))
			reject(check, check->root, "", rule->name, rule->why);
	}
}

static bool was_absent(const struct guard_check *check, const char *name)
{
	size_t i;
	const json_t *item;

	json_array_foreach(json_object_get(check->known, "absent"), i, item)
	{
		if (strcmp(json_string_value(item), name) == 0)
			return true;
	}
	return false;
}

struct guard_place guard_check_enter(const char *path)
{
	static const char *const vendored[] = { "node_modules", "site-packages", "vendor", ".git" };
	struct guard_place place = { .path = path };
	cleanup_str_list struct str_list parts = { 0 };

	str_list_split(&parts, path, '/');
	for (size_t i = 0; i < parts.count; i++) {
		const struct guard_rule *rule = guard_rule_find(parts.items[i]);
		if (rule && (rule->how != GUARD_LIST || i == 0))
			place.rule = rule;
		for (size_t k = 0; k < sizeof vendored / sizeof *vendored; k++)
			place.vendored = place.vendored || strcmp(parts.items[i], vendored[k]) == 0;
	}
	return place;
}

static const struct guard_rule *rule_of(const struct guard_place *place, const char *name)
{
	const struct guard_rule *rule = guard_rule_find(name);

	if (place->vendored)
		return NULL;
	return rule && (rule->how != GUARD_LIST || !*place->path) ? rule : place->rule;
}

bool guard_check_cares(struct guard_place *place, const char *name)
{
	static const struct {
		const char *name;
		unsigned bit;
	} parts[] = { { "HEAD", GIT_HEAD }, { "objects", GIT_OBJECTS }, { "refs", GIT_REFS },
		{ HOLD_COMMONDIR, GIT_COMMONDIR } };

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strcmp(name, parts[i].name) == 0)
			place->git |= parts[i].bit;
	return strcmp(name, ".git") == 0 || rule_of(place, name);
}

/* A work tree's ".git" of the usual form; whatever it names is looked at where it is. */
static bool is_usual_gitfile(int parent, const struct stat *st)
{
	cleanup_free char *text = S_ISREG(st->st_mode) ? guard_config_text(parent, ".git") : NULL;

	return text && str_starts(text, "gitdir: ") &&
	       (strstr(text, ".git/worktrees/") || strstr(text, ".git/modules/"));
}

void guard_check_entry(
	struct guard_check *check, const struct guard_place *place, int parent, const char *name, const struct stat *st)
{
	const struct guard_rule *rule = rule_of(place, name);

	if (!has_changed(check, st))
		return;
	if (strcmp(name, ".git") == 0 && !is_usual_gitfile(parent, st))
		note(check, place->path, name, "git: names a git directory elsewhere", "listed");
	if (!rule || (!*place->path && was_absent(check, name)))
		return; /* guard_check_top() has dealt with the latter */
	note(check, place->path, name, rule->why, rule->how == GUARD_LIST ? "seen" : "listed");
}

/* ---- git directories ----------------------------------------------------------------------------------------------
 */

static bool is_known_git(const struct guard_check *check, const char *path)
{
	size_t i;
	const json_t *item;

	json_array_foreach(json_object_get(check->known, "git"), i, item)
	{
		if (strcmp(json_string_value(item), path) == 0)
			return true;
	}
	return false;
}

/* The user may install a hook, or set an alias, while the sandbox runs: that is only reported. */
static void reject_in_git(struct guard_check *check, const struct guard_place *place, bool covered, int parent,
	const char *directory, const char *name, const char *why)
{
	if (covered && is_known_git(check, place->path))
		note(check, directory, name, why, "listed");
	else
		reject(check, parent, directory, name, why);
}

static void check_config(struct guard_check *check, const struct guard_place *place, int dir, const char *name)
{
	struct stat st;
	cleanup_free char *first = NULL;
	cleanup_free char *path = xasprintf("%s%s%s", place->path, *place->path ? "/" : "", name);
	const char *before = json_string_value(json_object_get(json_object_get(check->known, "configs"), path));

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !has_changed(check, &st))
		return;
	cleanup_free char *text = guard_config_text(dir, name);
	cleanup_free char *risk = text ? git_config_risk(text, guard_depth(place->path), &first) : NULL;
	if (text && (!risk || (before && strcmp(risk, before) == 0)))
		return;
	cleanup_free char *why = first ? xasprintf("git: sets %s", first) : xstrdup("git: no readable file");
	str_sanitise(why);
	reject_in_git(check, place, was_there(check, place->path, dir, name), dir, place->path, name, why);
}

static void check_hooks(struct guard_check *check, const struct guard_place *place, int dir)
{
	static const char why[] = "git: a hook";
	struct stat st;
	cleanup_free char *path = xasprintf("%s%shooks", place->path, *place->path ? "/" : "");

	if (fstatat(dir, "hooks", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISLNK(st.st_mode) && has_changed(check, &st))
		reject_in_git(
			check, place, was_there(check, place->path, dir, "hooks"), dir, place->path, "hooks", why);
	if (!S_ISDIR(st.st_mode))
		return;
	bool covered = was_there(check, place->path, dir, "hooks");
	int fd = openat(dir, "hooks", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_dir DIR *hooks = fd < 0 ? NULL : fdopendir(fd);
	for (const struct dirent *entry; hooks && (entry = dir_next(hooks));) {
		if (ends_with(entry->d_name, ".sample") || strstr(entry->d_name, ASIDE) ||
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
			!has_changed(check, &st))
			continue;
		reject_in_git(check, place, covered, fd, path, entry->d_name, why);
	}
}

/* A linked work tree's says "../.."; any other leads git to a configuration of somebody's choice. */
static void check_commondir(struct guard_check *check, const struct guard_place *place, int dir)
{
	struct stat st;
	const char *last = strrchr(place->path, '/');
	bool linked = last && last - place->path >= 9 && strncmp(last - 9, "worktrees", 9) == 0;

	if (fstatat(dir, HOLD_COMMONDIR, &st, AT_SYMLINK_NOFOLLOW) < 0 || !has_changed(check, &st) ||
		guard_hold_is_placeholder(dir, HOLD_COMMONDIR))
		return;
	cleanup_free char *text = guard_config_text(dir, HOLD_COMMONDIR);
	if (!linked || !text || strcmp(text, "../..\n") != 0)
		reject_in_git(check, place, was_there(check, place->path, dir, HOLD_COMMONDIR), dir, place->path,
			HOLD_COMMONDIR, "git: takes its configuration from elsewhere");
}

void guard_check_leave(struct guard_check *check, const struct guard_place *place, int dir)
{
	bool store = (place->git & (GIT_OBJECTS | GIT_REFS)) == (GIT_OBJECTS | GIT_REFS);
	bool linked = (place->git & (GIT_HEAD | GIT_COMMONDIR)) == (GIT_HEAD | GIT_COMMONDIR);

	if (!store && !linked)
		return;
	check_config(check, place, dir, "config");
	check_config(check, place, dir, "config.worktree");
	check_hooks(check, place, dir);
	check_commondir(check, place, dir);
}

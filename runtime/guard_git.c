// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_git.c: what of a git directory is to be guarded; see guard.c for the theory of operation. Sources:
 * gitrepository-layout(5), git-config(1).
 */
#include "guard_plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "git_config.h"
#include "guard_hold.h"

enum {
	SCAN_ENTRIES = 4096, /* of one directory */
	MODULE_DEPTH = 4,    /* .git/modules/a/b/c: names of submodules may have slashes */
	CONFIG_MAX = 256 << 10,
	RISK_MAX = 4096, /* remembered of one configuration; a longer one counts as changed when it was written to */
};

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

/* An absolute path of the host, or one from the home directory, as one relative to @root; others as they are. */
static char *from_root(const char *root, const char *base, const char *path)
{
	const char *home = getenv("HOME");
	cleanup_free char *whole = home && str_starts(path, "~/") ? xasprintf("%s%s", home, path + 1) : xstrdup(path);
	size_t length = strlen(root);

	if (strncmp(whole, root, length) == 0 && whole[length] == '/')
		return xstrdup(whole + length);
	return !*path || strchr("/~\"%", *path) ? NULL : xasprintf("%s/%s", base, path);
}

/* A path that a configuration names, relative to the volume's root; NULL when it leads elsewhere. "a/../b" is "b". */
static char *named_path(const char *root, const char *base, const char *path)
{
	cleanup_str_list struct str_list parts = { 0 };
	cleanup_free char *whole = from_root(root, base, path);
	const char *kept[64];
	size_t count = 0;

	if (!whole)
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
		char *longer = guard_join(result ? result : "", kept[i]);
		free(result);
		result = longer;
	}
	return result;
}

/* Cover what is named; where it is absent, hold its first missing part. */
static int guard_named(struct plan_root *p, const char *base, const char *value)
{
	cleanup_free char *path = named_path(p->volume->source.path, base, value);

	if (!path)
		return 0;
	for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		mode_t type = guard_type_of(p, path);
		if (!type) {
			char *last = strrchr(path, '/');
			cleanup_free char *name = xstrdup(last ? last + 1 : path);
			if (last)
				*last = '\0';
			return guard_hold_absent(p, last ? path : "", name);
		}
		if (!slash || type != S_IFDIR)
			break;
		if (guard_add(p, path, true) < 0)
			return -1;
		*slash = '/';
	}
	return guard_cover(p, path);
}

/* What the configuration says now, and the paths in it that git takes commands from. */
static int read_config(struct plan_root *p, const char *top, const char *git, const char *name)
{
	cleanup_free char *path = guard_join(git, name);
	cleanup_free char *first = NULL;
	char last[NAME_MAX + 1];
	struct named_paths paths = { 0 };
	int result = 0;

	cleanup_fd int parent = resolve_parent(p->fd, path, last);
	cleanup_free char *text = parent < 0 ? NULL : guard_config_text(parent, last);
	if (!text)
		return 0;
	cleanup_free char *risk = git_config_risk(text, guard_depth(git), &first);
	if (risk && strlen(risk) <= RISK_MAX)
		json_object_set_new(p->configs, path, json_string(risk));
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
		cleanup_free char *path = guard_join(git, configs[i]);
		if (guard_cover(p, path) < 0 || read_config(p, top, git, configs[i]) < 0)
			return -1;
	}
	return guard_cover_or_hold(p, git, "hooks") < 0 || guard_cover_or_hold(p, git, HOLD_COMMONDIR) < 0 ? -1 : 0;
}

int guard_each_directory(struct plan_root *p, const char *path,
	int (*each)(struct plan_root *p, const char *path, unsigned depth), unsigned depth)
{
	cleanup_str_list struct str_list found = { 0 };
	int entries = 0;

	if (p->budget == 0)
		return 0;
	p->budget--;
	int fd = guard_open_directory(p, path);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry = NULL;
	for (; dir && entries < SCAN_ENTRIES && (entry = dir_next(dir)); entries++)
		if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
			str_list_add(&found, entry->d_name);
	/* What cannot be opened is passed over; what breaks off half-way hides what was to be covered. */
	if (dir && !entry && entries < SCAN_ENTRIES && errno && errno != ENOENT)
		return err_sys(p->err, "look for git directories in", *path ? path : p->volume->source.path);
	for (size_t i = 0; i < found.count; i++) {
		cleanup_free char *inner = guard_join(path, found.items[i]);
		json_t *text = json_string(inner);
		json_decref(text);
		/* What cannot be written down in guard.json is left to the second line. */
		if (text && guard_type_of(p, inner) == S_IFDIR && each(p, inner, depth) < 0)
			return -1;
	}
	return 0;
}

static int guard_worktree(struct plan_root *p, const char *path, unsigned depth)
{
	static const char *const names[] = { HOLD_COMMONDIR, "gitdir", "config.worktree" };

	(void)depth;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		cleanup_free char *name = guard_join(path, names[i]);
		if (guard_cover(p, name) < 0)
			return -1;
	}
	return 0;
}

static int guard_git(struct plan_root *p, const char *top, const char *git, bool deep);

static int guard_module(struct plan_root *p, const char *path, unsigned depth)
{
	cleanup_free char *head = guard_join(path, "HEAD");

	if (guard_type_of(p, head))
		return guard_add(p, path, true) < 0 || guard_git(p, NULL, path, false) < 0 ? -1 : 0;
	return depth < MODULE_DEPTH ? guard_each_directory(p, path, guard_module, depth + 1) : 0;
}

/* One git directory. */
static int guard_git(struct plan_root *p, const char *top, const char *git, bool deep)
{
	cleanup_free char *modules = guard_join(git, "modules");
	cleanup_free char *worktrees = guard_join(git, "worktrees");

	for (char *slash = deep ? strchr(git, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
		cleanup_free char *part = xasprintf("%.*s", (int)(slash - git), git);
		if (guard_add(p, part, true) < 0)
			return -1;
	}
	if (guard_add(p, git, true) < 0 || guard_git_files(p, top, git) < 0)
		return -1;
	json_array_append_new(p->git, json_string(git));
	if (guard_type_of(p, modules) == S_IFDIR && guard_each_directory(p, modules, guard_module, 1) < 0)
		return -1;
	return guard_type_of(p, worktrees) == S_IFDIR ? guard_each_directory(p, worktrees, guard_worktree, 0) : 0;
}

static bool is_guarded(const struct plan_root *p, const char *git)
{
	size_t i;
	const json_t *item;

	json_array_foreach(p->git, i, item)
	{
		if (strcmp(json_string_value(item), git) == 0)
			return true;
	}
	return false;
}

/* What a ".git" file names: "gitdir: PATH"; of a linked work tree the repository, whose configuration and hooks count.
 */
static char *gitfile_target(const struct plan_root *p, const char *top, const char *git)
{
	static const char word[] = "gitdir: ", above[] = "/worktrees";
	char name[NAME_MAX + 1];
	cleanup_fd int parent = resolve_parent(p->fd, git, name);
	cleanup_free char *text = parent < 0 ? NULL : guard_config_text(parent, name);

	if (!text || !str_starts(text, word))
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	const char *path = text + strlen(word);
	cleanup_free char *whole = *path == '/' ? xstrdup(path) : guard_join(top, path);
	char *target = guard_target_inside(p, whole);
	char *last = target ? strrchr(target, '/') : NULL;
	const ptrdiff_t length = (ptrdiff_t)strlen(above);
	if (last && last - target > length && strncmp(last - length, above, strlen(above)) == 0)
		last[-length] = '\0';
	return target;
}

int guard_dot_git(struct plan_root *p, const char *top)
{
	cleanup_free char *git = guard_join(top, ".git");
	mode_t type = guard_type_of(p, git);

	if (type == S_IFDIR)
		return guard_git(p, top, git, false);
	if (!type || guard_add(p, git, false) < 0)
		return type ? -1 : 0;
	cleanup_free char *target = type == S_IFLNK ? guard_target_inside(p, git) : gitfile_target(p, top, git);
	bool named = target && guard_type_of(p, target) == S_IFDIR && !is_guarded(p, target);
	return named ? guard_git(p, top, target, true) : 0;
}

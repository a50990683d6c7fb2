// SPDX-License-Identifier: GPL-2.0-or-later
/* server/git.c: see git.h
 *
 * What changes are compared with, unless the client says so (the first of these that there is, as upstream shows it):
 *
 *     origin/BRANCH             of the current branch; not when everything is pushed, for the work would be invisible
 * then the fork from origin/HEAD where the branch left the default branch; else the default branch itself the fork from
 * main/master local, if we are on another branch that grew out of it HEAD the empty tree            there is no commit
 * yet
 *
 * Upstream asks the remote for its default branch when origin/HEAD is not known. That is a network connection in the
 * middle of a look at local files; here origin/main and origin/master are tried instead.
 */
#include "server/git.h"

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
#include "server/git_run.h"
#include "server/observation.h"
#include "server/text.h"

#define GIT(...) ((const char *const[]){ __VA_ARGS__, NULL })

static json_t *fail(unsigned *status, const char *text)
{
	*status = 400;
	return json_pack("{s:o}", "detail", json_text(text));
}

static json_t *fail_err(unsigned *status, const struct azm_err *err)
{
	cleanup_free char *text = xasprintf("%s: %s", err->text, err->reason[0] ? err->reason : strerror(err->code));

	return fail(status, text);
}

/* ---- what to compare with ---- */

static char *commit_of(const char *repository, const char *name)
{
	cleanup_free char *commit = xasprintf("%s^{commit}", name);

	return git_line(repository, GIT("rev-parse", "--verify", "--quiet", commit));
}

static char *fork_from(const char *repository, const char *name)
{
	return git_line(repository, GIT("merge-base", "HEAD", name));
}

static char *empty_tree(const char *repository)
{
	return git_line(repository, GIT("hash-object", "-t", "tree", "/dev/null"));
}

static bool is_clean(const char *repository)
{
	cleanup_free char *first =
		git_line(repository, GIT("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=none"));

	return first && !*first;
}

static char *base_upstream(const char *repository, const char *branch, const char *head)
{
	cleanup_free char *name = xasprintf("refs/remotes/origin/%s", branch);
	cleanup_free char *commit = *branch ? commit_of(repository, name) : NULL;

	if (!commit || (head && strcmp(commit, head) == 0 && is_clean(repository)))
		return NULL;
	return steal_ptr(&commit);
}

static char *base_default(const char *repository)
{
	static const char *const names[] = { "refs/remotes/origin/HEAD", "refs/remotes/origin/main",
		"refs/remotes/origin/master", NULL };

	for (size_t i = 0; names[i]; i++) {
		cleanup_free char *commit = commit_of(repository, names[i]);
		if (!commit)
			continue;
		char *fork = fork_from(repository, names[i]);
		return fork ? fork : steal_ptr(&commit);
	}
	return NULL;
}

static char *base_local(const char *repository, const char *branch)
{
	static const char *const names[] = { "main", "master", NULL };

	for (size_t i = 0; names[i]; i++) {
		cleanup_free char *name = xasprintf("refs/heads/%s", names[i]);
		cleanup_free char *commit = commit_of(repository, name);
		if (!commit)
			continue;
		cleanup_free char *fork = strcmp(branch, names[i]) == 0 ? NULL : fork_from(repository, name);
		return fork && strcmp(fork, commit) == 0 ? steal_ptr(&fork) : NULL;
	}
	return NULL;
}

static char *find_base(const char *repository)
{
	char *head = commit_of(repository, "HEAD");
	cleanup_free char *name = git_line(repository, GIT("symbolic-ref", "--quiet", "--short", "HEAD"));
	const char *branch = name ? name : "";
	char *base = base_upstream(repository, branch, head);

	if (!base)
		base = base_default(repository);
	if (!base)
		base = base_local(repository, branch);
	if (!base && head)
		return head;
	free(head);
	return base ? base : empty_tree(repository);
}

/* Return: the commit or tree, owned by the caller; NULL with @err set */
static char *resolve_base(const char *repository, const char *ref, struct azm_err *err)
{
	char *base;

	if (!ref)
		base = find_base(repository);
	else if (*ref == '-')
		base = NULL;
	else
		base = commit_of(repository, ref);
	if (!base && ref && strcmp(ref, "HEAD") == 0)
		base = empty_tree(repository);
	if (!base)
		err_msg(err, EINVAL, "git", ref ? ref : repository, "there is no such commit");
	return base;
}

/* ---- changes ---- */

struct changes {
	json_t *list;
	const char *prefix;	       /* "" or "NESTED/" */
	const struct str_list *nested; /* repositories below, whose files are not this one's */
};

static bool in_nested(const struct changes *changes, const char *path)
{
	for (size_t i = 0; i < changes->nested->count; i++) {
		size_t length = strlen(changes->nested->items[i]);
		if (strncmp(path, changes->nested->items[i], length) == 0 && (!path[length] || path[length] == '/'))
			return true;
	}
	return false;
}

static void add_change(struct changes *changes, const char *what, const char *path)
{
	cleanup_free char *whole = xasprintf("%s%s", changes->prefix, path);
	size_t length = strlen(whole);

	if (length && whole[length - 1] == '/') /* a repository that is not a submodule */
		whole[length - 1] = '\0';
	if (*path && !in_nested(changes, whole))
		json_array_append_new(changes->list, json_pack("{s:s, s:o}", "status", what, "path", json_text(whole)));
}

/* Every name of a list ends with NUL; text_add() puts one behind the last in any case. */
static const char *next_name(const struct text *list, size_t *at)
{
	if (*at >= list->size)
		return NULL;
	const char *name = list->bytes + *at;
	*at += strlen(name) + 1;
	return name;
}

static void add_tracked(struct changes *changes, const struct text *list)
{
	const char *status, *path;

	for (size_t at = 0; (status = next_name(list, &at)) && (path = next_name(list, &at));)
		add_change(changes, *status == 'A' ? "ADDED" : *status == 'D' ? "DELETED" : "UPDATED", path);
}

static void add_untracked(struct changes *changes, const struct text *list)
{
	const char *path;

	for (size_t at = 0; (path = next_name(list, &at));)
		add_change(changes, "ADDED", path);
}

/* Return: 0, or -1 with @err set; ENOTDIR: there is no repository */
static int add_repository(struct changes *changes, const char *directory, const char *ref, struct azm_err *err)
{
	cleanup_text struct text tracked = { 0 }, untracked = { 0 };

	if (git_run(directory, GIT("rev-parse", "--git-dir"), PATH_MAX, NULL, err) < 0) {
		if (!err_is(err, ENOENT))
			err->code = ENOTDIR;
		return -1;
	}
	cleanup_free char *base = resolve_base(directory, ref, err);
	if (!base ||
		git_run(directory,
			GIT("diff", "--name-status", "-z", "--relative", "--no-renames", "--no-ext-diff",
				"--no-textconv", base, "--"),
			GIT_NAMES_MAX, &tracked, err) < 0 ||
		git_run(directory, GIT("ls-files", "-z", "--others", "--exclude-standard"), GIT_NAMES_MAX, &untracked,
			err) < 0)
		return -1;
	add_tracked(changes, &tracked);
	add_untracked(changes, &untracked);
	return 0;
}

static bool has_git(const char *directory, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s/.git", directory, name);

	return access(path, F_OK) == 0;
}

static void find_nested(const char *directory, struct str_list *nested)
{
	cleanup_dir DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && nested->count < GIT_NESTED_MAX && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && has_git(directory, entry->d_name))
			str_list_add(nested, entry->d_name);
}

struct change {
	json_t *json;
};

static int compare_paths(const void *a, const void *b)
{
	return strcmp(json_string_value(json_object_get(((const struct change *)a)->json, "path")),
		json_string_value(json_object_get(((const struct change *)b)->json, "path")));
}

static json_t *sorted(json_t *list)
{
	size_t count = json_array_size(list);
	cleanup_free struct change *items = xcalloc(count + 1, sizeof *items);
	json_t *result = json_array();

	for (size_t i = 0; i < count; i++)
		items[i].json = json_array_get(list, i);
	qsort(items, count, sizeof *items, compare_paths);
	for (size_t i = 0; i < count; i++)
		json_array_append(result, items[i].json);
	json_decref(list);
	return result;
}

/* Whether a directory is in the work tree of a repository, as far as can be told without git. */
static char *closest_repository(const char *path)
{
	char *at = xstrdup(path);

	for (;;) {
		if (has_git(at, "."))
			return at;
		char *slash = strrchr(at, '/');
		if (!slash || !at[1]) {
			free(at);
			return NULL;
		}
		slash[slash == at] = '\0';
	}
}

json_t *git_changes(void *input, unsigned *status)
{
	const struct git_question *question = input;
	cleanup_free char *directory = realpath(question->path, NULL);
	cleanup_str_list struct str_list nested = { 0 }, none = { 0 };
	struct changes changes = { .list = json_array(), .prefix = "", .nested = &nested };
	struct azm_err err = { 0 };
	bool found;

	if (!directory)
		return changes.list;
	git_prepare();
	find_nested(directory, &nested);
	cleanup_free char *closest = closest_repository(directory);
	if (!closest && !nested.count)
		return changes.list;
	found = add_repository(&changes, directory, question->ref, &err) == 0;
	if (!found && !err_is(&err, ENOTDIR))
		return fail_err(status, &err);
	changes.nested = &none;
	for (size_t i = 0; i < nested.count; i++) {
		cleanup_free char *below = xasprintf("%s/%s", directory, nested.items[i]);
		cleanup_free char *prefix = xasprintf("%s/", nested.items[i]);
		struct azm_err ignored = { 0 };
		changes.prefix = prefix;
		add_repository(&changes, below, question->ref, &ignored); /* one that is broken hides no other */
	}
	return sorted(changes.list);
}

/* ---- the two sides of a file ---- */

/* The path without symbolic links, as far as it exists. */
static char *resolve(const char *path)
{
	cleanup_free char *there = xstrdup(path);
	char *whole = realpath(there, NULL);

	for (char *slash; !whole && (slash = strrchr(there, '/')) && slash != there;) {
		*slash = '\0';
		cleanup_free char *parent = realpath(there, NULL);
		if (parent)
			whole = xasprintf("%s%s", strcmp(parent, "/") ? parent : "", path + (slash - there));
	}
	return whole ? whole : xstrdup(path);
}

/* Lines without their ends, joined with newlines: the last one has none. Bytes that are no text are replaced. */
static json_t *lines_json(const char *bytes, size_t size)
{
	cleanup_text struct text lines = { 0 };

	for (size_t i = 0; i < size; i++) {
		bool end = bytes[i] == '\n' || bytes[i] == '\r';
		size_t width = bytes[i] == '\r' && i + 1 < size && bytes[i + 1] == '\n' ? 2 : 1;
		if (end && i + width < size)
			text_add(&lines, "\n", 1);
		else if (!end)
			text_add(&lines, bytes + i, 1);
		i += end ? width - 1 : 0;
	}
	return json_text_of(lines.size ? lines.bytes : "", lines.size);
}

static json_t *too_large(unsigned *status)
{
	cleanup_free char *text = xasprintf("File too large for git diff: more than %d bytes", GIT_FILE_MAX);

	return fail(status, text);
}

static json_t *missing(unsigned *status, const char *path)
{
	cleanup_free char *text = xasprintf("File does not exist: %s", path);

	return fail(status, text);
}

/* What the file is now; "" when it is not text. Return: NULL with errno */
static json_t *present_side(const char *path)
{
	struct stat info;
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	size_t size;

	if (fd < 0 || fstat(fd, &info) < 0)
		return errno == EACCES ? json_string("") : NULL;
	if (!S_ISREG(info.st_mode)) {
		errno = EISDIR;
		return NULL;
	}
	cleanup_free char *bytes = read_file(fd, GIT_FILE_MAX, &size);
	if (!bytes)
		return NULL;
	return text_is_utf8(bytes, size) ? lines_json(bytes, size) : json_string("");
}

json_t *git_diff(void *input, unsigned *status)
{
	const struct git_question *question = input;
	cleanup_free char *path = resolve(question->path);
	cleanup_free char *repository = closest_repository(path);
	cleanup_text struct text old = { 0 };
	struct azm_err err = { 0 };
	json_t *present = present_side(path);

	if (!present && errno != ENOENT && errno != ENOTDIR)
		return errno == EFBIG ? too_large(status) : fail(status, "Path is not a file");
	if (!repository && !present)
		return missing(status, path);
	if (!repository)
		return json_pack("{s:n, s:n}", "modified", "original");
	git_prepare();
	cleanup_free char *base = resolve_base(repository, question->ref, &err);
	if (!base && git_run(repository, GIT("rev-parse", "--git-dir"), PATH_MAX, NULL, &err) < 0)
		return err_is(&err, ENOENT) ? fail_err(status, &err) : json_pack("{s:n, s:n}", "modified", "original");
	if (!base)
		return fail_err(status, &err);
	cleanup_free char *object = xasprintf("%s:%s", base, path + strlen(repository) + (repository[1] != '\0'));
	int result = git_run(repository, GIT("cat-file", "blob", object), GIT_FILE_MAX, &old, &err);
	if (result < 0 && err_is(&err, EFBIG))
		return too_large(status);
	if (result < 0 && !present)
		return missing(status, path);
	return json_pack("{s:o, s:o}", "modified", present ? present : json_string(""), "original",
		lines_json(old.size ? old.bytes : "", old.size));
}

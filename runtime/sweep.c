// SPDX-License-Identifier: GPL-2.0-or-later
/* sweep.c: see sweep.h.
 *
 * Directories yet to be seen are kept as paths relative to the mount and opened with openat2(RESOLVE_BENEATH, no
 * links): another sandbox may be renaming things under our feet, and the worst that can come of it is that we look at a
 * file twice.
 */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/io.h"
#include "guard.h"
#include "guard_check.h"
#include "mount/mount.h"
#include "volumes.h"

static const char mark[] = "sweep";
static const char mark_set_id[] = "set-id", mark_guard[] = "guard";

enum {
	REPORTED = 8,
	/* File systems stamp with the clock of the last tick, and remote ones with a clock of their own. */
	TICK_NS = 20 * 1000 * 1000,
	SKEW_S = 5,
	MARK_MAX = 64 << 20,
	PATHS_MOST = 4, /* PATH_MAX as often as that is the longest path looked at */
};

struct walk {
	const char *root_path;
	int root;
	dev_t device;
	bool set_id;
	struct timespec since; /* of set-id bits */
	struct guard_check *guard;
	struct str_list pending; /* directories, relative to the root */
	unsigned stripped, unseen;
};

/* What a sweep is about, the same for each mount. */
struct task {
	bool set_id;
	struct timespec begin;
	const json_t *record; /* guard.json, or NULL */
	json_t *findings;
	unsigned more, more_daily; /* as in struct guard_check */
};

struct text {
	char *data;
	size_t size;
};

/* With the NUL behind it. */
static void add_text(struct text *text, const char *more)
{
	size_t length = strlen(more) + 1;

	text->data = xrealloc(text->data, text->size + length, 1);
	memcpy(text->data + text->size, more, length);
	text->size += length;
}

/* The kind, then each directory, followed by the inode numbers of what is guarded in it ("NUMBER PATH"); each with a
 * NUL behind it. */
int sweep_mark(int dir, const struct mount_plan *mounts, bool set_id, struct azm_err *err)
{
	struct text text = { 0 };

	add_text(&text, set_id ? mark_set_id : mark_guard);
	for (size_t i = 0; i < mounts->volume_count; i++) {
		const struct volume *volume = &mounts->volumes[i];
		if (!volume_is_shared(volume))
			continue;
		add_text(&text, volume->source.path);
		for (size_t k = 0; k < volume->guarded_count; k++) {
			const struct guarded *guarded = &volume->guarded[k];
			cleanup_free char *line =
				guarded->ino ? xasprintf("%llu %s", (unsigned long long)guarded->ino, guarded->path)
					     : NULL;
			if (line)
				add_text(&text, line);
		}
	}
	int result = write_file_at(dir, mark, text.data, text.size, 0600) < 0 ? err_sys(err, "write", mark) : 0;
	free(text.data);
	return result;
}

bool sweep_is_due(int dir)
{
	return faccessat(dir, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(dir, GUARD_RECORD, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static struct timespec earlier(struct timespec time, long seconds, long nanoseconds)
{
	time.tv_sec -= seconds;
	time.tv_nsec -= nanoseconds;
	if (time.tv_nsec < 0) {
		time.tv_nsec += 1000000000;
		time.tv_sec--;
	}
	return time;
}

static void strip(struct walk *walk, int parent, const char *directory, const char *name)
{
	char magic[64];
	struct stat st;
	cleanup_fd int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	if (chmod(magic, st.st_mode & 01777) < 0) {
		walk->unseen++;
		return;
	}
	if (walk->stripped++ < REPORTED) {
		cleanup_free char *path =
			xasprintf("%s%s%s/%s", walk->root_path, *directory ? "/" : "", directory, name);
		str_sanitise(path);
		fprintf(stderr, "azm-sandbox: note: took the set-id bits from %s, which was made in the sandbox\n",
			path);
	}
}

/* A mount of the host's, a subvolume: the sandbox could write there, too. Not where the kernel shows what it has, nor
 * where a look would mount something. */
static bool has_files_of_users(int parent, const char *name)
{
	static const unsigned long others[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC, AUTOFS_SUPER_MAGIC };
	struct statfs fs;
	cleanup_fd int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstatfs(fd, &fs) < 0)
		return fd < 0 && errno != ENOENT;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if ((unsigned long)fs.f_type == others[i])
			return false;
	return true;
}

static void look_at(struct walk *walk, struct guard_place *place, int parent, const struct dirent *entry)
{
	const char *name = entry->d_name;
	bool cares = walk->guard && guard_check_cares(place, name);
	struct stat st;

	if (!cares && !walk->set_id && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
		return;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		if (st.st_dev == walk->device || has_files_of_users(parent, name))
			str_list_addf(&walk->pending, "%s%s%s", place->path, *place->path ? "/" : "", name);
		return;
	}
	if (walk->set_id && S_ISREG(st.st_mode) && (st.st_mode & (S_ISUID | S_ISGID)) &&
		!clock_before(&st.st_ctim, &walk->since))
		strip(walk, parent, place->path, name);
	if (cares)
		guard_check_entry(walk->guard, place, parent, name, &st);
}

/* By steps, where the path is longer than the kernel takes: a program inside can go as deep as it likes. Each level
 * costs what its whole path does, so there is an end all the same. */
static int open_below(int root, const char *path)
{
	cleanup_fd int at = -1;

	if (strlen(path) > PATHS_MOST * PATH_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	while (strlen(path) >= PATH_MAX) {
		char part[PATH_MAX];
		snprintf(part, sizeof part, "%s", path);
		char *slash = strrchr(part, '/'); /* no component is that long */
		if (!slash) {
			errno = ENAMETOOLONG;
			return -1;
		}
		*slash = '\0';
		cleanup_fd int above = steal_fd(&at);
		at = resolve_in_root(above < 0 ? root : above, part, O_PATH | O_DIRECTORY | O_NOFOLLOW);
		if (at < 0)
			return -1;
		path += slash - part + 1;
	}
	return resolve_in_root(at < 0 ? root : at, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

static void look_into(struct walk *walk, const char *directory)
{
	int fd = open_below(walk->root, directory);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct guard_place place =
		walk->guard ? guard_check_enter(directory) : (struct guard_place){ .path = directory };

	if (!dir) {
		walk->unseen += errno != ENOENT;
		return;
	}
	const struct dirent *entry;
	while ((entry = dir_next(dir)))
		look_at(walk, &place, dirfd(dir), entry);
	walk->unseen += errno && errno != ENOENT;
	if (walk->guard)
		guard_check_leave(walk->guard, &place, dirfd(dir));
}

static void walk_tree(struct walk *walk)
{
	str_list_add(&walk->pending, "");
	while (walk->pending.count > 0) {
		cleanup_free char *directory = walk->pending.items[--walk->pending.count];
		walk->pending.items[walk->pending.count] = NULL;
		look_into(walk, directory);
	}
	str_list_free(&walk->pending);
	if (walk->stripped > REPORTED)
		fprintf(stderr, "azm-sandbox: note: ... and from %u more files below %s\n", walk->stripped - REPORTED,
			walk->root_path);
	if (walk->unseen)
		fprintf(stderr,
			"azm-sandbox: note: %u files or directories below %s could not be looked at: "
			"find %s -perm /6000\n",
			walk->unseen, walk->root_path, walk->root_path);
}

/* The mount's entry in guard.json. */
static const json_t *known_root(const json_t *record, const char *path)
{
	size_t i;
	const json_t *root;

	json_array_foreach(json_object_get(record, "roots"), i, root)
	{
		const char *text = json_string_value(json_object_get(root, "path"));
		if (text && strcmp(text, path) == 0)
			return root;
	}
	return NULL;
}

static bool has_own_clock(int fd)
{
	static const long remote[] = { NFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC, CEPH_SUPER_MAGIC,
		V9FS_MAGIC, FUSE_SUPER_MAGIC, 0x0bd00bd0 /* Lustre */, 0x47504653 /* GPFS */ };
	struct statfs fs;

	for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < sizeof remote / sizeof *remote; i++)
		if ((unsigned long)fs.f_type == (unsigned long)remote[i])
			return true;
	return false;
}

/* The numbers that follow a directory in the mark. @at: the directory; set to the next one */
static json_t *covered_below(const char **at, const char *end)
{
	json_t *covered = json_object();

	while ((*at += strlen(*at) + 1) < end && **at != '/') {
		char *path;
		unsigned long long ino = strtoull(*at, &path, 10);
		if (*path == ' ')
			json_object_set_new(covered, path + 1, json_integer((json_int_t)ino));
	}
	return covered;
}

static void sweep_tree(const char *path, const json_t *covered, struct task *task)
{
	struct stat st;

	/* The stored path has no links; one that is there now was put there since, and leads elsewhere. */
	cleanup_fd int root = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	cleanup_free char *real = realpath(path, NULL);
	if (root < 0 || fstat(root, &st) < 0 || !real || strcmp(real, path) != 0 || !S_ISDIR(st.st_mode))
		return;
	struct guard_check check = { .root_path = path,
		.root = root,
		.known = known_root(task->record, path),
		.covered = covered,
		.move = strcmp(json_string_value(json_object_get(task->record, "mode")) ?: "", "on") == 0,
		.begin = task->begin,
		.since = earlier(task->begin, has_own_clock(root) ? SKEW_S : 0, TICK_NS),
		.findings = task->findings };
	struct walk walk = { .root_path = path,
		.root = root,
		.device = st.st_dev,
		.set_id = task->set_id,
		.since = earlier(task->begin, 1, 0),
		.guard = check.known ? &check : NULL };
	if (walk.guard)
		guard_check_top(&check);
	walk_tree(&walk);
	task->more += check.more;
	task->more_daily += check.more_daily;
}

/* Daily work is for who reads the list, --guard report or status.json. @more: what is not in the list, and is to be
 * said */
static void say(const json_t *findings, unsigned more, bool all)
{
	size_t i;
	const json_t *item;
	unsigned said = 0;

	json_array_foreach(findings, i, item)
	{
		const char *path = NULL, *why = NULL, *action = NULL;
		if (json_unpack((json_t *)(uintptr_t)item, "{s:s, s:s, s:s}", "path", &path, "why", &why, "action",
			    &action) < 0 ||
			(guard_is_daily(action) && !all))
			continue;
		if (++said > REPORTED)
			continue;
		bool plain = guard_is_daily(action) || strcmp(action, "listed") == 0;
		fprintf(stderr, "azm-sandbox: note: guard: %s %s (%s)\n", path,
			plain ? "changed while the sandbox ran" : action, why);
	}
	more += said > REPORTED ? said - REPORTED : 0;
	if (more)
		fprintf(stderr, "azm-sandbox: note: guard: ... and %u more\n", more);
}

static json_t *report(const struct task *task)
{
	const char *mode = json_string_value(json_object_get(task->record, "mode"));
	bool lost = json_is_true(json_object_get(task->record, "lost"));

	if (!mode)
		return NULL;
	bool all = lost || strcmp(mode, "report") == 0;
	say(task->findings, task->more - (all ? 0 : task->more_daily), all);
	json_t *object =
		json_pack("{s:s, s:O, s:i}", "mode", mode, "findings", task->findings, "more", (int)task->more);
	if (lost)
		json_object_set_new(object, "record_lost", json_true());
	return object;
}

/* The mark's text: its time and kind go into the task. Return: allocated; NULL without */
static char *read_mark(int dir, struct task *task, size_t *size)
{
	struct stat st;
	cleanup_fd int fd = openat(dir, mark, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = fd < 0 || fstat(fd, &st) < 0 ? NULL : read_file(fd, MARK_MAX, size);

	if (text) {
		task->set_id = strcmp(text, mark_set_id) == 0;
		task->begin = st.st_mtim;
	} else if (errno != ENOENT) {
		fprintf(stderr,
			"azm-sandbox: warning: which directories a sandbox could write to cannot be read (%s: %s): "
			"look for set-id files and for git hooks in them yourself\n",
			mark, strerror(errno));
	}
	return text;
}

/* A guard whose record cannot be read must not pass for none. @text: the mark's, NULL without. */
static json_t *without_record(int dir, const char *text, size_t size, struct azm_err *why)
{
	json_t *roots = json_array();
	size_t covers = 0;

	for (const char *at = text ? text + strlen(text) + 1 : NULL; at && at < text + size;) {
		const char *path = at;
		json_t *covered = covered_below(&at, text + size);
		covers += json_object_size(covered);
		json_array_append_new(roots, guard_record_root(path, covered));
		json_decref(covered);
	}
	if (!why->code && !covers) { /* there was no guard */
		json_decref(roots);
		return NULL;
	}
	str_sanitise(why->reason);
	fprintf(stderr, "azm-sandbox: warning: guard: what it knew of a sandbox's directories is lost (%s: %s): %s\n",
		GUARD_RECORD, *why->reason ? why->reason : strerror(why->code ? why->code : ENOENT),
		text ? "what has changed is listed, and new names are not moved aside: look at them before your tools "
		       "do"
		     : "empty directories may be left that held names, until the next sandbox there ends");
	return guard_record_again(dir, roots);
}

json_t *sweep(int dir, const struct state *state)
{
	size_t size = 0;
	struct azm_err why = { 0 };
	struct task task = { .findings = json_array() };
	cleanup_free char *text = read_mark(dir, &task, &size);
	json_t *record = guard_record(dir, &why);
	json_t *result = NULL;

	if (!record)
		record = without_record(dir, text, size, &why);
	if (record)
		guard_release(record, state);
	task.record = record;
	for (const char *at = text ? text + strlen(text) + 1 : NULL; at && at < text + size;) {
		const char *path = at;
		json_t *covered = covered_below(&at, text + size);
		sweep_tree(path, covered, &task);
		json_decref(covered);
	}
	if (text)
		result = report(&task);
	unlinkat(dir, mark, 0);
	unlinkat(dir, GUARD_RECORD, 0);
	json_decref(task.findings);
	json_decref(record);
	return result;
}

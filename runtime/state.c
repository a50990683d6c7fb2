// SPDX-License-Identifier: GPL-2.0-or-later
/* state.c: names, locks and directories of sandboxes, see state.h. */
#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "guard.h"
#include "idmap.h"
#include "resources.h"
#include "spare.h"
#include "sweep.h"
#include "base/tree.h"

enum { NAME_LIMIT = 64 };

int name_check(const char *name, struct azm_err *err)
{
	size_t length = strlen(name);
	bool good = length > 0 && length <= NAME_LIMIT && isalnum((unsigned char)name[0]);

	for (size_t i = 0; good && i < length; i++)
		good = (isalnum((unsigned char)name[i]) && (unsigned char)name[i] < 128) || strchr("_.-", name[i]);
	if (good)
		return 0;
	err_msg(err, EINVAL, "use name", name, "not a valid name");
	return err_hint(
		err, "letters, digits, '_', '.' and '-', starting with a letter or digit, at most %d", NAME_LIMIT);
}

char *name_generate(void)
{
	static const char *const adjectives[] = { "amber", "brisk", "calm", "deft", "eager", "fair", "glad", "keen",
		"lucid", "mild", "noble", "prime", "quiet", "rapid", "steady", "vivid" };
	static const char *const animals[] = { "badger", "crane", "dingo", "egret", "ferret", "gecko", "heron", "ibis",
		"lynx", "marten", "newt", "otter", "puffin", "raven", "stoat", "wren" };
	unsigned char random[4] = { 0 };

	(void)!getrandom(random, sizeof random, 0);
	return xasprintf("%s-%s-%04x", adjectives[random[0] % 16], animals[random[1] % 16],
		(unsigned)(random[2] << 8 | random[3]));
}

int sandbox_directory(int dir, const char *name, struct host_path *path, struct azm_err *err)
{
	char magic[64];
	cleanup_fd int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* Whoever owns it: inside, "/" may have been given to a sub-id. What is above it is closed to others. */
	if (fd < 0)
		return err_sys(err, "open the sandbox's directory", name);
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	return host_path_open(magic, path, err);
}

/* Only who makes a directory makes its lock: a new one in a directory that is just being removed would be nobody's. */
static int lock_file(int dir, int flags, const char *doing, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0)
		return err_sys(err, "open", "lock");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "lock", NULL);
	if (st.st_nlink == 0) /* removed between the two calls, and its directory with it */
		return err_code(err, ENOENT, "lock", NULL);
	/* What is left of somebody before us would be taken for ours. */
	if (st.st_size > 0 && ftruncate(fd, 0) < 0)
		return err_sys(err, "lock", NULL);
	if (doing && write_full(fd, doing, strlen(doing)) < 0)
		return err_sys(err, "lock", NULL);
	return steal_fd(&fd);
}

int sandbox_lock(int dir, const char *doing, struct azm_err *err)
{
	return lock_file(dir, 0, doing, err);
}

bool sandbox_busy(int dir, const char *step, const char *name, struct azm_err *err)
{
	char text[64];
	cleanup_fd int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	ssize_t size = fd < 0 ? -1 : read_full(fd, text, sizeof text);

	if (size <= 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return false;
	err_msg(err, EBUSY, step, name, "%.*s", (int)size, text);
	err_hint(err, "try again when that is done");
	return true;
}

bool sandbox_running(int dir)
{
	cleanup_fd int fd = openat(dir, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* The upper's mode is the one of "/" inside, where there may be other users; ours is closed above it. */
static int make_layer(int dir)
{
	if (mkdirat(dir, "upper", 0755) < 0 || fchmodat(dir, "upper", 0755, 0) < 0)
		return -1;
	return mkdirat(dir, "work", 0700);
}

/* Who gave a spare directory is about to end, and its lock with it. */
static int lock_spare(int dir, struct azm_err *err)
{
	enum { TRIES = 10 };
	const struct timespec moment = { .tv_nsec = 200000 };
	int held = lock_file(dir, 0, NULL, err);

	for (int i = 0; held < 0 && err_is(err, EWOULDBLOCK) && i < TRIES; i++) {
		nanosleep(&moment, NULL);
		held = lock_file(dir, 0, NULL, err);
	}
	return held;
}

int sandbox_create(const struct state *state, char **temporary, int *lock, struct azm_err *err)
{
	for (int attempt = 0; attempt < 16; attempt++) {
		unsigned random = 0;
		(void)!getrandom(&random, sizeof random, 0);
		cleanup_free char *name = xasprintf(".new-%08x", random);
		bool spare = spare_take(state->sandboxes, name) == 0;
		if (!spare && mkdirat(state->sandboxes, name, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return err_sys(err, "make a directory in", state->path);
		}
		cleanup_fd int dir = openat(state->sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0)
			continue; /* reclaimed by somebody between the two calls */
		cleanup_fd int held = spare ? lock_spare(dir, err) : lock_file(dir, O_CREAT, NULL, err);
		/* A spare whose giver still holds the lock is left to be reclaimed by the next command. */
		if (held < 0 || (!spare && make_layer(dir) < 0))
			continue;
		*temporary = steal_ptr(&name);
		*lock = steal_fd(&held);
		return steal_fd(&dir);
	}
	return err_sys(err, "make a sandbox directory in", state->path);
}

int sandbox_publish_name(const struct state *state, const char *temporary, const char *name, struct azm_err *err)
{
	if (renameat2(state->sandboxes, temporary, state->sandboxes, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS) {
		/* The file system cannot refuse in one step; mkdir() can, and rename() replaces an empty directory. */
		if (mkdirat(state->sandboxes, name, 0700) == 0 &&
			renameat(state->sandboxes, temporary, state->sandboxes, name) == 0)
			return 0;
	}
	if (errno == EEXIST || errno == ENOTEMPTY) {
		err_msg(err, EEXIST, "use name", name, "the name is taken");
		return err_hint(err, "choose another --name, or remove that sandbox: azm-sandbox rm -f %s", name);
	}
	return err_sys(err, "use name", name);
}

int sandbox_open(const struct state *state, const char *name, struct azm_err *err)
{
	if (name_check(name, err) < 0)
		return -1;
	int fd = openat(state->sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		err_msg(err, ENOENT, "find sandbox", name, "no such sandbox");
		return err_hint(err, "`azm-sandbox ps -a` lists them");
	}
	return fd < 0 ? err_sys(err, "find sandbox", name) : fd;
}

/* The lock goes last: as long as there is something to remove, nobody else can hold it. */
static int remove_directory(int sandboxes, const char *name, struct azm_err *err)
{
	int fd = openat(sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct azm_err more = { 0 };
	bool failed = false;

	const struct dirent *entry;
	while (dir && (entry = dir_next(dir)))
		if (strcmp(entry->d_name, "lock") != 0 && tree_remove_at(fd, entry->d_name, failed ? &more : err) < 0)
			failed = true;
	if (dir && errno && errno != ENOENT && !failed)
		return err_sys(err, "list", name);
	if (failed)
		return -1;
	return tree_remove_at(sandboxes, name, err);
}

int sandbox_remove(const struct state *state, const char *name, struct azm_err *err)
{
	return remove_directory(state->sandboxes, name, err);
}

struct job {
	const struct state *state;
	const char *name;
	int dir;
	bool sweep; /* look at what it left in the user's directories */
	bool remove;
};

static int do_job(void *context, struct azm_err *err)
{
	const struct job *job = context;

	if (job->sweep)
		json_decref(sweep(job->dir, job->state));
	return job->remove ? sandbox_remove(job->state, job->name, err) : 0;
}

int sandbox_remove_mapped(const struct state *state, const char *name, struct azm_err *err)
{
	struct job job = { .state = state, .name = name, .remove = true };
	struct subids subids = { 0 };

	if (sandbox_remove(state, name, err) == 0)
		return 0;
	subids = subids_find();
	if (!subids.usable)
		return -1;
	*err = (struct azm_err){ 0 };
	return idmap_in_child(&subids, do_job, &job, err);
}

/* In a copy of the process that nobody waits for: give up everything but what the deletion needs. */
_Noreturn static void remove_in_background(int sandboxes, int lock, const char *dead)
{
	struct azm_err ignored = { 0 };

	/* Our caller's caller may be waiting for the end of its pipes: the two that are needed become 0 and 1. */
	setsid();
	if (dup2(sandboxes, 0) < 0 || dup2(lock, 1) < 0 || fd_close_range(2, ~0u) < 0)
		_exit(EXIT_AZM);
	if (spare_give(0, dead) == 0)
		_exit(0);
	_exit(remove_directory(0, dead, &ignored) < 0 ? EXIT_AZM : 0);
}

int sandbox_remove_later(const struct state *state, const char *name, int lock, struct azm_err *err)
{
	unsigned random = 0;

	(void)!getrandom(&random, sizeof random, 0);
	/* The dot makes it half-made for everybody else: invisible, and reclaimed when its lock is free. */
	cleanup_free char *dead = xasprintf(".dead-%08x", random);
	if (renameat(state->sandboxes, name, state->sandboxes, dead) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "remove", name);
	pid_t child = fork();
	if (child == 0)
		remove_in_background(state->sandboxes, lock, dead);
	return child < 0 ? err_msg(err, errno, "remove", name, "its directory is left to the next command") : 0;
}

int sandbox_names(const struct state *state, struct str_list *names, struct azm_err *err)
{
	return dir_visible_names(state->sandboxes, names) < 0 ? err_sys(err, "list sandboxes in", state->path) : 0;
}

/* Half-made, to be removed at its end, or without a status: it never ran, its start was killed. */
static bool is_rest(int dir, const char *name)
{
	return name[0] == '.' || faccessat(dir, "remove-me", F_OK, 0) == 0 ||
	       faccessat(dir, "status.json", F_OK, 0) < 0;
}

/* Whether the directory is still the one of that name: it may have been removed meanwhile, and another one made. */
static bool is_named(const struct state *state, const char *name, int dir)
{
	struct stat named, st;

	return fstatat(state->sandboxes, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(dir, &st) == 0 &&
	       named.st_ino == st.st_ino && named.st_dev == st.st_dev;
}

static bool has_file(int sandboxes, const char *name, const char *file)
{
	char path[NAME_LIMIT + 32];

	snprintf(path, sizeof path, "%s/%s", name, file);
	return faccessat(sandboxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether a directory is worth opening: every start asks this of each, and there may be a thousand. */
static bool may_be_due(int sandboxes, const char *name)
{
	return name[0] == '.' || has_file(sandboxes, name, "remove-me") || !has_file(sandboxes, name, "status.json") ||
	       has_file(sandboxes, name, "sweep") || has_file(sandboxes, name, GUARD_RECORD);
}

/* What sub-ids own in the layer and in the mounts can only be removed or changed from inside their map. */
static void do_mapped(struct job *job)
{
	struct azm_err ignored = { 0 };
	struct subids subids = subids_find();

	if (!subids.usable || idmap_in_child(&subids, do_job, job, &ignored) < 0)
		do_job(job, &ignored);
}

void sandbox_settle(const struct state *state, const char *name, int dir)
{
	struct job job = { .state = state, .name = name, .dir = dir, .sweep = true };

	if (sweep_is_due(dir))
		do_mapped(&job);
}

/* A directory whose lock nobody holds: half-made, to be removed at its end, or not yet swept. */
static void reclaim_one(const struct state *state, const char *name)
{
	struct azm_err ignored = { 0 };

	if (spare_is_name(name) || !may_be_due(state->sandboxes, name))
		return;
	cleanup_fd int dir = openat(state->sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 || (!is_rest(dir, name) && !sweep_is_due(dir)))
		return;
	cleanup_fd int lock = sandbox_lock(dir, NULL, &ignored);
	if (err_is(&ignored, ENOENT)) /* killed before it had a lock, or about to have one: then this fails */
		unlinkat(state->sandboxes, name, AT_REMOVEDIR);
	if (lock < 0 || !is_named(state, name, dir))
		return;
	cgroup_remove_rest(dir);
	/* Asked again: until now it may have been starting, and have run and ended since. */
	struct job job = { .state = state, .name = name, .dir = dir, .sweep = true, .remove = is_rest(dir, name) };
	do_mapped(&job);
}

void state_reclaim(const struct state *state)
{
	int copy = openat(state->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	const struct dirent *entry;
	while (dir && (entry = dir_next(dir)))
		reclaim_one(state, entry->d_name);
	/* Who has no descriptors left says that himself. */
	if (errno && errno != EMFILE && errno != ENFILE)
		fprintf(stderr, "azm-sandbox: warning: what crashed sandboxes left in %s cannot be listed: %s\n",
			state->path, strerror(errno));
}

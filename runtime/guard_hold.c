// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_hold.c: see guard_hold.h
 *
 * Theory of operation
 *
 * The kernel mounts on what exists. To keep a name from being made, something has to be there while the sandbox runs:
 * an empty directory, whatever the name usually is. git neither shows nor adds empty directories, inside or outside
 * (empty files appear in `git status` and in commits; /dev/null bound over a name breaks `git stash`), and tools take
 * an empty settings directory for none.
 *
 * It is recognised by its time of modification, which changes as soon as something is put into it: what the user
 * begins to use is no longer ours. The sandbox cannot set that time, the cover is read-only.
 *
 * Making and removing a directory waits for the disk (0.3 ms and 2 ms each on a virtual disk with discard, against 20
 * µs for a rename), so those that are not needed any more wait in the state directory for their next use, where that is
 * on the same file system.
 *
 * Several sandboxes may hold names in one directory. Each shares a lock, a file of the live directory named after the
 * held names' directory; who ends tries to have it alone, and only then removes. The kernel would take the cover away
 * from a running sandbox otherwise. A crash frees the lock, and gc removes.
 *
 * What holds a name appears under it with its time, by a rename: one without could be the user's own, and would stay
 * for good after a kill between the two steps.
 */
#include "guard_hold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "guard_rules.h"

enum {
	HELD_TIME = 1, /* a second into 1970 */
	HELD_MODE = 0755,
	POOL_SIZE = 64,
};

/* What is to be renamed, followed by the process id. */
#define UNNAMED ".azm-hold-"

static char *lock_name(int parent)
{
	struct stat st;

	if (fstat(parent, &st) < 0)
		return NULL;
	return xasprintf("guard-%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

/* Whoever held it alone may have removed the file while we waited. */
static int take_lock(const struct state *state, const char *name, int how)
{
	for (;;) {
		struct stat st;
		cleanup_fd int fd = openat(state->live, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 || flock(fd, how) < 0 || fstat(fd, &st) < 0)
			return -1;
		if (st.st_nlink > 0)
			return steal_fd(&fd);
	}
}

int guard_hold_lock(const struct state *state, int parent, struct azm_err *err)
{
	cleanup_free char *name = lock_name(parent);
	int fd = name ? take_lock(state, name, LOCK_SH) : -1;

	return fd < 0 ? err_sys(err, "lock the guarded directory", name) : fd;
}

int guard_hold_pool(const struct state *state)
{
	static const char name[] = "held";
	int fd = openat(state->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && mkdirat(state->dir, name, 0700) == 0)
		fd = openat(state->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

struct guard_hold_parent guard_hold_begin(const struct state *state, int parent)
{
	struct guard_hold_parent before = { .fd = parent,
		.pool = guard_hold_pool(state),
		.times = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } } };
	struct stat st;

	if (fstat(parent, &st) < 0)
		return before;
	before.times[1] = st.st_mtim;
	before.mode = st.st_mode & 07777;
	before.opened = st.st_uid == geteuid() && (st.st_mode & S_IRWXU) != S_IRWXU &&
			fchmod(parent, before.mode | S_IRWXU) == 0;
	return before;
}

void guard_hold_end(const struct guard_hold_parent *parent)
{
	if (parent->opened)
		(void)!fchmod(parent->fd, parent->mode);
	/* Somebody else's directory keeps its new time. */
	(void)!futimens(parent->fd, parent->times);
	if (parent->pool >= 0)
		close(parent->pool);
}

/* Return: whether a directory of the pool has the name now; errno EEXIST when something else has. */
static bool take_from_pool(struct guard_hold_parent *parent, const char *name)
{
	char number[16];

	for (; parent->pool >= 0 && parent->next < POOL_SIZE; parent->next++) {
		snprintf(number, sizeof number, "%d", parent->next);
		if (renameat2(parent->pool, number, parent->fd, name, RENAME_NOREPLACE) == 0) {
			parent->next++;
			return true;
		}
		if (errno == EEXIST)
			return false;
		if (errno != ENOENT)
			parent->next = POOL_SIZE - 1; /* another file system, or one that cannot do it */
	}
	errno = 0;
	return false;
}

/* Return: whether it is in the pool now. What turns out to have been used meanwhile goes back. */
static bool give_to_pool(struct guard_hold_parent *parent, const char *name)
{
	char number[16];

	for (; parent->pool >= 0 && parent->next < POOL_SIZE; parent->next++) {
		snprintf(number, sizeof number, "%d", parent->next);
		if (renameat2(parent->fd, name, parent->pool, number, RENAME_NOREPLACE) == 0) {
			if (dir_is_empty(parent->pool, number)) {
				parent->next++;
				return true;
			}
			return renameat2(parent->pool, number, parent->fd, name, RENAME_NOREPLACE) == 0;
		}
		if (errno != EEXIST)
			parent->next = POOL_SIZE - 1;
	}
	return false;
}

/* Make what holds @name under another one, with its time. */
static int make(int parent, const char *name, const char *as)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = HELD_TIME } };

	if (strcmp(name, HOLD_COMMONDIR) != 0) {
		if (mkdirat(parent, as, HELD_MODE) < 0)
			return -1;
	} else {
		cleanup_fd int fd = openat(parent, as, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0 || write_full(fd, ".\n", 2) < 0)
			return -1;
	}
	return utimensat(parent, as, times, AT_SYMLINK_NOFOLLOW);
}

static bool says_here(int parent, const char *name)
{
	char text[4];
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	return n == 0 || (n == 2 && memcmp(text, ".\n", 2) == 0) || (n == 1 && text[0] == '.');
}

bool guard_hold_is_placeholder(int parent, const char *name)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtim.tv_sec != HELD_TIME ||
		st.st_mtim.tv_nsec != 0)
		return false;
	return S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && strcmp(name, HOLD_COMMONDIR) == 0);
}

/* Nothing of anybody's is lost: what goes is empty, or says what is so without it. */
static void remove_held(struct guard_hold_parent *parent, const char *name)
{
	struct stat st;

	if (fstatat(parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	bool file = strcmp(name, HOLD_COMMONDIR) == 0 || str_starts(name, UNNAMED);
	if (S_ISREG(st.st_mode) && st.st_size <= 2 && file && says_here(parent->fd, name))
		unlinkat(parent->fd, name, 0);
	if (!S_ISDIR(st.st_mode))
		return;
	bool reusable = (st.st_mode & 07777) == HELD_MODE && st.st_uid == geteuid() &&
			guard_hold_is_placeholder(parent->fd, name);
	if (!reusable || !give_to_pool(parent, name))
		unlinkat(parent->fd, name, AT_REMOVEDIR);
}

static int make_and_name(struct guard_hold_parent *parent, const char *name)
{
	cleanup_free char *unnamed = xasprintf(UNNAMED "%d", (int)getpid());
	int made = make(parent->fd, name, unnamed);

	if (made < 0 && errno == EEXIST) { /* of a process that had our number and was killed */
		remove_held(parent, unnamed);
		made = make(parent->fd, name, unnamed);
	}
	if (made == 0 && renameat2(parent->fd, unnamed, parent->fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	int code = errno;
	remove_held(parent, unnamed);
	if (made == 0 && code == EEXIST)
		return 0;
	if (made == 0 && (code == EINVAL || code == ENOSYS)) /* some file systems over the network cannot do that */
		return make(parent->fd, name, name) == 0 || errno == EEXIST ? 0 : -1;
	errno = code;
	return -1;
}

int guard_hold_name(struct guard_hold_parent *parent, const char *name)
{
	if (strcmp(name, HOLD_COMMONDIR) != 0 && (take_from_pool(parent, name) || errno == EEXIST))
		return 0;
	if (make_and_name(parent, name) == 0)
		return 0;
	return errno == EACCES || errno == EROFS || errno == EPERM ? 1 : -1;
}

static void remove_if_placeholder(struct guard_hold_parent *parent, const char *name)
{
	if (guard_hold_is_placeholder(parent->fd, name))
		remove_held(parent, name);
}

/* Those that got no name because their maker was killed. */
static void remove_unnamed(struct guard_hold_parent *parent)
{
	int fd = openat(parent->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	for (const struct dirent *entry; dir && (entry = dir_next(dir));)
		if (str_starts(entry->d_name, UNNAMED))
			remove_held(parent, entry->d_name);
}

void guard_hold_release(const struct state *state, int parent, const char *const *names)
{
	cleanup_free char *lock = lock_name(parent);
	cleanup_fd int fd = lock ? take_lock(state, lock, LOCK_EX | LOCK_NB) : -1;

	if (fd < 0)
		return;
	struct guard_hold_parent held = guard_hold_begin(state, parent);
	for (; *names; names++)
		remove_held(&held, *names);
	/* Those that another sandbox made, ended while we still shared the lock, and left to us. */
	for (const struct guard_rule *rule = guard_rules; rule->name; rule++)
		remove_if_placeholder(&held, rule->name);
	remove_if_placeholder(&held, HOLD_COMMONDIR);
	remove_if_placeholder(&held, "hooks");
	remove_unnamed(&held);
	guard_hold_end(&held);
	unlinkat(state->live, lock, 0);
}

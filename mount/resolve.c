// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/resolve.c: open paths of images and sandboxes without ever leaving their root (see mount.h).
 *
 * Theory of operation
 *
 * openat2(2) does it in the kernel. Where it is missing (Linux < 5.6, or refused by the seccomp filter of an outer
 * container), walk() opens one component at a time with O_NOFOLLOW, so that the kernel never follows a link for us:
 * the text of a link is read from the link's own descriptor and put in front of what is left to walk; an absolute one
 * starts again at the root. ".." is not given to the kernel either, because a directory that is being renamed could
 * lead it out of the root: the walk starts again at the root with the last component removed. Whatever is swapped in
 * between, every descriptor held was reached from the root by names alone.
 *
 * Making what is missing (resolve_make()) never names a path of more than one component to the kernel, and what it
 * made is opened with O_NOFOLLOW: a directory replaced by a link in between ends in an error, not outside
 * (CVE-2021-30465, CVE-2024-45310 of runc).
 */
#include "mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/newapi.h"
#include "mount/resolve.h"

enum {
	MAX_LINKS = 40,	     /* as the kernel's MAXSYMLINKS */
	MAX_STEPS = 16384,   /* components opened by one walk: bounds what a hostile chain of ".." can cost */
	EAGAIN_TRIES = 16,   /* openat2 gives up when a rename or a mount happens during ".." */
	PROC_ROOT_INODE = 1, /* of every procfs: PROC_ROOT_INO of the kernel */
};

struct walk {
	int rootfd;
	bool follow_links; /* false: any link on the way is ELOOP */
	int links;
	size_t done_length;
	char done[PATH_MAX]; /* components between the root and the current directory, each with a '/' behind it */
	char todo[PATH_MAX]; /* what is left */
};

/* Replace @w->todo by @head, a slash and the rest. */
static int walk_first(struct walk *w, const char *head, const char *rest)
{
	size_t head_length = strlen(head);
	size_t rest_length = strlen(rest);

	if (head_length + 1 + rest_length >= sizeof w->todo) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(w->todo + head_length + 1, rest, rest_length + 1);
	memcpy(w->todo, head, head_length);
	w->todo[head_length] = '/';
	return 0;
}

/* Take the next component off @w->todo. @last: nothing follows, not even a slash. Return: length, 0 at the end. */
static ssize_t walk_next(struct walk *w, char name[NAME_MAX + 1], bool *last)
{
	const char *start = w->todo + strspn(w->todo, "/");
	size_t length = strcspn(start, "/");

	if (length > NAME_MAX) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, start, length);
	name[length] = '\0';
	*last = start[length] == '\0';
	memmove(w->todo, start + length, strlen(start + length) + 1);
	return (ssize_t)length;
}

static int walk_to_root(struct walk *w, int *current)
{
	int fd = openat(w->rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (*current >= 0)
		close(*current);
	*current = fd;
	w->done_length = 0;
	return 0;
}

/* "..": start again at the root, one component shorter. At the root it changes nothing. */
static int walk_up(struct walk *w, int *current)
{
	char shorter[PATH_MAX];
	size_t length = w->done_length;

	if (length == 0)
		return 0;
	do
		length--;
	while (length > 0 && w->done[length - 1] != '/');
	memcpy(shorter, w->done, length);
	shorter[length] = '\0';
	return walk_first(w, shorter, w->todo) < 0 ? -1 : walk_to_root(w, current);
}

/* Links of /proc/PID/ jump to objects instead of naming paths: RESOLVE_NO_MAGICLINKS refuses them. */
static bool is_magic_link(int parent, int link)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(link, &fs) < 0 || fstat(parent, &st) < 0)
		return true;
	return fs.f_type == PROC_SUPER_MAGIC && st.st_ino != PROC_ROOT_INODE;
}

static int walk_link(struct walk *w, int *current, int link)
{
	char text[PATH_MAX];

	if (!w->follow_links || ++w->links > MAX_LINKS || is_magic_link(*current, link)) {
		errno = ELOOP;
		return -1;
	}
	ssize_t length = readlinkat(link, "", text, sizeof text);
	if (length < 0)
		return -1;
	if (length == 0 || (size_t)length >= sizeof text) {
		errno = length ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	text[length] = '\0';
	/* No slash may appear behind a link that ended the path: "a/" demands a directory. */
	bool ended = w->todo[0] == '\0';
	if (walk_first(w, text, w->todo) < 0)
		return -1;
	if (ended)
		w->todo[length] = '\0';
	return text[0] == '/' ? walk_to_root(w, current) : 0;
}

static int walk_down(struct walk *w, int *current, int *next, const char *name)
{
	size_t length = strlen(name);

	if (w->done_length + length + 1 >= sizeof w->done) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(w->done + w->done_length, name, length);
	w->done[w->done_length + length] = '/';
	w->done_length += length + 1;
	close(*current);
	*current = steal_fd(next);
	return 0;
}

static int walk(int rootfd, const char *path, int flags, bool follow_links)
{
	struct walk w = { .rootfd = rootfd, .follow_links = follow_links };
	cleanup_fd int current = -1;
	char name[NAME_MAX + 1];
	bool last;
	ssize_t length;

	size_t size = strlen(path) + 1;

	if (!*path || size > sizeof w.todo) {
		errno = *path ? ENAMETOOLONG : ENOENT;
		return -1;
	}
	memcpy(w.todo, path, size);
	if (walk_to_root(&w, &current) < 0)
		return -1;
	for (int steps = 0; (length = walk_next(&w, name, &last)) > 0; steps++) {
		if (steps >= MAX_STEPS) {
			errno = ELOOP;
			return -1;
		}
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			if (walk_up(&w, &current) < 0)
				return -1;
			continue;
		}
		cleanup_fd int next = openat(current, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;
		if (next < 0 || fstat(next, &st) < 0)
			return -1;
		if (S_ISLNK(st.st_mode) && !(last && (flags & O_NOFOLLOW))) {
			if (walk_link(&w, &current, next) < 0)
				return -1;
			continue;
		}
		if (last)
			return openat(current, name, flags | O_NOFOLLOW | O_CLOEXEC);
		if (!S_ISDIR(st.st_mode)) {
			errno = ENOTDIR;
			return -1;
		}
		if (walk_down(&w, &current, &next, name) < 0)
			return -1;
	}
	return length < 0 ? -1 : openat(current, ".", flags | O_CLOEXEC);
}

/* EPERM is what outer containers with an old seccomp filter answer to calls they do not know. */
static bool is_missing(int code)
{
	return code == ENOSYS || code == EPERM;
}

static int open_with(int dirfd, const char *path, int flags, uint64_t resolve)
{
	const struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC), .resolve = resolve };
	int fd = -1;

	for (int try = 0; try < EAGAIN_TRIES; try++) {
		fd = sys_openat2(dirfd, path, &how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

int resolve_in_root(int rootfd, const char *path, int flags)
{
	int fd = open_with(rootfd, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

	if (fd < 0 && (is_missing(errno) || errno == EAGAIN))
		fd = walk(rootfd, path, flags, true);
	return fd;
}

int resolve_beneath(int rootfd, const char *path, int flags)
{
	flags |= O_NOFOLLOW;
	int fd = open_with(rootfd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	return fd < 0 && is_missing(errno) ? walk(rootfd, path, flags, false) : fd;
}

int resolve_parent(int rootfd, const char *path, char name[NAME_MAX + 1])
{
	char parent[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	const char *last = slash ? slash + 1 : path;
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || slash == path) {
		errno = EINVAL;
		return -1;
	}
	if (strlen(last) > NAME_MAX || length >= sizeof parent) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(name, last, strlen(last) + 1);
	if (slash) {
		memcpy(parent, path, length);
		parent[length] = '\0';
	}
	return resolve_beneath(rootfd, parent, O_PATH | O_DIRECTORY);
}

int resolve_no_links(const char *path, int flags)
{
	flags |= O_NOFOLLOW;
	int fd = open_with(AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS);

	if (fd < 0 && is_missing(errno)) {
		cleanup_fd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd = root < 0 ? -1 : walk(root, path, flags, false);
	}
	return fd;
}

/* Return @fd when it is what was asked for; else close it. */
static int of_type(int fd, bool directory)
{
	cleanup_fd int owned = fd;
	struct stat st;

	if (owned < 0 || fstat(owned, &st) < 0)
		return -1;
	if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode) != directory) {
		errno = S_ISLNK(st.st_mode) ? ELOOP : directory ? ENOTDIR : EISDIR;
		return -1;
	}
	return steal_fd(&owned);
}

/* Make one component and open it; an existing one of the right type is as good. It was missing when resolved, so a
 * link here dangles or has just been put in our way.
 */
static int make_one(int parent, const char *name, bool directory)
{
	int made = directory ? mkdirat(parent, name, 0755) : mknodat(parent, name, S_IFREG | 0644, 0);

	if (made < 0 && errno != EEXIST)
		return -1;
	return of_type(openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), directory);
}

/* Open the longest leading part of @path that exists; *rest is what follows it. */
static int open_existing_part(int rootfd, const char *path, const char **rest)
{
	char prefix[PATH_MAX];
	size_t length = strlen(path);

	if (length >= sizeof prefix) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(prefix, path, length + 1);
	while (length > 0) {
		while (length > 0 && prefix[length - 1] != '/')
			length--;
		while (length > 0 && prefix[length - 1] == '/')
			length--;
		prefix[length] = '\0';
		int fd = resolve_in_root(rootfd, length ? prefix : "/", O_PATH | O_DIRECTORY);
		if (fd >= 0 || errno != ENOENT) {
			*rest = path + length;
			return fd;
		}
	}
	*rest = path;
	return resolve_in_root(rootfd, "/", O_PATH | O_DIRECTORY);
}

int resolve_make(int rootfd, const char *path, bool directory)
{
	char name[NAME_MAX + 1];
	const char *rest;

	int found = resolve_in_root(rootfd, path, O_PATH);
	if (found >= 0 || errno != ENOENT || !*path)
		return of_type(found, directory);
	cleanup_fd int current = open_existing_part(rootfd, path, &rest);
	if (current < 0)
		return -1;
	for (rest += strspn(rest, "/"); *rest; rest += strspn(rest, "/")) {
		size_t length = strcspn(rest, "/");
		if (length > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, rest, length);
		name[length] = '\0';
		rest += length;
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) { /* below something that is only being made: nobody means that */
			errno = ENOENT;
			return -1;
		}
		int next = make_one(current, name, directory || *rest);
		if (next < 0)
			return -1;
		close(current);
		current = next;
	}
	return of_type(steal_fd(&current), directory);
}

char *resolve_read(int rootfd, const char *path, size_t limit, size_t *size)
{
	struct stat before, st;

	/* Look before opening: even O_NONBLOCK on a device can have effects (a tape rewinds, a watchdog starts). */
	cleanup_fd int seen = resolve_in_root(rootfd, path, O_PATH);
	if (seen < 0 || fstat(seen, &before) < 0)
		return NULL;
	if (!S_ISREG(before.st_mode)) {
		errno = S_ISDIR(before.st_mode) ? EISDIR : EINVAL;
		return NULL;
	}
	cleanup_fd int fd = resolve_in_root(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (st.st_dev != before.st_dev || st.st_ino != before.st_ino) {
		errno = EAGAIN;
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > limit) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return NULL;
	}
	return read_file(fd, limit, size);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/legacy.c: detached mounts on kernels that have none (Linux < 5.2; < 5.12 for attributes).
 *
 * Theory of operation
 *
 * mount(2) needs a path and attaches at once. So a new mount is first attached where nothing of an image is involved:
 * on /dev of the host's tree, or on /dev/null for a file; both exist on every host, and this copy of the tree is ours
 * alone. There it is opened, which gives the same kind of descriptor as open_tree(2), gets its attributes, and is
 * moved (MS_MOVE) onto its target, named as /proc/self/fd/N: the one path that leads to exactly the object that was
 * resolved before. The stage behaves as a stack, so two mounts may wait on it at once.
 *
 * /proc is the host's here, because nothing of this runs after mount_pivot().
 */
#include "mount/legacy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/handle.h"
#include "mount/newapi.h"
#include "mount/resolve.h"

#define STAGE_DIRECTORY "/dev"
#define STAGE_FILE	"/dev/null"

enum {
	FD_PATH = 32,
	OPTIONS_PAGE = 4096,	  /* what mount(2) copies; it cuts longer options off without a word */
	MOUNTINFO_MAX = 64 << 20, /* more than sysctl fs.mount-max allows by default */
};

_Static_assert(MOUNT_ATTR_RDONLY == MS_RDONLY && MOUNT_ATTR_NOSUID == MS_NOSUID && MOUNT_ATTR_NODEV == MS_NODEV &&
		       MOUNT_ATTR_NOEXEC == MS_NOEXEC,
	"the attributes used here are mount(2)'s flags");

static void fd_path(char path[FD_PATH], int fd)
{
	snprintf(path, FD_PATH, "/proc/self/fd/%d", fd);
}

/* Open what was just mounted on a stage; undo it when the caller's next step fails. */
static int open_stage(const char *stage)
{
	return open(stage, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int unstage(const char *stage)
{
	int saved = errno;

	umount2(stage, MNT_DETACH);
	errno = saved;
	return -1;
}

int legacy_new(const char *type, const char *options, uint64_t attributes)
{
	if (strlen(options) >= OPTIONS_PAGE) {
		errno = E2BIG;
		return -1;
	}
	if (mount(type, STAGE_DIRECTORY, type, (unsigned long)attributes, options) < 0)
		return -1;
	int mnt = open_stage(STAGE_DIRECTORY);
	return mnt < 0 ? unstage(STAGE_DIRECTORY) : mnt;
}

/* A remount replaces all attributes, and those of the host are locked: repeat what is there. */
int legacy_restrict(int mnt, uint64_t attributes)
{
	char path[FD_PATH];
	struct statvfs fs;
	unsigned long flags = MS_REMOUNT | MS_BIND | (unsigned long)attributes;

	if (fstatvfs(mnt, &fs) < 0)
		return -1;
	flags |= fs.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME);
	if (fs.f_flag & ST_RELATIME)
		flags |= MS_RELATIME;
	else if (!(fs.f_flag & ST_NOATIME))
		flags |= MS_STRICTATIME;
	fd_path(path, mnt);
	return mount(NULL, path, NULL, flags, NULL);
}

/* The id by which mountinfo knows the mount behind a descriptor; 0 with errno when unknown. */
static unsigned long mount_id(int mnt)
{
	char path[FD_PATH + 4];

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", mnt);
	cleanup_free char *text = read_path(path, 4096, NULL);
	if (!text)
		return 0;
	const char *field = strstr(text, "mnt_id:");
	errno = EPROTO;
	return field ? strtoul(field + strlen("mnt_id:"), NULL, 10) : 0;
}

/* mountinfo writes blank, tab, newline and backslash as \ooo. In place. */
static void unescape(char *path)
{
	char *out = path;

	for (const char *in = path; *in; out++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

/* The mounts of a tree, its root first. */
struct tree {
	size_t count, room;
	struct member {
		unsigned long id;
		const char *path; /* NULL for the root */
	} * members;
};

static bool tree_has(const struct tree *tree, unsigned long id)
{
	for (size_t i = 0; i < tree->count; i++)
		if (tree->members[i].id == id)
			return true;
	return false;
}

static int tree_add(struct tree *tree, unsigned long id, const char *path)
{
	if (tree->count == tree->room) {
		size_t room = tree->room ? tree->room * 2 : 16;
		struct member *larger = realloc(tree->members, room * sizeof *larger);
		if (!larger)
			return -1;
		tree->members = larger;
		tree->room = room;
	}
	tree->members[tree->count++] = (struct member){ id, path };
	return 0;
}

/* Collect the mounts below the first member. "ID PARENT MAJOR:MINOR ROOT PATH ...", parents before their children. */
static int tree_read(struct tree *tree, char *mountinfo)
{
	for (char *line; (line = strsep(&mountinfo, "\n")) != NULL && *line;) {
		char *rest, *path = NULL;
		unsigned long id = strtoul(line, &rest, 10);
		unsigned long parent = strtoul(rest, &rest, 10);
		rest += *rest == ' ';
		for (int field = 0; rest && field < 3; field++)
			path = strsep(&rest, " ");
		if (!path || !rest) {
			errno = EPROTO;
			return -1;
		}
		unescape(path);
		if (tree_has(tree, parent) && tree_add(tree, id, path) < 0)
			return -1;
	}
	return 0;
}

/* Restrict all members but the root. One that is covered by another of them is unreachable and stays as it is. */
static int tree_restrict(const struct tree *tree, uint64_t attributes)
{
	for (size_t i = 1; i < tree->count; i++) {
		cleanup_fd int child = resolve_no_links(tree->members[i].path, O_PATH);
		if (child < 0)
			return -1;
		if (!tree_has(tree, mount_id(child))) { /* something was renamed under us */
			errno = ESTALE;
			return -1;
		}
		if (legacy_restrict(child, attributes) < 0)
			return -1;
	}
	return 0;
}

/* Restrict every mount below @mnt. */
static int restrict_children(int mnt, uint64_t attributes)
{
	struct tree tree = { 0 };
	unsigned long root = mount_id(mnt);
	cleanup_free char *mountinfo = root ? read_path("/proc/self/mountinfo", MOUNTINFO_MAX, NULL) : NULL;
	int result = -1;

	if (mountinfo && tree_add(&tree, root, NULL) == 0 && tree_read(&tree, mountinfo) == 0)
		result = tree_restrict(&tree, attributes);
	free(tree.members);
	return result;
}

static int restrict_clone(int mnt, uint64_t attributes, unsigned how)
{
	char path[FD_PATH];
	unsigned long below = how & MNT_TREE ? MS_REC : 0;

	if (attributes && legacy_restrict(mnt, attributes) < 0)
		return -1;
	if (attributes && below && restrict_children(mnt, attributes) < 0)
		return -1;
	fd_path(path, mnt);
	return how & MNT_ALONE ? mount(NULL, path, NULL, MS_PRIVATE | below, NULL) : 0;
}

int legacy_clone(int dirfd, const char *name, uint64_t attributes, unsigned how)
{
	char source[FD_PATH];
	struct stat st;
	cleanup_fd int opened = *name ? openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	int from = *name ? opened : dirfd;

	if (from < 0 || fstat(from, &st) < 0)
		return -1;
	const char *stage = S_ISDIR(st.st_mode) ? STAGE_DIRECTORY : STAGE_FILE;
	fd_path(source, from);
	if (mount(source, stage, NULL, MS_BIND | (how & MNT_TREE ? MS_REC : 0ul), NULL) < 0)
		return -1;
	cleanup_fd int mnt = open_stage(stage);
	if (mnt < 0 || restrict_clone(mnt, attributes, how) < 0)
		return unstage(stage);
	return steal_fd(&mnt);
}

int legacy_move(int mnt, int dirfd, const char *name)
{
	char source[FD_PATH], target[FD_PATH];
	cleanup_fd int opened = *name ? openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	int onto = *name ? opened : dirfd;

	if (onto < 0)
		return -1;
	fd_path(source, mnt);
	fd_path(target, onto);
	return mount(source, target, NULL, MS_MOVE, NULL);
}

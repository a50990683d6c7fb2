// SPDX-License-Identifier: GPL-2.0-or-later
/* init/root_owned.c: see root_owned.h.
 *
 * Theory of operation
 *
 * An image is unpacked by an ordinary user: all of it is theirs, and set-id bits are left out, because on the host they
 * would mean "runs as that user". Inside, a user other than root then owns the whole image, and sudo refuses to work:
 * it wants the bit, and wants itself, its plugin and its rules to belong to root. Where there is a root besides the
 * user (sub-ids), a few files are given to it in the writable layer, which nobody else on the host can reach; the image
 * stays as it is. The first change of a file copies it up: hence a short list, not every program that once was set-id.
 *
 * What is listed may be a volume of the host, or lie in one: only files of the root mount itself are touched. It may
 * also be a link: where su is busybox, a set-uid bit would be given to every tool there is.
 */
#include "init/root_owned.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

enum { RULES_MAX = 64 }; /* files looked at in sudoers.d */

static const struct {
	const char *path;
	mode_t add;    /* bits to set */
	bool for_sudo; /* only of interest when there is a sudo */
} root_owned[] = {
	{ "/usr/bin/su", S_ISUID, false },
	{ "/bin/su", S_ISUID, false },
	{ "/usr/bin/sudo", S_ISUID, false },
	{ "/usr/libexec/sudo/sudoers.so", 0, true },
	{ "/usr/lib/sudo/sudoers.so", 0, true },
	{ "/etc/sudo.conf", 0, true },
	{ "/etc/sudoers", 0, true },
	{ "/etc/sudoers.d", 0, true },
};

/* struct statx of statx(2) and its STATX_MNT_ID: in the C library of azm-init one, the other, or both may be absent. */
struct statx_mount {
	uint32_t mask;
	uint8_t other[0x90 - sizeof(uint32_t)];
	uint64_t mount_id;
	uint8_t rest[0x100 - 0x98];
};
enum { ASK_MOUNT_ID = 0x1000 };

static int mount_id(int fd, struct statx_mount *out)
{
	return (int)syscall(SYS_statx, fd, "", AT_EMPTY_PATH, ASK_MOUNT_ID, out);
}

static bool same_mount(int a, int b)
{
	struct statx_mount left, right;

	return mount_id(a, &left) == 0 && mount_id(b, &right) == 0 && (left.mask & right.mask & ASK_MOUNT_ID) &&
	       left.mount_id == right.mount_id;
}

/* @fd is an O_PATH descriptor; another owner than the user is the image's will, and stays. */
static int give(int rootfd, int fd, mode_t add, const char *path, struct azm_err *err)
{
	char magic[64];
	struct stat st;

	if (!same_mount(rootfd, fd) || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) ||
		(st.st_uid != 0 && st.st_uid != getuid()))
		return 0;
	if (st.st_uid != 0 && fchownat(fd, "", 0, 0, AT_EMPTY_PATH) < 0)
		return err_sys(err, "give to root", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & add) == add)
		return 0;
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	return chmod(magic, (st.st_mode & 07777) | add) < 0 ? err_sys(err, "make set-uid", path) : 0;
}

static int give_entries(int rootfd, const char *path, struct azm_err *err)
{
	int fd = resolve_in_root(rootfd, path, O_RDONLY | O_DIRECTORY);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	for (int seen = 0; dir && seen < RULES_MAX && (entry = dir_next(dir)); seen++) {
		cleanup_fd int file = entry->d_name[0] == '.'
					      ? -1
					      : openat(dirfd(dir), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (file >= 0 && give(rootfd, file, 0, path, err) < 0)
			return -1;
	}
	return 0;
}

int root_owned_restore(int rootfd, const struct plan *plan, struct azm_err *err)
{
	if (!plan->wide_map || plan->no_new_privs || plan->mount.mode != ROOT_OVERLAY || plan->mount.read_only)
		return 0;
	cleanup_fd int sudo = resolve_in_root(rootfd, "/usr/bin/sudo", O_PATH);
	for (size_t i = 0; i < sizeof root_owned / sizeof *root_owned; i++) {
		const char *path = root_owned[i].path;
		struct stat st;
		cleanup_fd int fd =
			root_owned[i].for_sudo && sudo < 0 ? -1 : resolve_in_root(rootfd, path, O_PATH | O_NOFOLLOW);
		if (fd < 0)
			continue;
		if (give(rootfd, fd, root_owned[i].add, path, err) < 0)
			return -1;
		if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && give_entries(rootfd, path, err) < 0)
			return -1;
	}
	return 0;
}

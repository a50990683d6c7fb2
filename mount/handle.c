// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/handle.c: see handle.h. The new mount API (Linux 5.2) with mount_setattr (5.12); legacy.c where it is missing.
 *
 * EPERM also sends a call to legacy.c: outer containers with an old seccomp filter answer it to calls they do not know.
 * When the refusal was meant, mount(2) is refused as well, so nothing is gained by it.
 */
#include "mount/handle.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "mount/legacy.h"
#include "mount/newapi.h"

enum {
	OPTION_MAX = 255,    /* longest value fsconfig(2) takes; a list of many overlay layers is longer */
	OPTIONS_MAX = 16384, /* an overlay's layers one by one */
};

static bool is_missing(int code)
{
	return code == ENOSYS || code == EPERM;
}

/* Give fsconfig(2) one "key=value" or "flag". */
static int configure_one(int fs, char *option)
{
	char *value = strchr(option, '=');

	if (!value)
		return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
	*value++ = '\0';
	return sys_fsconfig(fs, FSCONFIG_SET_STRING, option, value, 0);
}

static int configure(int fs, const char *type, const char *options)
{
	char text[OPTIONS_MAX];
	char *rest = *options ? text : NULL;

	memcpy(text, options, strlen(options) + 1);
	if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", type, 0) < 0)
		return -1;
	for (char *option; (option = strsep(&rest, ",")) != NULL;)
		if (configure_one(fs, option) < 0)
			return -1;
	return sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static bool fits_fsconfig(const char *options)
{
	if (strlen(options) >= OPTIONS_MAX)
		return false;
	for (const char *at = options; *at; at += at[0] == ',') {
		size_t length = strcspn(at, ",");
		if (length > OPTION_MAX)
			return false;
		at += length;
	}
	return true;
}

int mnt_new_detached(const char *type, const char *options, uint64_t attributes)
{
	cleanup_fd int fs = sys_fsopen(type, FSOPEN_CLOEXEC);

	if (fs < 0 || configure(fs, type, options) < 0)
		return -1;
	return sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attributes);
}

int mnt_new(const char *type, const char *options, uint64_t attributes)
{
	if (!fits_fsconfig(options))
		return legacy_new(type, options, attributes);
	/* What was begun is closed before another way is tried: an overlay would find its layer in use. */
	int mnt = mnt_new_detached(type, options, attributes);
	return mnt < 0 && is_missing(errno) ? legacy_new(type, options, attributes) : mnt;
}

int mnt_clone(int dirfd, const char *name, uint64_t attributes, unsigned how)
{
	unsigned below = how & MNT_TREE ? AT_RECURSIVE : 0;
	struct mount_attr change = { .attr_set = attributes, .propagation = how & MNT_ALONE ? MS_PRIVATE : 0 };
	cleanup_fd int mnt = sys_open_tree(
		dirfd, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | below);

	if (mnt < 0)
		return is_missing(errno) ? legacy_clone(dirfd, name, attributes, how) : -1;
	if ((change.attr_set || change.propagation) && sys_mount_setattr(mnt, "", AT_EMPTY_PATH | below, &change) < 0)
		return is_missing(errno) ? legacy_clone(dirfd, name, attributes, how) : -1;
	return steal_fd(&mnt);
}

int mnt_move(int mnt, int dirfd, const char *name)
{
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*name ? 0 : MOVE_MOUNT_T_EMPTY_PATH);

	if (sys_move_mount(mnt, "", dirfd, name, flags) == 0)
		return 0;
	return is_missing(errno) ? legacy_move(mnt, dirfd, name) : -1;
}

int mnt_restrict(int mnt, uint64_t attributes)
{
	struct mount_attr change = { .attr_set = attributes };

	if (sys_mount_setattr(mnt, "", AT_EMPTY_PATH, &change) == 0)
		return 0;
	return is_missing(errno) ? legacy_restrict(mnt, attributes) : -1;
}

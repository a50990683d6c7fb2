// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_xattrs.c: see layer_xattrs.h. */
#include "rootfs-tools/layer_xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/str.h"

#define OVERLAY_PREFIX "user.overlay."

enum { ROOM = 64 * 1024 /* XATTR_LIST_MAX, XATTR_SIZE_MAX */ };

bool xattr_is_wanted(const char *name)
{
	static const char *const foreign[] = { OVERLAY_PREFIX, "user.containers.", "user.rootlesscontainers" };

	if (!str_starts(name, "user."))
		return false;
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		if (str_starts(name, foreign[i]))
			return false;
	return true;
}

bool overlay_is_opaque(int fd)
{
	char value[2];

	return fgetxattr(fd, OVERLAY_PREFIX "opaque", value, sizeof value) == 1 && value[0] == 'y';
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static void add(struct xattr_list *list, const char *name, const void *value, size_t size)
{
	list->items = xrealloc(list->items, list->count + 1, sizeof *list->items);
	list->items[list->count++] = (struct tar_xattr){ name, value, size };
}

/* An overlay that follows redirections or keeps data elsewhere is not what we mount: its upper directory alone does not
 * say what the files are. */
static bool is_elsewhere(const char *name)
{
	return strcmp(name, OVERLAY_PREFIX "redirect") == 0 || strcmp(name, OVERLAY_PREFIX "metacopy") == 0;
}

static int read_values(struct xattr_list *list, int fd, size_t length, bool upper, const struct owner *owner,
	const char *path, struct azm_err *err)
{
	size_t used = 0;

	for (const char *name = list->names; name < list->names + length; name += strlen(name) + 1) {
		bool capability = strcmp(name, CAPABILITY_XATTR) == 0 && !owner->capability;
		if (upper && is_elsewhere(name))
			return err_msg(err, EINVAL, "write", path, "it has the attribute %s", name);
		if (!capability && !xattr_is_wanted(name))
			continue;
		ssize_t size = fgetxattr(fd, name, list->values + used, ROOM - used);
		if (size < 0)
			return err_sys(err, "read the attributes of", path);
		add(list, name, list->values + used, (size_t)size);
		used += (size_t)size;
	}
	return 0;
}

int xattr_list_read(
	struct xattr_list *list, int fd, bool upper, const struct owner *owner, const char *path, struct azm_err *err)
{
	if (!list->names) {
		list->names = xcalloc(2, ROOM);
		list->values = list->names + ROOM;
	}
	list->count = 0;
	ssize_t length = flistxattr(fd, list->names, ROOM);
	if (length < 0 && errno != ENOTSUP)
		return err_sys(err, "read the attributes of", path);
	if (length > 0 && read_values(list, fd, (size_t)length, upper, owner, path, err) < 0)
		return -1;
	if (owner->capability)
		add(list, CAPABILITY_XATTR, owner->capability, owner->capability_size);
	if (list->count > 1)
		qsort(list->items, list->count, sizeof *list->items, compare);
	return 0;
}

void xattr_list_free(struct xattr_list *list)
{
	free(list->items);
	free(list->names);
	*list = (struct xattr_list){ 0 };
}

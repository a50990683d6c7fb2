// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build_owner.c: users and groups of a stage, by name or number. Nothing of the image is executed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mount/mount.h"
#include "rootfs-tools/build.h"

enum { PASSWD_MAX = 4 << 20, FIELD_NAME = 0, FIELD_ID = 2, FIELD_GROUP = 3 };

/* Field @want of the line of /etc/passwd or /etc/group whose field @key is @text. */
static bool find_field(const char *file, size_t key, const char *text, size_t want, uint32_t *id)
{
	cleanup_str_list struct str_list lines = { 0 };
	uint64_t number;

	str_list_split(&lines, file, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		cleanup_str_list struct str_list fields = { 0 };
		str_list_split(&fields, lines.items[i], ':');
		if (fields.count > want && strcmp(fields.items[key], text) == 0 &&
			str_to_u64(fields.items[want], UINT32_MAX - 1, &number)) {
			*id = (uint32_t)number;
			return true;
		}
	}
	return false;
}

static int find_id(int view, const char *name, const char *path, uint32_t *id, struct azm_err *err)
{
	uint64_t number;

	if (str_to_u64(name, UINT32_MAX - 1, &number)) {
		*id = (uint32_t)number;
		return 0;
	}
	cleanup_free char *file = resolve_read(view, path, PASSWD_MAX, NULL);
	if (!file || !find_field(file, FIELD_NAME, name, FIELD_ID, id))
		return err_msg(err, ENOENT, "use the owner", name, "%s of the image does not have it", path);
	return 0;
}

/* The group of a user that is known by its number. */
static uint32_t primary_group(int view, uint32_t uid)
{
	cleanup_free char *file = resolve_read(view, "/etc/passwd", PASSWD_MAX, NULL);
	cleanup_free char *number = xasprintf("%u", uid);
	uint32_t gid = 0;

	if (file)
		find_field(file, FIELD_ID, number, FIELD_GROUP, &gid);
	return gid;
}

int build_owner(
	struct build *build, struct stage *stage, const char *text, bool same, struct owner *owner, struct azm_err *err)
{
	cleanup_free char *user = xstrdup(text);
	char *group = strchr(user, ':');
	int view = stage_view(build, stage, err);

	if (group)
		*group++ = '\0';
	if (view < 0)
		return -1;
	if (!*user)
		return err_msg(err, EINVAL, "use the owner", text, "not USER[:GROUP]");
	if (find_id(view, user, "/etc/passwd", &owner->uid, err) < 0)
		return -1;
	if (group && *group)
		return find_id(view, group, "/etc/group", &owner->gid, err);
	owner->gid = same ? owner->uid : primary_group(view, owner->uid);
	return 0;
}

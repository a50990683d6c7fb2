// SPDX-License-Identifier: GPL-2.0-or-later
/* user.c: see user.h. Sources: passwd(5), group(5). */
#include "user.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "mount/mount.h"

enum { FILE_LIMIT = 4 << 20 };

static char *next_field(char **line, char separator)
{
	char *field = *line;
	char *end = field ? strchr(field, separator) : NULL;

	if (end)
		*end = '\0';
	*line = end ? end + 1 : NULL;
	return field;
}

static bool parse_id(const char *text, uint32_t *id)
{
	uint64_t value;

	if (!text || !str_to_u64(text, UINT32_MAX - 1, &value))
		return false;
	*id = (uint32_t)value;
	return true;
}

static bool all_digits(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* The passwd entry of a name, or of a uid when @name is NULL. */
static bool find_user(char *passwd, const char *name, struct identity *identity)
{
	for (char *rest = passwd, *line; (line = next_field(&rest, '\n'));) {
		uint32_t uid, gid;
		const char *entry = next_field(&line, ':');
		next_field(&line, ':');
		const char *uid_text = next_field(&line, ':');
		const char *gid_text = next_field(&line, ':');
		next_field(&line, ':');
		const char *home = next_field(&line, ':');
		const char *shell = line;
		if (!parse_id(uid_text, &uid) || !parse_id(gid_text, &gid) || !*entry)
			continue;
		if (name ? strcmp(entry, name) != 0 : uid != identity->uid)
			continue;
		identity->uid = uid;
		identity->gid = gid;
		identity->name = xstrdup(entry);
		identity->home = home && home[0] == '/' ? xstrdup(home) : NULL;
		identity->shell = shell && shell[0] == '/' ? xstrdup(shell) : NULL;
		return true;
	}
	return false;
}

static bool is_member(char *members, const char *user)
{
	for (const char *member; user && (member = next_field(&members, ','));)
		if (strcmp(member, user) == 0)
			return true;
	return false;
}

/* Walk the group file: the gid of @name if given, and the supplementary groups of the user. */
static bool read_groups(char *group, const char *name, struct identity *identity)
{
	bool found = false;

	for (char *rest = group, *line; (line = next_field(&rest, '\n'));) {
		uint32_t gid;
		const char *entry = next_field(&line, ':');
		next_field(&line, ':');
		const char *gid_text = next_field(&line, ':');
		if (!parse_id(gid_text, &gid))
			continue;
		if (name && strcmp(entry, name) == 0) {
			identity->gid = gid;
			found = true;
		}
		if (is_member(line, identity->name) && gid <= ID_MAX && identity->group_count < 1024) {
			identity->groups =
				xrealloc(identity->groups, identity->group_count + 1, sizeof *identity->groups);
			identity->groups[identity->group_count++] = gid;
		}
	}
	return found;
}

static int no_such(const char *kind, const char *text, struct azm_err *err)
{
	err_msg(err, EINVAL, "use user", text, "the image has no such %s, and it is not a number", kind);
	return err_hint(err, "give UID or UID:GID, or a name of the image's /etc/passwd");
}

static int resolve_group(
	const char *group, const char *text, const struct stack *stack, struct identity *identity, struct azm_err *err)
{
	cleanup_free char *file = stack_read(stack, "/etc/group", FILE_LIMIT, NULL);
	bool by_name = group && !all_digits(group);
	uint32_t gid = 0;

	if (group && !by_name && !parse_id(group, &gid))
		return err_msg(err, EINVAL, "use user", text, "the group id is out of range");
	bool found = file && read_groups(file, by_name ? group : NULL, identity);
	if (by_name && !found)
		return no_such("group", text, err);
	if (group && !by_name)
		identity->gid = gid;
	return 0;
}

int user_resolve(const char *text, const struct stack *stack, struct identity *out, struct azm_err *err)
{
	cleanup_free char *copy = xstrdup(text);
	char *group = copy;
	const char *user = next_field(&group, ':');
	cleanup_free char *passwd = stack_read(stack, "/etc/passwd", FILE_LIMIT, NULL);

	*out = (struct identity){ 0 };
	if (!*user || (group && (!*group || strchr(group, ':'))))
		return err_msg(err, EINVAL, "use user", text, "expected UID[:GID] or NAME[:GROUP]");
	if (all_digits(user)) {
		if (!parse_id(user, &out->uid))
			return err_msg(err, EINVAL, "use user", text, "the user id is out of range");
		if (passwd)
			find_user(passwd, NULL, out);
	} else if (!passwd || !find_user(passwd, user, out)) {
		return no_such("user", text, err);
	}
	if (resolve_group(group, text, stack, out, err) < 0) {
		identity_free(out);
		return -1;
	}
	if (!out->home)
		out->home = xstrdup(out->uid == 0 ? "/root" : "/");
	return 0;
}

void identity_free(struct identity *identity)
{
	free(identity->name);
	free(identity->home);
	free(identity->shell);
	free(identity->groups);
	*identity = (struct identity){ 0 };
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/dockerignore.c: see dockerignore.h. The rules are those of moby/patternmatcher. */
#include "rootfs-tools/dockerignore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/glob.h"
#include "rootfs-tools/layer_internal.h"

void dockerignore_free(struct dockerignore *ignore)
{
	for (size_t i = 0; i < ignore->count; i++)
		free(ignore->items[i].pattern);
	free(ignore->items);
	*ignore = (struct dockerignore){ 0 };
}

/* Blanks at both ends, in place. */
static char *trimmed(char *line)
{
	size_t length;

	line += strspn(line, " \t\r\v\f");
	length = strlen(line);
	while (length > 0 && strchr(" \t\r\v\f", line[length - 1]))
		line[--length] = '\0';
	return line;
}

static int add_line(struct dockerignore *ignore, char *line, struct azm_err *err)
{
	bool except = *line == '!';
	char *pattern = trimmed(line + except);

	if (!*pattern)
		return except ? err_msg(err, EINVAL, "read", NULL, "'!' without a pattern") : 0;
	layer_clean_path(pattern);
	if (glob_check(pattern, err) < 0)
		return -1;
	if (!*pattern) /* "/" or ".": the context itself cannot be left out */
		return 0;
	if (ignore->count >= DOCKERIGNORE_PATTERNS_MAX)
		return err_msg(err, E2BIG, "read", NULL, "more than %d patterns", DOCKERIGNORE_PATTERNS_MAX);
	ignore->items = xrealloc(ignore->items, ignore->count + 1, sizeof *ignore->items);
	ignore->items[ignore->count++] = (struct ignore_pattern){ .pattern = xstrdup(pattern), .except = except };
	ignore->has_exceptions = ignore->has_exceptions || except;
	return 0;
}

int dockerignore_parse(const char *text, const char *name, struct dockerignore *ignore, struct azm_err *err)
{
	cleanup_dockerignore struct dockerignore result = { 0 };
	cleanup_str_list struct str_list lines = { 0 };

	if (str_starts(text, "\xef\xbb\xbf"))
		text += 3;
	str_list_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		/* A comment begins in the first column: elsewhere '#' is a letter of a name. */
		if (lines.items[i][0] != '#' && add_line(&result, trimmed(lines.items[i]), err) < 0) {
			cleanup_free char *where = xasprintf("%s:%zu", name, i + 1);
			return err_wrap(err, where, NULL);
		}
	}
	*ignore = result;
	result = (struct dockerignore){ 0 };
	return 0;
}

static bool matches_with_parents(const char *pattern, const char *path)
{
	const int flags = GLOB_PATHS | GLOB_DOUBLE_STAR;

	if (glob_match(pattern, path, flags))
		return true;
	cleanup_free char *above = xstrdup(path);
	for (char *slash; (slash = strrchr(above, '/'));) {
		*slash = '\0';
		if (glob_match(pattern, above, flags))
			return true;
	}
	return false;
}

bool dockerignore_matches(const struct dockerignore *ignore, const char *path)
{
	bool ignored = false;

	/* A pattern that could not change the answer is not tried. */
	for (size_t i = 0; i < ignore->count; i++)
		if (ignore->items[i].except == ignored && matches_with_parents(ignore->items[i].pattern, path))
			ignored = !ignored;
	return ignored;
}

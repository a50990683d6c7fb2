// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/mapped.c: see mapped.h. Source: proc_pid_maps(5).
 *
 * Every shared mapping counts, also one that is read-only at the moment: mprotect(2) gives pages that were written to
 * their permission back without a fault. Links below map_files are root's to follow, device and inode numbers are the
 * overlay's or the layer's, by kernel: so it is the name. What the sandbox calls its files is hostile and bounded here.
 */
#include "snapshots/mapped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "members.h"

enum { NAMES_MAX = 4096, LINES_MAX = 200000 };

struct scan {
	struct mapped *mapped;
	size_t lines;
};

/* Shared memory that is no file of a layer. */
static bool is_memory(const char *path)
{
	static const char *const prefixes[] = { "/memfd:", "/SYSV", "/dev/zero (deleted)", "/dev/shm/",
		"/anon_hugepage" };

	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (str_starts(path, prefixes[i]))
			return true;
	return false;
}

/* The kernel writes on its own, as long as these are there. */
static bool is_engine(const char *path)
{
	return str_starts(path, "/[aio]") || str_starts(path, "anon_inode:[io_uring]");
}

static void add_path(struct mapped *mapped, const char *path)
{
	static const char deleted[] = " (deleted)";
	size_t length = strlen(path), tail = strlen(deleted);

	if (is_engine(path)) {
		mapped->unknown = true;
		return;
	}
	if (*path != '/' || is_memory(path))
		return;
	/* A file that lost this name may have another; a line feed is shown as four characters. */
	if ((length >= tail && strcmp(path + length - tail, deleted) == 0) || strstr(path, "\\012") ||
		mapped->names.count >= NAMES_MAX)
		mapped->unknown = true;
	else
		str_list_add(&mapped->names, strrchr(path, '/') + 1);
}

/* One line: "FROM-TO rw-s OFFSET DEVICE INODE   PATH\n". */
static void add_line(struct scan *scan, char *line)
{
	char permissions[5];
	int path = 0;

	if (++scan->lines > LINES_MAX)
		scan->mapped->unknown = true;
	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%*s %4s %*s %*s %*s %n", permissions, &path) == 1 && path > 0 && permissions[3] == 's')
		add_path(scan->mapped, line + path);
}

/* A leader that ended shows no mappings although its threads go on with them. */
static bool has_hidden_threads(const struct member *member)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/task", (int)member->pid);
	return member->state == 'Z' && stat(path, &st) == 0 && st.st_nlink > 3; /* ".", "..", and itself */
}

static void scan_member(struct scan *scan, const struct member *member)
{
	char path[64];
	size_t size = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)member->pid);
	FILE *maps = fopen(path, "re");
	if (!maps && errno == ENOENT) /* it ended */
		return;
	if (!maps || has_hidden_threads(member))
		scan->mapped->unknown = true;
	cleanup_free char *line = NULL;
	while (maps && !scan->mapped->unknown && getline(&line, &size, maps) > 0)
		add_line(scan, line);
	if (maps && ferror(maps) && errno != ESRCH)
		scan->mapped->unknown = true;
	if (maps)
		fclose(maps);
}

int mapped_scan(pid_t init, struct mapped *mapped, struct azm_err *err)
{
	cleanup_free struct member *list = NULL;
	struct scan scan = { .mapped = mapped };
	size_t count;

	if (members_list(init, &list, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && !mapped->unknown; i++) {
		scan_member(&scan, &list[i]);
		str_list_sort(&mapped->names);
	}
	return 0;
}

bool mapped_has(const struct mapped *mapped, const char *name)
{
	return str_list_sorted_has(&mapped->names, name);
}

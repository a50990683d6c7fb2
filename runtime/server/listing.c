// SPDX-License-Identifier: GPL-2.0-or-later
/* server/listing.c: see listing.h */
#include "server/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/loop.h"
#include "server/observation.h"
#include "server/text.h"

static json_t *fail(unsigned *status, int code)
{
	*status = code == ENOENT ? 404 : code == EACCES ? 403 : 400;
	return json_pack("{s:s}", "detail", strerror(code));
}

/* ---- files ---- */

struct entry {
	const char *name;
	struct stat info;
	bool directory; /* or a link to one */
};

static const char *type_of(const struct entry *entry)
{
	if (entry->directory)
		return "directory";
	return S_ISREG(entry->info.st_mode) ? "file" : S_ISLNK(entry->info.st_mode) ? "link" : "other";
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *first = a, *second = b;

	if (first->directory != second->directory)
		return first->directory ? -1 : 1;
	return strcmp(first->name, second->name);
}

static json_t *entry_json(const struct entry *entry)
{
	char mode[8];

	snprintf(mode, sizeof mode, "%04o", entry->info.st_mode & 07777);
	return json_pack("{s:o, s:s, s:I, s:I, s:s}", "name", json_text(entry->name), "type", type_of(entry), "size",
		(json_int_t)entry->info.st_size, "modified", (json_int_t)entry->info.st_mtime, "mode", mode);
}

static bool look_at(int directory, struct entry *entry)
{
	struct stat target;

	if (fstatat(directory, entry->name, &entry->info, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	entry->directory = S_ISDIR(entry->info.st_mode) ||
			   (S_ISLNK(entry->info.st_mode) && fstatat(directory, entry->name, &target, 0) == 0 &&
				   S_ISDIR(target.st_mode));
	return true;
}

json_t *listing_files(void *input, unsigned *status)
{
	const char *path = input;
	cleanup_dir DIR *dir = opendir(path);
	cleanup_free struct entry *entries = xcalloc(LISTING_FILES_MAX, sizeof *entries);
	cleanup_str_list struct str_list names = { 0 };
	const struct dirent *found = NULL;
	size_t count = 0;

	if (!dir)
		return fail(status, errno);
	while (names.count <= LISTING_FILES_MAX && (found = dir_next(dir)))
		str_list_add(&names, found->d_name);
	if (!found && errno)
		return fail(status, errno);
	for (size_t i = 0; i < names.count && count < LISTING_FILES_MAX; i++) {
		entries[count].name = names.items[i];
		count += look_at(dirfd(dir), &entries[count]);
	}
	qsort(entries, count, sizeof *entries, compare_entries);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, entry_json(&entries[i]));
	return json_pack("{s:o, s:o, s:b}", "path", json_text(path), "entries", list, "truncated",
		names.count > LISTING_FILES_MAX);
}

/* ---- processes ---- */

/* One word of /proc/PID/status that is a number, times a factor. */
static json_int_t number_after(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoll(found + strlen(name), NULL, 10) : 0;
}

/* The arguments, joined with blanks; the name in brackets when there are none. */
static json_t *command_json(int directory, const char *stat_text)
{
	char bytes[LISTING_COMMAND_MAX];
	cleanup_fd int fd = openat(directory, "cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read_full(fd, bytes, sizeof bytes);

	while (size > 0 && !bytes[size - 1])
		size--;
	for (ssize_t i = 0; i < size; i++)
		bytes[i] = bytes[i] ? bytes[i] : ' ';
	if (size > 0)
		return json_text_of(bytes, (size_t)size);
	const char *open_bracket = strchr(stat_text, '('), *close_bracket = strrchr(stat_text, ')');
	if (!open_bracket || !close_bracket)
		return json_string("?");
	cleanup_free char *name = xasprintf("[%.*s]", (int)(close_bracket - open_bracket - 1), open_bracket + 1);
	return json_text(name);
}

static char *read_at(int directory, const char *name)
{
	cleanup_fd int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? NULL : read_file(fd, 16384, NULL);
}

/* Return: NULL: it is gone meanwhile */
static json_t *process_json(int proc, const char *pid)
{
	cleanup_fd int directory = openat(proc, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *stat_text = directory < 0 ? NULL : read_at(directory, "stat");
	cleanup_free char *status_text = directory < 0 ? NULL : read_at(directory, "status");
	const char *fields = stat_text ? strrchr(stat_text, ')') : NULL;
	unsigned long long user, system;
	long parent;
	char state;

	/* proc(5): after the name come state, ppid, then eleven others before utime, stime */
	if (!fields || !status_text ||
		sscanf(fields + 1, " %c %ld %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &state, &parent, &user,
			&system) != 4)
		return NULL;
	long long tick_ms = 1000 / sysconf(_SC_CLK_TCK);
	return json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:o}", "pid", (json_int_t)strtoll(pid, NULL, 10), "parent",
		(json_int_t)parent, "uid", number_after(status_text, "\nUid:"), "state", json_stringn(&state, 1),
		"memory", number_after(status_text, "\nVmRSS:") * 1024, "cpu", (json_int_t)(user + system) * tick_ms,
		"command", command_json(directory, stat_text));
}

json_t *listing_processes(void *input, unsigned *status)
{
	cleanup_dir DIR *dir = opendir("/proc");
	json_t *list = json_array();
	struct sysinfo system = { 0 };
	struct dirent *found;
	bool more = false;
	uint64_t pid;

	(void)input;
	if (!dir)
		return fail(status, errno);
	while (!more && (found = readdir(dir))) {
		if (!str_to_u64(found->d_name, INT32_MAX, &pid))
			continue;
		more = json_array_size(list) == LISTING_PROCESSES_MAX;
		json_t *process = more ? NULL : process_json(dirfd(dir), found->d_name);
		if (process)
			json_array_append_new(list, process);
	}
	sysinfo(&system);
	return json_pack("{s:I, s:I, s:I, s:o, s:b}", "now", (json_int_t)loop_now(), "processors",
		(json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory_total",
		(json_int_t)system.totalram * (json_int_t)system.mem_unit, "processes", list, "truncated", more);
}

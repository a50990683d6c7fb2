// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_list_files.c: POST /list_files: the names in a directory (spec: openhands 1.3). */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/files.h"
#include "server/observation.h"
#include "server/server.h"

/* Directories (they end in '/') first, then by name without regard to case. */
static int compare(const void *a, const void *b)
{
	const char *first = *(char *const *)a, *second = *(char *const *)b;
	bool first_dir = strchr(first, '/'), second_dir = strchr(second, '/');

	if (first_dir != second_dir)
		return first_dir ? -1 : 1;
	return strcasecmp(first, second);
}

static void list(const char *path, struct str_list *names)
{
	cleanup_dir DIR *dir = opendir(path);
	const struct dirent *entry;
	struct stat info;

	while (dir && (entry = dir_next(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &info, 0) < 0)
			continue; /* a broken link, or gone meanwhile */
		str_list_addf(names, "%s%s", entry->d_name, S_ISDIR(info.st_mode) ? "/" : "");
	}
	if (names->count)
		qsort(names->items, names->count, sizeof *names->items, compare);
}

void endpoint_list_files(struct request *request)
{
	json_error_t error;
	json_t *body = body_json(&request->body, 0, &error);
	json_t *path = json_object_get(body, "path");

	if (!json_is_object(body) || (path && !json_is_string(path) && !json_is_null(path))) {
		request_invalid(request, body ? "path: a string is required" : error.text);
		json_decref(body);
		return;
	}
	const char *given = json_string_value(path);
	cleanup_free char *directory = file_path(request->server->options.working_dir, given ? given : "");
	cleanup_str_list struct str_list names = { 0 };
	json_t *answer = json_array();
	list(directory, &names);
	for (size_t i = 0; i < names.count; i++)
		json_array_append_new(answer, json_text(names.items[i]));
	json_decref(body);
	request_answer(request, 200, answer);
}

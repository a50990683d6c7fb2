// SPDX-License-Identifier: GPL-2.0-or-later
/* server/listing.h: what the console page shows of files and processes. Both are for worker_answer(). */
#pragma once
#include <jansson.h>

enum { LISTING_FILES_MAX = 5000, LISTING_PROCESSES_MAX = 2000, LISTING_COMMAND_MAX = 512 };

/**
 * listing_files() - a directory. @input: its path
 *
 * {"path": P, "entries": [{"name", "type": "directory" "file" "link" or "other", "size", "modified": s, "mode": octal
 * text}], "truncated": bool}, directories first. A link to a directory is a directory.
 */
json_t *listing_files(void *input, unsigned *status);

/**
 * listing_processes() - all that /proc shows
 *
 * {"now": ms, "processors": N, "memory_total": bytes, "processes": [{"pid", "parent", "uid", "state", "memory": bytes,
 * "cpu": ms used, "command"}], "truncated": bool}
 */
json_t *listing_processes(void *input, unsigned *status);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/editor.h: the editor tool of agents, OHEditor of openhands-aci (spec: openhands 4.4): its commands, its texts,
 * its undo.
 *
 * Texts are UTF-8 with \n between lines whatever the file has (encoding.h), and may hold NUL characters.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "server/edit_history.h"
#include "server/encoding.h"
#include "server/text.h"

enum { EDITOR_CONTEXT = 4, EDITOR_FILE_MAX = 10 << 20 };

struct editor {
	const char *working_dir; /* where a relative path may have been meant to be */
	struct edit_history history;
};

/* An argument that is a text; bytes NULL: it was not given. */
struct span {
	const char *bytes;
	size_t size;
};

struct edit_command {
	const char *name, *path;
	struct span file_text, old_str, new_str;
	const json_t *insert_line, *view_range; /* NULL or null: not given */
};

struct edit_result {
	struct text output;   /* what the agent reads; "ERROR:\n..." when the command failed */
	struct text old, new; /* contents of the file before and after; empty where nothing changed */
};

/** editor_run() - carry out a command. @result: starts as { 0 }, edit_result_free() releases it. */
void editor_run(struct editor *editor, const struct edit_command *command, struct edit_result *result);
void edit_result_free(struct edit_result *result);

/* ---- for the parts of the editor ---- */

/* An error for the agent: set @result->output. Return: false */
[[gnu::format(printf, 2, 3)]] bool edit_fail(struct edit_result *result, const char *format, ...);

/** edit_load() - validate a file and read it as text. Return: false with the error set. */
bool edit_load(const char *path, struct text *text, struct encoding *encoding, struct edit_result *result);

/** edit_store() - write a text. Return: false with the error set; the file is then as it was. */
bool edit_store(const char *path, const struct text *text, struct encoding encoding, struct edit_result *result);

/** edit_list() - a numbered listing, as `cat -n` makes it. @what: a path, or "a snippet of ..." */
void edit_list(struct text *out, const char *what, const char *bytes, size_t size, int64_t first);

/** edit_view_directory() - names down to two levels. */
bool edit_view_directory(const char *path, struct edit_result *result);

/** edit_count_lines() - lines of a text; a last one without newline counts. */
int64_t edit_count_lines(const struct text *text);

/** edit_line() - offset of line @line (1 is the first) of a text; its size when there are fewer lines. */
size_t edit_line(const struct text *text, int64_t line);

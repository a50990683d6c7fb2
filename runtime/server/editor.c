// SPDX-License-Identifier: GPL-2.0-or-later
/* server/editor.c: see editor.h */
#include "server/editor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"

/* What a command works on: the path in its shortest form, and the file once it was read. */
struct edit {
	struct editor *editor;
	const struct edit_command *command;
	struct edit_result *result;
	const char *path;
	struct text text;
	struct encoding encoding;
};

bool edit_fail(struct edit_result *result, const char *format, ...)
{
	cleanup_free char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	result->output.size = 0;
	text_addf(&result->output, "ERROR:\n%s", message ? message : format);
	return false;
}

static bool invalid(struct edit_result *result, const char *parameter, const char *value, const char *hint)
{
	return edit_fail(result, "Invalid `%s` parameter: %s. %s", parameter, value, hint);
}

static bool missing(struct edit *edit, const char *parameter)
{
	return edit_fail(edit->result, "Parameter `%s` is required for command: %s.", parameter, edit->command->name);
}

/* ---- which file ---- */

/* As pathlib.Path writes a path: no empty components, no ".", no slash at the end. Caller owns. */
static char *shortest_path(const char *path)
{
	struct text out = { 0 };

	if (*path == '/')
		text_add(&out, "/", 1);
	while (*path) {
		size_t size = strcspn(path, "/");
		if (size && !(size == 1 && *path == '.')) {
			if (out.size && out.bytes[out.size - 1] != '/')
				text_add(&out, "/", 1);
			text_add(&out, path, size);
		}
		path += size + (path[size] == '/');
	}
	if (!out.size)
		text_add(&out, ".", 1);
	return text_take(&out);
}

/* Python's Path.suffix: from the last dot of the name, unless the name begins or ends with it. */
static const char *suffix(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');

	return dot && dot != name && dot[1] ? dot : "";
}

/* Formats that upstream converts to text with libraries of the image; there is no converter here. */
static bool is_document(const char *path)
{
	static const char *const known[] = {
		".docx",
		".xlsx",
		".pptx",
		".pdf",
		".mp3",
		".wav",
		".m4a",
		".flac",
		NULL,
	};
	const char *end = suffix(path);

	for (size_t i = 0; known[i]; i++)
		if (strcasecmp(end, known[i]) == 0)
			return true;
	return false;
}

static bool check_absolute(struct edit *edit)
{
	cleanup_free char *meant = xasprintf("%s/%s", edit->editor->working_dir, edit->path);
	cleanup_free char *suggestion = shortest_path(meant);
	struct stat info;

	if (*edit->path == '/')
		return true;
	cleanup_free char *hint = xasprintf("The path should be an absolute path, starting with `/`.%s%s%s",
		stat(suggestion, &info) == 0 ? " Maybe you meant " : "", stat(suggestion, &info) == 0 ? suggestion : "",
		stat(suggestion, &info) == 0 ? "?" : "");
	return invalid(edit->result, "path", edit->path, hint);
}

static bool check_path(struct edit *edit)
{
	bool create = strcmp(edit->command->name, "create") == 0, view = strcmp(edit->command->name, "view") == 0;
	const char *path = edit->path;
	cleanup_free char *hint = NULL;
	struct stat info;

	if (!check_absolute(edit))
		return false;
	bool exists = stat(path, &info) == 0;
	if (create && exists)
		hint = xasprintf("File already exists at: %s. Cannot overwrite files using command `create`.", path);
	else if (!create && !exists)
		hint = xasprintf("The path %s does not exist. Please provide a valid path.", path);
	else if (!view && exists && S_ISDIR(info.st_mode))
		hint = xasprintf(
			"The path %s is a directory and only the `view` command can be used on directories.", path);
	else if (!view && is_document(path))
		hint = xasprintf("The path %s points to a binary file (%s) and only the `view` command can be used on "
				 "supported binary files.",
			path, suffix(path));
	return hint ? invalid(edit->result, "path", path, hint) : true;
}

static bool load(struct edit *edit)
{
	return edit_load(edit->path, &edit->text, &edit->encoding, edit->result);
}

/* The commands end here: the result's old and new text are for the diff. */
static bool store(struct edit *edit, struct text *new)
{
	if (!edit_store(edit->path, new, edit->encoding, edit->result))
		return false;
	edit->result->old = edit->text;
	edit->text = (struct text){ 0 };
	edit->result->new = *new;
	*new = (struct text){ 0 };
	return true;
}

/* ---- view ---- */

static bool is_given(const json_t *value)
{
	return value && !json_is_null(value) && !(json_is_array(value) && json_array_size(value) == 0);
}

static bool invalid_range(struct edit *edit, const char *hint)
{
	cleanup_free char *value = json_dumps(edit->command->view_range, JSON_ENCODE_ANY);

	return invalid(edit->result, "view_range", value ? value : "", hint);
}

/* The range that is wanted. @end is cut to the end of the file, *clipped says so. */
static bool take_range(struct edit *edit, json_int_t *first, json_int_t *last, bool *clipped)
{
	const json_t *range = edit->command->view_range;
	const json_t *a = json_array_get(range, 0), *b = json_array_get(range, 1);
	json_int_t count = edit_count_lines(&edit->text);
	cleanup_free char *hint = NULL;

	if (json_array_size(range) != 2 || !json_is_integer(a) || !json_is_integer(b))
		return invalid_range(edit, "It should be a list of two integers.");
	*first = json_integer_value(a);
	*last = json_integer_value(b);
	*clipped = *last > count;
	if (*last == -1 || *clipped)
		*last = count;
	if (*first < 1 || *first > count)
		hint = xasprintf("Its first element `%lld` should be within the range of lines of the file: [1, %lld].",
			(long long)*first, (long long)count);
	else if (*last < *first)
		hint = xasprintf(
			"Its second element `%lld` should be greater than or equal to the first element `%lld`.",
			(long long)*last, (long long)*first);
	return hint ? invalid_range(edit, hint) : true;
}

static bool view_range(struct edit *edit)
{
	json_int_t first = 0, last = 0;
	bool clipped = false;

	if (!take_range(edit, &first, &last, &clipped))
		return false;
	size_t from = edit_line(&edit->text, first), to = edit_line(&edit->text, last + 1);
	if (to > from && edit->text.bytes[to - 1] == '\n')
		to--;
	if (clipped)
		text_addf(&edit->result->output,
			"NOTE: We only show up to %lld since there're only %lld lines in this file.\n", (long long)last,
			(long long)last);
	edit_list(&edit->result->output, edit->path, edit->text.bytes + from, to - from, first);
	return true;
}

static bool view(struct edit *edit)
{
	bool ranged = is_given(edit->command->view_range);
	struct stat info;

	if (stat(edit->path, &info) == 0 && S_ISDIR(info.st_mode))
		return ranged ? invalid_range(edit,
					"The `view_range` parameter is not allowed when `path` points to a directory.")
			      : edit_view_directory(edit->path, edit->result);
	if (is_document(edit->path))
		return edit_fail(edit->result,
			"Error in converting file to Markdown: this server has no converter. Please use Python code to "
			"read %s",
			edit->path);
	if (!load(edit))
		return false;
	if (ranged)
		return view_range(edit);
	edit_list(&edit->result->output, edit->path, edit->text.bytes, edit->text.size, 1);
	return true;
}

/* ---- create, undo_edit ---- */

static bool create(struct edit *edit)
{
	struct span given = edit->command->file_text;
	cleanup_text struct text new = { 0 };

	if (!given.bytes)
		return missing(edit, "file_text");
	text_add(&new, given.bytes, given.size);
	if (!store(edit, &new))
		return false;
	edit_history_add(&edit->editor->history, edit->path, &edit->result->new);
	text_addf(&edit->result->output, "File created successfully at: %s", edit->path);
	return true;
}

static bool undo(struct edit *edit)
{
	cleanup_text struct text old = { 0 };

	if (!load(edit))
		return false;
	if (!edit_history_pop(&edit->editor->history, edit->path, &old))
		return edit_fail(edit->result, "No edit history found for %s.", edit->path);
	if (!edit_store(edit->path, &old, edit->encoding, edit->result)) {
		edit_history_add(&edit->editor->history, edit->path, &old);
		return false;
	}
	text_addf(&edit->result->output, "Last edit to %s undone successfully. ", edit->path);
	edit_list(&edit->result->output, edit->path, old.bytes, old.size, 1);
	edit->result->old = edit->text;
	edit->text = (struct text){ 0 };
	edit->result->new = old;
	old = (struct text){ 0 };
	return true;
}

/* ---- str_replace, insert ---- */

static struct span strip(struct span span)
{
	static const char blanks[] = " \t\n\v\f\r\x1c\x1d\x1e\x1f";

	while (span.size && *span.bytes && strchr(blanks, *span.bytes))
		span.bytes++, span.size--;
	while (span.size && span.bytes[span.size - 1] && strchr(blanks, span.bytes[span.size - 1]))
		span.size--;
	return span;
}

/* The next place at or after @from; an empty text is found before every character and at the end. SIZE_MAX: none */
static size_t find(const struct text *text, struct span wanted, size_t from)
{
	if (from > text->size)
		return SIZE_MAX;
	if (!wanted.size) {
		while (from < text->size && ((unsigned char)text->bytes[from] & 0xc0) == 0x80)
			from++;
		return from;
	}
	const char *found = memmem(text->bytes + from, text->size - from, wanted.bytes, wanted.size);
	return found ? (size_t)(found - text->bytes) : SIZE_MAX;
}

static int64_t count_newlines(const char *bytes, size_t size)
{
	int64_t count = 0;

	for (const char *end = bytes + size; (bytes = memchr(bytes, '\n', (size_t)(end - bytes))); bytes++)
		count++;
	return count;
}

static bool several(struct edit *edit, struct span old)
{
	cleanup_text struct text lines = { 0 };
	int64_t line = 1, last = 0;
	size_t counted = 0;

	for (size_t at = find(&edit->text, old, 0); at != SIZE_MAX;
		at = find(&edit->text, old, at + (old.size ? old.size : 1))) {
		line += count_newlines(edit->text.bytes + counted, at - counted);
		counted = at;
		if (line != last)
			text_addf(&lines, "%s%lld", last ? ", " : "", (long long)line);
		last = line;
	}
	return edit_fail(edit->result,
		"No replacement was performed. Multiple occurrences of old_str `%.*s` in lines [%s]. Please ensure it "
		"is unique.",
		(int)old.size, old.bytes, lines.bytes);
}

static void show_snippet(struct edit *edit, const char *what, int64_t from, int64_t to, int64_t number)
{
	const struct text *text = &edit->result->new;
	size_t begin = edit_line(text, from), end = edit_line(text, to + 1);

	text_addf(&edit->result->output, "The file %s has been edited. ", edit->path);
	edit_list(&edit->result->output, what, text->bytes + begin, end - begin, number);
}

static bool replace_at(struct edit *edit, size_t at, struct span old, struct span new)
{
	cleanup_text struct text text = { 0 };
	cleanup_free char *what = xasprintf("a snippet of %s", edit->path);
	int64_t line = count_newlines(edit->text.bytes, at) + 1;
	int64_t from = line > EDITOR_CONTEXT ? line - EDITOR_CONTEXT : 0;

	text_add(&text, edit->text.bytes, at);
	text_add(&text, new.bytes, new.size);
	text_add(&text, edit->text.bytes + at + old.size, edit->text.size - at - old.size);
	if (!store(edit, &text))
		return false;
	edit_history_add(&edit->editor->history, edit->path, &edit->result->old);
	show_snippet(edit, what, from + 1, line + EDITOR_CONTEXT + count_newlines(new.bytes, new.size), from + 1);
	text_addf(&edit->result->output,
		"Review the changes and make sure they are as expected. Edit the file again if necessary.");
	return true;
}

static bool str_replace(struct edit *edit)
{
	struct span old = edit->command->old_str, new = edit->command->new_str;

	if (!old.bytes)
		return missing(edit, "old_str");
	if (new.bytes &&new.size == old.size && memcmp(new.bytes, old.bytes, old.size) == 0)
		return invalid(edit->result, "new_str", new.bytes,
			"No replacement was performed. `new_str` and `old_str` must be different.");
	if (!new.bytes)
		new = (struct span){ "", 0 };
	if (!load(edit))
		return false;
	size_t at = find(&edit->text, old, 0);
	if (at == SIZE_MAX) { /* perhaps only the white space around it is different */
		old = strip(old);
		new = strip(new);
		at = find(&edit->text, old, 0);
	}
	if (at == SIZE_MAX)
		return edit_fail(edit->result,
			"No replacement was performed, old_str `%.*s` did not appear verbatim in %s.", (int)old.size,
			old.bytes, edit->path);
	if (find(&edit->text, old, at + (old.size ? old.size : 1)) != SIZE_MAX)
		return several(edit, old);
	return replace_at(edit, at, old, new);
}

/* An integer, or its digits as a text, as models send it. */
static bool take_line(struct edit *edit, json_int_t *line)
{
	const json_t *value = edit->command->insert_line;
	cleanup_free char *shown =
		json_is_string(value) ? xstrdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
	char *end;

	*line = json_integer_value(value);
	if (json_is_integer(value))
		return true;
	errno = 0;
	*line = strtoll(shown, &end, 10);
	if (json_is_string(value) && end != shown && !errno && !end[strspn(end, " \t\r\n")])
		return true;
	return edit_fail(edit->result, "Invalid insert_line value: '%s'. Expected an integer.", shown);
}

static bool insert_at(struct edit *edit, json_int_t line, struct span new)
{
	cleanup_text struct text text = { 0 };
	size_t at = edit_line(&edit->text, line + 1);
	int64_t added = count_newlines(new.bytes, new.size) + 1;
	int64_t from = line > EDITOR_CONTEXT ? line - EDITOR_CONTEXT : 0;

	text_add(&text, edit->text.bytes, at);
	if (at && edit->text.bytes[at - 1] != '\n') /* after a last line that lacks it */
		text_add(&text, "\n", 1);
	text_add(&text, new.bytes, new.size);
	text_add(&text, "\n", 1);
	text_add(&text, edit->text.bytes + at, edit->text.size - at);
	if (!store(edit, &text))
		return false;
	edit_history_add(&edit->editor->history, edit->path, &edit->result->old);
	show_snippet(edit, "a snippet of the edited file", from + 1, line + EDITOR_CONTEXT + added, from + 1);
	text_addf(&edit->result->output,
		"Review the changes and make sure they are as expected (correct indentation, no duplicate lines, etc). "
		"Edit the file again if necessary.");
	return true;
}

static bool insert(struct edit *edit)
{
	const struct edit_command *command = edit->command;
	json_int_t line = 0;

	if (!command->insert_line || json_is_null(command->insert_line))
		return missing(edit, "insert_line");
	if (!command->new_str.bytes)
		return missing(edit, "new_str");
	if (!take_line(edit, &line) || !load(edit))
		return false;
	json_int_t count = edit_count_lines(&edit->text);
	if (line >= 0 && line <= count)
		return insert_at(edit, line, command->new_str);
	cleanup_free char *value = xasprintf("%lld", (long long)line);
	cleanup_free char *hint =
		xasprintf("It should be within the range of allowed values: [0, %lld]", (long long)count);
	return invalid(edit->result, "insert_line", value, hint);
}

/* ---- the table ---- */

static const struct {
	const char *name;
	bool (*run)(struct edit *edit);
} commands[] = {
	{ "view", view },
	{ "create", create },
	{ "str_replace", str_replace },
	{ "insert", insert },
	{ "undo_edit", undo },
};

static bool unknown(struct edit *edit)
{
	return edit_fail(edit->result,
		"Unrecognized command %s. The allowed commands for the oh_editor tool are: view, create, str_replace, "
		"insert, undo_edit",
		edit->command->name);
}

void editor_run(struct editor *editor, const struct edit_command *command, struct edit_result *result)
{
	cleanup_free char *path = shortest_path(command->path);
	struct edit edit = { .editor = editor, .command = command, .result = result, .path = path };
	bool (*run)(struct edit *) = unknown;

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, command->name) == 0)
			run = commands[i].run;
	if (check_path(&edit))
		run(&edit);
	text_free(&edit.text);
}

void edit_result_free(struct edit_result *result)
{
	text_free(&result->output);
	text_free(&result->old);
	text_free(&result->new);
}

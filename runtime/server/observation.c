// SPDX-License-Identifier: GPL-2.0-or-later
/* server/observation.c: see observation.h */
#include "server/observation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/text.h"

json_t *json_text(const char *string)
{
	return json_text_of(string, string ? strlen(string) : 0);
}

json_t *json_text_of(const char *bytes, size_t size)
{
	if (!bytes)
		return json_null();
	json_t *value = json_stringn(bytes, size);
	if (value)
		return value;
	cleanup_text struct text clean = { 0 };
	while (size) {
		size_t length = *bytes ? text_utf8_length(bytes, size) : 1;
		if (length)
			text_add(&clean, bytes, length);
		else
			text_add_code_point(&clean, 0xfffd);
		bytes += length ? length : 1;
		size -= length ? length : 1;
	}
	return json_stringn(clean.bytes, clean.size);
}

static json_t *observation(const char *type, json_t *message, json_t *content, json_t *extras)
{
	return json_pack(
		"{s:o, s:s, s:o, s:o}", "message", message, "observation", type, "content", content, "extras", extras);
}

json_t *observation_error(const char *format, ...)
{
	cleanup_free char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	return observation("error", json_text(text ? text : format), json_text(text ? text : format),
		json_pack("{s:s}", "error_id", ""));
}

json_t *observation_run(const char *command, const char *content, const struct run_metadata *metadata, bool hidden)
{
	cleanup_free char *message =
		xasprintf("Command `%s` executed with exit code %d.", command, metadata->exit_code);
	json_t *details = json_pack("{s:i, s:I, s:o, s:o, s:o, s:o, s:s, s:o}", "exit_code", metadata->exit_code, "pid",
		(json_int_t)metadata->background, "username", json_text(metadata->username), "hostname",
		json_text(metadata->hostname), "working_dir", json_text(metadata->cwd), "py_interpreter_path",
		json_text(metadata->python), "prefix", metadata->prefix ? metadata->prefix : "", "suffix",
		json_text(metadata->suffix ? metadata->suffix : ""));
	json_t *extras =
		json_pack("{s:o, s:o, s:b}", "command", json_text(command), "metadata", details, "hidden", (int)hidden);
	json_t *result = observation("run", json_text(message), json_text(content), extras);

	json_object_set_new(result, "success", json_boolean(metadata->exit_code == 0));
	return result;
}

json_t *observation_read(const char *path, const char *content, size_t size, const char *impl_source)
{
	cleanup_free char *message = xasprintf("I read the file %s.", path);

	return observation("read", json_text(message), json_text_of(content, size),
		json_pack("{s:o, s:s}", "path", json_text(path), "impl_source", impl_source));
}

json_t *observation_write(const char *path)
{
	cleanup_free char *message = xasprintf("I wrote to the file %s.", path);

	return observation("write", json_text(message), json_string(""), json_pack("{s:o}", "path", json_text(path)));
}

json_t *observation_edit(
	const char *path, const char *content, size_t size, json_t *old_str, json_t *new_str, json_t *diff)
{
	cleanup_free char *message = xasprintf("I edited the file %s.", path);
	json_t *extras = json_pack("{s:o, s:b, s:o, s:o, s:s, s:o, s:n}", "path", json_text(path), "prev_exist", 0,
		"old_content", old_str, "new_content", new_str, "impl_source", "oh_aci", "diff", diff, "_diff_cache");

	return observation("edit", json_text(message), json_text_of(content, size), extras);
}

json_t *observation_ipython(json_t *code, const char *content, json_t *images)
{
	json_t *extras = json_pack("{s:O, s:O}", "code", code, "image_urls", images ? images : json_null());
	json_t *result =
		observation("run_ipython", json_string("Code executed in IPython cell."), json_text(content), extras);

	json_object_set_new(result, "success", json_true());
	return result;
}

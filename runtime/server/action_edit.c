// SPDX-License-Identifier: GPL-2.0-or-later
/* server/action_edit.c: the `edit` action (spec: openhands 4.4), and `read` through the editor (4.2). */
#include <string.h>

#include "base/cleanup.h"
#include "server/diff.h"
#include "server/editor.h"
#include "server/observation.h"
#include "server/server.h"

/* A text, or null. A wrong type fails the job. */
static bool take_text(struct job *job, json_t *args, const char *name, struct span *span)
{
	json_t *value = json_object_get(args, name);

	*span = (struct span){ json_string_value(value), json_string_length(value) };
	if (!value || json_is_null(value) || json_is_string(value))
		return true;
	job_fail(job, "argument \"%s\" of the action is not a string", name);
	return false;
}

static json_t *edit_observation(const struct edit_command *command, const struct edit_result *result)
{
	cleanup_text struct text diff = { 0 };
	const char *old = result->old.bytes ? result->old.bytes : "", *new = result->new.bytes ? result->new.bytes : "";

	diff_unified(command->path, old, result->old.size, new, result->new.size, &diff);
	return observation_edit(command->path, result->output.bytes, result->output.size,
		json_text_of(command->old_str.bytes, command->old_str.size),
		json_text_of(command->new_str.bytes, command->new_str.size),
		json_text_of(diff.bytes ? diff.bytes : "", diff.size));
}

void action_edit(struct job *job, json_t *args)
{
	struct edit_command command = { .name = "", .insert_line = json_object_get(args, "insert_line") };
	const char *how = "oh_aci";
	struct edit_result result = { 0 };

	if (!job_string(job, args, "path", &command.path) || !job_string(job, args, "command", &command.name) ||
		!job_string(job, args, "impl_source", &how) || !take_text(job, args, "file_text", &command.file_text) ||
		!take_text(job, args, "old_str", &command.old_str) ||
		!take_text(job, args, "new_str", &command.new_str))
		return;
	if (strcmp(how, "oh_aci") != 0) {
		job_done(job, observation_error("Edits of impl_source \"%s\" are made by the client.", how));
		return;
	}
	editor_run(&job->server->editor, &command, &result);
	json_t *observation = edit_observation(&command, &result);
	edit_result_free(&result);
	job_done(job, observation);
}

json_t *read_through_editor(struct editor *editor, const char *path, const json_t *range)
{
	const struct edit_command command = { .name = "view", .path = path, .view_range = range };
	struct edit_result result = { 0 };

	editor_run(editor, &command, &result);
	json_t *observation = observation_read(path, result.output.bytes, result.output.size, "oh_aci");
	edit_result_free(&result);
	return observation;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/observation.h: the objects an action is answered with (spec: openhands 2.2, 2.3). */
#pragma once
#include <jansson.h>
#include <stdbool.h>

/* metadata of a `run` observation; { .exit_code = -1, .background = -1 } is "unknown, still running" */
struct run_metadata {
	int exit_code;
	long background;
	const char *username, *hostname, *cwd, *python; /* NULL = null */
	const char *prefix, *suffix;			/* NULL = "" */
};

/** json_text() - a JSON string of any bytes: what is not UTF-8 becomes U+FFFD. NULL becomes null. */
json_t *json_text(const char *string);

/** json_text_of() - the same of bytes that may hold NUL; NULL becomes null. */
json_t *json_text_of(const char *bytes, size_t size);

[[gnu::format(printf, 1, 2)]] json_t *observation_error(const char *format, ...);
json_t *observation_run(const char *command, const char *content, const struct run_metadata *metadata, bool hidden);
/** @impl_source: "default" or "oh_aci" */
json_t *observation_read(const char *path, const char *content, size_t size, const char *impl_source);

json_t *observation_write(const char *path);
/** observation_ipython() - @code: the action's; @images: array of data URLs, or NULL */
json_t *observation_ipython(json_t *code, const char *content, json_t *images);
/** observation_edit() - takes over the three values: the action's old_str and new_str, and the diff. */
json_t *observation_edit(
	const char *path, const char *content, size_t size, json_t *old_str, json_t *new_str, json_t *diff);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/bash_events.c: see bash_events.h */
#include "server/bash_events.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "server/observation.h"
#include "server/text.h"

enum { COLLECTED_MAX = 32 << 20 }; /* text of one answer that holds all output */

static void make_id(char id[static BASH_ID_LENGTH + 1])
{
	unsigned char bytes[BASH_ID_LENGTH / 2] = { 0 };

	/* 16 bytes never fail nor fall short once the kernel's generator is ready, and it was when pid 1 started. */
	(void)!getrandom(bytes, sizeof bytes, 0);
	bytes[6] = (unsigned char)(0x40 | (bytes[6] & 0x0f)); /* version 4, */
	bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f)); /* variant 1 */
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

bool bash_id_parse(const char *text, char id[static BASH_ID_LENGTH + 1])
{
	size_t length = 0;

	for (; *text; text++) {
		if (*text == '-' && length && length < BASH_ID_LENGTH)
			continue;
		if (!isxdigit((unsigned char)*text) || length == BASH_ID_LENGTH)
			return false;
		id[length++] = (char)tolower((unsigned char)*text);
	}
	id[length] = '\0';
	return length == BASH_ID_LENGTH;
}

static bool parse_zone(const char *text, int64_t *offset_s)
{
	int hours, minutes = 0, used = 0;

	*offset_s = 0;
	if (!*text || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return true;
	/* A `+` that the client did not escape is a blank by now. */
	if ((*text != '+' && *text != ' ' && *text != '-') || !isdigit((unsigned char)text[1]))
		return false;
	if ((sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 &&
		    sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) != 2) ||
		text[1 + used] || hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*offset_s = (hours * 60 + minutes) * (*text == '-' ? -60 : 60);
	return true;
}

bool bash_time_parse(const char *text, int64_t *time_us)
{
	struct tm tm = { 0 };
	int64_t fraction = 0, unit = 100000, offset_s;
	char *rest;

	double seconds = strtod(text, &rest);
	if (*text && !*rest && fabs(seconds) < 1e11) {
		*time_us = (int64_t)(seconds * 1e6);
		return true;
	}
	rest = strptime(text, "%Y-%m-%d", &tm);
	if (rest && (*rest == 'T' || *rest == ' '))
		rest = strptime(rest + 1, "%H:%M:%S", &tm);
	if (!rest)
		return false;
	if (*rest == '.')
		for (rest++; isdigit((unsigned char)*rest); rest++, unit /= 10)
			fraction += (*rest - '0') * unit;
	if (!parse_zone(rest, &offset_s))
		return false;
	*time_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + fraction;
	return true;
}

static int64_t next_time(struct bash_events *events)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	int64_t now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	events->last_us = now_us > events->last_us ? now_us : events->last_us + 1;
	return events->last_us;
}

static void drop_first(struct bash_events *events, size_t count)
{
	if (!count)
		return;
	for (size_t i = 0; i < count; i++) {
		struct bash_event *event = &events->events[i];
		json_decref(event->request);
		if (event->kind == BASH_OUTPUT && event->stdout_size + event->stderr_size)
			spool_drop(&events->spool, event->text_at, event->stdout_size + event->stderr_size);
	}
	events->count -= count;
	if (count)
		memmove(events->events, events->events + count, events->count * sizeof *events->events);
}

static void make_room(struct bash_events *events, size_t bytes)
{
	enum { EVENTS_AT_ONCE = BASH_EVENTS_MAX / 20 };
	size_t drop = events->count >= BASH_EVENTS_MAX ? EVENTS_AT_ONCE : 0;
	size_t freed = 0;

	for (size_t i = 0; i < events->count; i++) {
		if (i >= drop && events->spool.used - freed + bytes <= BASH_BYTES_MAX)
			break;
		freed += events->events[i].stdout_size + events->events[i].stderr_size;
		drop = i < drop ? drop : i + 1;
	}
	drop_first(events, drop);
	if (events->count == events->room) {
		events->room = events->room ? events->room * 2 : 32;
		events->events = xrealloc(events->events, events->room, sizeof *events->events);
	}
}

static int store(struct bash_events *events, struct bash_event *event, const char *out, const char *err)
{
	cleanup_text struct text both = { 0 };

	event->text_at = 0;
	text_add(&both, out, event->stdout_size);
	text_add(&both, err, event->stderr_size);
	return both.size ? spool_add(&events->spool, both.bytes, both.size, &event->text_at) : 0;
}

const struct bash_event *bash_events_add(
	struct bash_events *events, struct bash_event event, const char *stdout_bytes, const char *stderr_bytes)
{
	make_room(events, event.stdout_size + event.stderr_size);
	if (!*event.id)
		make_id(event.id);
	event.time_us = next_time(events);
	if (event.kind == BASH_OUTPUT && store(events, &event, stdout_bytes, stderr_bytes) < 0) {
		cleanup_free char *reason = xasprintf("[%zu bytes of output could not be kept: %s]\n",
			event.stdout_size + event.stderr_size, strerror(errno));
		event.stdout_size = 0;
		event.stderr_size = strlen(reason);
		if (store(events, &event, "", reason) < 0)
			event.stderr_size = 0;
	}
	events->events[events->count++] = event;
	return &events->events[events->count - 1];
}

const struct bash_event *bash_events_find(const struct bash_events *events, const char *id)
{
	for (size_t i = 0; i < events->count; i++)
		if (strcmp(events->events[i].id, id) == 0)
			return &events->events[i];
	return NULL;
}

static json_t *time_json(int64_t time_us)
{
	char seconds[CLOCK_UTC_TEXT], text[CLOCK_UTC_TEXT + 16];

	clock_utc_text(time_us / 1000000, seconds);
	snprintf(text, sizeof text, "%s.%06dZ", seconds, (int)(time_us % 1000000));
	return json_string(text);
}

static json_t *text_json(const struct bash_events *events, off_t at, size_t size)
{
	if (!size)
		return json_null();
	cleanup_free char *bytes = xcalloc(1, size + 1);
	if (spool_read(&events->spool, at, bytes, size) < 0)
		return json_null();
	return json_text_of(bytes, size);
}

json_t *bash_event_json(const struct bash_events *events, const struct bash_event *event)
{
	json_t *json = json_pack("{s:s, s:s, s:o}", "kind", event->kind == BASH_COMMAND ? "BashCommand" : "BashOutput",
		"id", event->id, "timestamp", time_json(event->time_us));

	if (event->kind == BASH_COMMAND) {
		json_object_update(json, event->request);
		return json;
	}
	json_object_set_new(json, "command_id", json_string(event->command_id));
	json_object_set_new(json, "order", json_integer(event->order));
	json_object_set_new(json, "exit_code", event->ended ? json_integer(event->exit_code) : json_null());
	json_object_set_new(json, "stdout", text_json(events, event->text_at, event->stdout_size));
	json_object_set_new(
		json, "stderr", text_json(events, event->text_at + (off_t)event->stdout_size, event->stderr_size));
	return json;
}

static bool matches(const struct bash_search *search, const struct bash_event *event)
{
	bool output = event->kind == BASH_OUTPUT;

	if (search->kind != BASH_ANY && event->kind != search->kind)
		return false;
	if (search->command_id && (!output || strcmp(event->command_id, search->command_id) != 0))
		return false;
	if (output && event->order <= search->order_above)
		return false;
	return event->time_us >= search->from_us && event->time_us < search->before_us;
}

json_t *bash_events_search(const struct bash_events *events, const struct bash_search *search)
{
	json_t *items = json_array();
	const char *next = NULL;
	const struct bash_event *start = search->page_id ? bash_events_find(events, search->page_id) : NULL;
	size_t bytes = 0;

	/* A page that does not exist any more is the first one, as upstream has it. */
	size_t first = start ? (size_t)(start - events->events) : search->descending ? events->count - 1 : 0;
	for (size_t i = first; i < events->count; i += search->descending ? (size_t)-1 : 1) {
		const struct bash_event *event = &events->events[i];
		if (!matches(search, event))
			continue;
		bytes += event->stdout_size + event->stderr_size;
		if (json_array_size(items) >= search->limit || (bytes > BASH_PAGE_BYTES && json_array_size(items))) {
			next = event->id;
			break;
		}
		json_array_append_new(items, bash_event_json(events, event));
	}
	return json_pack("{s:o, s:s?}", "items", items, "next_page_id", next);
}

/* One of the two texts of all outputs of a command; the oldest are left out when there is too much. */
static json_t *joined(const struct bash_events *events, const char *id, bool is_stderr)
{
	cleanup_text struct text all = { 0 };
	size_t total = 0, skipped = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < events->count; i++) {
			const struct bash_event *event = &events->events[i];
			size_t size = is_stderr ? event->stderr_size : event->stdout_size;
			if (event->kind != BASH_OUTPUT || strcmp(event->command_id, id) != 0 || !size)
				continue;
			if (pass == 0) {
				total += size;
			} else if (total - skipped > COLLECTED_MAX) {
				skipped += size;
			} else {
				cleanup_free char *bytes = xcalloc(1, size);
				off_t at = event->text_at + (off_t)(is_stderr ? event->stdout_size : 0);
				if (spool_read(&events->spool, at, bytes, size) == 0)
					text_add(&all, bytes, size);
			}
		}
	}
	if (!all.size)
		return json_null();
	if (!skipped)
		return json_text_of(all.bytes, all.size);
	cleanup_text struct text noted = { 0 };
	text_addf(&noted, "[%zu bytes are left out here; the events hold them]\n", skipped);
	text_add(&noted, all.bytes, all.size);
	return json_text_of(noted.bytes, noted.size);
}

json_t *bash_events_collect(const struct bash_events *events, const char *id)
{
	const struct bash_event *last = NULL;

	for (size_t i = 0; i < events->count; i++)
		if (events->events[i].kind == BASH_OUTPUT && strcmp(events->events[i].command_id, id) == 0)
			last = &events->events[i];
	if (!last)
		return NULL;
	return json_pack("{s:s, s:s, s:o, s:s, s:I, s:i, s:o, s:o}", "kind", "BashOutput", "id", last->id, "timestamp",
		time_json(last->time_us), "command_id", id, "order", (json_int_t)last->order, "exit_code",
		last->ended ? last->exit_code : -1, "stdout", joined(events, id, false), "stderr",
		joined(events, id, true));
}

size_t bash_events_clear(struct bash_events *events)
{
	size_t count = events->count;

	drop_first(events, count);
	return count;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/bash_events.h: what /api/bash keeps of its commands: one BashCommand and one or more BashOutput each (spec:
 * openhands 10.2).
 *
 * Texts lie in a spool; there are bounds on their sum and on the number of events, and the oldest go first.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/spool.h"

enum {
	BASH_ID_LENGTH = 32,	    /* a UUID in hexadecimal, without dashes */
	BASH_CHUNK_MAX = 1 << 20,   /* bytes of one text of an event */
	BASH_EVENTS_MAX = 20000,    /* kept events, */
	BASH_BYTES_MAX = 256 << 20, /* and the bytes of their texts */
	BASH_PAGE_EVENTS = 100,	    /* most events of a page; */
	BASH_PAGE_BYTES = 4 << 20,  /* it also ends after this much text */
};

enum bash_kind { BASH_ANY, BASH_COMMAND, BASH_OUTPUT };

struct bash_event {
	enum bash_kind kind; /* not BASH_ANY */
	char id[BASH_ID_LENGTH + 1];
	char command_id[BASH_ID_LENGTH + 1]; /* of an output: whose */
	int64_t time_us;		     /* since the epoch; no two events have the same */
	json_t *request;		     /* of a command: command, cwd, timeout */
	int64_t order;			     /* of an output: 0, 1, ... */
	bool ended;
	int exit_code; /* once it ended */
	off_t text_at; /* stdout, and stderr behind it */
	size_t stdout_size, stderr_size;
};

struct bash_events {
	struct spool spool;
	struct bash_event *events; /* in the order of time */
	size_t count, room;
	int64_t last_us;
};

struct bash_search {
	enum bash_kind kind;
	const char *command_id; /* outputs of this command; NULL: any */
	int64_t from_us, before_us;
	int64_t order_above; /* of outputs */
	bool descending;
	const char *page_id; /* NULL: from the first */
	size_t limit;
};

/** bash_id_parse() - an id that a client gave, with or without dashes. false: malformed */
bool bash_id_parse(const char *text, char id[static BASH_ID_LENGTH + 1]);

/** bash_time_parse() - ISO 8601 (without a zone it is UTC) or seconds since the epoch, in microseconds. */
bool bash_time_parse(const char *text, int64_t *time_us);

/** bash_events_add() - keep an event. @event: without id, unless it has one, and time; request and texts are taken.
 * Return: it, until the next call. When its texts cannot be stored stderr says so instead. */
const struct bash_event *bash_events_add(
	struct bash_events *events, struct bash_event event, const char *stdout_bytes, const char *stderr_bytes);

/** bash_events_find() - by id. NULL: there is none */
const struct bash_event *bash_events_find(const struct bash_events *events, const char *id);

/** bash_event_json() - as clients know it. */
json_t *bash_event_json(const struct bash_events *events, const struct bash_event *event);

/** bash_events_search() - a page: {"items": [...], "next_page_id": ID or null}. */
json_t *bash_events_search(const struct bash_events *events, const struct bash_search *search);

/** bash_events_collect() - all kept output of a command as one BashOutput. @id: of a command that ended */
json_t *bash_events_collect(const struct bash_events *events, const char *id);

/** bash_events_clear() - forget all. Return: how many there were */
size_t bash_events_clear(struct bash_events *events);

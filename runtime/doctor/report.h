// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/report.h: from the results of all probes to what the user or a program reads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "doctor/explain.h"
#include "doctor/probe.h"

enum probe_need { NEED_REQUIRED, NEED_OPTIONAL };

enum probe_status {
	PROBE_OK,
	PROBE_FAILED,  /* and a default `run` needs it */
	PROBE_MISSING, /* and `run` does without */
	PROBE_SKIPPED, /* pointless: what it builds on failed */
};

/* One thing a sandbox is made of. */
struct probe_row {
	const char *key, *title; /* of the JSON object, of the line */
	enum probe_need need;
	const char *after; /* key of an earlier row that has to work, or NULL */
	int namespaces;	   /* CLONE_NEW*: where @run runs; 0: an ordinary child */
	probe_fn *run;
	explain_fn *explain;
	const char *without; /* what is lost when an optional one is missing */
};

struct probe_result {
	const struct probe_row *row;
	enum probe_status status;
	struct probe_outcome outcome;
	struct advice advice;
};

struct doctor_report {
	const struct host_facts *host;
	const char *self_path; /* may be NULL */
	const struct probe_result *results;
	size_t count;
};

/** report_can_run() - whether nothing that is required failed. */
[[gnu::nonnull]] bool report_can_run(const struct doctor_report *report);

/** report_text() - one line a probe, then the fixes, last the verdict. */
[[gnu::nonnull]] void report_text(const struct doctor_report *report, FILE *out);

/** report_json() - one object, keys in snake_case. Return: 0, -1 when it could not be written */
[[gnu::nonnull]] int report_json(const struct doctor_report *report, FILE *out);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/progress.h: how far a long job is, for people, for logs and for programs.
 *
 * On a terminal: one line that is redrawn, with a bar. Otherwise one line a phase. With --json: objects on standard
 * output, one a line, at most five a second.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum progress_style {
	PROGRESS_AUTO, /* bar on a terminal, lines elsewhere */
	PROGRESS_QUIET,
	PROGRESS_LINES,
	PROGRESS_BAR,
	PROGRESS_JSON,
};

struct progress {
	enum progress_style style;
	const char *program; /* in front of lines */
	struct timespec start, drawn;
	const char *phase;  /* key for programs: "download" */
	const char *text;   /* the same for people: "downloading packages" */
	double from, to;    /* percent of the whole job this phase covers */
	double percent;	    /* of the whole job; never goes back */
	uint64_t bytes;	    /* downloaded or read so far; 0: unknown */
	uint64_t files;	    /* made so far; 0: not a job of files */
	bool steady;	    /* percent are worth the same time: the time left is shown */
	unsigned packages;  /* finished so far */
	char detail[64];    /* what is being worked on right now */
	bool line_is_drawn; /* a bar stands on the terminal's current line */
};

/** progress_begin() - start the clock; PROGRESS_AUTO is decided here. */
void progress_begin(struct progress *progress, enum progress_style style, const char *program);

/** progress_phase() - a new phase, which stands for @from to @to percent of the job. Texts must outlive it. */
void progress_phase(struct progress *progress, const char *phase, const char *text, double from, double to);

/** progress_at() - how far the phase is, 0 to 1. */
void progress_at(struct progress *progress, double fraction);

/** progress_draw() - show what was counted since the last call, not more than five times a second. */
void progress_draw(struct progress *progress);

/** progress_end() - leave the terminal's line; call it before printing anything else. */
void progress_end(struct progress *progress);

/** progress_seconds() - since progress_begin(). */
double progress_seconds(const struct progress *progress);

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/progress.c: see progress.h */
#include "rootfs-tools/progress.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/str.h"

enum { REDRAW_MS = 200, BAR_WIDTH = 24, DEFAULT_COLUMNS = 80 };

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
	return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

double progress_seconds(const struct progress *progress)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return seconds_between(&progress->start, &now);
}

void progress_begin(struct progress *progress, enum progress_style style, const char *program)
{
	const char *term = getenv("TERM");
	bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;

	*progress = (struct progress){ .program = program, .style = style };
	if (style == PROGRESS_AUTO)
		progress->style = terminal ? PROGRESS_BAR : PROGRESS_LINES;
	clock_gettime(CLOCK_MONOTONIC, &progress->start);
}

static size_t terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_COLUMNS;
}

/* Seconds, -1 while nobody can know. */
static double seconds_left(const struct progress *progress)
{
	double elapsed = progress_seconds(progress);

	if (!progress->steady || progress->percent < 1 || elapsed < 1)
		return -1;
	return elapsed * (100 - progress->percent) / progress->percent;
}

static void draw_bar(struct progress *progress)
{
	char bar[BAR_WIDTH + 1], bytes[STR_SIZE_TEXT] = "", packages[32] = "", left[32] = "", line[320];
	unsigned filled = (unsigned)(progress->percent / 100 * BAR_WIDTH);
	unsigned elapsed = (unsigned)progress_seconds(progress);

	for (unsigned i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR_WIDTH] = '\0';
	if (progress->bytes)
		str_size(progress->bytes, bytes);
	if (progress->packages)
		snprintf(packages, sizeof packages, "%u packages", progress->packages);
	if (progress->files)
		snprintf(packages, sizeof packages, "%llu files", (unsigned long long)progress->files);
	unsigned seconds = (unsigned)seconds_left(progress);
	if (seconds_left(progress) >= 0)
		snprintf(left, sizeof left, " (%02u:%02u left)", seconds / 60, seconds % 60);
	int length = snprintf(line, sizeof line, "[%s] %3.0f%% %02u:%02u%s %s%s%s%s%s%s%s", bar, progress->percent,
		elapsed / 60, elapsed % 60, left, progress->text, *packages ? ", " : "", packages, *bytes ? ", " : "",
		bytes, *progress->detail ? " " : "", progress->detail);
	/* A line as wide as the terminal would wrap, and the next one be drawn below it. */
	size_t room = terminal_columns() - 1;
	if (length > 0 && (size_t)length > room && room < sizeof line)
		line[room] = '\0';
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	progress->line_is_drawn = true;
}

static void draw_json(const struct progress *progress)
{
	json_t *object = json_pack("{s:s, s:f, s:i, s:I, s:f}", "phase", progress->phase, "percent",
		(double)(long)(progress->percent * 10) / 10, "packages", (int)progress->packages, "bytes",
		(json_int_t)progress->bytes, "elapsed", (double)(long)(progress_seconds(progress) * 10) / 10);

	if (object && progress->steady) {
		json_object_del(object, "packages");
		json_object_set_new(object, "files", json_integer((json_int_t)progress->files));
	}
	if (object && seconds_left(progress) >= 0)
		json_object_set_new(object, "left", json_real((double)(long)(seconds_left(progress) * 10) / 10));
	if (object) {
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
		fflush(stdout);
	}
}

static void draw(struct progress *progress)
{
	if (!progress->phase)
		return;
	if (progress->style == PROGRESS_BAR)
		draw_bar(progress);
	else if (progress->style == PROGRESS_JSON)
		draw_json(progress);
	clock_gettime(CLOCK_MONOTONIC, &progress->drawn);
}

void progress_draw(struct progress *progress)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (seconds_between(&progress->drawn, &now) * 1000 >= REDRAW_MS)
		draw(progress);
}

void progress_at(struct progress *progress, double fraction)
{
	double percent = progress->from + (progress->to - progress->from) * fraction;

	if (percent > progress->percent && percent <= 100)
		progress->percent = percent;
}

void progress_phase(struct progress *progress, const char *phase, const char *text, double from, double to)
{
	progress->phase = phase;
	progress->text = text;
	progress->from = from;
	progress->to = to;
	progress->detail[0] = '\0';
	progress_at(progress, 0);
	if (progress->style == PROGRESS_LINES)
		fprintf(stderr, "%s: %s\n", progress->program, text);
	draw(progress);
}

void progress_end(struct progress *progress)
{
	if (progress->line_is_drawn)
		fprintf(stderr, "\r\033[K");
	progress->line_is_drawn = false;
	progress->phase = NULL;
}

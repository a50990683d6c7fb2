// SPDX-License-Identifier: GPL-2.0-or-later
/* server/diff.c: see diff.h
 *
 * Theory of operation
 *
 * Each distinct line gets a number. For each number the lines of the new text that have it are chained in order
 * (first[], next[]). find_longest() goes through the old lines and extends, for every equal new line j, the run that
 * ended at j-1: run[] holds the lengths for the last old line and touched lines are cleared one row later. The longest
 * run splits the rectangle; both sides are split again, with a stack instead of recursion.
 *
 * In texts of 200 lines and more, difflib does not begin a run at a line that makes up more than a hundredth of the new
 * text, only extends runs over it.
 */
#include "server/diff.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum {
	WORK_MAX = 20000000, /* steps: some tens of milliseconds */
	LINES_MAX = 400000,  /* of both texts together; 20 bytes each */
	FREQUENT_FROM = 200,
};
#define NONE UINT32_MAX

struct side {
	const char **start; /* count + 1 entries; a line ends before the newline in front of the next one */
	uint32_t *number;   /* lines that are equal have the same one */
	uint32_t count;
};

struct diff {
	struct side a, b;
	uint32_t *first, *next; /* lines of b by number, in order */
	uint32_t *run[2];	/* one more than its line: run[][j + 1] belongs to line j */
	uint64_t work;
	struct text *out;
	const char *path;
};

struct rectangle {
	uint32_t a_from, a_to, b_from, b_to;
};

static size_t line_size(const struct side *side, uint32_t i)
{
	return (size_t)(side->start[i + 1] - side->start[i]) - 1;
}

static uint32_t count_lines(const char *text, size_t size)
{
	uint32_t count = 1;

	for (const char *end = text + size; (text = memchr(text, '\n', (size_t)(end - text))); text++)
		count++;
	return count;
}

static void split(struct side *side, const char *text, size_t size)
{
	const char *end = text + size;

	side->count = count_lines(text, size);
	side->start = xcalloc((size_t)side->count + 1, sizeof *side->start);
	side->number = xcalloc(side->count, sizeof *side->number);
	for (uint32_t i = 0; i < side->count; i++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		side->start[i] = text;
		text = (newline ? newline : end) + 1;
	}
	side->start[side->count] = text;
}

static uint64_t hash(const char *bytes, size_t size)
{
	uint64_t value = 0xcbf29ce484222325ull; /* FNV-1a; a bad case costs time, which is bounded by the sizes */

	for (size_t i = 0; i < size; i++)
		value = (value ^ (unsigned char)bytes[i]) * 0x100000001b3ull;
	return value ^ value >> 29;
}

struct names {
	const char **line;
	size_t *size;
	uint32_t *number;
	uint32_t mask, count;
};

static uint32_t number_of(struct names *names, const char *line, size_t size)
{
	uint32_t slot = (uint32_t)hash(line, size) & names->mask;

	while (names->line[slot]) {
		if (names->size[slot] == size && memcmp(names->line[slot], line, size) == 0)
			return names->number[slot];
		slot = (slot + 1) & names->mask;
	}
	names->line[slot] = line;
	names->size[slot] = size;
	names->number[slot] = names->count;
	return names->count++;
}

static uint32_t number_lines(struct side *a, struct side *b)
{
	struct names names = { .mask = 1 };

	while (names.mask < 2 * (a->count + b->count))
		names.mask = names.mask * 2 + 1;
	names.line = xcalloc(names.mask + 1, sizeof *names.line);
	names.size = xcalloc(names.mask + 1, sizeof *names.size);
	names.number = xcalloc(names.mask + 1, sizeof *names.number);
	for (uint32_t i = 0; i < a->count; i++)
		a->number[i] = number_of(&names, a->start[i], line_size(a, i));
	for (uint32_t i = 0; i < b->count; i++)
		b->number[i] = number_of(&names, b->start[i], line_size(b, i));
	free(names.line);
	free(names.size);
	free(names.number);
	return names.count;
}

static void chain_lines(struct diff *diff, uint32_t numbers)
{
	const struct side *b = &diff->b;
	uint32_t *times = xcalloc(numbers, sizeof *times);

	diff->first = xcalloc(numbers, sizeof *diff->first);
	diff->next = xcalloc(b->count, sizeof *diff->next);
	memset(diff->first, 0xff, numbers * sizeof *diff->first);
	for (uint32_t j = b->count; j-- > 0;) {
		diff->next[j] = diff->first[b->number[j]];
		diff->first[b->number[j]] = j;
		times[b->number[j]]++;
	}
	for (uint32_t n = 0; b->count >= FREQUENT_FROM && n < numbers; n++)
		if (times[n] > b->count / 100 + 1)
			diff->first[n] = NONE;
	free(times);
}

static void clear_runs(const struct diff *diff, uint32_t *run, uint32_t i)
{
	for (uint32_t j = diff->first[diff->a.number[i]]; j != NONE; j = diff->next[j])
		run[j + 1] = 0;
}

/* The longest block of equal lines in a rectangle; the first one of several. size 0: there is none */
static uint32_t find_longest(struct diff *diff, const struct rectangle *in, uint32_t *best_a, uint32_t *best_b)
{
	const uint32_t *a = diff->a.number, *b = diff->b.number;
	uint32_t size = 0, at_a = in->a_from, at_b = in->b_from;
	uint32_t i = in->a_from;

	for (; i < in->a_to && diff->work < WORK_MAX; i++) {
		uint32_t *last = diff->run[i % 2], *row = diff->run[(i + 1) % 2];
		diff->work++;
		for (uint32_t j = diff->first[a[i]]; j != NONE && j < in->b_to; j = diff->next[j]) {
			diff->work++;
			if (j < in->b_from)
				continue;
			row[j + 1] = last[j] + 1;
			if (row[j + 1] > size) {
				size = row[j + 1];
				at_a = i + 1 - size;
				at_b = j + 1 - size;
			}
		}
		if (i > in->a_from)
			clear_runs(diff, last, i - 1);
	}
	if (i > in->a_from)
		clear_runs(diff, diff->run[i % 2], i - 1);
	while (at_a > in->a_from && at_b > in->b_from && a[at_a - 1] == b[at_b - 1])
		at_a--, at_b--, size++;
	while (at_a + size < in->a_to && at_b + size < in->b_to && a[at_a + size] == b[at_b + size])
		size++;
	*best_a = at_a;
	*best_b = at_b;
	return size;
}

static void add_line(struct text *out, const char *line, size_t size, const char *prefix)
{
	size_t begin = out->size + (out->size > 0);

	text_addf(out, "%s%s", out->size ? "\n" : "", prefix);
	text_add(out, line, size);
	while (out->size > begin && strchr(" \t\r\v\f\x1c\x1d\x1e\x1f", out->bytes[out->size - 1]) &&
		out->bytes[out->size - 1])
		out->size--;
	out->bytes[out->size] = '\0';
}

static char *range_text(uint32_t from, uint32_t to)
{
	if (to - from == 1)
		return xasprintf("%u", from + 1);
	return xasprintf("%u,%u", from + (to > from), to - from);
}

static void add_hunk(struct diff *diff, const struct rectangle *changed)
{
	if (changed->a_from == changed->a_to && changed->b_from == changed->b_to)
		return;
	if (!diff->out->size) {
		add_line(diff->out, diff->path, strlen(diff->path), "--- ");
		add_line(diff->out, diff->path, strlen(diff->path), "+++ ");
	}
	char *old = range_text(changed->a_from, changed->a_to), *new = range_text(changed->b_from, changed->b_to);
	text_addf(diff->out, "\n@@ -%s +%s @@", old, new);
	free(old);
	free(new);
	for (uint32_t i = changed->a_from; i < changed->a_to; i++)
		add_line(diff->out, diff->a.start[i], line_size(&diff->a, i), "-");
	for (uint32_t j = changed->b_from; j < changed->b_to; j++)
		add_line(diff->out, diff->b.start[j], line_size(&diff->b, j), "+");
}

/* A part still to be split, or (equal lines > 0) a block at its upper left corner. */
struct part {
	struct rectangle in;
	uint32_t equal;
};

/* Left sides are split before right sides, so blocks come in order; what lies between two of them has changed. */
static void compare(struct diff *diff)
{
	struct part *stack = xcalloc(2 * (size_t)diff->a.count + 3, sizeof *stack);
	struct rectangle changed = { 0 };
	size_t depth = 0;

	stack[depth++] = (struct part){ .in = { 0, diff->a.count, 0, diff->b.count } };
	while (depth) {
		struct part part = stack[--depth];
		struct rectangle in = part.in;
		uint32_t a, b;
		if (part.equal) {
			changed.a_to = in.a_from;
			changed.b_to = in.b_from;
			add_hunk(diff, &changed);
			changed.a_from = in.a_from + part.equal;
			changed.b_from = in.b_from + part.equal;
			continue;
		}
		uint32_t size = in.a_from < in.a_to && in.b_from < in.b_to ? find_longest(diff, &in, &a, &b) : 0;
		if (!size)
			continue;
		stack[depth++] = (struct part){ .in = { a + size, in.a_to, b + size, in.b_to } };
		stack[depth++] = (struct part){ .in = { a, a, b, b }, .equal = size };
		stack[depth++] = (struct part){ .in = { in.a_from, a, in.b_from, b } };
	}
	changed.a_to = diff->a.count;
	changed.b_to = diff->b.count;
	add_hunk(diff, &changed);
	free(stack);
}

void diff_unified(
	const char *path, const char *old, size_t old_size, const char *new, size_t new_size, struct text *out)
{
	struct diff diff = { .out = out, .path = path };

	if (old_size == new_size && memcmp(old, new, old_size) == 0)
		return;
	if (count_lines(old, old_size) + count_lines(new, new_size) > LINES_MAX) {
		text_addf(out, "--- %s\n+++ %s", path, path); /* tens of megabytes to say nothing */
		return;
	}
	split(&diff.a, old, old_size);
	split(&diff.b, new, new_size);
	chain_lines(&diff, number_lines(&diff.a, &diff.b));
	diff.run[0] = xcalloc((size_t)diff.b.count + 1, sizeof *diff.run[0]);
	diff.run[1] = xcalloc((size_t)diff.b.count + 1, sizeof *diff.run[1]);
	compare(&diff);
	free(diff.run[0]);
	free(diff.run[1]);
	free(diff.first);
	free(diff.next);
	free(diff.a.start);
	free(diff.a.number);
	free(diff.b.start);
	free(diff.b.number);
}

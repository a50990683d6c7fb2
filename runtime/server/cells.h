// SPDX-License-Identifier: GPL-2.0-or-later
/* server/cells.h: Python cells, run by the python3 of the image in a process that keeps their state (spec: openhands
 * 5.1). */
#pragma once
#include <jansson.h>

#include "server/children.h"
#include "server/loop.h"

struct cells;

struct cell {
	const char *code; /* of the whole cell */
	size_t code_size;
	const char *init; /* run before, when it is not the one that was run last */
	const char *cwd;
	double timeout_s;
	/* Once, now or later. @text: what the cell printed and what came of it, never empty; @images: array of data
	 * URLs or null; @python: the interpreter, NULL: there is none, and the text says why. All live during the call.
	 */
	void (*done)(void *context, const char *text, json_t *images, const char *python);
	void *context;
};

/** cells_new() - no process yet; the first cell starts it. */
struct cells *cells_new(struct loop *loop, struct child **children);

/** cells_run() - run a cell; one at a time. Strings are not kept. */
void cells_run(struct cells *cells, const struct cell *cell);

/** cells_free() - end the process with all it has started; done() is not called any more. */
void cells_free(struct cells *cells);

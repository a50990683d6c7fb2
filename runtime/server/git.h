// SPDX-License-Identifier: GPL-2.0-or-later
/* server/git.h: what a repository says about itself, asked with the image's git (spec: openhands 10.2).
 *
 * These functions block and change the environment: they are for a worker (worker.h). A repository is hostile: its
 * configuration may run programs (inside the sandbox, where the agent may anyway), so time and output are bounded, and
 * names are read as bytes that end with NUL.
 */
#pragma once
#include <jansson.h>

enum {
	GIT_TIMEOUT_S = 30,	  /* of one git command */
	GIT_FILE_MAX = 1 << 20,	  /* of a file in a diff */
	GIT_NAMES_MAX = 16 << 20, /* bytes of a list of names */
	GIT_NESTED_MAX = 200,	  /* repositories directly below the directory that are looked into */
};

struct git_question {
	const char *path; /* absolute */
	const char *ref;  /* compare with this; NULL: with where the work began, see git.c */
};

/** git_changes() / git_diff() - for worker_answer(); @input: a struct git_question. */
json_t *git_changes(void *input, unsigned *status);
json_t *git_diff(void *input, unsigned *status);

// SPDX-License-Identifier: GPL-2.0-or-later
/* server/worker.h: answers that take a while to find out, found out by a child process.
 *
 * The server has one thread; a function that waits for programs or walks through many files runs in a copy of it.
 */
#pragma once
#include <jansson.h>

struct request;

enum { WORKERS_MAX = 8, WORKER_TIMEOUT_S = 55, WORKER_ANSWER_MAX = 64 << 20 };

/**
 * worker_answer() - answer a request with what a function returns in a child process
 * @work:	may block and change its environment; it has its own session, /dev/null as stdio and none of the
 *server's descriptors. Sets *status (200 before). NULL is a failure
 * @input:	for @work; it sees the memory as it is now
 *
 * Too many at once are 503, more than WORKER_TIMEOUT_S is 504; the child's process group is killed then.
 */
void worker_answer(struct request *request, json_t *(*work)(void *input, unsigned *status), void *input);

/* The same with more to say. */
struct worker_job {
	json_t *(*work)(void *input, unsigned *status);
	void *input;
	unsigned timeout_s;
	int keep[2]; /* descriptors that the child has as WORKER_FDS and the one after it; -1: none */
};

enum { WORKER_FDS = 4 };

void worker_start(struct request *request, const struct worker_job *job);

/** workers_abort() - kill them and answer 503. */
struct server;
void workers_abort(struct server *server);

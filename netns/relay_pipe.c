// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_pipe.c: see relay_pipe.h */
#include "netns/relay_pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	MOST_LENT = 64, /* flows whose receiver stalls keep their pipe: the next ones copy */
	MOST_SPARE = 4, /* kept between bursts */
	PIPE_BYTES = 512 * 1024
};

static void destroy(struct relay_pipe *pipe)
{
	close(pipe->out);
	close(pipe->in);
	free(pipe);
}

static struct relay_pipe *make(void)
{
	struct relay_pipe *pipe = malloc(sizeof *pipe);
	int ends[2];

	if (!pipe)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pipe);
		return NULL;
	}
	*pipe = (struct relay_pipe){ .out = ends[0], .in = ends[1] };
	/* Room saves turns. A user near the limit is refused and works with the default of 64 KiB. */
	(void)fcntl(pipe->in, F_SETPIPE_SZ, PIPE_BYTES);
	return pipe;
}

struct relay_pipe *relay_pipe_borrow(struct relay_pipes *pipes)
{
	struct relay_pipe *pipe = pipes->spare;

	if (pipes->lent_count >= MOST_LENT)
		return NULL;
	if (pipe) {
		pipes->spare = pipe->next;
		pipes->spare_count--;
	} else {
		pipe = make();
	}
	if (pipe)
		pipes->lent_count++;
	return pipe;
}

void relay_pipe_return(struct relay_pipes *pipes, struct relay_pipe *pipe)
{
	pipes->lent_count--;
	if (pipe->held || pipes->spare_count >= MOST_SPARE) {
		destroy(pipe);
		return;
	}
	pipe->next = pipes->spare;
	pipes->spare = pipe;
	pipes->spare_count++;
}

void relay_pipes_free(struct relay_pipes *pipes)
{
	while (pipes->spare) {
		struct relay_pipe *next = pipes->spare->next;
		destroy(pipes->spare);
		pipes->spare = next;
	}
	pipes->spare_count = 0;
}

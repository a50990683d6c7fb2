// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/relay_pipe.h: the few pipes that bulk data is spliced through.
 *
 * A user may have about 1024 pipes of full size (pipe-user-pages-soft in proc(5)), so pipes belong to the loop and are
 * lent to a flow only while it has bytes in one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct relay_pipe {
	int out, in; /* read end, write end */
	size_t held; /* bytes inside */
	struct relay_pipe *next;
};

struct relay_pipes {
	struct relay_pipe *spare;
	unsigned spare_count, lent_count;
};

/** relay_pipe_borrow() - an empty pipe, NULL when there are enough or the host gives no more: copy then. */
[[gnu::nonnull]] struct relay_pipe *relay_pipe_borrow(struct relay_pipes *pipes);

/** relay_pipe_return() - give it back; one that still holds bytes is destroyed. */
[[gnu::nonnull]] void relay_pipe_return(struct relay_pipes *pipes, struct relay_pipe *pipe);

/** relay_pipes_free() - destroy the spare ones. */
[[gnu::nonnull]] void relay_pipes_free(struct relay_pipes *pipes);

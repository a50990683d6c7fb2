// SPDX-License-Identifier: GPL-2.0-or-later
/* streams.h: stdin, stdout, stderr and the terminal of a workload, relayed.
 *
 * A workload never holds a descriptor of the caller's: a directory as stdin opens the host's tree, a socket reconnects
 * to the host's services, an inherited terminal takes injected input (design: No host socket). It gets pipes or a pty
 * of its own, and we move the bytes.
 */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <termios.h>

#include "base/err.h"
#include "log_files.h"
#include "spawn.h"

enum { STREAM_POLLS = 6 };

/* One direction: what is read from @from goes to the log and to @to. */
struct stream {
	int from; /* -1: ended */
	int to;	  /* -1: nobody listens */
	bool logged;
	bool closes_to; /* @to is ours: close it at the end of @from */
	size_t pending, sent;
	char *buffer; /* STREAM_BUFFER bytes while something is pending */
};

struct streams {
	struct stream in, out, err;
	int master; /* pty, -1 */
	bool tty;
	bool raw; /* our own terminal is in raw mode */
	struct termios saved;
	struct log_file log;
};

/**
 * streams_open() - make the pipes of a workload
 * @interactive: relay our stdin (refused when that is a directory), else /dev/null
 * @foreground:	copy output to our stdout and stderr
 * @logdir:	directory for the log, -1 for none
 * @child:	the ends for the child; release with streams_close_child() after the spawn
 */
int streams_open(struct streams *streams, bool interactive, bool tty, bool foreground, int logdir,
	struct child_stdio *child, struct azm_err *err);
void streams_close_child(struct child_stdio *child);

/** streams_take_terminal() - -t: fetch the pty master out of azm-init (pidfd_getfd), set its size, make our own
 * terminal raw. */
int streams_take_terminal(struct streams *streams, int pidfd, int master, bool interactive, struct azm_err *err);

/** streams_resize() - our terminal changed its size (SIGWINCH). */
void streams_resize(const struct streams *streams);

/** streams_poll() - fill in what to wait for. Return: number of entries used, at most STREAM_POLLS. */
int streams_poll(const struct streams *streams, struct pollfd *polls);

/** streams_serve() - move what poll() found. */
void streams_serve(struct streams *streams, const struct pollfd *polls, int count);

/** streams_drain() - the workload is gone: move what is left in the pipes, then end. Waits at most a second for a
 * reader of ours that does not read. */
void streams_drain(struct streams *streams);

/** streams_log() - a line of ours in the workload's log. */
void streams_log(struct streams *streams, const char *line);

/** streams_detach() - go on without our stdin, stdout and stderr (run -d, after ready). */
void streams_detach(struct streams *streams);

/** streams_close() - restore the terminal, close everything. */
void streams_close(struct streams *streams);

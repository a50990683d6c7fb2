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

enum { ATTACH_MOST = 8, STREAM_POLLS = 6 + ATTACH_MOST };

/* First byte of the messages on the socket of an `attach`. */
enum attach_message {
	ATTACH_OUT = 'o',	/* to the client: output */
	ATTACH_ERR = 'e',	/* to the client: of stderr */
	ATTACH_EXIT = 'x',	/* to the client: the exit status, one byte */
	ATTACH_IN = 'i',	/* from the client: input */
	ATTACH_SIZE = 'w',	/* from the client: rows and columns of its terminal, two uint16_t */
	ATTACH_MESSAGE = 16385, /* bytes of the longest */
};

/* One direction: what is read from @from goes to the log and to @to. */
struct stream {
	int from; /* -1: ended */
	int to;	  /* -1: nobody listens */
	bool logged;
	bool closes_to; /* @to is ours: close it at the end of @from */
	size_t pending, sent;
	unsigned owed; /* bit i: attached client i has not got what is pending */
	char *buffer;  /* STREAM_BUFFER bytes while something is pending */
};

struct streams {
	struct stream in, out, err;
	int master; /* pty, -1 */
	bool tty;
	bool raw; /* our own terminal is in raw mode */
	struct termios saved;
	struct log_file log;
	int attached[ATTACH_MOST]; /* sockets (SOCK_SEQPACKET); -1: free */
};

/** streams_init() - nothing is open. */
void streams_init(struct streams *streams);

/**
 * streams_open() - make the pipes of a workload
 * @interactive: the workload has a stdin, else /dev/null
 * @foreground:	relay our stdin (refused when that is a directory), and copy output to our stdout and stderr
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

/** streams_attach() - one more reader of the output and writer of the input. @socket: taken over. Return: 0, -1 with
 * @err set when there are too many */
int streams_attach(struct streams *streams, int socket, struct azm_err *err);

/** streams_tell_exit() - tell all who are attached how it ended, after streams_drain(). */
void streams_tell_exit(struct streams *streams, int status);

/** streams_log() - a line of ours in the workload's log. */
void streams_log(struct streams *streams, const char *line);

/** streams_detach() - go on without our stdin, stdout and stderr (run -d, after ready). */
void streams_detach(struct streams *streams);

/** streams_close() - restore the terminal, close everything. */
void streams_close(struct streams *streams);

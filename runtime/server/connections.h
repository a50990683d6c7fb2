// SPDX-License-Identifier: GPL-2.0-or-later
/* server/connections.h: how long a connection may take for what, and whether somebody is still there.
 *
 * Theory of operation
 *
 * libmicrohttpd ends a connection that is silent. That does not help against a client that sends a byte now and then,
 * so a head has to be complete after HEAD_SILENCES times that limit, and a body may take that long plus a second for
 * each KiB. When connections are about to run out, the one that has been waiting longest without a request is ended:
 * nobody is kept out by those who only connect.
 *
 * Requests that are being served are never ended for others, so there is a limit to them that is lower than the one of
 * connections: who comes beyond it is told so at once (503) and goes. Between the two limits there is always a place
 * for the next one, and for questions that are answered at once.
 *
 * While a request waits for its answer its connection is suspended and libmicrohttpd does not look at it. Here it is
 * watched for its end, so that a command is not waited for when nobody waits for its answer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/loop.h"

struct request;
struct connection;

struct connections {
	struct loop *loop;
	uint64_t head_ms; /* for a head to arrive */
	unsigned most;
	void (*gone)(struct request *request); /* the client of a request that waits went away */
	unsigned count, busy;
	bool ended; /* one was, since this was last set to false */
	struct connection *oldest, **newest;
};

enum { HEAD_SILENCES = 2 };

/** connections_init() - @most: connections that there can be; there are fewer places for requests. */
void connections_init(struct connections *connections, struct loop *loop, unsigned silence_s, unsigned most,
	void (*gone)(struct request *request));

/** connection_start() / connection_end() - one was accepted; it is about to be closed. */
struct connection *connection_start(struct connections *all, int fd);
void connection_end(struct connection *connection);

/** connections_full() - whether as many requests are being served as can be. */
bool connections_full(const struct connections *all);

/** connection_busy() - the head is here. connection_body() - so is a piece of the body. */
void connection_busy(struct connection *connection);
void connection_body(struct connection *connection, size_t size);

/** connection_watch() - @request is complete and waits for its answer. NULL: it does not any more. */
void connection_watch(struct connection *connection, struct request *request);

/** connection_idle() - the request is over. */
void connection_idle(struct connection *connection);

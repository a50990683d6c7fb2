// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_log.h: what a sandbox tried to reach, one line of JSON a decision, in its directory.
 *
 *     {"time":"2026-11-21T21:50:00.123Z","verdict":"allowed","name":"pypi.org","address":"151.101.0.223","port":443,
 *      "rule":"*.pypi.org","why":null,"bytes":0}
 *
 *     verdict   allowed   connected; bytes is 0
 *               denied    by the rules, an address class, or what the connection said about itself
 *               failed    allowed, but it could not be reached
 *               closed    the end of an allowed one: bytes is the sum of sent and received, which follow it
 *               omitted   so many lines were left out because there were too many: count
 *     name      what was asked for, null for a connection to an address
 *     address   what was dialled on the host; null when it did not come to that
 *     port      0: a question to the name server
 *     rule      that decided; null: no rule is about it
 *     why       of denied and failed
 *
 * Text comes from the sandbox, so it is sanitised. A log is at most LOG_BYTES long; then it becomes egress.log.1 and a
 * new one begins.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define EGRESS_LOG     "egress.log"
#define EGRESS_LOG_OLD "egress.log.1"

enum { EGRESS_LOG_BYTES = 4 << 20, EGRESS_LOG_BURST = 1000, EGRESS_LOG_PER_SECOND = 100 };

enum egress_verdict { EGRESS_ALLOWED, EGRESS_DENIED, EGRESS_FAILED, EGRESS_CLOSED };

struct egress_event {
	enum egress_verdict verdict;
	const char *name; /* NULL: none */
	bool has_address;
	struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port;
	const char *rule, *why;	 /* NULL: none */
	uint64_t sent, received; /* of EGRESS_CLOSED */
};

struct egress_log;

/**
 * egress_log_open() - continue the log of a directory
 * @dir:	duplicated
 *
 * Return: owned by the caller; NULL with @err
 */
[[gnu::nonnull]] struct egress_log *egress_log_open(int dir, struct azm_err *err);

/** egress_log_write() - one line. What cannot be written is lost: the log must never stop the traffic. */
[[gnu::nonnull]] void egress_log_write(struct egress_log *log, const struct egress_event *event);

/** egress_log_close() - close; says how many lines were left out at the end. NULL is fine. */
void egress_log_close(struct egress_log *log);

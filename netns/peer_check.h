// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/peer_check.h: whose process is at the other end of a TCP connection over the host's loopback?
 *
 * 127.0.0.1 belongs to every user of the host. The kernel knows the owner of each socket; one exact sock_diag query
 * (sock_diag(7), linux/inet_diag.h) for the peer's own socket asks it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct peer_check {
	int diag; /* sock_diag socket, owned; -1: every connection is refused */
	uint32_t sequence;
	uid_t owner; /* whose connections are accepted, besides root's */
};

/**
 * peer_check_open() - get ready to ask about connections of the caller's network namespace
 *
 * Call while still in the user namespace whose ids count: the kernel reports ids as the opener of the netlink socket
 * sees them. The accepted user is the effective user of the caller.
 *
 * Return: 0, release with peer_check_close(); -1 with @err, also when the caller's id is the overflow id of a namespace
 * that shows strangers by the same number
 */
[[gnu::nonnull]] int peer_check_open(struct peer_check *check, struct azm_err *err);

/**
 * peer_check_prove() - ask about a listening socket of our own
 * @listener: bound TCP socket
 *
 * A kernel without tcp_diag answers every query as "no such socket", so every connection would be refused: say so at
 * start-up.
 */
[[gnu::nonnull]] int peer_check_prove(struct peer_check *check, int listener, struct azm_err *err);

/** peer_check_allows() - whether an accepted TCP connection comes from the owner or root. False when in doubt. */
[[gnu::nonnull]] bool peer_check_allows(struct peer_check *check, int connection);

/** peer_check_close() - release; diag is -1 afterwards. */
[[gnu::nonnull]] void peer_check_close(struct peer_check *check);

// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/inside.h: sockets that live in another network namespace than the process that uses them. */
#pragma once
#include "base/err.h"

/**
 * netns_socket() - socket(2) as if called inside a network namespace
 * @netns:	the namespace; the caller has to be privileged over it: by its capabilities in the namespace's user
 *		namespace or an ancestor, or as the owner of that user namespace
 *
 * The caller stays where it is. Single-threaded callers only when it owns the namespace without having capabilities.
 *
 * Return: descriptor (close-on-exec), -1 with @err
 */
[[gnu::nonnull]] int netns_socket(int netns, int family, int type, int protocol, struct azm_err *err);

struct netns_socket {
	int netns, family, type, protocol;
	int fd; /* the answer; -1 */
};

/** netns_sockets() - several at once, which costs hardly more than one: all of them or none. Return: 0, -1 with @err.
 */
[[gnu::nonnull]] int netns_sockets(struct netns_socket *sockets, size_t count, struct azm_err *err);

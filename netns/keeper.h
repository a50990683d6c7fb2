// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/keeper.h: the process that keeps a network alive between its members, and how to ask it for the network.
 *
 * A member sends one struct keeper_hello and gets one struct keeper_answer, with the descriptors when it is welcome.
 * Both are fixed-size SOCK_SEQPACKET messages. The open connection is the membership.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "netns/subnet.h"

enum {
	KEEPER_NAME_MAX =
		73, /* length of a network's name: its files must fit into sun_path, behind /proc/self/fd/N/ */
	KEEPER_FILE_MAX = KEEPER_NAME_MAX + 16,
};

/* The tag of no keeper. */
#define KEEPER_NO_TAG UINT64_MAX

/* What a keeper holds. */
struct keeper_stock {
	int userns, netns;
	int kept_fd; /* -1 for none */
	struct subnet subnet;
};

/** keeper_file() - name of a file of network @name in the live directory: "net-NAME.SUFFIX". */
void keeper_file(char file[KEEPER_FILE_MAX], const char *name, const char *suffix);

enum keeper_result { KEEPER_ERROR = -1, KEEPER_ABSENT, KEEPER_JOINED };

/**
 * keeper_ask() - join the network of a running keeper
 * @tag:	the content of kept_fd we expect: a keeper with another one retires and counts as absent
 * @stock:	filled when joined; the caller owns the descriptors
 * @connection:	set when joined; the membership
 *
 * Return: KEEPER_JOINED; KEEPER_ABSENT when there is none, or it is leaving, stuck or retired; KEEPER_ERROR with @err
 */
[[gnu::nonnull]] enum keeper_result keeper_ask(int live_dirfd, const char *name, uint64_t tag,
	struct keeper_stock *stock, int *connection, struct azm_err *err);

/** keeper_knock(), keeper_hear() - keeper_ask() in two steps, with time for other work between them.
 * keeper_knock() returns the connection, or -1 with errno; keeper_hear() leaves it open in any case, and
 * says KEEPER_ERROR when it was refused. */
[[gnu::nonnull]] int keeper_knock(int live_dirfd, const char *name, uint64_t tag);
[[gnu::nonnull]] enum keeper_result keeper_hear(int knocked, struct keeper_stock *stock);

/** keeper_lock() - the right to make or remove a network's socket. Return: descriptor, or -1 with errno EWOULDBLOCK
 * when somebody else has it. */
[[gnu::nonnull]] int keeper_lock(int live_dirfd, const char *name);

/**
 * keeper_start() - start the keeper of a network; call with keeper_lock() held
 * @stock:	stays the caller's: the keeper gets copies
 * @grace_seconds: how long it stays without members
 *
 * When this returns 0 its socket answers: connections wait in its queue until it runs.
 */
[[gnu::nonnull]] int keeper_start(int live_dirfd, const char *name, uint64_t tag, const struct keeper_stock *stock,
	unsigned grace_seconds, struct azm_err *err);

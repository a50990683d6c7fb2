// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/pasta.h: `--egress-engine pasta`: the host's network in full, UDP and all, by passt's pasta.
 *
 * For users who want IP rather than rules. pasta is a program of its own which isolates itself; it needs /dev/net/tun.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

/* Where the sandbox finds a name server: pasta passes questions sent there on to the host's. As podman has it. */
#define PASTA_DNS "169.254.1.1"
/* Its interface in the sandbox. */
#define PASTA_INTERFACE "pasta0"

struct pasta {
	pid_t pid;  /* of the process that minds it; 0: not running */
	int socket; /* to hand over the namespaces; -1 */
	int log;    /* what it said; -1 */
};

#define PASTA_NONE                                                                                                     \
	{                                                                                                              \
		.socket = -1, .log = -1                                                                                \
	}

/**
 * pasta_prepare() - make the process that is to become pasta
 * @dir:	"pasta.log" goes there
 * @err:	with a hint where pasta or /dev/net/tun is missing
 *
 * Call it in a process without threads that has not entered another user namespace yet: pasta has to find the host as
 * the user sees it. The process waits for pasta_connect() and dies with its maker.
 *
 * Return: 0 and *@pasta to be ended with pasta_end(); -1 with @err
 */
[[gnu::nonnull]] int pasta_prepare(struct pasta *pasta, int dir, struct azm_err *err);

/**
 * pasta_connect() - give pasta the sandbox, wait until packets find a way out
 * @userns:	the network's: it has power over @netns, and unlike the sandbox's own it may have namespaces made in it,
 *as pasta does to lock itself up
 * @netns:	the sandbox's
 *
 * Return: 0, or -1 with @err: what pasta said
 */
[[gnu::nonnull]] int pasta_connect(struct pasta *pasta, int userns, int netns, struct azm_err *err);

/** pasta_end() - kill and reap; does nothing where there is none. */
[[gnu::nonnull]] void pasta_end(struct pasta *pasta);

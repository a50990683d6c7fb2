// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probe.h: try something in a throw-away process, and survive whatever happens to it.
 *
 * A probe is a function that runs in a child with the namespaces it asks for, made and mapped exactly as a sandbox's:
 * clone(2) by the parent, single-line maps written from outside. What it finds comes back through a pipe; a child that
 * is killed by a filter or hangs in the kernel is an answer, too.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "doctor/host.h"
#include "idmap.h"

/* What every probe can rely on. */
struct probe_env {
	struct host_facts facts;
	struct str_list layers; /* where the writable layer may lie, best first */
	const char *target;	/* a directory to mount on, in a mount namespace of one's own */
};

struct probe_outcome {
	int result;	  /* 0, or -1 with @err set */
	char detail[256]; /* one line that says what was found; may be empty */
	struct azm_err err;
};

/* Return 0 or -1 and fill @out->err; @out->detail in either case. Ends with the process: it need not clean up memory.
 */
typedef int probe_fn(const struct probe_env *env, struct probe_outcome *out);

struct probe_child {
	pid_t pid; /* 0: none */
	int go;	   /* the child continues at a byte and exits at end of file */
	int answer;
	int pidfd; /* -1 on kernels without (< 5.2) */
};

#define cleanup_probe_child [[gnu::cleanup(probe_child_kill)]]
#define PROBE_NO_CHILD                                                                                                 \
	{                                                                                                              \
		.pid = 0, .go = -1, .answer = -1, .pidfd = -1                                                          \
	}

enum {
	PROBE_DEADLINE_MS = 10000,
	PROBE_INNER_DEADLINE_MS = 4000, /* of a probe within a probe: several fit in the outer one */
	/* What one clone(2) of a sandbox asks for (design: no time namespace, its bit does not fit). */
	PROBE_SANDBOX = 0x7e020000,
};

/**
 * probe_child_start() - clone a child with new namespaces
 * @namespaces:	CLONE_NEW* bits; with CLONE_NEWUSER its maps are written, inside id 0 being the caller
 * @subids:	map these as well; NULL for the caller alone
 * @child:	filled in the parent; release with probe_child_kill()
 *
 * Single-threaded callers only. The child dies with its parent.
 *
 * Return: 1 in the parent, 0 in the child once its maps are there, -1 in the parent with @err set
 */
[[gnu::nonnull(3, 4)]] int probe_child_start(
	int namespaces, const struct subids *subids, struct probe_child *child, struct azm_err *err);

/** probe_child_hold() - as probe_child_start(); the child only waits, so that its namespaces exist. Return: 0, -1 */
[[gnu::nonnull(3, 4)]] int probe_child_hold(
	int namespaces, const struct subids *subids, struct probe_child *child, struct azm_err *err);

/** probe_child_kill() - kill and reap; gives up on a child that the kernel does not let go. */
void probe_child_kill(struct probe_child *child);

/**
 * probe_call() - run a probe in a child and wait for its outcome
 * @deadline_ms: a child without an answer by then is killed: ETIMEDOUT
 *
 * Return: @out->result
 */
[[gnu::nonnull]] int probe_call(
	int namespaces, probe_fn *run, const struct probe_env *env, int deadline_ms, struct probe_outcome *out);

/**
 * probe_exec() - run a program of the host to its end
 * @argv:	NULL-terminated; found through PATH
 * @text:	what it wrote on stderr, first line; may be NULL
 *
 * Part of a probe: the deadline is the probe's. Return: exit status (127 not found), -1 with @err set when it was
 * killed or could not be started
 */
[[gnu::nonnull(1, 4)]] int probe_exec(char *const argv[], char *text, size_t size, struct azm_err *err);

/** probe_detail() - write @out->detail. Return: 0 */
[[gnu::format(printf, 2, 3)]] int probe_detail(struct probe_outcome *out, const char *format, ...);

// SPDX-License-Identifier: GPL-2.0-or-later
/* init/plan.h: what the supervisor tells azm-init, and what azm-init reports back.
 *
 * The plan is everything azm-init needs to build one sandbox, or to enter one (`exec`): it has no configuration,
 * environment or arguments of its own. It travels through a pipe as one length-prefixed message; plan_encode() and
 * plan_decode() are one walk over the same list of fields (plan.c), so the two sides cannot drift apart. Both programs
 * come from one build: the format has no versions.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mount/mount.h"

/* Descriptors azm-init starts with, besides 0, 1 and 2, which become the workload's. */
enum {
	INIT_PLAN_FD = 3, /* pipe: a go byte (maps are written), the plan, a go byte (network and terminal are ready) */
	INIT_REPORT_FD = 4,  /* pipe: struct report messages */
	INIT_COMMAND_FD = 5, /* pipe: struct init_command messages; end of file means the supervisor is gone */
	INIT_ALIAS_FD =
		6, /* made by azm-init: user namespace in which the single id is called 0; `exec -u 0` takes it */
};

struct plan_limit {
	uint32_t resource; /* RLIMIT_* */
	uint64_t soft, hard;
};

enum plan_copy_op { PLAN_COPY_NOT, PLAN_COPY_SEND, PLAN_COPY_RECEIVE };

/* cp: azm-init does it itself, stdin or stdout is the stream (copy/copy.h): inside a sandbox that runs (enter), or in
 * one that it builds for nothing else. */
struct plan_copy {
	uint32_t op;
	char *path; /* SRC or DST inside */
	char *name; /* PLAN_COPY_RECEIVE: what SRC is called; PLAN_COPY_SEND: what the copy is to be called, NULL: as
		       SRC */
	bool follow, contents, plain, set_owner, keep_owner;
	uint32_t uid, gid, from_uid; /* as in struct copy_target */
};

struct plan {
	bool enter; /* exec: the namespaces exist already, nothing is mounted */
	struct plan_copy copy;
	struct mount_plan mount;
	char *hostname;
	bool nested; /* namespaces may be made inside */

	/* identity */
	uint32_t uid, gid;
	uint32_t *groups; /* supplementary groups, wide maps only */
	size_t group_count;
	bool wide_map; /* several ids are mapped: set*id and setgroups are real */
	uint64_t caps; /* bounding set, and permitted and effective for inside root */
	bool no_new_privs;
	bool emulate_root;
	bool log_denials;
	struct sock_filter *filter;
	size_t filter_count;

	/* process */
	struct plan_limit *limits;
	size_t limit_count;
	char **argv;
	size_t argc;
	char **envp;
	size_t envc;
	char *cwd;
	bool make_cwd; /* a working directory that is missing is made (Docker's --workdir) */
	bool tty;
};

/* Largest encoded plan accepted: arguments and environment are limited by the kernel's ARG_MAX anyway. */
enum { PLAN_MAX = 8 << 20 };

/** plan_encode() - one message: length (4 bytes), fields. Return: allocated, owned by the caller; @size set. */
unsigned char *plan_encode(struct plan *plan, size_t *size);

/** plan_decode() - the reverse, without the length prefix; pointers refer to fresh allocations that live as long as
 * azm-init. Return: 0, -1 when the message is damaged. */
int plan_decode(unsigned char *data, size_t size, struct plan *plan);

enum report_kind {
	REPORT_BUILT = 1, /* the root is ready; value: descriptor of the pty master in azm-init (pidfd_getfd), -1
			     without tty */
	REPORT_STARTED,	  /* value: pid of the workload, as azm-init sees it */
	REPORT_EXITED,	  /* value: wait status of the workload */
	REPORT_FAILED,	  /* err says why; azm-init exits */
};

/* Fits into PIPE_BUF, so a write is atomic. */
struct report {
	uint32_t kind;
	int32_t value;
	struct azm_err err;
};

enum init_op {
	INIT_SIGNAL = 1, /* value: signal for the workload */
	INIT_STOP_ALL,	 /* value: SIGSTOP or SIGCONT, for every process but azm-init */
};

struct init_command {
	uint32_t op;
	int32_t value;
};

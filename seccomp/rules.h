// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/rules.h: from a treatment to BPF instructions. Runs on the build machine only (compile.c).
 *
 * A rule is the code that decides one system call once its number is known. It leaves by BPF_RET, or, where the code is
 * a layer over another program, by the RULE_CONTINUE placeholder.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "seccomp/rows.h"

struct rule {
	struct sock_filter insns[40];
	size_t count;
};

/* "Go on behind the program": an unconditional jump whose distance compile.c fills in. */
#define RULE_CONTINUE ((struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, 0xffffffff })

/** rule_build() - the rule of a treatment under a set of enum filter_flag. */
struct rule rule_build(enum treatment treatment, unsigned flags);

/** rule_emulate() - the part of it that root emulation adds; everything else continues. */
struct rule rule_emulate(enum treatment treatment);

enum supervisor_rule {
	SUPERVISOR_ALLOW,
	SUPERVISOR_ABSENT,  /* ENOSYS, for calls whose caller falls back */
	SUPERVISOR_CLONE,   /* threads and copies of the process, no namespaces */
	SUPERVISOR_SOCKET,  /* the sandbox's families, and NETLINK_SOCK_DIAG */
	SUPERVISOR_IOCTL,   /* terminals and bytes waiting */
	SUPERVISOR_OWN,	    /* the first argument, a thread's id, is 0 */
	SUPERVISOR_NO_EXEC, /* memory that is not executable */
};

/** rule_supervisor() - the rule that a row of table_supervisor.h names. */
struct rule rule_supervisor(enum supervisor_rule which);

/* Answers of a rule: an errno (0 is success without effect) or one of these two. */
enum { ANSWER_ALLOW = -1, ANSWER_CONTINUE = -2 };

/** rule_answer() - the rule that gives one answer always. */
struct rule rule_answer(int code);

bool rule_equal(const struct rule *a, const struct rule *b);

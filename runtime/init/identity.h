// SPDX-License-Identifier: GPL-2.0-or-later
/* init/identity.h: the last steps before the workload: who it is, what it may do, and proof that it is so. */
#pragma once
#include "base/err.h"
#include "init/plan.h"

/* The capability azm-init keeps and a workload never has: it makes azm-init untraceable for inside root. */
#define INIT_KEPT_CAPS ((1ull << 19 /* CAP_SYS_PTRACE */) | (1ull << 5 /* CAP_KILL */))

/**
 * identity_apply() - become the workload's user, drop capabilities, install the filter
 *
 * Order (design: identity and filter): bounding set, groups and ids, then with no_new_privs: capabilities,
 * no_new_privs, filter; without it the filter goes on while CAP_SYS_ADMIN is still held. The root-emulation filter
 * answers capset with a success that means nothing, so it never precedes our own drop of capabilities: it is only used
 * together with no_new_privs. Everything is read back; a difference is an error.
 *
 * Return: 0, or -1 with @err set; the process must then exit
 */
int identity_apply(const struct plan *plan, struct azm_err *err);

/** identity_drop_init() - reduce azm-init itself to INIT_KEPT_CAPS. */
int identity_drop_init(struct azm_err *err);

/**
 * identity_make_alias() - single id other than 0: a nested user namespace in which that id is called 0, for `exec -u 0`
 *
 * Left open as INIT_ALIAS_FD; made before namespaces are forbidden inside, and entered by `exec` with setns.
 */
int identity_make_alias(uint32_t uid, uint32_t gid, struct azm_err *err);

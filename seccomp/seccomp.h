// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/seccomp.h: which system calls a sandbox may make.
 *
 * The default filter is a reviewed table (seccomp/table.h: one syscall a row, its number per architecture, its
 * treatment and the reason), compiled at build time into BPF arrays, one per combination of enum filter_flag. Nothing
 * is compiled at start-up. A custom profile (OCI/Docker JSON) is compiled by libseccomp once and cached by the hash of
 * its text and of our version.
 */
#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum filter_flag {
	FILTER_EMULATE_ROOT = 1 << 0, /* chown, set*id, setgroups, capset, device mknod answer success and do nothing */
	FILTER_NESTED = 1 << 1,	      /* --nested: namespaces and mounts inside are allowed */
	FILTER_COMPAT32 = 1 << 2,     /* --compat32: 32-bit programs */
	FILTER_LOG = 1 << 3,	      /* --seccomp-log: what is denied by a rule is logged by the kernel as well */
	FILTER_SET_ID = 1 << 4, /* set-id modes are allowed (root emulation implies it): see README, "Set-id bits" */
	FILTER_COMBINATIONS = 1 << 5,
};

struct filter {
	const struct sock_filter *insns;
	size_t count;
	bool owned; /* insns was allocated */
};

/** filter_builtin() - the build-time filter for a set of enum filter_flag; static storage, never fails. */
struct filter filter_builtin(unsigned flags);

/**
 * filter_from_profile() - compile an OCI/Docker seccomp profile, or take it from the cache
 * @json_path:	profile, at most 1 MiB
 * @cachefd:	directory of cached programs (0700, ours), or -1
 * @flags:	FILTER_EMULATE_ROOT is layered over the profile; the others do not apply
 * @caps:	capability mask that "includes"/"excludes" of the profile are judged by
 * @out:	set; release with filter_free()
 *
 * Arguments the kernel reads as 32 bits are compared as 32 bits whatever the profile says, for all seven operators, in
 * rules that allow and in rules that deny. Entries that contradict each other, names that cannot be denied and
 * conditions that are not understood are errors. Return: 0, or -1 with @err naming the entry that is wrong
 */
[[gnu::nonnull(1, 5, 6)]] int filter_from_profile(const char *json_path, int cachefd, unsigned flags,
	unsigned long long caps, struct filter *out, struct azm_err *err);

void filter_free(struct filter *filter);

/**
 * filter_install() - put a filter on the calling thread and all later ones; needs no library
 *
 * no_new_privs must be set or CAP_SYS_ADMIN held in the own user namespace. Return: 0, or -1 with @err set
 */
[[gnu::nonnull]] int filter_install(const struct filter *filter, bool log, struct azm_err *err);

/** filter_builtin_supervisor() - the allow-list of the supervisor itself once it has started (see table_supervisor.h).
 */
struct filter filter_builtin_supervisor(void);

// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_parse.h: an OCI/Docker seccomp profile as data. Internal to seccomp/ and its tests. */
#pragma once
#include <jansson.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { PROFILE_ARCHS_MAX = 4, PROFILE_ARGS_MAX = 6 };

struct profile {
	json_t *root; /* owned */
	const char *path;
	unsigned long long caps;	   /* what "includes" and "excludes" ask for */
	uint32_t default_action;	   /* SCMP_ACT_* */
	uint32_t archs[PROFILE_ARCHS_MAX]; /* SCMP_ARCH_*; the first is the native one */
	size_t arch_count;
	json_t *entries; /* borrowed: the array "syscalls" */
};

/* One element of "syscalls". */
struct profile_entry {
	size_t position;
	uint32_t action;
	json_t *names; /* borrowed: an array of strings */
	struct profile_arg {
		unsigned index;
		enum scmp_compare op;
		uint64_t value;
		uint64_t value_two; /* of SCMP_CMP_MASKED_EQ: what has to be left; value is the mask */
	} args[PROFILE_ARGS_MAX];
	unsigned arg_count;
};

/**
 * profile_parse() - read the JSON text and everything but the entries
 * @path:	for messages; must outlive @out
 * @out:	set; release with profile_free(), also after a failure
 */
int profile_parse(const char *text, size_t size, const char *path, unsigned long long caps, struct profile *out,
	struct azm_err *err);

/**
 * profile_entry() - one entry, checked
 *
 * Return: 1 when it applies here, 0 when its includes or excludes say otherwise, -1 with @err naming the entry
 */
int profile_entry(const struct profile *profile, size_t position, struct profile_entry *out, struct azm_err *err);

void profile_free(struct profile *profile);

/** profile_error() - an error about one entry, or about the whole profile with @position SIZE_MAX. Return: -1. */
[[gnu::format(printf, 4, 5)]] int profile_error(
	const struct profile *profile, size_t position, struct azm_err *err, const char *format, ...);

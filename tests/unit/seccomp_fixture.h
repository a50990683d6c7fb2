// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/seccomp_fixture.h: a directory with a profile in it, and what the program compiled from it answers. */
#pragma once
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>

#include "seccomp/seccomp.h"

struct fixture {
	char dir[64];
	int dirfd;
};

/** docker_style - the shape of Docker's default profile, shortened: archMap, conditions, the weak comparators on
 * socket. */
extern const char docker_style[];

/** make_dir(), remove_dir() - a directory for each test, in *state. */
int make_dir(void **state);
int remove_dir(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

/** for_each_file() - every name in the directory, in no order. */
void for_each_file(const struct fixture *f, void (*visit)(int dirfd, const char *name));

/** compile_text() - filter_from_profile() of a file with this text. */
int compile_text(const struct fixture *f, const char *text, int cachefd, unsigned flags, unsigned long long caps,
	struct filter *out, struct azm_err *err);

#if defined(__x86_64__)
enum { NATIVE_AUDIT = AUDIT_ARCH_X86_64 };
#else
enum { NATIVE_AUDIT = AUDIT_ARCH_AARCH64 };
#endif
enum { ADMIN = 1 << 21 };

/** ask() - the answer to a system call of this architecture: SECCOMP_RET_*. */
uint32_t ask(const struct filter *f, int nr, uint64_t a0, uint64_t a1, uint64_t a2);

#define ALLOW	    SECCOMP_RET_ALLOW
#define ERRNO(code) (SECCOMP_RET_ERRNO | (code))

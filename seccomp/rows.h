// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/rows.h: the types of the table (table.h) and access to it. Internal to seccomp/ and its tests. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* T(treatment, what it means) */
#define SECCOMP_TREATMENTS(T)                                                                                          \
	T(ALLOW, "allowed")                                                                                            \
	T(DENY, "EPERM")                                                                                               \
	T(ABSENT, "ENOSYS")                                                                                            \
	T(NAMESPACE, "EPERM; allowed with --nested")                                                                   \
	T(HIDDEN, "ENOSYS; allowed with --nested")                                                                     \
	T(CLONE, "EPERM for CLONE_NEW* flags; allowed with --nested")                                                  \
	T(SOCKET, "UNIX, INET, INET6, NETLINK_ROUTE; others EAFNOSUPPORT or EPROTONOSUPPORT")                          \
	T(SOCKETPAIR, "UNIX; others EOPNOTSUPP")                                                                       \
	T(IOCTL, "EPERM for TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD")                                                   \
	T(PRCTL, "EPERM for PR_SET_MM")                                                                                \
	T(PERSONALITY, "LINUX, LINUX32, UNAME26, ADDR_NO_RANDOMIZE; others EPERM")                                     \
	T(LDT, "ENOSYS; allowed with --compat32")                                                                      \
	T(SETID_ARG1, "EPERM for set-id modes; allowed with root emulation")                                           \
	T(SETID_ARG2, "EPERM for set-id modes; allowed with root emulation")                                           \
	T(OPEN, "EPERM for creating with a set-id mode; allowed with root emulation")                                  \
	T(OPENAT, "EPERM for creating with a set-id mode; allowed with root emulation")                                \
	T(OPENAT2, "ENOSYS; allowed with root emulation")                                                              \
	T(MKNOD, "EPERM for devices, success without effect with root emulation; set-id modes as chmod")               \
	T(MKNODAT, "EPERM for devices, success without effect with root emulation; set-id modes as chmod")             \
	T(IDENTITY, "allowed; success without effect with root emulation")

#define SECCOMP_TREATMENT_ENTRY(name, meaning) TREAT_##name,
enum treatment { SECCOMP_TREATMENTS(SECCOMP_TREATMENT_ENTRY) };
#undef SECCOMP_TREATMENT_ENTRY

enum table_arch { ARCH_X86_64, ARCH_AARCH64, ARCH_I386, ARCH_COUNT };

struct syscall_row {
	const char *name;
	int16_t number[ARCH_COUNT]; /* -1: the architecture has no such call */
	uint8_t narrow;		    /* bit n: argument n is read as 32 bits */
	uint8_t treatment;	    /* enum treatment */
	const char *reason;
};

/* Every number of the table is below. */
enum { SYSCALL_NUMBER_LIMIT = 512 };

extern const struct syscall_row syscall_table[];
extern const size_t syscall_table_count;

/** syscall_row_by_name() - Return: the row, or NULL when the table has no such name. */
const struct syscall_row *syscall_row_by_name(const char *name);

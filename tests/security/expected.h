// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/security/expected.h: the table read a second time, by hand, to hold the compiled filters against.
 *
 * Plain C that a reviewer can compare with design.md and the table; shares nothing with seccomp/rules.c but the table.
 */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "seccomp/rows.h"
#include "seccomp/seccomp.h"

/* Answers: an errno, 0 for "success, nothing done", or EXPECT_ALLOW for "ask the kernel". */
enum { EXPECT_ALLOW = -1 };

static inline const struct syscall_row *expected_row(enum table_arch arch, uint32_t number)
{
	static const struct syscall_row *rows[ARCH_COUNT][SYSCALL_NUMBER_LIMIT];

	static bool indexed;

	for (size_t i = 0; !indexed && i < syscall_table_count; i++)
		for (size_t a = 0; a < ARCH_COUNT; a++)
			if (syscall_table[i].number[a] >= 0)
				rows[a][syscall_table[i].number[a]] = &syscall_table[i];
	indexed = true;
	return number < SYSCALL_NUMBER_LIMIT ? rows[arch][number] : NULL;
}

static inline int expected_socket(uint32_t family, uint32_t type, uint32_t protocol)
{
	switch (family) {
	case 1: /* AF_UNIX */
		return EXPECT_ALLOW;
	case 2:	 /* AF_INET */
	case 10: /* AF_INET6 */
		if ((type & 15) == 10 /* SOCK_PACKET */)
			return EAFNOSUPPORT;
		if ((type & 15) == 3 /* SOCK_RAW */)
			return EXPECT_ALLOW;
		switch (protocol) {
		case 0:
		case 1:	  /* ICMP */
		case 6:	  /* TCP */
		case 17:  /* UDP */
		case 58:  /* ICMPv6 */
		case 136: /* UDP-Lite */
		case 262: /* MPTCP */
			return EXPECT_ALLOW;
		}
		return EPROTONOSUPPORT;
	case 16: /* AF_NETLINK */
		return protocol == 0 ? EXPECT_ALLOW : protocol == 9 ? EINVAL : EPROTONOSUPPORT;
	}
	return EAFNOSUPPORT;
}

static inline int expected_ioctl(uint32_t command)
{
	switch (command) {
	case 0x5412: /* TIOCSTI */
	case 0x541c: /* TIOCLINUX */
	case 0x541d: /* TIOCCONS */
	case 0x5423: /* TIOCSETD */
		return EPERM;
	}
	return EXPECT_ALLOW;
}

static inline int expected_personality(uint32_t persona)
{
	switch (persona) {
	case 0xffffffff:
	case 0x0:
	case 0x8:
	case 0x20000:
	case 0x20008:
	case 0x40000:
	case 0x40008:
	case 0x60000:
	case 0x60008:
		return EXPECT_ALLOW;
	}
	return EPERM;
}

static inline int expected_mknod(uint32_t mode, uint32_t device, unsigned flags)
{
	bool set_id_ok = flags & (FILTER_EMULATE_ROOT | FILTER_SET_ID);

	if ((flags & FILTER_NESTED) && (mode & 0170000) == 0020000 && device == 0)
		return EXPECT_ALLOW;
	if (!set_id_ok && (mode & 06000))
		return EPERM;
	switch (mode & 0170000) {
	case 0:
	case 0010000: /* FIFO */
	case 0100000: /* regular file */
	case 0140000: /* socket */
		return EXPECT_ALLOW;
	case 0020000: /* character device */
	case 0060000: /* block device */
		return flags & FILTER_EMULATE_ROOT ? 0 : EPERM;
	}
	return EPERM;
}

static inline int expected_create(uint32_t open_flags, uint32_t mode, bool set_id_ok)
{
	bool creates = open_flags & 020000100; /* O_CREAT, the kernel's __O_TMPFILE */

	return creates && !set_id_ok && (mode & 06000) ? EPERM : EXPECT_ALLOW;
}

/** expected_answer() - what the filter of @flags has to answer to a call of the native or the i386 architecture. */
static inline int expected_answer(enum table_arch arch, uint32_t number, const uint64_t args[6], unsigned flags)
{
	const struct syscall_row *row = expected_row(arch, number);
	const uint32_t a0 = (uint32_t)args[0], a1 = (uint32_t)args[1], a2 = (uint32_t)args[2], a3 = (uint32_t)args[3];
	bool nested = flags & FILTER_NESTED;
	bool set_id_ok = flags & (FILTER_EMULATE_ROOT | FILTER_SET_ID);

	if (arch == ARCH_I386 && !(flags & FILTER_COMPAT32))
		return ENOSYS;
	if (number == 0xffffffff)
		return EXPECT_ALLOW; /* a tracer's cancelled call */
	if (!row)
		return ENOSYS;
	switch ((enum treatment)row->treatment) {
	case TREAT_ALLOW:
		return EXPECT_ALLOW;
	case TREAT_DENY:
		return EPERM;
	case TREAT_ABSENT:
		return ENOSYS;
	case TREAT_NAMESPACE:
		return nested ? EXPECT_ALLOW : EPERM;
	case TREAT_HIDDEN:
		return nested ? EXPECT_ALLOW : ENOSYS;
	case TREAT_CLONE:
		return !nested && (a0 & 0x7e020000) ? EPERM : EXPECT_ALLOW;
	case TREAT_SOCKET:
		return expected_socket(a0, a1, a2);
	case TREAT_SOCKETPAIR:
		return a0 == 1 ? EXPECT_ALLOW : EOPNOTSUPP;
	case TREAT_IOCTL:
		return expected_ioctl(a1);
	case TREAT_PRCTL:
		return a0 == 35 /* PR_SET_MM */ ? EPERM : EXPECT_ALLOW;
	case TREAT_PERSONALITY:
		return expected_personality(a0);
	case TREAT_LDT:
		return flags & FILTER_COMPAT32 ? EXPECT_ALLOW : ENOSYS;
	case TREAT_SETID_ARG1:
		return expected_create(0100, a1, set_id_ok);
	case TREAT_SETID_ARG2:
		return expected_create(0100, a2, set_id_ok);
	case TREAT_OPEN:
		return expected_create(a1, a2, set_id_ok);
	case TREAT_OPENAT:
		return expected_create(a2, a3, set_id_ok);
	case TREAT_OPENAT2:
		return set_id_ok ? EXPECT_ALLOW : ENOSYS;
	case TREAT_MKNOD:
		return expected_mknod(a1, a2, flags);
	case TREAT_MKNODAT:
		return expected_mknod(a2, a3, flags);
	case TREAT_IDENTITY:
		return flags & FILTER_EMULATE_ROOT ? 0 : EXPECT_ALLOW;
	}
	return ENOSYS;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/compat.h: what the headers of Debian 11 (Linux 5.10, glibc 2.31) and of musl lack.
 *
 * Included where one of these is used. The numbers are the kernel's interface, the same on every architecture (Linux,
 * include/uapi); a kernel that is older, too, answers ENOSYS, which every caller expects.
 */
#pragma once
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif
#ifndef CEPH_SUPER_MAGIC
#define CEPH_SUPER_MAGIC 0x00c36400
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xfe534d42
#endif
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#if __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#else
/* landlock(7), first version */
#define LANDLOCK_CREATE_RULESET_VERSION 1u
#define LANDLOCK_RULE_PATH_BENEATH	1
#define LANDLOCK_ACCESS_FS_EXECUTE	(1ull << 0)
#define LANDLOCK_ACCESS_FS_WRITE_FILE	(1ull << 1)
#define LANDLOCK_ACCESS_FS_READ_FILE	(1ull << 2)
#define LANDLOCK_ACCESS_FS_READ_DIR	(1ull << 3)
#define LANDLOCK_ACCESS_FS_REMOVE_DIR	(1ull << 4)
#define LANDLOCK_ACCESS_FS_REMOVE_FILE	(1ull << 5)
#define LANDLOCK_ACCESS_FS_MAKE_CHAR	(1ull << 6)
#define LANDLOCK_ACCESS_FS_MAKE_DIR	(1ull << 7)
#define LANDLOCK_ACCESS_FS_MAKE_REG	(1ull << 8)
#define LANDLOCK_ACCESS_FS_MAKE_SOCK	(1ull << 9)
#define LANDLOCK_ACCESS_FS_MAKE_FIFO	(1ull << 10)
#define LANDLOCK_ACCESS_FS_MAKE_BLOCK	(1ull << 11)
#define LANDLOCK_ACCESS_FS_MAKE_SYM	(1ull << 12)

struct landlock_ruleset_attr {
	uint64_t handled_access_fs;
};

struct landlock_path_beneath_attr {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ull << 13)
#endif

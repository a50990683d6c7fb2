// SPDX-License-Identifier: GPL-2.0-or-later
/* base/fd_passing.h: messages over UNIX sockets that carry descriptors; unix(7), SCM_RIGHTS. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

enum { FDS_MAX = 253 }; /* with one message, the kernel's SCM_MAX_FD */

/**
 * fds_send() - as send(2) with MSG_NOSIGNAL, through EINTR, and @count descriptors, which stay the caller's, too
 *
 * Return: bytes sent; -1 with errno, EINVAL for more than FDS_MAX
 */
ssize_t fds_send(int to, const void *data, size_t size, const int *fds, size_t count, int flags);

/**
 * fds_receive() - as recv(2), through EINTR, with the descriptors that come along, close-on-exec
 * @fds:	has room for *@count
 * @count:	set to how many came, which are the caller's now
 *
 * All of them or none: when there are more than there is room for, or the table of this process is full, those that
 * could be had are closed, and @fds is as if none had been sent. What needs descriptors looks at *@count therefore.
 *
 * Return: bytes as recv(2), -1 with errno (then without descriptors)
 */
ssize_t fds_receive(int from, void *data, size_t size, int *fds, size_t *count, int flags);

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/fd_passing.c: see fd_passing.h */
#include "base/fd_passing.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union ancillary {
	struct cmsghdr header;
	char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

ssize_t fds_send(int to, const void *data, size_t size, const int *fds, size_t count, int flags)
{
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	union ancillary ancillary = { 0 };

	if (count > FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (count > 0) {
		message.msg_control = &ancillary;
		message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
		ancillary.header.cmsg_level = SOL_SOCKET;
		ancillary.header.cmsg_type = SCM_RIGHTS;
		ancillary.header.cmsg_len = CMSG_LEN(count * sizeof *fds);
		memcpy(CMSG_DATA(&ancillary.header), fds, count * sizeof *fds);
	}
	return TEMP_FAILURE_RETRY(sendmsg(to, &message, flags | MSG_NOSIGNAL));
}

ssize_t fds_receive(int from, void *data, size_t size, int *fds, size_t *count, int flags)
{
	struct iovec part = { .iov_base = data, .iov_len = size };
	union ancillary ancillary;
	size_t room = *count < FDS_MAX ? *count : FDS_MAX;
	/* Not CMSG_SPACE(): it rounds up, and the kernel would put one more into what that adds. */
	struct msghdr message = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &ancillary,
		.msg_controllen = CMSG_LEN(room * sizeof *fds) };
	ssize_t n = TEMP_FAILURE_RETRY(recvmsg(from, &message, flags | MSG_CMSG_CLOEXEC));
	const struct cmsghdr *header = n < 0 ? NULL : CMSG_FIRSTHDR(&message);

	*count = 0;
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
		return n;
	const int *came = (const void *)CMSG_DATA(header);
	size_t had = (header->cmsg_len - CMSG_LEN(0)) / sizeof *came;
	if (message.msg_flags & MSG_CTRUNC) {
		for (size_t i = 0; i < had; i++)
			close(came[i]);
		return n;
	}
	memcpy(fds, came, had * sizeof *fds);
	*count = had;
	return n;
}

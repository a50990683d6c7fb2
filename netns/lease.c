// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/lease.c: see lease.h; fcntl(2), "Open file description locks". */
#include "netns/lease.h"

#include <errno.h>
#include <fcntl.h>

int lease_open(int dirfd, const char *name, struct azm_err *err)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? err_sys(err, "open the address leases", name) : fd;
}

static int lock_byte(int fd, uint32_t lease, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = lease, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock);
}

int lease_take(int fd, uint32_t first, uint32_t last, uint32_t start, uint32_t *lease, struct azm_err *err)
{
	uint32_t size = last - first + 1;

	for (uint32_t i = 0; i < size; i++) {
		uint32_t candidate = first + (start - first + i) % size;
		if (lock_byte(fd, candidate, F_WRLCK) == 0) {
			*lease = candidate;
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return err_sys(err, "lease an address", NULL);
	}
	return err_msg(err, EUSERS, "lease an address", NULL, "all %u addresses of the network are in use", size);
}

void lease_drop(int fd, uint32_t lease)
{
	lock_byte(fd, lease, F_UNLCK);
}

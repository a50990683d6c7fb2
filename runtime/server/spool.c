// SPDX-License-Identifier: GPL-2.0-or-later
/* server/spool.c: see spool.h */
#include "server/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "server/body.h"

int spool_add(struct spool *spool, const char *bytes, size_t size, off_t *at)
{
	if (!spool->fd) {
		int fd = file_nameless();
		if (fd < 0)
			return -1;
		spool->fd = fd;
	}
	for (size_t done = 0; done < size;) {
		ssize_t n = pwrite(spool->fd, bytes + done, size - done, spool->end + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int saved = errno;
			(void)!ftruncate(spool->fd, spool->end); /* give back what was written of it */
			errno = saved;
			return -1;
		}
		done += (size_t)n;
	}
	*at = spool->end;
	spool->end += (off_t)size;
	spool->used += size;
	return 0;
}

int spool_read(const struct spool *spool, off_t at, char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(spool->fd, bytes + done, size - done, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			return -1;
		}
		done += (size_t)n;
	}
	return 0;
}

void spool_drop(struct spool *spool, off_t at, size_t size)
{
	spool->used -= size;
	if (!spool->used) {
		(void)!ftruncate(spool->fd, 0);
		spool->end = 0;
	} else if (size) {
		fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)size);
	}
}

void spool_close(struct spool *spool)
{
	if (spool->fd)
		close(spool->fd);
	*spool = (struct spool){ 0 };
}

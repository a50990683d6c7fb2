// SPDX-License-Identifier: GPL-2.0-or-later
/* server/spool.h: output that is kept for a while, on disk instead of in memory.
 *
 * One file without a name for all of it: it grows at its end, and what is dropped becomes a hole.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct spool {
	int fd;	   /* 0: not opened yet, so that { 0 } is an empty spool */
	off_t end; /* where the next piece goes */
	size_t used;
};

/** spool_add() - keep bytes. Return: 0 and *at set, -1 with errno (ENOSPC, ...) */
int spool_add(struct spool *spool, const char *bytes, size_t size, off_t *at);

/** spool_read() - the bytes of a piece into @bytes. Return: 0, -1 with errno */
int spool_read(const struct spool *spool, off_t at, char *bytes, size_t size);

/** spool_drop() - a piece is not needed any more. */
void spool_drop(struct spool *spool, off_t at, size_t size);

void spool_close(struct spool *spool);

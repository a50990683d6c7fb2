// SPDX-License-Identifier: GPL-2.0-or-later
/* base/cleanup.h: resources that release themselves at the end of their scope.
 *
 *     cleanup_fd int fd = open(...);       closed on every return
 *     return steal_fd(&fd);                handed to the caller instead
 */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup_fd   [[gnu::cleanup(cleanup_close_fd)]]
#define cleanup_free [[gnu::cleanup(cleanup_free_pointer)]]
#define cleanup_dir  [[gnu::cleanup(cleanup_close_dir)]]
#define cleanup_file [[gnu::cleanup(cleanup_close_file)]]

/* A scope may end on an error path: closing must not change the errno that is about to be reported. */
static inline void cleanup_close_fd(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_free_pointer(void *pointer_address)
{
	free(*(void **)pointer_address);
}

static inline void cleanup_close_dir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		closedir(*dir);
	errno = saved;
}

static inline void cleanup_close_file(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

/** steal_fd() - take a descriptor out of its cleanup variable. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/** steal_ptr() - take a pointer out of its cleanup variable, keeping its type. */
#define steal_ptr(address)                                                                                             \
	__extension__({                                                                                                \
		__typeof__(*(address)) taken_ = *(address);                                                            \
		*(address) = NULL;                                                                                     \
		taken_;                                                                                                \
	})

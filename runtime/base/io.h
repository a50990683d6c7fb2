// SPDX-License-Identifier: GPL-2.0-or-later
/* base/io.h: whole reads and writes, bounded files. Every descriptor made here is close-on-exec. */
#pragma once
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/** read_full() - read until @size bytes or end of file, through EINTR. Return: bytes read, -1 with errno. */
ssize_t read_full(int fd, void *buffer, size_t size);

/** write_full() - write all bytes, through EINTR and short writes. Return: 0, -1 with errno. */
int write_full(int fd, const void *buffer, size_t size);

/**
 * read_file() - the whole of an open file, NUL-terminated
 * @fd:		open for reading; read from its current position to the end
 * @limit:	most bytes accepted; a longer file is EFBIG
 * @size:	set to the length without the NUL; may be NULL
 *
 * Return: allocated text, owned by the caller; NULL with errno
 */
char *read_file(int fd, size_t limit, size_t *size);

/** read_path() - as read_file(), for a trusted path of the host (not of an image: see mount/resolve.h). */
char *read_path(const char *path, size_t limit, size_t *size);

/** write_path() - write @text to an existing file such as one of /proc in a single write(2). Return: 0, -1 with errno.
 */
int write_path(const char *path, const char *text);

/** write_file_at() - create or replace a small file atomically (temporary name, rename). Return: 0, -1 with errno. */
int write_file_at(int dirfd, const char *name, const void *data, size_t size, mode_t mode);

/** fd_set_cloexec() / fd_set_nonblock() - change one descriptor flag. Return: 0, -1 with errno. */
int fd_set_cloexec(int fd, bool on);
int fd_set_nonblock(int fd, bool on);

/**
 * fd_close_range() - close every descriptor from @first to @last, both included
 *
 * close_range(2), and where the kernel lacks it (< 5.9) one by one, by the list in /proc/self/fd. Without malloc, for
 * children of threads. Return: 0, -1 with errno: some may be open still.
 */
int fd_close_range(unsigned first, unsigned last);

/** pipe_pair() - pipe2(O_CLOEXEC) with an error object. */
int pipe_pair(int ends[2], struct azm_err *err);

/** dir_next() - readdir(3) without "." and "..". Return: NULL at the end with errno 0, after a failure with its errno.
 */
const struct dirent *dir_next(DIR *dir);

/** dir_names() - append all names in a directory but "." and ".."; @dir is not used up. Return: 0, -1 with errno */
int dir_names(int dir, struct str_list *names);

/** dir_visible_names() - the same without any name that begins with a dot; the list is sorted. */
int dir_visible_names(int dir, struct str_list *names);

/** dir_is_empty() - @name in @parent, no link. What cannot be read is not taken for empty. */
bool dir_is_empty(int parent, const char *name);

/** raise_open_files() - let this process have as many descriptors as its hard limit allows. */
void raise_open_files(void);

// SPDX-License-Identifier: GPL-2.0-or-later
/* base/io.c: see io.h */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/str.h"

ssize_t read_full(int fd, void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)buffer + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int write_full(int fd, const void *buffer, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)buffer + done, size - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

char *read_file(int fd, size_t limit, size_t *size)
{
	size_t room = 4096 < limit ? 4096 : limit;
	size_t used = 0;
	cleanup_free char *text = malloc(room + 1);

	while (text) {
		ssize_t n = read_full(fd, text + used, room + 1 - used);
		if (n < 0)
			return NULL;
		used += (size_t)n;
		if (used <= room)
			break;
		if (room == limit) {
			errno = EFBIG;
			return NULL;
		}
		room = room > limit / 2 ? limit : room * 2;
		char *larger = realloc(text, room + 1);
		if (!larger)
			return NULL;
		text = larger;
	}
	if (!text)
		return NULL;
	text[used] = '\0';
	if (size)
		*size = used;
	return steal_ptr(&text);
}

char *read_path(const char *path, size_t limit, size_t *size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? NULL : read_file(fd, limit, size);
}

int write_path(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t size = strlen(text);

	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, size);
	if (n < 0)
		return -1;
	if ((size_t)n != size) {
		errno = EIO;
		return -1;
	}
	return 0;
}

int write_file_at(int dirfd, const char *name, const void *data, size_t size, mode_t mode)
{
	char temporary[300];

	if (snprintf(temporary, sizeof temporary, ".%s.%d", name, (int)getpid()) >= (int)sizeof temporary) {
		errno = ENAMETOOLONG;
		return -1;
	}
	unlinkat(dirfd, temporary, 0);
	cleanup_fd int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -1;
	if (write_full(fd, data, size) < 0 || fchmod(fd, mode) < 0 || renameat(dirfd, temporary, dirfd, name) < 0) {
		int saved = errno;
		unlinkat(dirfd, temporary, 0);
		errno = saved;
		return -1;
	}
	return 0;
}

int fd_set_cloexec(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 ? -1 : fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int pipe_pair(int ends[2], struct azm_err *err)
{
	return pipe2(ends, O_CLOEXEC) < 0 ? err_sys(err, "make a pipe", NULL) : 0;
}

/* getdents64(2): <dirent.h> would allocate. Closing while reading skips nothing: entries are found by number. */
static int close_listed(int list, unsigned first, unsigned last)
{
	_Alignas(struct dirent) char buffer[1024];
	ssize_t size;

	while ((size = syscall(SYS_getdents64, list, buffer, sizeof buffer)) > 0) {
		for (ssize_t at = 0; at < size;) {
			const struct dirent *entry = (const struct dirent *)(const void *)(buffer + at);
			uint64_t fd;
			if (str_to_u64(entry->d_name, INT_MAX, &fd) && fd >= first && fd <= last && (int)fd != list)
				close((int)fd);
			at += entry->d_reclen;
		}
	}
	return (int)size;
}

int fd_close_range(unsigned first, unsigned last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return 0;
	if (errno != ENOSYS && errno != EPERM)
		return -1;
	int list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list < 0)
		return -1;
	int failed = close_listed(list, first, last), code = errno;
	close(list);
	errno = code;
	return failed;
}

void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

const struct dirent *dir_next(DIR *dir)
{
	const struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir);
	} while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	return entry;
}

int dir_names(int dir, struct str_list *names)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *list = copy < 0 ? NULL : fdopendir(copy);

	if (!list)
		return -1;
	const struct dirent *entry;
	while ((entry = dir_next(list)))
		str_list_add(names, entry->d_name);
	return errno ? -1 : 0;
}

int dir_visible_names(int dir, struct str_list *names)
{
	cleanup_str_list struct str_list all = { 0 };

	if (dir_names(dir, &all) < 0)
		return -1;
	for (size_t i = 0; i < all.count; i++)
		if (all.items[i][0] != '.')
			str_list_add(names, all.items[i]);
	str_list_sort(names);
	return 0;
}

bool dir_is_empty(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	return dir && !dir_next(dir) && !errno;
}

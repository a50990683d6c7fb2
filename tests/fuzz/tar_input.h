// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/tar_input.h: what the targets that read layers share: an input as a file, the tree a layer goes over, and
 * what lies beside it, where links in the tree lead to, and must stay as it was.
 *
 * The checksums of headers are made right first: a fuzzer does not guess them.
 */
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "rootfs-tools/tar_index.h"
#include "tests/fuzz/fuzz.h"

enum { CHECKSUM = 148, CHECKSUM_SIZE = 8, INPUT_MAX = 64 * 1024 };

static inline void right_checksums(unsigned char *data, size_t size)
{
	char text[16];

	for (size_t at = 0; at + TAR_BLOCK <= size; at += TAR_BLOCK) {
		unsigned sum = 0;
		if (memcmp(data + at + 257, "ustar", 5) != 0)
			continue;
		memset(data + at + CHECKSUM, ' ', CHECKSUM_SIZE);
		for (size_t i = 0; i < TAR_BLOCK; i++)
			sum += data[at + i];
		snprintf(text, sizeof text, "%06o", sum & 0777777);
		memcpy(data + at + CHECKSUM, text, 7);
	}
}

static inline int file_of(const void *data, size_t size)
{
	int file = memfd_create("layer", MFD_CLOEXEC);

	must(file >= 0 && write_full(file, data, size) == 0);
	return file;
}

static inline void make_file(int dir, const char *path, const char *text, mode_t mode)
{
	cleanup_fd int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	must(fd >= 0 && write_full(fd, text, strlen(text)) == 0);
}

/* What a layer is applied to. */
static inline void fill_root(int root)
{
	must(mkdirat(root, "d", 0755) == 0);
	must(symlinkat("../outside", root, "up") == 0 && symlinkat("d", root, "l") == 0);
	make_file(root, "d/f", "lower", 0644);
}

static inline void make_outside(int dir)
{
	must(mkdirat(dir, "outside", 0755) == 0);
	make_file(dir, "outside/secret", "secret", 0600);
}

/* Removes it: so there is no more in it. */
static inline void check_outside(int dir)
{
	struct stat st;
	cleanup_fd int fd = openat(dir, "outside/secret", O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = read_file(fd, 100, NULL);

	must(text && strcmp(text, "secret") == 0);
	must(fstat(fd, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0600);
	must(fstatat(dir, "outside", &st, 0) == 0 && st.st_nlink == 2);
	must(unlinkat(dir, "outside/secret", 0) == 0 && unlinkat(dir, "outside", AT_REMOVEDIR) == 0);
}

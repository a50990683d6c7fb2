// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_layer.c: any bytes as a layer over a small tree, through every decompression, and as the index of an
 * archive. What lies beside the tree, where links in it lead to, must stay as it was.
 *
 * The checksums of headers are made right first: a fuzzer does not guess them.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/tar_index.h"
#include "tests/fuzz/fuzz.h"

enum { CHECKSUM = 148, CHECKSUM_SIZE = 8, INPUT_MAX = 64 * 1024 };

static void right_checksums(unsigned char *data, size_t size)
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

static void make_file(int dir, const char *path, const char *text, mode_t mode)
{
	cleanup_fd int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	must(fd >= 0 && write_full(fd, text, strlen(text)) == 0);
}

static void make_tree(int dir)
{
	must(mkdirat(dir, "root", 0755) == 0 && mkdirat(dir, "root/d", 0755) == 0 &&
		mkdirat(dir, "outside", 0755) == 0);
	make_file(dir, "outside/secret", "secret", 0600);
	must(symlinkat("../outside", dir, "root/up") == 0 && symlinkat("d", dir, "root/l") == 0);
	make_file(dir, "root/d/f", "lower", 0644);
}

static void check_outside(int dir)
{
	struct stat st;
	cleanup_fd int fd = openat(dir, "outside/secret", O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = read_file(fd, 100, NULL);

	must(text && strcmp(text, "secret") == 0);
	must(fstat(fd, &st) == 0 && st.st_nlink == 1 && (st.st_mode & 07777) == 0600);
	must(fstatat(dir, "outside", &st, 0) == 0 && st.st_nlink == 2);
	must(unlinkat(dir, "outside/secret", 0) == 0 &&
		unlinkat(dir, "outside", AT_REMOVEDIR) == 0); /* and no more in it */
}

static void apply(int dir, int tar, size_t size)
{
	struct azm_err err = { 0 };
	cleanup_fd int root = openat(dir, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct layer_target target = { .root = root,
		.scratch = dir,
		.whiteouts = true,
		.size_left = 1 << 22,
		.owners = owner_log_new(dir, &err) };
	struct stream_source source = { .fd = tar, .size = size, .limit = 1 << 22 };

	must(target.owners);
	struct stream *stream = stream_new(&source, &err);
	must(stream);
	must((layer_apply(&target, stream, &err) < 0) == (err.code != 0));
	stream_close(stream);
	err_clear(&err);
	must(owner_log_save(target.owners, root, dir, &err) == 0);
	owner_log_free(target.owners);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/azm-fuzz-layer-XXXXXX";
	struct azm_err err = { 0 };
	uint64_t offset, length;

	if (size > INPUT_MAX)
		return 0;
	unsigned char *copy = (unsigned char *)fuzz_text(data, size);
	right_checksums(copy, size);
	(void)tar_is_root(copy, size);
	cleanup_fd int tar = memfd_create("layer", MFD_CLOEXEC);
	must(tar >= 0 && write_full(tar, copy, size) == 0);
	free(copy);
	struct tar_index *index = tar_index_new(tar, size, &err);
	if (index && tar_index_find(index, "manifest.json", &offset, &length))
		must(offset <= size && length <= size - offset);
	tar_index_free(index);
	must(mkdtemp(path));
	{
		cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(dir >= 0);
		make_tree(dir);
		apply(dir, tar, size);
		check_outside(dir);
	}
	err_clear(&err);
	must(tree_remove_at(AT_FDCWD, path, &err) == 0);
	return 0;
}

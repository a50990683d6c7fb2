// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_layer.c: any bytes as a layer over a small tree, through every decompression, and as the index of an
 * archive. What lies beside the tree, where links in it lead to, must stay as it was.
 */
#include "base/tree.h"
#include "rootfs-tools/layer.h"
#include "tests/fuzz/tar_input.h"

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
	cleanup_fd int tar = file_of(copy, size);
	free(copy);
	struct tar_index *index = tar_index_new(tar, size, &err);
	if (index && tar_index_find(index, "manifest.json", &offset, &length))
		must(offset <= size && length <= size - offset);
	tar_index_free(index);
	must(mkdtemp(path));
	{
		cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(dir >= 0 && mkdirat(dir, "root", 0755) == 0);
		make_outside(dir);
		cleanup_fd int root = openat(dir, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fill_root(root);
		apply(dir, tar, size);
		check_outside(dir);
	}
	err_clear(&err);
	must(tree_remove_at(AT_FDCWD, path, &err) == 0);
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_copy.c: any bytes as the tar stream of `cp`: what arrives lies below the destination, and nothing
 * else of the file system changes. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/tree.h"
#include "copy/copy.h"
#include "tests/fuzz/fuzz.h"

static char place[64];

static void remove_place(void)
{
	struct azm_err ignored = { 0 };

	tree_remove_at(AT_FDCWD, place, &ignored);
}

static void make_place(void)
{
	const struct rlimit most = { 1 << 20, 1 << 20 };

	if (*place)
		return;
	snprintf(place, sizeof place, "/tmp/azm-fuzz-copy-%d", (int)getpid());
	must(mkdir(place, 0700) == 0);
	atexit(remove_place);
	setrlimit(RLIMIT_FSIZE, &most);
	signal(SIGXFSZ, SIG_IGN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct azm_err err = { 0 };
	struct copy_count count = { 0 };
	struct stat st;

	make_place();
	cleanup_fd int base = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int stream = memfd_create("stream", MFD_CLOEXEC);
	must(base >= 0 && stream >= 0 && write(stream, data, size) == (ssize_t)size && lseek(stream, 0, SEEK_SET) == 0);
	mkdirat(base, "dst", 0700);
	const struct copy_base from = { .dir = base, .beneath = true };
	const struct copy_target target = { .path = "dst", .name = "name", .plain = size % 2 == 0 };
	if (copy_receive(&from, stream, &target, &count, &err) < 0)
		must(err.code != 0);
	/* Nothing beside the destination, which is still the directory. */
	must(fstatat(base, "dst", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
	int again = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fdopendir(again);
	unsigned names = 0;
	while (readdir(dir))
		names++;
	must(names == 3);
	must(tree_remove_at(base, "dst", &err) == 0);
	return 0;
}

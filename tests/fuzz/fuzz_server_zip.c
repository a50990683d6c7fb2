// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_zip.c: any bytes as an uploaded archive: nothing appears outside of the destination, and not
 * more than the limits allow inside. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/tree.h"
#include "server/zip.h"
#include "tests/fuzz/fuzz.h"

enum { BYTES_MAX = 1 << 20, ENTRIES_MAX = 64 };

static char top[64];

static void remove_top(void)
{
	struct azm_err err = { 0 };

	tree_remove_at(AT_FDCWD, top, &err);
}

static unsigned names_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	must(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct zip_limits limits = { BYTES_MAX, ENTRIES_MAX };
	struct azm_err err = { 0 };
	char inside[80];

	if (!*top) {
		snprintf(top, sizeof top, "/dev/shm/azm-fuzz-zip-%d", (int)getpid());
		must(mkdir(top, 0700) == 0);
		atexit(remove_top);
	}
	snprintf(inside, sizeof inside, "%s/in", top);
	must(mkdir(inside, 0700) == 0);
	int dir = open(inside, O_PATH | O_DIRECTORY | O_CLOEXEC), file = memfd_create("zip", MFD_CLOEXEC);
	must(symlinkat("..", dir, "l") == 0);
	must(dir >= 0 && file >= 0 && write_full(file, data, size) == 0);
	lseek(file, 0, SEEK_SET);
	zip_extract(file, dir, &limits, &err);
	must(names_in(top) == 3);
	close(file);
	close(dir);
	must(tree_remove_at(AT_FDCWD, inside, &err) == 0);
	return 0;
}

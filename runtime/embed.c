// SPDX-License-Identifier: GPL-2.0-or-later
/* embed.c: see embed.h. The .incbin paths and the tags come from runtime/module.mk. */
#include "embed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "embed_tags.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

#define EMBED(symbol, file)                                                                                            \
	__asm__(".section .rodata\n.balign 4096\n" #symbol "_start:\n.incbin \"" file "\"\n" #symbol "_end:\n"         \
		".balign 8\n" #symbol "_size: .quad " #symbol "_end - " #symbol "_start\n.previous\n");                \
	extern const unsigned char symbol##_start[];                                                                   \
	extern const uint64_t symbol##_size

EMBED(embedded_init, AZM_EMBED_INIT);
EMBED(embedded_server, AZM_EMBED_SERVER);

uint64_t embed_init_tag(void)
{
	return AZM_INIT_TAG;
}

/* A file of the state directory with this content; written when it is not there in the right size and mode. Return:
 * allocated path. */
static char *embedded_file(const struct state *state, const char *program, uint64_t tag, const unsigned char *start,
	size_t size, struct azm_err *err)
{
	cleanup_free char *name = xasprintf("%s-%016llx", program, (unsigned long long)tag);
	struct stat st;

	if (fstatat(state->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		st.st_size == (off_t)size && (st.st_mode & 0777) == 0555)
		return xasprintf("%s/%s", state->path, name);
	if (write_file_at(state->dir, name, start, size, 0555) < 0) {
		err_sys(err, "write a program to", state->path);
		return NULL;
	}
	return xasprintf("%s/%s", state->path, name);
}

static int init_memfd(const unsigned char *start, size_t size)
{
	cleanup_fd int fd = memfd_create("azm-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (fd < 0 && errno == EINVAL) /* MFD_EXEC is Linux 6.3 */
		fd = memfd_create("azm-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write_full(fd, start, size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -1;
	return steal_fd(&fd);
}

int embed_init_open(const struct state *state, struct azm_err *err)
{
	size_t size = (size_t)embedded_init_size;
	int memfd = init_memfd(embedded_init_start, size);

	if (memfd >= 0)
		return memfd;
	cleanup_free char *path = embedded_file(state, "azm-init", AZM_INIT_TAG, embedded_init_start, size, err);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	return path && fd < 0 ? err_sys(err, "open", path) : fd;
}

char *embed_server_path(const struct state *state, struct azm_err *err)
{
	return embedded_file(
		state, "azm-runtime-server", AZM_SERVER_TAG, embedded_server_start, (size_t)embedded_server_size, err);
}

void embed_remove_others(const struct state *state)
{
	cleanup_free char *init = xasprintf("azm-init-%016llx", (unsigned long long)AZM_INIT_TAG);
	cleanup_free char *server = xasprintf("azm-runtime-server-%016llx", (unsigned long long)AZM_SERVER_TAG);
	int copy = openat(state->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	for (const struct dirent *entry; dir && (entry = dir_next(dir));) {
		const char *name = entry->d_name;
		bool ours = str_starts(name, "azm-init-") || str_starts(name, "azm-runtime-server-");
		/* A sandbox that still runs one keeps it through its mount. */
		if (ours && strcmp(name, init) != 0 && strcmp(name, server) != 0)
			unlinkat(state->dir, name, 0);
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile.c: custom profiles: read, look up in the cache, else parse, compile and keep. */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "seccomp/profile_cache.h"
#include "seccomp/profile_compile.h"
#include "seccomp/seccomp.h"

enum { PROFILE_SIZE_MAX = 1 << 20 };

static char *read_profile(const char *path, size_t *size, struct azm_err *err)
{
	struct stat st;
	/* O_NONBLOCK: a pipe without a writer must not hang the start */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, "read seccomp profile", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		err_msg(err, EINVAL, "read seccomp profile", path, "not a regular file");
		return NULL;
	}
	char *text = read_file(fd, PROFILE_SIZE_MAX, size);
	if (!text && errno == EFBIG)
		err_msg(err, EFBIG, "read seccomp profile", path, "longer than %d bytes", PROFILE_SIZE_MAX);
	else if (!text)
		err_sys(err, "read seccomp profile", path);
	return text;
}

/* All that the program depends on; also minKernel, hence the kernel's version. */
static char *cache_key(const char *text, size_t size, bool emulate_root, unsigned long long caps, size_t *key_size)
{
	const struct scmp_version *library = seccomp_version();
	struct utsname host = { 0 };

	uname(&host);
	cleanup_free char *head =
		xasprintf("revision %u, libseccomp %u.%u.%u, %s %s, caps %#llx, emulate %d\n", profile_cache_revision(),
			library->major, library->minor, library->micro, host.machine, host.release, caps, emulate_root);
	size_t head_size = strlen(head);
	char *key = xrealloc(steal_ptr(&head), head_size + size, 1);
	memcpy(key + head_size, text, size);
	*key_size = head_size + size;
	return key;
}

int filter_from_profile(const char *json_path, int cachefd, unsigned flags, unsigned long long caps, struct filter *out,
	struct azm_err *err)
{
	bool emulate_root = flags & FILTER_EMULATE_ROOT;
	struct profile profile;
	size_t size, key_size;
	cleanup_free char *text = read_profile(json_path, &size, err);

	if (!text)
		return -1;
	cleanup_free char *key = cache_key(text, size, emulate_root, caps, &key_size);
	if (cachefd >= 0 && profile_cache_load(cachefd, key, key_size, out))
		return 0;
	int result = profile_parse(text, size, json_path, caps, &profile, err);
	if (result == 0)
		result = profile_compile(&profile, emulate_root, out, err);
	profile_free(&profile);
	if (result == 0 && cachefd >= 0)
		profile_cache_store(cachefd, key, key_size, out);
	return result;
}

void filter_free(struct filter *filter)
{
	if (filter->owned)
		free((void *)(uintptr_t)filter->insns);
	*filter = (struct filter){ 0 };
}

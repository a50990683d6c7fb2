// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_cache.h: compiled profiles kept on disk. Internal to seccomp/ and its tests.
 *
 * A file holds its whole key (everything the program depends on, the profile's text included) and the program. It is
 * taken only if the key is the same byte for byte; the hash in the name and the checksum inside find files and
 * damage, they need no cryptographic strength. The directory is ours alone (0700), the files are 0600.
 */
#pragma once
#include "seccomp/seccomp.h"

/**
 * profile_cache_load() - a program from the cache
 * @dirfd:	the directory
 * @key:	what it was stored under
 *
 * Return: true and *out set (release with filter_free()); false when there is none, or what is there is not in order
 */
bool profile_cache_load(int dirfd, const char *key, size_t key_size, struct filter *out);

/** profile_cache_store() - keep a program; failing to is no error, it will be compiled again. */
void profile_cache_store(int dirfd, const char *key, size_t key_size, const struct filter *filter);

/** profile_cache_revision() - identifies the code that compiles profiles: the build puts in a checksum of its sources.
 */
unsigned profile_cache_revision(void);

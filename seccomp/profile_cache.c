// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_cache.c: see profile_cache.h. File: struct header, key, instructions. */
#include "seccomp/profile_cache.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "seccomp_revision.h"

enum { KEY_MAX = (1 << 20) + 4096, NAME_SIZE = 40 };

static const char file_magic[8] = "azmbpf1";

struct header {
	char magic[8];
	uint64_t checksum; /* of what follows the header */
	uint32_t key_size;
	uint32_t insn_count;
};

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t sum, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

static uint64_t hash_of(const void *data, size_t size)
{
	return hash(0xcbf29ce484222325, data, size);
}

static void file_name(char name[NAME_SIZE], const char *key, size_t key_size)
{
	snprintf(name, NAME_SIZE, "seccomp-%016llx.bpf", (unsigned long long)hash_of(key, key_size));
}

/* Not instead of the kernel's check, but so that a bad file means "compile again" rather than a sandbox that does not
 * start.
 */
static bool program_in_order(const struct sock_filter *insns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sock_filter *f = &insns[i];
		size_t room = count - i - 1;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k % 4 || f->k >= sizeof(struct seccomp_data))
				return false;
			break;
		case BPF_JMP | BPF_JA:
			if (f->k >= room)
				return false;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			if (f->jt >= room || f->jf >= room)
				return false;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
		case BPF_RET | BPF_K:
			break;
		case BPF_ST:
		case BPF_LD | BPF_MEM:
			if (f->k >= BPF_MEMWORDS)
				return false;
			break;
		default:
			return false;
		}
	}
	return count && insns[count - 1].code == (BPF_RET | BPF_K);
}

static bool file_in_order(const char *file, size_t size, const char *key, size_t key_size)
{
	struct header h;

	if (size < sizeof h)
		return false;
	memcpy(&h, file, sizeof h);
	return memcmp(h.magic, file_magic, sizeof h.magic) == 0 && h.key_size == key_size &&
	       h.insn_count <= BPF_MAXINSNS &&
	       size == sizeof h + key_size + h.insn_count * sizeof(struct sock_filter) &&
	       h.checksum == hash_of(file + sizeof h, size - sizeof h) && memcmp(file + sizeof h, key, key_size) == 0;
}

/* Ours, regular, nobody else's to write. */
static bool file_trusted(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 0077);
}

bool profile_cache_load(int dirfd, const char *key, size_t key_size, struct filter *out)
{
	char name[NAME_SIZE];
	size_t size;

	file_name(name, key, key_size);
	cleanup_fd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || !file_trusted(fd))
		return false;
	cleanup_free char *file =
		read_file(fd, sizeof(struct header) + KEY_MAX + BPF_MAXINSNS * sizeof(struct sock_filter), &size);
	if (!file || !file_in_order(file, size, key, key_size))
		return false;
	size_t before = sizeof(struct header) + key_size;
	size_t count = (size - before) / sizeof(struct sock_filter);
	cleanup_free struct sock_filter *insns = xcalloc(count, sizeof *insns);
	memcpy(insns, file + before, count * sizeof *insns);
	if (!program_in_order(insns, count))
		return false;
	*out = (struct filter){ steal_ptr(&insns), count, true };
	return true;
}

void profile_cache_store(int dirfd, const char *key, size_t key_size, const struct filter *filter)
{
	char name[NAME_SIZE];
	size_t program_size = filter->count * sizeof(struct sock_filter);
	size_t size = sizeof(struct header) + key_size + program_size;
	cleanup_free char *file = xcalloc(1, size);
	struct header h = { .key_size = (uint32_t)key_size, .insn_count = (uint32_t)filter->count };

	if (key_size > KEY_MAX)
		return;
	memcpy(file + sizeof h, key, key_size);
	memcpy(file + sizeof h + key_size, filter->insns, program_size);
	memcpy(h.magic, file_magic, sizeof h.magic);
	h.checksum = hash_of(file + sizeof h, size - sizeof h);
	memcpy(file, &h, sizeof h);
	file_name(name, key, key_size);
	(void)write_file_at(dirfd, name, file, size, 0600);
}

unsigned profile_cache_revision(void)
{
	return SECCOMP_REVISION;
}

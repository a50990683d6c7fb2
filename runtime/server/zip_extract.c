// SPDX-License-Identifier: GPL-2.0-or-later
/* server/zip_extract.c: see zip.h
 *
 * Every directory of a member's name is opened as one component with O_NOFOLLOW below the one before, so no name can
 * lead out of the destination, whatever is renamed meanwhile.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/new_file.h"
#include "server/zip.h"

enum { BLOCK = 64 << 10, ENTRIES_MAX = 1000000, EXPANSION_MAX = 100 };

struct zip_limits zip_limits_for(uint64_t archive_size)
{
	return (struct zip_limits){
		.bytes = (1ull << 30) + EXPANSION_MAX * archive_size,
		.entries = ENTRIES_MAX,
	};
}

static void cleanup_archive(struct archive **archive)
{
	int saved = errno;

	archive_read_free(*archive);
	errno = saved;
}

static int archive_failed(struct archive *archive, const char *member, struct azm_err *err)
{
	const char *text = archive_error_string(archive);

	return err_msg(
		err, EINVAL, member ? "unpack" : "read the archive", member, "%s", text ? text : "it is damaged");
}

/* Whether a name stays below where it starts. */
static bool stays_below(const char *name)
{
	if (*name == '/')
		return false;
	for (const char *at = name; *at;) {
		size_t size = strcspn(at, "/");
		if (size == 2 && memcmp(at, "..", 2) == 0)
			return false;
		at += size + (at[size] == '/');
	}
	return true;
}

/* Go down into one component, making it if need be. Return: descriptor, -1 with errno */
static int enter(int dir, const char *name)
{
	if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
		return -1;
	return openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The directory of a member, made if need be; *last is its last component, "" for a directory. -1 with errno */
static int enter_parents(int top, char *name, char **last)
{
	cleanup_fd int dir = fcntl(top, F_DUPFD_CLOEXEC, 3);

	for (*last = name; dir >= 0;) {
		size_t size = strcspn(*last, "/");
		bool is_directory = (*last)[size] == '/';
		if (!is_directory)
			break;
		(*last)[size] = '\0';
		if (size && strcmp(*last, ".") != 0) {
			int next = enter(dir, *last);
			close(dir);
			dir = next;
		}
		*last += size + 1;
	}
	return steal_fd(&dir);
}

static int too_much(const char *member, const char *what, uint64_t limit, struct azm_err *err)
{
	return err_msg(err, EFBIG, "unpack", member, "the archive expands to more than %llu %s",
		(unsigned long long)limit, what);
}

static int write_at(int fd, const char *bytes, size_t size, off_t offset)
{
	while (size) {
		ssize_t n = pwrite(fd, bytes, size, offset);
		if (n < 0 && errno != EINTR)
			return -1;
		n = n < 0 ? 0 : n;
		bytes += n;
		offset += n;
		size -= (size_t)n;
	}
	return 0;
}

/* A symbolic link becomes a file with its target as text, as Python unpacks it. */
static int write_link(struct archive_entry *entry, int fd, const char *member, struct azm_err *err)
{
	const char *target = archive_entry_symlink(entry);

	return target && write_at(fd, target, strlen(target), 0) < 0 ? err_sys(err, "unpack", member) : 0;
}

static int write_member(struct archive *archive, int fd, const char *member, uint64_t *left, struct azm_err *err)
{
	const void *bytes;
	size_t size;
	la_int64_t offset;
	int result;

	while ((result = archive_read_data_block(archive, &bytes, &size, &offset)) == ARCHIVE_OK) {
		if (size > *left)
			return too_much(member, "bytes", *left, err);
		*left -= size;
		if (write_at(fd, bytes, size, offset) < 0)
			return err_sys(err, "unpack", member);
	}
	return result == ARCHIVE_EOF ? 0 : archive_failed(archive, member, err);
}

static mode_t file_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static int extract_member(
	struct archive *archive, struct archive_entry *entry, int dir, uint64_t *left, struct azm_err *err)
{
	const char *member = archive_entry_pathname(entry);
	cleanup_free char *name = xstrdup(member);
	char *last;
	cleanup_fd int parent = enter_parents(dir, name, &last);
	struct new_file file;

	if (parent < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_msg(err, errno, "unpack", member, "a link or a file is in the place of a directory");
	if (parent < 0)
		return err_sys(err, "unpack", member);
	if (!*last || strcmp(last, ".") == 0)
		return 0;
	if (new_file_open(&file, parent, last, file_mode()) < 0)
		return err_sys(err, "unpack", member);
	if (write_link(entry, file.fd, member, err) < 0 || write_member(archive, file.fd, member, left, err) < 0) {
		new_file_drop(&file);
		return -1;
	}
	return new_file_commit(&file) < 0 ? err_sys(err, "unpack", member) : 0;
}

/* An archive without members begins with the record that ends all others. A damaged directory also reads as empty. */
static bool is_empty(int file)
{
	char magic[4];

	return pread(file, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "PK\5\6", sizeof magic) == 0;
}

int zip_extract(int archive_file, int dir, const struct zip_limits *limits, struct azm_err *err)
{
	[[gnu::cleanup(cleanup_archive)]] struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	uint64_t left = limits->bytes, entries = 0;
	int result;

	if (!archive || archive_read_support_format_zip_seekable(archive) != ARCHIVE_OK)
		return err_msg(err, ENOMEM, "read the archive", NULL, "out of memory");
	if (archive_read_open_fd(archive, archive_file, BLOCK) != ARCHIVE_OK)
		return archive_failed(archive, NULL, err);
	while ((result = archive_read_next_header(archive, &entry)) >= ARCHIVE_WARN && result != ARCHIVE_EOF) {
		const char *member = archive_entry_pathname(entry);
		if (++entries > limits->entries)
			return too_much(member, "members", limits->entries, err);
		if (!member || !stays_below(member))
			continue;
		if (extract_member(archive, entry, dir, &left, err) < 0)
			return -1;
	}
	if (result != ARCHIVE_EOF)
		return archive_failed(archive, NULL, err);
	return entries || is_empty(archive_file) ? 0 : err_msg(err, EINVAL, "read the archive", NULL, "it is damaged");
}

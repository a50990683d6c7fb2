// SPDX-License-Identifier: GPL-2.0-or-later
/* server/zip_create.c: see zip.h
 *
 * The walk keeps one open directory a level; a tree deeper than DEPTH_MAX is cut there, or it would use up descriptors.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/zip.h"

enum { DEPTH_MAX = 500, BLOCK = 256 << 10 };

struct packer {
	struct archive *archive;
	struct archive_entry *entry;
	struct azm_err *err;
	char *block;
};

static int failed(struct packer *packer, const char *name)
{
	const char *text = archive_error_string(packer->archive);

	return err_msg(packer->err, EIO, "pack", name, "%s", text ? text : "the archive cannot be written");
}

static int add_data(struct packer *packer, int fd, const char *name)
{
	ssize_t n;

	while ((n = read(fd, packer->block, BLOCK)) > 0)
		if (archive_write_data(packer->archive, packer->block, (size_t)n) < 0)
			return failed(packer, name);
	return archive_write_finish_entry(packer->archive) < ARCHIVE_WARN ? failed(packer, name) : 0;
}

/* Whatever is no regular file by now, or cannot be opened, is left out. */
static int add_file(struct packer *packer, int dir, const char *base, const char *name)
{
	cleanup_fd int fd = openat(dir, base, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
		return 0;
	archive_entry_clear(packer->entry);
	archive_entry_copy_stat(packer->entry, &info);
	archive_entry_set_pathname(packer->entry, name);
	archive_entry_set_uname(packer->entry, NULL);
	if (archive_write_header(packer->archive, packer->entry) < ARCHIVE_WARN)
		return failed(packer, name);
	return add_data(packer, fd, name);
}

static bool is_directory(int dir, const struct dirent *entry)
{
	struct stat info;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dir, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

static int add_directory(struct packer *packer, int fd, const char *prefix, int depth)
{
	cleanup_dir DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int result = 0;

	if (!dir)
		close(fd);
	while (dir && result == 0 && (entry = dir_next(dir))) {
		cleanup_free char *name = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", entry->d_name);
		if (!is_directory(dirfd(dir), entry)) {
			result = add_file(packer, dirfd(dir), entry->d_name, name);
			continue;
		}
		int below = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0 && depth < DEPTH_MAX)
			result = add_directory(packer, below, name, depth + 1);
		else if (below >= 0)
			close(below);
	}
	return result;
}

static int pack(struct packer *packer, const char *path)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return err_sys(packer->err, "pack", path);
	if (!S_ISDIR(info.st_mode)) {
		const char *slash = strrchr(path, '/');
		return add_file(packer, AT_FDCWD, path, slash ? slash + 1 : path);
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(packer->err, "pack", path) : add_directory(packer, fd, "", 0);
}

int zip_create(int out, const char *path, struct azm_err *err)
{
	struct packer packer = { .archive = archive_write_new(), .entry = archive_entry_new(), .err = err };
	cleanup_free char *block = xcalloc(1, BLOCK);
	int result = -1;

	packer.block = block;
	archive_write_set_format_zip(packer.archive);
	archive_write_zip_set_compression_store(packer.archive);
	archive_write_set_bytes_per_block(packer.archive, 0);
	if (archive_write_open_fd(packer.archive, out) != ARCHIVE_OK)
		failed(&packer, path);
	else
		result = pack(&packer, path);
	if (result == 0 && archive_write_close(packer.archive) != ARCHIVE_OK)
		result = failed(&packer, path);
	archive_entry_free(packer.entry);
	archive_write_free(packer.archive);
	return result;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/owners.c: see owners.h.
 *
 * The log is the sidecar's text with the inode number in front of each line. Saving goes through it once and keeps the
 * lines whose path still names that inode; of several lines of one path the last counts, as for any mtree reader. A
 * layer may reach a file through links: the path that is saved is the one the kernel has for it.
 *
 * Numbers of removed files are used again: a file that needs no line gets one when its number had one before.
 */
#include "rootfs-tools/owners.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/number_set.h"
#include "rootfs-tools/scratch.h"

struct owner_log {
	FILE *file;
	struct number_set lines; /* by inode: where its last line begins */
};

bool owner_is_plain(const struct owner *owner, mode_t on_disk)
{
	return owner->uid == 0 && owner->gid == 0 && !owner->capability &&
	       (S_ISLNK(owner->mode) || (owner->mode & 07777) == on_disk) && !S_ISCHR(owner->mode) &&
	       !S_ISBLK(owner->mode);
}

struct owner_log *owner_log_new(int dirfd, struct azm_err *err)
{
	struct owner_log *log = xcalloc(1, sizeof *log);
	cleanup_fd int fd = scratch_file(dirfd, err);

	log->file = fd < 0 ? NULL : fdopen(fd, "w+e");
	if (!log->file) {
		free(log);
		return NULL;
	}
	steal_fd(&fd);
	return log;
}

void owner_log_free(struct owner_log *log)
{
	if (!log)
		return;
	fclose(log->file);
	number_set_free(&log->lines);
	free(log);
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "dir";
	case S_IFLNK:
		return "link";
	case S_IFCHR:
		return "char";
	case S_IFBLK:
		return "block";
	case S_IFIFO:
		return "fifo";
	default:
		return "file";
	}
}

/* mtree(5): blanks, the backslash, what cannot be printed, and '#' as three octal digits. */
static void put_path(FILE *file, const char *path)
{
	for (const unsigned char *c = (const unsigned char *)path; *c; c++) {
		if (isgraph(*c) && *c < 128 && *c != '\\' && *c != '#')
			putc(*c, file);
		else
			fprintf(file, "\\%03o", *c);
	}
}

static void put_base64(FILE *file, const unsigned char *data, size_t size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < size; i += 3) {
		uint32_t word = (uint32_t)data[i] << 16;
		word |= i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0;
		word |= i + 2 < size ? data[i + 2] : 0;
		putc(digits[word >> 18], file);
		putc(digits[word >> 12 & 63], file);
		putc(i + 1 < size ? digits[word >> 6 & 63] : '=', file);
		putc(i + 2 < size ? digits[word & 63] : '=', file);
	}
}

/* Begin a line, which is the last one of that inode then. */
static void begin_line(struct owner_log *log, const char *path, uint64_t inode)
{
	number_set_put(&log->lines, inode, (uint64_t)ftell(log->file));
	fprintf(log->file, "%" PRIu64 " ./", inode);
	put_path(log->file, path);
}

int owner_log_add(struct owner_log *log, const char *path, uint64_t inode, const struct owner *owner, bool plain,
	struct azm_err *err)
{
	if (plain && !number_set_has(&log->lines, inode))
		return 0;
	begin_line(log, path, inode);
	fprintf(log->file, " type=%s uid=%u gid=%u mode=%04o", type_name(owner->mode), owner->uid, owner->gid,
		owner->mode & 07777);
	if (S_ISCHR(owner->mode) || S_ISBLK(owner->mode))
		fprintf(log->file, " device=%u,%u", owner->major, owner->minor);
	if (owner->capability) {
		fputs(" xattr.security.capability=", log->file);
		put_base64(log->file, owner->capability, owner->capability_size);
	}
	putc('\n', log->file);
	return ferror(log->file) ? err_sys(err, "remember the owner of", path) : 0;
}

/* The last line of the number @from again, for @path and @to. */
static int repeat_line(struct owner_log *log, const char *path, uint64_t from, uint64_t to, struct azm_err *err)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	uint64_t offset;

	if (!number_set_get(&log->lines, from, &offset))
		return 0;
	if (fseek(log->file, (long)offset, SEEK_SET) != 0 || getline(&line, &room, log->file) < 0 ||
		fseek(log->file, 0, SEEK_END) != 0)
		return err_sys(err, "remember the owner of", path);
	const char *keywords = strstr(line, " type=");
	if (!keywords)
		return 0;
	begin_line(log, path, to);
	fputs(keywords, log->file);
	return ferror(log->file) ? err_sys(err, "remember the owner of", path) : 0;
}

int owner_log_add_link(struct owner_log *log, const char *path, uint64_t inode, struct azm_err *err)
{
	return repeat_line(log, path, inode, inode, err);
}

int owner_log_renumber(struct owner_log *log, const char *path, uint64_t from, uint64_t to, struct azm_err *err)
{
	return repeat_line(log, path, from, to, err);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

char *owner_unescape(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from) {
		if (*from == '\\' && is_octal(from[1]) && is_octal(from[2]) && is_octal(from[3])) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
	return text;
}

/* The path of a line, unescaped in place; *rest is what follows it. Return: NULL for a line that is not ours. */
static char *take_path(char *line, char **rest)
{
	char *blank = strchr(line, ' ');

	if (!blank)
		return NULL;
	*blank = '\0';
	*rest = blank + 1;
	return owner_unescape(line);
}

/* Whether a line can be about a file on disk, where devices are empty files. Numbers of removed files are used again,
 * also for directories that no entry was about. */
static bool same_type(const char *keywords, mode_t mode)
{
	static const char type[] = "type=";
	const char *name = S_ISDIR(mode) ? "dir" : S_ISLNK(mode) ? "link" : S_ISFIFO(mode) ? "fifo" : NULL;

	if (!str_starts(keywords, type))
		return false;
	keywords += strlen(type);
	if (name)
		return str_starts(keywords, name);
	return str_starts(keywords, "file") || str_starts(keywords, "char") || str_starts(keywords, "block");
}

/* Where in the tree that path leads, if it still names that inode; @prefix is the length of the tree's own path. */
static bool find_path(
	int root, size_t prefix, const char *path, uint64_t inode, const char *keywords, char real[static PATH_MAX])
{
	struct stat st;
	cleanup_fd int fd = resolve_in_root(root, path, O_PATH | O_NOFOLLOW);
	char magic[64];

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_ino != inode || !same_type(keywords, st.st_mode))
		return false;
	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(magic, real, PATH_MAX - 1);
	if (length < 0 || (size_t)length >= PATH_MAX - 1 || (size_t)length < prefix)
		return false;
	real[length] = '\0';
	memmove(real, real + prefix, (size_t)length + 1 - prefix);
	return true;
}

static ssize_t length_of_path(int root)
{
	char magic[64], path[PATH_MAX];

	snprintf(magic, sizeof magic, "/proc/self/fd/%d", root);
	ssize_t length = readlink(magic, path, sizeof path);
	return length == 1 ? 0 : length; /* "/": an overlay that is no part of the host's tree (store_make.h) */
}

static void save_line(FILE *out, int root, size_t prefix, char *line)
{
	char real[PATH_MAX], *rest;
	uint64_t inode = strtoull(line, &line, 10);

	if (*line != ' ')
		return;
	const char *path = take_path(line + 1, &rest);
	if (!path || !find_path(root, prefix, path, inode, rest, real))
		return;
	fputc('.', out);
	put_path(out, real);
	fprintf(out, " %s", rest);
}

int owner_log_save(struct owner_log *log, int root, int dirfd, struct azm_err *err)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	cleanup_fd int fd = openat(dirfd, OWNERS_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	cleanup_file FILE *out = fd < 0 ? NULL : fdopen(fd, "we");
	ssize_t prefix = length_of_path(root);

	if (!out || prefix < 0)
		return err_sys(err, "write", OWNERS_FILE);
	steal_fd(&fd);
	if (fflush(log->file) != 0 || fseek(log->file, 0, SEEK_SET) != 0)
		return err_sys(err, "write", OWNERS_FILE);
	fputs("#mtree\n", out);
	while (getline(&line, &room, log->file) > 0)
		save_line(out, root, (size_t)prefix, line);
	return fflush(out) != 0 || ferror(out) || ferror(log->file) ? err_sys(err, "write", OWNERS_FILE) : 0;
}

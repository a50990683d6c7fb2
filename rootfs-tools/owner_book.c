// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/owner_book.c: owners.mtree read back; see owners.h.
 *
 * The file is gone through once: where the line of each path begins is kept, by a hash of the path. A line is read
 * again and understood when it is asked for; the path in it decides: where two paths have one hash, the second is under
 * another one.
 */
#include "rootfs-tools/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/number_set.h"

enum { LINE_MAX_BYTES = 64 * 1024, CAPABILITY_MAX = 64 };

struct owner_book {
	FILE *file;		 /* NULL: there are no lines */
	uint64_t key;		 /* of the hash */
	struct number_set lines; /* hash of the path -> where its last line begins */
	char *line;
	size_t room;
	unsigned char capability[CAPABILITY_MAX];
};

mode_t owner_mode_on_disk(mode_t mode)
{
	mode_t bits = mode & (S_ISDIR(mode) ? 01777 : 0777);

	return bits | (S_ISDIR(mode) ? S_IRWXU : S_IRUSR);
}

static uint64_t path_hash(const struct owner_book *book, const char *path, unsigned probe)
{
	uint64_t hash = book->key + probe;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
	return number_set_mix(hash);
}

/* The path of a line without "./", unescaped in place; *rest is what follows it. NULL: no path. */
static char *take_path(char *line, char **rest)
{
	size_t length = strcspn(line, " \n");

	*rest = line + length;
	if (**rest)
		*(*rest)++ = '\0';
	if (line[0] != '.' || (line[1] && line[1] != '/'))
		return NULL;
	return owner_unescape(line[1] ? line + 2 : line + 1);
}

/* Whether the line at that offset is that path's; book->line holds it then, *rest what follows the path. */
static int line_is(struct owner_book *book, uint64_t offset, const char *path, char **rest, struct azm_err *err)
{
	if (fseeko(book->file, (off_t)offset, SEEK_SET) != 0 || getline(&book->line, &book->room, book->file) < 0)
		return err_sys(err, "read", OWNERS_FILE);
	const char *found = take_path(book->line, rest);
	return found && strcmp(found, path) == 0;
}

/* Of two paths with one hash the second gets another one. */
static int index_line(struct owner_book *book, const char *path, uint64_t offset, struct azm_err *err)
{
	char *rest;
	uint64_t before;

	for (unsigned probe = 0;; probe++) {
		uint64_t hash = path_hash(book, path, probe);
		int same = number_set_get(&book->lines, hash, &before) ? line_is(book, before, path, &rest, err) : 1;
		if (same < 0)
			return -1;
		if (same) {
			number_set_put(&book->lines, hash, offset);
			return 0;
		}
	}
}

static int index_all(struct owner_book *book, struct azm_err *err)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	uint64_t offset = 0;
	ssize_t length;
	char *rest;

	while (fseeko(book->file, (off_t)offset, SEEK_SET) == 0 && (length = getline(&line, &room, book->file)) > 0) {
		if (length > LINE_MAX_BYTES)
			return err_msg(err, EINVAL, "read", OWNERS_FILE, "a line is too long");
		const char *path = line[0] == '#' || line[0] == '\n' ? NULL : take_path(line, &rest);
		if (path && index_line(book, path, offset, err) < 0)
			return -1;
		offset += (uint64_t)length;
	}
	return ferror(book->file) ? err_sys(err, "read", OWNERS_FILE) : 0;
}

struct owner_book *owner_book_open(int dirfd, struct azm_err *err)
{
	cleanup_fd int fd = openat(dirfd, OWNERS_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct owner_book *book = xcalloc(1, sizeof *book);
	struct stat st;

	(void)!getrandom(&book->key, sizeof book->key, 0);
	if (fd < 0 && errno == ENOENT)
		return book;
	if (fd < 0 || fstat(fd, &st) < 0)
		err_sys(err, "read", OWNERS_FILE);
	else if (!S_ISREG(st.st_mode))
		err_msg(err, EINVAL, "read", OWNERS_FILE, "not a regular file");
	else if (!(book->file = fdopen(fd, "re")))
		err_sys(err, "read", OWNERS_FILE);
	else {
		steal_fd(&fd);
		if (index_all(book, err) == 0)
			return book;
	}
	owner_book_free(book);
	return NULL;
}

void owner_book_free(struct owner_book *book)
{
	if (!book)
		return;
	cleanup_close_file(&book->file);
	number_set_free(&book->lines);
	free(book->line);
	free(book);
}

/* ---- keywords -------------------------------------------------------------------------------------------------- */

static int base64_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static bool take_base64(const char *text, unsigned char *out, size_t room, size_t *size)
{
	uint32_t word = 0;
	unsigned bits = 0;

	for (*size = 0; *text && *text != '='; text++) {
		int value = base64_value(*text);
		if (value < 0)
			return false;
		word = word << 6 | (uint32_t)value;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (*size >= room)
			return false;
		out[(*size)++] = (unsigned char)(word >> bits);
	}
	return strspn(text, "=") == strlen(text) && *size > 0;
}

static bool set_type(const char *value, struct owner *owner)
{
	static const struct {
		const char *name;
		mode_t type;
	} types[] = { { "file", S_IFREG }, { "dir", S_IFDIR }, { "link", S_IFLNK }, { "char", S_IFCHR },
		{ "block", S_IFBLK }, { "fifo", S_IFIFO } };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(types[i].name, value) != 0)
			continue;
		owner->mode = (owner->mode & 07777) | types[i].type;
		return true;
	}
	return false;
}

static bool take_number(const char *text, uint32_t *number)
{
	uint64_t value;

	if (!str_to_u64(text, UINT32_MAX, &value))
		return false;
	*number = (uint32_t)value;
	return true;
}

static bool set_mode(const char *value, struct owner *owner)
{
	char *end;
	unsigned long mode = strtoul(value, &end, 8);

	owner->mode = (owner->mode & S_IFMT) | (mode_t)(mode & 07777);
	return *value >= '0' && *value <= '7' && !*end && mode <= 07777;
}

static bool set_device(char *value, struct owner *owner)
{
	char *comma = strchr(value, ',');

	if (!comma)
		return false;
	*comma = '\0';
	return take_number(value, &owner->major) && take_number(comma + 1, &owner->minor);
}

static bool set_keyword(struct owner_book *book, const char *key, char *value, struct owner *owner)
{
	if (strcmp(key, "type") == 0)
		return set_type(value, owner);
	if (strcmp(key, "uid") == 0)
		return take_number(value, &owner->uid);
	if (strcmp(key, "gid") == 0)
		return take_number(value, &owner->gid);
	if (strcmp(key, "mode") == 0)
		return set_mode(value, owner);
	if (strcmp(key, "device") == 0)
		return set_device(value, owner);
	if (strcmp(key, "xattr." CAPABILITY_XATTR) == 0) {
		owner->capability = book->capability;
		return take_base64(value, book->capability, sizeof book->capability, &owner->capability_size);
	}
	return false;
}

static int parse_keywords(
	struct owner_book *book, const char *path, char *text, struct owner *owner, struct azm_err *err)
{
	char *save = NULL;

	*owner = (struct owner){ 0 };
	for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
		char *value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (!value || !set_keyword(book, word, value, owner)) {
			err_msg(err, EINVAL, "read what is remembered of", path, "\"%s\" in %s", word, OWNERS_FILE);
			return -1;
		}
	}
	return owner->mode & S_IFMT
		       ? 1
		       : err_msg(err, EINVAL, "read what is remembered of", path, "%s says no type", OWNERS_FILE);
}

int owner_book_find(struct owner_book *book, const char *path, struct owner *owner, struct azm_err *err)
{
	uint64_t offset;
	char *rest = NULL;

	if (!book->file)
		return 0;
	if (strcmp(path, ".") == 0)
		path = "";
	for (unsigned probe = 0; number_set_get(&book->lines, path_hash(book, path, probe), &offset); probe++) {
		int same = line_is(book, offset, path, &rest, err);
		if (same != 0)
			return same < 0 ? -1 : parse_keywords(book, path, rest, owner, err);
	}
	return 0;
}

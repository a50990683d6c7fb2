// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/owners.h: what an image says about its files and one id cannot say on disk.
 *
 * Everything on disk belongs to the user, no file is set-id, devices are empty files. What the image said instead is
 * kept beside the tree, in DIR/owners.mtree (mtree(5)), a line for each such file:
 *
 *     ./usr/bin/passwd type=file uid=0 gid=0 mode=04755
 *     ./dev/null type=char uid=0 gid=0 mode=0666 device=1,3
 *     ./usr/bin/ping type=file uid=0 gid=0 mode=0755 xattr.security.capability=AQAAAg...
 *
 * so that export and commit give it back. Paths are those of the finished tree, free of symbolic links, escaped as
 * mtree does it (\ooo). A file of uid 0 and gid 0 whose mode is the one on disk needs no line; of several lines of one
 * path the last counts. Every name of a file with several names has its line.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define OWNERS_FILE	 "owners.mtree"
#define CAPABILITY_XATTR "security.capability"

struct owner {
	uint32_t uid, gid;
	mode_t mode; /* type and permissions, as the image has them */
	uint32_t major, minor;
	const void *capability; /* of the xattr security.capability; NULL: none */
	size_t capability_size;
};

/* Written while layers are applied. Memory does not grow with the image: entries go to an unnamed file. */
struct owner_log;

/** owner_is_plain() - whether a file with that mode on disk says all that is to be said. */
[[gnu::nonnull]] bool owner_is_plain(const struct owner *owner, mode_t on_disk);

/** owner_log_new() - @dirfd: a directory on whose file system there is room. NULL with @err. */
[[gnu::nonnull]] struct owner_log *owner_log_new(int dirfd, struct azm_err *err);

/**
 * owner_log_add() - remember one file
 * @path:	as in the layer, without a leading "/"
 * @inode:	of what was made for it: a file that is replaced later is recognised by that
 * @plain:	the tree says all there is to say: remembered only where something else was, for the same inode
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int owner_log_add(struct owner_log *log, const char *path, uint64_t inode, const struct owner *owner,
	bool plain, struct azm_err *err);

/** owner_log_add_link() - another name of a file: what is remembered of it holds for this name, too. */
[[gnu::nonnull]] int owner_log_add_link(struct owner_log *log, const char *path, uint64_t inode, struct azm_err *err);

/** owner_log_renumber() - the file has another inode number now: what is remembered of it holds. */
[[gnu::nonnull]] int owner_log_renumber(
	struct owner_log *log, const char *path, uint64_t from, uint64_t to, struct azm_err *err);

/**
 * owner_log_save() - write owners.mtree into a directory; what was replaced or removed meanwhile is left out
 * @root:	the tree
 */
[[gnu::nonnull]] int owner_log_save(struct owner_log *log, int root, int dirfd, struct azm_err *err);
void owner_log_free(struct owner_log *log);

/* What is remembered of a tree, for reading. Memory: 16 bytes a line. */
struct owner_book;

/**
 * owner_book_open() - read DIR/owners.mtree
 * @dirfd:	the directory beside or above the tree; one without the file is a book without lines
 *
 * Return: owned by the caller, owner_book_free(); NULL with @err
 */
[[gnu::nonnull]] struct owner_book *owner_book_open(int dirfd, struct azm_err *err);
void owner_book_free(struct owner_book *book);

/**
 * owner_book_find() - what is remembered of a path
 * @path:	of the tree, without a leading "/"; "" or "." is the tree itself
 * @owner:	set when there is a line; its capability is valid until the next call
 *
 * A line that cannot be understood is an error, never a guess. Return: 1, 0 when nothing is, -1 with @err
 */
[[gnu::nonnull]] int owner_book_find(
	struct owner_book *book, const char *path, struct owner *owner, struct azm_err *err);

/** owner_mode_on_disk() - what the mode of an image's file is on disk: its owner can read and remove it, and nothing is
 * set-id. */
mode_t owner_mode_on_disk(mode_t mode);

/** owner_unescape() - mtree's \ooo, in place. Return: @text. */
[[gnu::nonnull]] char *owner_unescape(char *text);

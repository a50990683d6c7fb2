// SPDX-License-Identifier: GPL-2.0-or-later
/* copy/copy.h: `cp`: a tree into a stream, a stream into a tree.
 *
 * Theory of operation
 *
 * Both functions run on either side: on the host with the user's rights, inside as azm-init. Neither side trusts the
 * other's stream, and neither follows a symbolic link that it did not resolve at the very beginning: what lies below
 * the source is opened from directory to directory (O_NOFOLLOW), what lies below the destination through
 * openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS). Whoever swaps links meanwhile gets his own files copied or an error.
 *
 * Kept: names, contents, permission bits, times (seconds), symbolic links, FIFOs. Not kept: set-id bits, devices and
 * sockets (counted as skipped), extended attributes; a hard link becomes a file of its own.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* How a path of a command line is resolved. */
struct copy_base {
	int dir;      /* where relative paths begin; AT_FDCWD */
	bool beneath; /* nothing may lead out of @dir: it is a directory that a sandbox writes to */
};

struct copy_count {
	uint64_t entries, bytes, skipped;
};

struct copy_target {
	const char *path; /* DST */
	const char *name; /* what SRC is called, when DST is a directory */
	bool contents;	  /* SRC/.: into DST, not below it */
	bool plain;	  /* an archive of the user's: DST must be a directory, paths stay as they are */
	bool set_owner;	  /* everything is to belong to uid:gid ... */
	bool keep_owner;  /* ... or (-a) to whom it belonged, where @from_uid is uid:gid here */
	uint32_t uid, gid, from_uid;
};

/**
 * copy_send() - one file or tree as a tar stream
 * @path:	SRC; with "/." or "/" at its end a directory (a link to one is followed)
 * @top:	what the first component of all names is to be; NULL: SRC's own name
 * @follow:	-L: SRC itself may be a symbolic link
 *
 * Return: 0, or -1 with @err set
 */
int copy_send(const struct copy_base *base, const char *path, const char *top, bool follow, int out,
	struct copy_count *count, struct azm_err *err);

/**
 * copy_receive() - a tar stream as files, by Docker's rules for DST
 *
 * A file or directory in the way is replaced by its like: a directory stays and gets more, a file or link is removed
 * first (never written through), and a directory where a file is, or the reverse, is an error. Return: 0, or -1 with
 * @err set; what had arrived by then stays
 */
int copy_receive(const struct copy_base *base, int in, const struct copy_target *target, struct copy_count *count,
	struct azm_err *err);

enum copy_how {
	COPY_FREE,    /* as open(2) */
	COPY_BENEATH, /* links are followed, and nothing leads out */
	COPY_STRICT,  /* no link is followed */
};

/** copy_open() - openat2(); before Linux 5.6 BENEATH is STRICT. Return: descriptor, -1 with errno (EXDEV, ELOOP: it
 * would have led out). */
int copy_open(int dir, const char *path, int flags, enum copy_how how);

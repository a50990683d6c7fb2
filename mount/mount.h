// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/mount.h: the file system of a sandbox, from a plan made on the host to the finished root.
 *
 * The supervisor describes the root in a struct mount_plan; azm-init, inside the sandbox's user, mount and pid
 * namespaces, turns it into mounts with mount_build() and leaves the host's tree behind with mount_pivot(). Nothing
 * here needs a library, so that azm-init stays small and static.
 *
 * Host paths in the plan are absolute, free of symbolic links and come with the device and inode the supervisor saw: a
 * descriptor of the host's mount namespace cannot be cloned in the sandbox's, so azm-init opens the path again and
 * refuses anything else than what the user was shown (mount_source_open()).
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* A file or directory of the host. */
struct host_path {
	char *path;   /* canonical; NULL: not used */
	uint64_t dev; /* what fstat() said when the supervisor looked */
	uint64_t ino;
	uint32_t type; /* st_mode & S_IFMT */
};

/* Lower directories of one overlay: what the kernel stacks (OVL_MAX_STACK); more is E2BIG. OCI images have up to 127.
 */
enum { OVERLAY_LAYERS_MAX = 500 };

enum root_mode {
	ROOT_OVERLAY, /* image untouched, upper and work hold the changes */
	ROOT_DIRECT,  /* the image directory itself, writable */
	ROOT_READ_ONLY,
};

enum volume_kind { VOLUME_BIND, VOLUME_OVERLAY, VOLUME_TMPFS };

/* A name in a volume that the workload may not change, remove or replace (mount/guard.c). */
struct guarded {
	char *path; /* relative to the volume, without links, "." and ".." */
	bool pin;   /* the name only: what lies in this directory stays writable */
	char *text; /* what the file says inside; NULL: what it says */
	ino_t ino;  /* what had the name when it was decided; 0: unknown. For the host's side. */
};

struct volume {
	enum volume_kind kind;
	struct host_path
		source; /* BIND (a device node keeps working, all else is nodev), OVERLAY (its lower directory) */
	struct host_path upper; /* OVERLAY */
	struct host_path work;	/* OVERLAY */
	char *target;		/* absolute path inside */
	bool read_only;
	bool populate;	  /* BIND: an empty volume gets what the image has at the target */
	bool exec_server; /* the runtime server's binary: a missing mount point is made, options are ro,nosuid,nodev */
	uint64_t size;	  /* TMPFS: bytes; 0 = 1 GiB */
	uint32_t mode;	  /* TMPFS: permission bits; 0 = 1777 */
	struct guarded *guarded; /* BIND of a directory: in this order, a directory before what lies in it */
	size_t guarded_count;
	struct host_path *layers; /* OVERLAY: directories on top of source, top-most first */
	size_t layer_count;
};

/* A small file that is ours inside, never the host's: /etc/hosts, /etc/resolv.conf, /etc/hostname, the sudo stand-in.
 */
struct etc_file {
	char *target; /* absolute path inside; the mount point is made when the root is writable */
	char *text;
	uint32_t mode;
	bool required; /* else a target that cannot be made (read-only root without it) is passed over */
};

enum proc_mode { PROC_FRESH, PROC_BIND, PROC_NONE };

struct mount_plan {
	enum root_mode mode;
	struct host_path *lowers; /* ROOT_OVERLAY: top-most first, 1 to OVERLAY_LAYERS_MAX; else exactly
				     one, the root */
	size_t lower_count;
	struct host_path upper, work; /* ROOT_OVERLAY */
	bool read_only;		      /* --read-only: the finished root is remounted read-only */
	struct volume *volumes;
	size_t volume_count;
	struct etc_file *files;
	size_t file_count;
	enum proc_mode proc;
	uint64_t shm_size; /* bytes of /dev/shm; 0 = 64 MiB */
	int32_t tty_gid;   /* gid= of devpts, -1 where the map has no group 5 */
	bool cgroup;	   /* mount the sandbox's own cgroup v2 read-only at /sys/fs/cgroup */
	/* ROOT_OVERLAY: the writable layer lies in a memory file system of this size instead; 0: in upper and work */
	uint64_t memory_layer;
	uint64_t memory_inodes; /* of that; 0: one for each 4096 bytes */
};

/**
 * host_path_open() - look at a path of the host and remember what it is (supervisor side)
 * @path:	as the user gave it; symbolic links are followed, the result is canonical
 * @out:	filled; release with host_path_free()
 *
 * Return: 0, or -1 with @err set (step "open", the path, errno)
 */
[[gnu::nonnull]] int host_path_open(const char *path, struct host_path *out, struct azm_err *err);
void host_path_free(struct host_path *path);

/**
 * mount_source_open() - open a path of the plan again and make sure it is still the object the supervisor saw
 *
 * Return: O_PATH descriptor owned by the caller; -1 with @err set (ESTALE: something else is there now, links
 * included)
 */
[[gnu::nonnull]] int mount_source_open(const struct host_path *source, struct azm_err *err);

/**
 * resolve_in_root() - open a path below a directory as the sandbox would see it
 * @rootfd:	the directory that counts as "/"
 * @path:	any text, absolute or not; "..", symbolic links and "/" stay within @rootfd
 * @flags:	open(2) flags; O_CLOEXEC is added. O_PATH resolves without opening. A final link is followed unless
 * O_NOFOLLOW
 *
 * openat2(RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS), or where the kernel lacks it (< 5.6) a walker that opens one
 * component at a time with O_NOFOLLOW. The only way a path of an image or of the sandbox is ever opened.
 *
 * Return: descriptor owned by the caller, or -1 with errno (ENOENT, ELOOP, ...)
 */
[[gnu::nonnull]] int resolve_in_root(int rootfd, const char *path, int flags);

/**
 * resolve_parent() - the directory that holds the last component of a path in which no component is a link
 * @path:	relative to @rootfd; its last component is neither "." nor ".."
 * @name:	set to the last component, which is not looked at
 *
 * For names that are to be examined, made, covered or removed as themselves. Return: O_PATH descriptor owned by the
 * caller, or -1 with errno (ELOOP or ENOTDIR for a link on the way, EINVAL for a path of another form)
 */
[[gnu::nonnull]] int resolve_parent(int rootfd, const char *path, char name[NAME_MAX + 1]);

/**
 * resolve_make() - as resolve_in_root(), making what is missing
 * @directory:	true: the last component becomes a directory (mode 0755), false: an empty regular file (0644)
 *
 * Components that exist as symbolic links are followed inside the root; a dangling link is an error, never written
 * through blindly. Return: O_PATH descriptor of the target, or -1 with errno
 */
[[gnu::nonnull]] int resolve_make(int rootfd, const char *path, bool directory);

/**
 * resolve_read() - the text of a regular file of an image, bounded
 * @limit:	largest size accepted (EFBIG)
 *
 * Opened with O_NONBLOCK and checked to be a regular file: an image may ship a FIFO or a device as /etc/passwd.
 *
 * Return: allocated, NUL-terminated text; NULL with errno
 */
[[gnu::nonnull(2)]] char *resolve_read(int rootfd, const char *path, size_t limit, size_t *size);

/* The lower directories of an overlay, open (O_PATH), top-most first. */
struct stack {
	int *fds;
	size_t count;
};

/**
 * stack_open() - as resolve_in_root(), for the tree that an overlay of several layers would show
 * @flags:	O_PATH or for reading; O_CLOEXEC is added. A final link is followed
 *
 * Whiteouts (character device 0:0) and opaque directories (user.overlay.opaque) count as overlay(5) says. With one
 * layer it is resolve_in_root(). Return: descriptor owned by the caller, or -1 with errno
 */
[[gnu::nonnull]] int stack_open(const struct stack *stack, const char *path, int flags);

/** stack_read() - likewise resolve_read(). */
[[gnu::nonnull(1, 2)]] char *stack_read(const struct stack *stack, const char *path, size_t limit, size_t *size);
void stack_close(struct stack *stack);

/**
 * mount_proc_ahead() - make the sandbox's /proc before anything else, for who needs it earlier than the root
 *
 * Return: descriptor of its root, owned by the caller, which mount_build() will place; -1 when there is none to be had
 * ahead (another mode, an old kernel, no permission), and mount_build() makes it or says why not
 */
[[gnu::nonnull]] int mount_proc_ahead(const struct mount_plan *plan);

/* What else is to be begun while a root is made: a process, say, that another processor can run meanwhile. */
struct mount_beside {
	int (*begin)(void *context, struct azm_err *err); /* 0, or -1 with @err set, which ends the building */
	void *context;
};

/**
 * mount_build() - make the whole root of a sandbox (azm-init side)
 * @plan:	what to make
 * @proc:	what mount_proc_ahead() returned; -1 when it was not asked
 * @beside:	called once, with the caller's umask, when the kernel's file systems stand in the root and the rest is
 *		left to be placed; NULL for nothing
 * @rootfd:	set to an O_PATH descriptor of the new root
 * @err:	set on failure, step and path of what failed, with a hint where the cause is known
 *
 * Runs in the new mount namespace with every capability over it. Order: propagation, root, proc, dev, sys, files,
 * volumes, masks, read-only root. Return: 0, or -1
 */
[[gnu::nonnull(1, 4, 5)]] int mount_build(
	const struct mount_plan *plan, int proc, const struct mount_beside *beside, int *rootfd, struct azm_err *err);

/** mount_pivot() - make @rootfd the root and detach the host's tree; the working directory is "/" afterwards. */
[[gnu::nonnull]] int mount_pivot(int rootfd, struct azm_err *err);

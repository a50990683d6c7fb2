// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/ready.c: see ready.h. */
#include "snapshots/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "snapshots/join.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

#define COPIES "ready"

enum {
	ROUNDS_MAX = 4,
	FILES_MAX = 1 << 20,
	BUCKETS = 1 << 16,
	ENOUGH = 4 << 20, /* bytes: what is left after a round that copied less is copied in a moment */
	TICK_MS = 20,	  /* clocks of files go by the tick: 10 ms where it is the slowest */
	COARSE_S = 2,	  /* for times without fractions: a file system that counts seconds */
};

/* A file as it was when its copy began. */
struct file {
	ino_t ino;
	off_t size;
	struct timespec ctime, mtime;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	nlink_t seen;	 /* names in the walk of the latest round that met it */
	uint32_t number; /* of the copy; 0: there is none */
	uint32_t round;
	uint32_t next; /* of its bucket, counted from 1 */
	bool mapped;   /* it must not be trusted */
};

/* In memory that the children of the rounds share with us. */
struct ready_table {
	struct timespec began; /* the round */
	uint32_t round;
	uint32_t count;	  /* of files */
	uint32_t numbers; /* of copies that were begun */
	uint64_t copied;  /* bytes of the round, or that were too new for it */
	uint64_t keep;	  /* blocks that shall remain free */
	dev_t device;	  /* of the copies */
	bool full;
	uint32_t buckets[BUCKETS];
	struct file files[FILES_MAX];
};

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

/* Where a page that becomes writable sets the times of its file. */
static bool is_suitable(int dir)
{
	static const long types[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC };
	struct statfs fs;

	if (fstatfs(dir, &fs) == 0)
		for (size_t i = 0; i < sizeof types / sizeof *types; i++)
			if (fs.f_type == types[i])
				return true;
	return false;
}

int ready_begin(struct ready *ready, int layer, struct azm_err *err)
{
	struct statvfs space;
	struct stat st;

	*ready = READY_NONE;
	if (!is_suitable(layer))
		return 0;
	ready->layer = layer;
	if (mkdirat(layer, COPIES, 0700) < 0)
		return err_sys(err, "make directory", COPIES);
	ready->dir = openat(layer, COPIES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ready->dir < 0 || fstat(ready->dir, &st) < 0 || fstatvfs(ready->dir, &space) < 0)
		return err_sys(err, "open directory", COPIES);
	void *table = mmap(
		NULL, sizeof *ready->table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		return err_sys(err, "allocate", "the table of files");
	ready->table = table;
	ready->table->device = st.st_dev;
	ready->table->keep = space.f_bavail / 2;
	return 0;
}

int ready_end(struct ready *ready, struct azm_err *err)
{
	int result = ready->layer < 0 ? 0 : tree_remove_at(ready->layer, COPIES, err);

	if (ready->table)
		munmap(ready->table, sizeof *ready->table);
	if (ready->dir >= 0)
		close(ready->dir);
	str_list_free(&ready->mapped.names);
	*ready = READY_NONE;
	return result;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

bool ready_round(struct ready *ready)
{
	const struct timespec tick = { .tv_nsec = 2 * TICK_MS * 1000000L };
	struct ready_table *table = ready->table;

	if (!table || table->full || table->round == ROUNDS_MAX || (table->round && table->copied < ENOUGH))
		return false;
	if (table->round++)
		nanosleep(&tick, NULL); /* what was too new is not any more, unless it goes on */
	table->copied = 0;
	clock_gettime(CLOCK_REALTIME, &table->began);
	return true;
}

/* Whether a time lies so far before the round that any change since its beginning gives another one. */
static bool is_settled(const struct ready_table *table, const struct timespec *time)
{
	int64_t began = (int64_t)table->began.tv_sec * 1000 + table->began.tv_nsec / 1000000;
	int64_t then = (int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000;

	return then < began - (time->tv_nsec ? TICK_MS : COARSE_S * 1000);
}

static uint32_t *bucket(struct ready_table *table, ino_t ino)
{
	return &table->buckets[(ino ^ ino >> 16) % BUCKETS];
}

static struct file *find(struct ready_table *table, ino_t ino)
{
	for (uint32_t at = *bucket(table, ino); at; at = table->files[at - 1].next)
		if (table->files[at - 1].ino == ino)
			return &table->files[at - 1];
	return NULL;
}

static struct file *add(struct ready_table *table, ino_t ino)
{
	uint32_t *head = bucket(table, ino);

	if (table->count == FILES_MAX) {
		table->full = true;
		return NULL;
	}
	struct file *file = &table->files[table->count++];
	file->ino = ino;
	file->next = *head;
	*head = table->count;
	return file;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct file *file, const struct stat *st)
{
	return file->number && same_time(&file->ctime, &st->st_ctim) && same_time(&file->mtime, &st->st_mtim) &&
	       file->size == st->st_size && file->mode == st->st_mode && file->uid == st->st_uid &&
	       file->gid == st->st_gid;
}

static void copy_name(uint32_t number, char name[static 16])
{
	snprintf(name, 16, "%u", number);
}

/* Take the inode's lock and let it go: every change of xattrs takes it, also one that has nothing to remove. */
static void barrier(int fd)
{
	(void)fremovexattr(fd, "user.overlay.azm-barrier");
}

static bool has_space(const struct ready *ready)
{
	struct statvfs space;

	if (fstatvfs(ready->dir, &space) == 0 && space.f_bavail > ready->table->keep)
		return true;
	ready->table->full = true;
	return false;
}

/* Return: whether there is a copy of it as it is, which @file then tells of */
static bool copy(const struct ready *ready, struct file *file, int in, const char *name)
{
	struct ready_table *table = ready->table;
	struct stat st;
	char to_name[16];
	cleanup_fd int from = openat(in, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (from < 0)
		return false;
	barrier(from);
	if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || st.st_ino != file->ino || st.st_dev != table->device)
		return false;
	table->copied += (uint64_t)st.st_blocks * 512;
	if (!is_settled(table, &st.st_ctim) || !has_space(ready))
		return false;
	copy_name(++table->numbers, to_name);
	cleanup_fd int to = openat(ready->dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || layer_copy_file(from, &st, to) < 0) {
		unlinkat(ready->dir, to_name, 0);
		return false;
	}
	file->size = st.st_size;
	file->ctime = st.st_ctim;
	file->mtime = st.st_mtim;
	file->mode = st.st_mode;
	file->uid = st.st_uid;
	file->gid = st.st_gid;
	file->number = table->numbers;
	return true;
}

static void forget(const struct ready *ready, struct file *file)
{
	char name[16];

	copy_name(file->number, name);
	if (file->number)
		unlinkat(ready->dir, name, 0);
	file->number = 0;
}

static void walk_file(const struct ready *ready, int in, const char *name, const struct stat *st)
{
	struct ready_table *table = ready->table;
	struct file *file = find(table, st->st_ino);

	if (!file)
		file = add(table, st->st_ino);
	if (!file || st->st_dev != table->device)
		return;
	if (mapped_has(&ready->mapped, name))
		file->mapped = true;
	bool first = file->round != table->round;
	file->round = table->round;
	file->seen = first ? 1 : file->seen + 1;
	if (file->mapped || !first || is_same(file, st))
		return;
	forget(ready, file);
	copy(ready, file, in, name);
}

static void walk(const struct ready *ready, int directory, unsigned depth)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct stat st;

	for (const struct dirent *entry; dir && !ready->table->full && (entry = dir_next(dir));) {
		const char *name = entry->d_name;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			walk_file(ready, fd, name, &st);
		if (!S_ISDIR(st.st_mode) || depth == JOIN_DEPTH)
			continue;
		cleanup_fd int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			walk(ready, below, depth + 1);
	}
}

void ready_walk(struct ready *ready, int root)
{
	raise_open_files(); /* two a level */
	walk(ready, root, 0);
}

bool ready_take(struct ready *ready, const struct stat *st, int target, const char *name)
{
	struct file *file = ready->table && st->st_dev == ready->table->device ? find(ready->table, st->st_ino) : NULL;
	char from[16];

	if (!file || file->mapped || file->seen != st->st_nlink || !is_same(file, st))
		return false;
	copy_name(file->number, from);
	return renameat(ready->dir, from, target, name) == 0;
}

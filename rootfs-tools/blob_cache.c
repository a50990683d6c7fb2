// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/blob_cache.c: see blob_cache.h.
 *
 * Theory of operation
 *
 * Who writes a blob holds flock(2) on its beginning in blobs/partial, from opening it until it is renamed to its final
 * name. The lock belongs to the open file, so it also keeps threads of one process apart, and ends with a killed
 * writer. The name may have moved between opening and locking: the writer looks whether it still means its file.
 * Everything is hashed as it is added; what an earlier writer left is hashed when it is gone on with.
 *
 * The age of a blob is its time of modification, set whenever it is used: access times are not kept everywhere.
 */
#include "rootfs-tools/blob_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

enum { PARTIAL_DAYS = 7, WAIT_MS = 100, CHUNK = 128 << 10 };
#define SIZE_DEFAULT (16ull << 30)

static const char *const algorithm_names[] = { [DIGEST_SHA256] = "sha256", [DIGEST_SHA512] = "sha512" };
enum { ALGORITHMS = sizeof algorithm_names / sizeof *algorithm_names };

struct blob_cache {
	int fds[ALGORITHMS]; /* blobs/sha256 ... */
	int partial;
	uint64_t limit; /* what BLOB_CACHE_DEFAULT means */
};

/* ---- directories ----------------------------------------------------------------------------------------------- */

static int open_directory(int parent, const char *name, struct azm_err *err)
{
	struct stat st;

	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make in the image store", name);
	cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open in the image store", name);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_msg(err, EPERM, "open in the image store", name, "others may write to it");
	return steal_fd(&fd);
}

static int default_limit(uint64_t *limit, struct azm_err *err)
{
	const char *text = getenv("AZM_BLOB_CACHE_SIZE");

	*limit = SIZE_DEFAULT;
	return !text || !*text || str_to_bytes(text, limit)
		       ? 0
		       : err_msg(err, EINVAL, "AZM_BLOB_CACHE_SIZE", text, "not a size such as 500m or 20g");
}

struct blob_cache *blob_cache_open(int root, struct azm_err *err)
{
	struct blob_cache *cache = xcalloc(1, sizeof *cache);
	cleanup_fd int blobs = open_directory(root, "blobs", err);
	bool whole = blobs >= 0 && default_limit(&cache->limit, err) == 0;

	cache->partial = whole ? open_directory(blobs, "partial", err) : -1;
	whole = whole && cache->partial >= 0;
	for (size_t i = 0; i < ALGORITHMS; i++) {
		cache->fds[i] = whole ? open_directory(blobs, algorithm_names[i], err) : -1;
		whole = whole && cache->fds[i] >= 0;
	}
	if (whole)
		return cache;
	blob_cache_close(cache);
	return NULL;
}

void blob_cache_close(struct blob_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < ALGORITHMS; i++)
		cleanup_close_fd(&cache->fds[i]);
	cleanup_close_fd(&cache->partial);
	free(cache);
}

/* ---- blobs that are there -------------------------------------------------------------------------------------- */

bool blob_cache_find(struct blob_cache *cache, const struct digest *digest, uint64_t size, struct blob *blob)
{
	char text[DIGEST_TEXT_SIZE];
	struct stat st;
	cleanup_fd int fd = openat(cache->fds[digest->algorithm], digest_hex(digest, text),
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return false;
	(void)futimens(fd, NULL); /* on a read-only store it just gets old */
	*blob = (struct blob){ .fd = steal_fd(&fd), .size = size };
	return true;
}

bool blob_cache_verify(struct blob_cache *cache, const struct digest *digest, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];
	cleanup_free char *buffer = xcalloc(1, CHUNK);
	struct digest found;
	struct blob blob;
	ssize_t n;

	if (!blob_cache_find(cache, digest, size, &blob))
		return true;
	struct hasher *hasher = hasher_new(digest->algorithm);
	while ((n = TEMP_FAILURE_RETRY(read(blob.fd, buffer, CHUNK))) > 0)
		hasher_add(hasher, buffer, (size_t)n);
	hasher_end(hasher, &found);
	close(blob.fd);
	if (n == 0 && digest_equal(&found, digest))
		return true;
	(void)unlinkat(cache->fds[digest->algorithm], digest_hex(digest, text), 0);
	return false;
}

int blob_cache_put(
	struct blob_cache *cache, const struct digest *digest, const void *data, size_t size, struct azm_err *err)
{
	struct blob_writer *writer = blob_writer_begin(cache, digest, size, NULL, NULL, err);

	if (!writer)
		return err_is(err, EEXIST) ? (err_clear(err), 0) : -1;
	int result = blob_writer_restart(writer, err);
	if (result == 0)
		result = blob_writer_add(writer, data, size, err);
	if (result == 0)
		result = blob_writer_finish(writer, err);
	blob_writer_close(writer);
	return result;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

struct blob_writer {
	struct blob_cache *cache;
	struct digest digest;
	uint64_t size, had;
	int fd;
	struct hasher *hasher;
	char name[DIGEST_TEXT_SIZE]; /* in blobs/partial */
};

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = WAIT_MS * 1000000L }, NULL);
}

/* Return: 1 locked and still of that name, 0 somebody else was quicker, -1 with @err. */
static int open_partial(
	struct blob_writer *w, int (*wait)(void *, struct azm_err *), void *context, struct azm_err *err)
{
	struct stat mine, named;
	cleanup_fd int fd =
		openat(w->cache->partial, w->name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "write in the image store", w->name);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, "lock in the image store", w->name);
		if (wait && wait(context, err) < 0)
			return -1;
		pause_a_moment();
	}
	if (fstat(fd, &mine) < 0 || !S_ISREG(mine.st_mode))
		return err_msg(err, EINVAL, "write in the image store", w->name, "it is not a regular file");
	if (fstatat(w->cache->partial, w->name, &named, AT_SYMLINK_NOFOLLOW) < 0 || named.st_ino != mine.st_ino)
		return 0;
	w->fd = steal_fd(&fd);
	return 1;
}

/* Hash what an earlier writer left. */
static int take_over(struct blob_writer *w, struct azm_err *err)
{
	cleanup_free char *buffer = xcalloc(1, CHUNK);
	ssize_t n = 0;

	w->hasher = hasher_new(w->digest.algorithm);
	while (w->had <= w->size && (n = TEMP_FAILURE_RETRY(pread(w->fd, buffer, CHUNK, (off_t)w->had))) > 0) {
		hasher_add(w->hasher, buffer, (size_t)n);
		w->had += (uint64_t)n;
	}
	if (n < 0)
		return err_sys(err, "read in the image store", w->name);
	return w->had > w->size ? blob_writer_restart(w, err) : 0;
}

struct blob_writer *blob_writer_begin(struct blob_cache *cache, const struct digest *digest, uint64_t size,
	int (*wait)(void *context, struct azm_err *err), void *context, struct azm_err *err)
{
	struct blob_writer *w = xcalloc(1, sizeof *w);
	struct blob there;
	int result = 0;

	*w = (struct blob_writer){ .cache = cache, .digest = *digest, .size = size, .fd = -1 };
	digest_text(digest, w->name);
	*strchr(w->name, ':') = '-';
	while (result == 0) {
		result = open_partial(w, wait, context, err);
		/* Its last writer may have finished it while we waited for the lock. */
		if (result >= 0 && blob_cache_find(cache, digest, size, &there)) {
			close(there.fd);
			if (result == 1)
				(void)unlinkat(cache->partial, w->name, 0);
			result = err_code(err, EEXIST, "write in the image store", w->name);
		}
	}
	if (result > 0 && take_over(w, err) == 0)
		return w;
	blob_writer_close(w);
	return NULL;
}

uint64_t blob_writer_offset(const struct blob_writer *w)
{
	return w->had;
}

int blob_writer_add(struct blob_writer *w, const void *data, size_t size, struct azm_err *err)
{
	const char *from = data;

	if (size > w->size - w->had)
		return err_msg(
			err, EFBIG, "download", w->name, "more comes than the %" PRIu64 " bytes it has", w->size);
	hasher_add(w->hasher, data, size);
	while (size > 0) {
		ssize_t n = TEMP_FAILURE_RETRY(pwrite(w->fd, from, size, (off_t)w->had));
		if (n < 0) {
			err_sys(err, "write in the image store", w->name);
			return err_is(err, ENOSPC) ? err_hint(err, "set AZM_IMAGE_STORE to a directory with more room")
						   : -1;
		}
		from += n;
		size -= (size_t)n;
		w->had += (uint64_t)n;
	}
	return 0;
}

int blob_writer_restart(struct blob_writer *w, struct azm_err *err)
{
	hasher_free(w->hasher);
	w->hasher = hasher_new(w->digest.algorithm);
	w->had = 0;
	return ftruncate(w->fd, 0) < 0 ? err_sys(err, "write in the image store", w->name) : 0;
}

int blob_writer_finish(struct blob_writer *w, struct azm_err *err)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest found;

	if (w->had < w->size)
		return err_msg(
			err, ENODATA, "download", w->name, "%" PRIu64 " of its bytes are missing", w->size - w->had);
	hasher_end(w->hasher, &found);
	w->hasher = NULL;
	if (!digest_equal(&found, &w->digest)) {
		(void)unlinkat(w->cache->partial, w->name, 0);
		digest_text(&w->digest, text);
		return err_msg(err, EBADMSG, "verify", text, "the content is not what the image names");
	}
	if (renameat(w->cache->partial, w->name, w->cache->fds[w->digest.algorithm], digest_hex(&w->digest, text)) < 0)
		return err_sys(err, "keep in the image store", w->name);
	return 0;
}

void blob_writer_close(struct blob_writer *w)
{
	struct stat st;

	if (!w)
		return;
	/* An empty beginning is worth nothing. Ours it is while we hold the lock. */
	if (w->fd >= 0 && w->hasher && fstat(w->fd, &st) == 0 && st.st_size == 0)
		(void)unlinkat(w->cache->partial, w->name, 0);
	hasher_free(w->hasher);
	cleanup_close_fd(&w->fd);
	free(w);
}

/* ---- how much there is ----------------------------------------------------------------------------------------- */

struct entry {
	int dirfd;
	bool partial;
	char name[2 * DIGEST_BYTES_MAX + 16];
	uint64_t size;
	struct timespec used;
};

struct entries {
	struct entry *items;
	size_t count, room;
	uint64_t bytes;
};

static void list_directory(struct entries *list, int dirfd, bool partial)
{
	struct stat st;
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		cleanup_close_fd(&fd);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (strlen(d->d_name) >= sizeof list->items->name ||
			fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (list->count == list->room) {
			list->room = list->room ? 2 * list->room : 64;
			list->items = xrealloc(list->items, list->room, sizeof *list->items);
		}
		struct entry *entry = &list->items[list->count++];
		*entry = (struct entry){ .dirfd = dirfd, .partial = partial, .used = st.st_mtim };
		memcpy(entry->name, d->d_name, strlen(d->d_name));
		entry->size = (uint64_t)st.st_size;
		list->bytes += entry->size;
	}
}

static void list_all(struct blob_cache *cache, struct entries *list)
{
	for (size_t i = 0; i < ALGORITHMS; i++)
		list_directory(list, cache->fds[i], false);
	list_directory(list, cache->partial, true);
}

static int older_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct entry *)a)->used, *y = &((const struct entry *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

/* A beginning somebody works on stays. */
static bool remove_entry(const struct entry *entry)
{
	cleanup_fd int fd = -1;

	if (entry->partial) {
		fd = openat(entry->dirfd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			return false;
	}
	return unlinkat(entry->dirfd, entry->name, 0) == 0;
}

uint64_t blob_cache_trim(struct blob_cache *cache, uint64_t limit)
{
	const time_t old = time(NULL) - PARTIAL_DAYS * 24L * 3600;
	struct entries list = { 0 };
	uint64_t removed = 0;

	if (limit == BLOB_CACHE_DEFAULT)
		limit = cache->limit;
	list_all(cache, &list);
	if (list.count)
		qsort(list.items, list.count, sizeof *list.items, older_first);
	for (size_t i = 0; i < list.count; i++) {
		const struct entry *entry = &list.items[i];
		bool stale = entry->partial && entry->used.tv_sec < old;
		if ((stale || list.bytes - removed > limit || limit == 0) && remove_entry(entry))
			removed += entry->size;
	}
	free(list.items);
	return removed;
}

void blob_cache_usage(struct blob_cache *cache, uint64_t *bytes, uint64_t *count)
{
	struct entries list = { 0 };

	list_all(cache, &list);
	*bytes = list.bytes;
	*count = list.count;
	free(list.items);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/stream.c: see stream.h.
 *
 * Theory of operation
 *
 * Two lines of buffers, each a ring: of what is read, and of what comes out. The producer, a thread, makes both: a
 * buffer of the first is decompressed to some of the second, which the caller takes. Where a digest is to be verified
 * (the blob's, the diff_id) a line is hashed, too, and a buffer used again when it has been. Positions are counts of
 * buffers since the start. A buffer is a quarter of a megabyte, so a lock and a broadcast for each cost nothing that
 * could be measured.
 *
 * Hashing has no thread: whoever would have to wait, the producer for room or the caller for data, hashes a buffer
 * instead. A third thread takes its time from both others where there are two processors, also from the one that
 * everything waits for; so both have something to do whichever is the slower one, the caller in a stretch of small
 * files, the producer in one of large files. The ring of what comes out is long enough for such stretches, and of huge
 * pages where the kernel has some: thousands of page faults less. What is read needs no stock.
 *
 * A pipe may give nothing for as long as it likes: the producer waits for it in poll(2), together with a descriptor
 * that stream_close() makes readable.
 */
#include "rootfs-tools/stream.h"

#include <errno.h>
#include <pthread.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

enum {
	BUFFER = 256 * 1024,
	PACKED_RING = 8, /* powers of two */
	PLAIN_RING = 64,
	MEMORY = (PACKED_RING + PLAIN_RING) * BUFFER,
	LEFT_MAX = 64 << 20,
	BLOCK = 512,
	TICK_MS = 200
};

struct line {
	unsigned char *ring;
	uint64_t mask;		 /* buffers in it, less one */
	size_t used[PLAIN_RING]; /* bytes in each */
	uint64_t made, hashed;	 /* positions */
	struct hasher *hasher;	 /* NULL: nobody wants to know */
	bool hashing;		 /* somebody is at the buffer at `hashed` */
};

struct stream {
	struct stream_source source;
	struct digest digest, diff_id; /* copies of what is expected */
	unsigned char *memory;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t producer;
	bool producing;
	struct line packed, plain;
	uint64_t read; /* the caller's position in `plain` */
	bool ended;    /* no more will be made */
	bool holding;  /* the caller has the buffer at `read` */
	bool closing;
	int wake; /* eventfd(2): readable once `closing` is set */
	enum codec codec;
	bool zeros; /* the last buffer taken ends in a block of zeros */
	uint64_t consumed;
	struct azm_err error; /* of the producer; code 0: none */
};

static unsigned char *buffer_at(const struct line *line, uint64_t position)
{
	return line->ring + (position & line->mask) * BUFFER;
}

static void publish(struct stream *s, struct line *line, size_t size)
{
	pthread_mutex_lock(&s->lock);
	line->used[line->made & line->mask] = size;
	line->made++;
	if (line == &s->packed)
		s->consumed += size;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* ---- hashing --------------------------------------------------------------------------------------------------- */

static bool is_to_hash(const struct line *line)
{
	return line->hasher && line->hashed < line->made;
}

/* With the lock held, which is given back for as long as it takes: hash a buffer if there is one and nobody is at it.
 * Return: false when there is nothing to do. */
static bool hash_one(struct stream *s)
{
	struct line *line = is_to_hash(&s->packed) && !s->packed.hashing ? &s->packed : &s->plain;

	if (!is_to_hash(line) || line->hashing || s->closing)
		return false;
	line->hashing = true;
	size_t size = line->used[line->hashed & line->mask];
	pthread_mutex_unlock(&s->lock);
	hasher_add(line->hasher, buffer_at(line, line->hashed), size);
	pthread_mutex_lock(&s->lock);
	line->hashing = false;
	line->hashed++;
	pthread_cond_broadcast(&s->changed);
	return true;
}

/* What is left when nothing more will be made; the caller writes what it still has meanwhile. */
static void hash_rest(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->closing && (is_to_hash(&s->packed) || is_to_hash(&s->plain)))
		if (!hash_one(s))
			pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* With nobody at it any more. Return: whether it is what was expected, if anything was. */
static bool end_hash(struct line *line, const struct digest *expected, struct digest *digest)
{
	if (!line->hasher)
		return true;
	hasher_end(line->hasher, digest);
	line->hasher = NULL;
	return !expected || digest_equal(digest, expected);
}

/* ---- the producer ---------------------------------------------------------------------------------------------- */

struct production {
	struct stream *stream;
	struct inflater *inflater;
	const unsigned char *in;
	size_t in_size;
	uint64_t left; /* of the blob */
	bool end;      /* everything has been read */
};

/* Wait for a free buffer of that line. @reader: the position of who reads it, beside the hash. Return: NULL when nobody
 * wants one any more. */
static unsigned char *wait_for_room(struct stream *s, const struct line *line, const uint64_t *reader)
{
	pthread_mutex_lock(&s->lock);
	while (!s->closing &&
		(line->made - *reader > line->mask || (line->hasher && line->made - line->hashed > line->mask)))
		if (!hash_one(s))
			pthread_cond_wait(&s->changed, &s->lock);
	bool wanted = !s->closing;
	pthread_mutex_unlock(&s->lock);
	return wanted ? buffer_at(line, line->made) : NULL;
}

/* From a pipe, as soon as there is something; 0 at its end, and when nobody wants it any more. */
static ssize_t read_pipe(struct stream *s, unsigned char *to, size_t room)
{
	struct pollfd ready[] = { { .fd = s->source.fd, .events = POLLIN }, { .fd = s->wake, .events = POLLIN } };

	for (;;) {
		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			return -1;
		if (ready[1].revents)
			return 0;
		ssize_t n = ready[0].revents ? read(s->source.fd, to, room) : -1;
		if (n >= 0 || (ready[0].revents && errno != EINTR && errno != EAGAIN))
			return n;
	}
}

static ssize_t read_file_part(struct stream *s, uint64_t left, unsigned char *to, size_t room)
{
	off_t offset = (off_t)(s->source.offset + s->source.size - left);

	return left ? TEMP_FAILURE_RETRY(pread(s->source.fd, to, left < room ? (size_t)left : room, offset)) : 0;
}

/* The next buffer to decompress; a pipe may give a few bytes only, and @least are wanted. */
static int read_input(struct production *p, size_t least, struct azm_err *err)
{
	struct stream *s = p->stream;
	bool known = s->source.size != STREAM_SIZE_UNKNOWN;
	/* What was made before has been decompressed: only the hash keeps it. */
	unsigned char *buffer = wait_for_room(s, &s->packed, &s->packed.made);
	size_t size = 0;

	if (!buffer)
		return err_msg(err, ECANCELED, "read", "the archive", "nobody wants it any more");
	do {
		ssize_t n = known ? read_file_part(s, p->left, buffer + size, BUFFER - size)
				  : read_pipe(s, buffer + size, BUFFER - size);
		if (n < 0)
			return err_sys(err, "read", "the archive");
		if (n == 0 && known && p->left > 0)
			return err_msg(err, EINVAL, "read", "the archive", "it ends too early");
		if (known)
			p->left -= (size_t)n;
		p->end = n == 0 || (known && p->left == 0);
		size += (size_t)n;
	} while (size < least && !p->end);
	p->in = buffer;
	p->in_size = size;
	publish(s, &s->packed, size);
	return 0;
}

/* The first bytes tell the compression. */
static int begin_production(struct production *p, struct azm_err *err)
{
	if (read_input(p, CODEC_MAGIC, err) < 0)
		return -1;
	p->stream->codec = codec_detect(p->in, p->in_size); /* published with the first buffer, or the end */
	p->inflater = inflater_new(p->stream->codec, err);
	return p->inflater ? 0 : -1;
}

/* Fill one buffer. Return: bytes in it, 0 at the end, -1. */
static ssize_t fill(struct production *p, unsigned char *out, struct azm_err *err)
{
	size_t used = 0;

	while (used < BUFFER) {
		ssize_t n = inflater_run(p->inflater, &p->in, &p->in_size, out + used, BUFFER - used, p->end, err);
		if (n < 0)
			return -1;
		used += (size_t)n;
		if (n > 0)
			continue;
		if (p->end)
			break;
		if (read_input(p, 1, err) < 0)
			return -1;
	}
	return (ssize_t)used;
}

static void produce(struct production *p, struct azm_err *err)
{
	struct stream *s = p->stream;
	const uint64_t limit = s->source.limit;
	unsigned char *buffer;
	uint64_t total = 0;

	if (begin_production(p, err) < 0)
		return;
	while ((buffer = wait_for_room(s, &s->plain, &s->read))) {
		ssize_t size = fill(p, buffer, err);
		if (size <= 0)
			return;
		total += (size_t)size;
		if (limit && total > limit) {
			err_msg(err, EFBIG, "unpack", "the archive", "its content is larger than %llu MiB",
				(unsigned long long)(limit >> 20));
			return;
		}
		publish(s, &s->plain, (size_t)size);
	}
}

static void *producer_thread(void *argument)
{
	struct stream *s = argument;
	struct production production = { .stream = s, .in = s->memory, .left = s->source.size };
	struct azm_err err = { 0 };

	produce(&production, &err);
	inflater_free(production.inflater);
	pthread_mutex_lock(&s->lock);
	s->error = err;
	s->ended = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	hash_rest(s);
	return NULL;
}

/* ---- the caller ------------------------------------------------------------------------------------------------ */

/* Wait for the caller's next buffer, but not longer than a tick. Return: whether there is one, or the end. */
static bool wait_a_tick(struct stream *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (s->read == s->plain.made && !s->ended)
		if (!hash_one(s) && pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
			return false;
	return true;
}

int stream_tick(struct stream *s, struct azm_err *err)
{
	pthread_mutex_lock(&s->lock);
	uint64_t consumed = s->consumed;
	pthread_mutex_unlock(&s->lock);
	return s->source.tick ? s->source.tick(s->source.context, consumed, err) : 0;
}

ssize_t stream_peek(struct stream *s, const void **data, struct azm_err *err)
{
	for (bool there = false; !there;) {
		pthread_mutex_lock(&s->lock);
		there = wait_a_tick(s);
		pthread_mutex_unlock(&s->lock);
		if (stream_tick(s, err) < 0)
			return -1;
	}
	/* Nobody but this thread moves `read`, and what was made or has ended stays so. */
	pthread_mutex_lock(&s->lock);
	size_t size = s->read == s->plain.made ? 0 : s->plain.used[s->read & s->plain.mask];
	*data = buffer_at(&s->plain, s->read);
	if (size == 0 && s->error.code)
		*err = s->error;
	ssize_t result = size == 0 && s->error.code ? -1 : (ssize_t)size;
	pthread_mutex_unlock(&s->lock);
	return result;
}

ssize_t stream_next(struct stream *s, const void **data, struct azm_err *err)
{
	static const unsigned char zeros[BLOCK];

	if (s->holding) {
		pthread_mutex_lock(&s->lock);
		s->read++;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
	}
	s->holding = false;
	ssize_t size = stream_peek(s, data, err);
	if (size > 0) {
		const unsigned char *end = (const unsigned char *)*data + size;
		s->zeros = size >= BLOCK && memcmp(end - BLOCK, zeros, BLOCK) == 0;
	}
	s->holding = size > 0;
	return size;
}

enum codec stream_codec(const struct stream *s)
{
	return s->codec;
}

bool stream_is_verified(const struct stream *s)
{
	return s->source.digest || s->source.diff_id;
}

bool stream_ended_in_zeros(const struct stream *s)
{
	return s->zeros;
}

/* ---- begin and end --------------------------------------------------------------------------------------------- */

static int start_producer(struct stream *s, struct azm_err *err)
{
	int code = pthread_create(&s->producer, NULL, producer_thread, s);

	s->producing = code == 0;
	return code ? err_code(err, code, "start a thread", NULL) : 0;
}

struct stream *stream_new(const struct stream_source *source, struct azm_err *err)
{
	struct stream *s = xcalloc(1, sizeof *s);

	s->source = *source;
	if (source->digest) {
		s->digest = *source->digest;
		s->packed.hasher = hasher_new(s->digest.algorithm);
	}
	if (source->diff_id)
		s->diff_id = *source->diff_id;
	if (source->diff_id || source->measure)
		s->plain.hasher = hasher_new(s->diff_id.algorithm);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->wake = eventfd(0, EFD_CLOEXEC);
	s->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->memory == MAP_FAILED)
		s->memory = NULL;
	if (s->memory) {
		s->packed.ring = s->memory;
		s->packed.mask = PACKED_RING - 1;
		s->plain.ring = s->memory + PACKED_RING * BUFFER;
		s->plain.mask = PLAIN_RING - 1;
		(void)madvise(s->memory, MEMORY, MADV_HUGEPAGE);
	}
	if (!s->memory || s->wake < 0)
		err_sys(err, "allocate buffers", NULL);
	else if (start_producer(s, err) == 0)
		return s;
	stream_close(s);
	return NULL;
}

static void join_producer(struct stream *s)
{
	if (s->producing)
		pthread_join(s->producer, NULL);
	s->producing = false;
}

static int drain(struct stream *s, struct azm_err *err)
{
	const void *data;
	uint64_t left = 0;
	ssize_t n;

	while ((n = stream_next(s, &data, err)) > 0)
		if ((left += (size_t)n) > LEFT_MAX)
			return err_msg(
				err, EFBIG, "read", "the archive", "more than %d MiB follow its end", LEFT_MAX >> 20);
	return n < 0 ? -1 : 0;
}

int stream_finish(struct stream *s, struct azm_err *err)
{
	char wanted[DIGEST_TEXT_SIZE];
	struct digest found = { 0 };

	if (drain(s, err) < 0)
		return -1;
	join_producer(s);
	if (!end_hash(&s->packed, s->source.digest ? &s->digest : NULL, &found)) {
		digest_text(&s->digest, wanted);
		return err_msg(err, EBADMSG, "verify", wanted, "the content is not what the image names");
	}
	if (!end_hash(&s->plain, s->source.diff_id ? &s->diff_id : NULL, &found)) {
		digest_text(&s->diff_id, wanted);
		return err_msg(
			err, EBADMSG, "verify", wanted, "the layer's content is not what the configuration names");
	}
	if (s->source.measure && !s->source.diff_id)
		s->diff_id = found;
	return 0;
}

void stream_diff_id(const struct stream *s, struct digest *digest)
{
	*digest = s->diff_id;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->wake >= 0)
		(void)eventfd_write(s->wake, 1);
	join_producer(s);
	hasher_free(s->packed.hasher);
	hasher_free(s->plain.hasher);
	cleanup_close_fd(&s->wake);
	if (s->memory)
		munmap(s->memory, MEMORY);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

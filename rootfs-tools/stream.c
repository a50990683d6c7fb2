// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/stream.c: see stream.h.
 *
 * Theory of operation
 *
 * A ring of buffers with one writer, the producer, and two readers: the caller and, where the content has to be
 * verified, the hashing thread. Each has a position, a count of buffers since the start; the producer stays less than
 * the ring's length ahead of the slower reader, readers stay behind the producer. A buffer is a quarter of a megabyte,
 * so a lock and a broadcast for each cost nothing that could be measured.
 *
 * The blob's own digest is the producer's work: it has the bytes in its cache anyway. A pipe may give nothing for as
 * long as it likes: the producer waits for it in poll(2), together with a descriptor that stream_close() makes
 * readable.
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

enum { BUFFER = 256 * 1024, RING = 16, LEFT_MAX = 64 << 20, BLOCK = 512, TICK_MS = 200 };

struct stream {
	struct stream_source source;
	struct digest digest, diff_id; /* copies of what is expected */
	unsigned char *ring, *input;
	size_t used[RING]; /* bytes in each buffer */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t producer, hashing;
	bool producing, hashing_runs;
	uint64_t made, read, hashed; /* positions */
	bool ended;		     /* no more will be made */
	bool holding;		     /* the caller has the buffer at `read` */
	bool closing;
	int wake; /* eventfd(2): readable once `closing` is set */
	enum codec codec;
	bool zeros; /* the last buffer taken ends in a block of zeros */
	uint64_t consumed;
	struct azm_err error; /* of the producer; code 0: none */
	bool matches, plain_matches;
};

static unsigned char *buffer_at(const struct stream *s, uint64_t position)
{
	return s->ring + position % RING * BUFFER;
}

/* ---- the producer ---------------------------------------------------------------------------------------------- */

struct production {
	struct stream *stream;
	struct inflater *inflater;
	struct hasher *hasher;
	const unsigned char *in;
	size_t in_size;
	uint64_t left; /* of the blob */
	bool end;      /* everything has been read */
};

/* From a pipe, as soon as there is something; 0 at its end, and when nobody wants it any more. */
static ssize_t read_pipe(struct stream *s)
{
	struct pollfd ready[] = { { .fd = s->source.fd, .events = POLLIN }, { .fd = s->wake, .events = POLLIN } };

	for (;;) {
		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			return -1;
		if (ready[1].revents)
			return 0;
		ssize_t n = ready[0].revents ? read(s->source.fd, s->input, BUFFER) : -1;
		if (n >= 0 || (ready[0].revents && errno != EINTR && errno != EAGAIN))
			return n;
	}
}

static ssize_t read_file_part(struct stream *s, uint64_t left)
{
	off_t offset = (off_t)(s->source.offset + s->source.size - left);

	return left ? TEMP_FAILURE_RETRY(pread(s->source.fd, s->input, left < BUFFER ? (size_t)left : BUFFER, offset))
		    : 0;
}

static int read_input(struct production *p, struct azm_err *err)
{
	struct stream *s = p->stream;
	bool known = s->source.size != STREAM_SIZE_UNKNOWN;
	ssize_t n = known ? read_file_part(s, p->left) : read_pipe(s);

	if (n < 0)
		return err_sys(err, "read", "the archive");
	if (n == 0 && known && p->left > 0)
		return err_msg(err, EINVAL, "read", "the archive", "it ends too early");
	if (known)
		p->left -= (size_t)n;
	p->end = n == 0 || (known && p->left == 0);
	if (p->hasher)
		hasher_add(p->hasher, s->input, (size_t)n);
	p->in = s->input;
	p->in_size = (size_t)n;
	pthread_mutex_lock(&s->lock);
	s->consumed += (size_t)n;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* The first bytes tell the compression. */
static int begin_production(struct production *p, struct azm_err *err)
{
	if (p->stream->source.digest)
		p->hasher = hasher_new(p->stream->digest.algorithm);
	if (read_input(p, err) < 0)
		return -1;
	/* A pipe may give a few bytes only. */
	while (p->in_size < CODEC_MAGIC && !p->end) {
		unsigned char first[CODEC_MAGIC];
		size_t had = p->in_size;
		memcpy(first, p->in, had);
		if (read_input(p, err) < 0)
			return -1;
		memmove(p->stream->input + had, p->stream->input, p->in_size);
		memcpy(p->stream->input, first, had);
		p->in_size += had;
	}
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
		if (read_input(p, err) < 0)
			return -1;
	}
	return (ssize_t)used;
}

/* Wait for a free buffer. Return: false when nobody wants one any more. */
static bool wait_for_room(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->closing && (s->made - s->read >= RING || (s->hashing_runs && s->made - s->hashed >= RING)))
		pthread_cond_wait(&s->changed, &s->lock);
	bool wanted = !s->closing;
	pthread_mutex_unlock(&s->lock);
	return wanted;
}

static void publish(struct stream *s, size_t size)
{
	pthread_mutex_lock(&s->lock);
	s->used[s->made % RING] = size;
	s->made++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void produce(struct production *p, struct azm_err *err)
{
	const uint64_t limit = p->stream->source.limit;
	uint64_t total = 0;

	if (begin_production(p, err) < 0)
		return;
	while (wait_for_room(p->stream)) {
		ssize_t size = fill(p, buffer_at(p->stream, p->stream->made), err);
		if (size <= 0)
			return;
		total += (size_t)size;
		if (limit && total > limit) {
			err_msg(err, EFBIG, "unpack", "the archive", "its content is larger than %llu MiB",
				(unsigned long long)(limit >> 20));
			return;
		}
		publish(p->stream, (size_t)size);
	}
}

static void *producer_thread(void *argument)
{
	struct stream *s = argument;
	struct production production = { .stream = s, .in = s->input, .left = s->source.size };
	struct azm_err err = { 0 };
	struct digest digest;

	produce(&production, &err);
	inflater_free(production.inflater);
	bool matches = true;
	if (production.hasher) {
		hasher_end(production.hasher, &digest);
		matches = digest_equal(&digest, &s->digest);
	}
	pthread_mutex_lock(&s->lock);
	s->error = err;
	s->matches = matches;
	s->ended = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the readers ----------------------------------------------------------------------------------------------- */

/* For the hashing thread: wait for its next buffer. Return: its size, 0 at the end. */
static size_t wait_to_hash(struct stream *s)
{
	while (s->hashed == s->made && !s->ended && !s->closing)
		pthread_cond_wait(&s->changed, &s->lock);
	return s->hashed == s->made || s->closing ? 0 : s->used[s->hashed % RING];
}

static void *hashing_thread(void *argument)
{
	struct stream *s = argument;
	struct hasher *hasher = hasher_new(s->diff_id.algorithm);
	struct digest digest;
	size_t size;

	pthread_mutex_lock(&s->lock);
	while ((size = wait_to_hash(s)) > 0) {
		const unsigned char *data = buffer_at(s, s->hashed);
		pthread_mutex_unlock(&s->lock);
		hasher_add(hasher, data, size);
		pthread_mutex_lock(&s->lock);
		s->hashed++;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	hasher_end(hasher, &digest);
	/* Read after the thread was joined. */
	s->plain_matches = digest_equal(&digest, &s->diff_id);
	s->diff_id = s->source.diff_id ? s->diff_id : digest;
	return NULL;
}

/* Wait for the caller's next buffer, but not longer than a tick. Return: whether there is one, or the end. */
static bool wait_a_tick(struct stream *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (s->read == s->made && !s->ended)
		if (pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &until) == ETIMEDOUT)
			return false;
	return true;
}

ssize_t stream_peek(struct stream *s, const void **data, struct azm_err *err)
{
	for (bool there = false; !there;) {
		pthread_mutex_lock(&s->lock);
		there = wait_a_tick(s);
		uint64_t consumed = s->consumed;
		pthread_mutex_unlock(&s->lock);
		if (s->source.tick && s->source.tick(s->source.context, consumed, err) < 0)
			return -1;
	}
	/* Nobody but this thread moves `read`, and what was made or has ended stays so. */
	pthread_mutex_lock(&s->lock);
	size_t size = s->read == s->made ? 0 : s->used[s->read % RING];
	*data = buffer_at(s, s->read);
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

static int start_threads(struct stream *s, struct azm_err *err)
{
	s->hashing_runs = s->source.diff_id || s->source.measure;
	int code = pthread_create(&s->producer, NULL, producer_thread, s);
	s->producing = code == 0;
	if (code == 0 && s->hashing_runs) {
		code = pthread_create(&s->hashing, NULL, hashing_thread, s);
		s->hashing_runs = code == 0;
	}
	return code ? err_code(err, code, "start a thread", NULL) : 0;
}

struct stream *stream_new(const struct stream_source *source, struct azm_err *err)
{
	struct stream *s = xcalloc(1, sizeof *s);

	s->source = *source;
	if (source->digest)
		s->digest = *source->digest;
	if (source->diff_id)
		s->diff_id = *source->diff_id;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->input = xcalloc(1, BUFFER + CODEC_MAGIC);
	s->wake = eventfd(0, EFD_CLOEXEC);
	s->ring = mmap(NULL, (size_t)RING * BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->ring == MAP_FAILED)
		s->ring = NULL;
	if (!s->ring || s->wake < 0)
		err_sys(err, "allocate buffers", NULL);
	else if (start_threads(s, err) == 0)
		return s;
	stream_close(s);
	return NULL;
}

static void join_threads(struct stream *s)
{
	if (s->producing)
		pthread_join(s->producer, NULL);
	if (s->hashing_runs)
		pthread_join(s->hashing, NULL);
	s->producing = s->hashing_runs = false;
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

	if (drain(s, err) < 0)
		return -1;
	join_threads(s);
	if (s->source.digest && !s->matches) {
		digest_text(&s->digest, wanted);
		return err_msg(err, EBADMSG, "verify", wanted, "the content is not what the image names");
	}
	if (s->source.diff_id && !s->plain_matches) {
		digest_text(&s->diff_id, wanted);
		return err_msg(
			err, EBADMSG, "verify", wanted, "the layer's content is not what the configuration names");
	}
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
	join_threads(s);
	cleanup_close_fd(&s->wake);
	if (s->ring)
		munmap(s->ring, (size_t)RING * BUFFER);
	free(s->input);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

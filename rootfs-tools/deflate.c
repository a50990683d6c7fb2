// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/deflate.c: see deflate.h.
 *
 * Theory of operation
 *
 * The input is cut into chunks of a fixed size. Each is deflated for itself, with the 32 KiB in front of it as the
 * dictionary, and ends on a whole byte (Z_SYNC_FLUSH), so that the pieces put one after the other are one stream: what
 * pigz does. Which thread takes which chunk changes nothing in the result. The chunks stand in a ring: the caller fills
 * them, threads take them in order, and the caller hands out those that are ready, oldest first, when it needs room.
 * Checksums of the chunks are combined.
 *
 * zstd is several times as fast as the disk already: it is run by the caller's thread, as is no compression at all.
 */
#include "rootfs-tools/deflate.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/str.h"

enum { WINDOW = 32 * 1024, RING = 12, THREADS_MAX = 8, GZIP_LEVEL = 6, ZSTD_LEVEL = 3 };

struct chunk {
	unsigned char *in, *out; /* DEFLATE_CHUNK, and what deflateBound() says of it */
	size_t size, result;
	uint32_t crc;
	bool ready;
};

struct deflater {
	enum codec codec;
	int level;
	deflate_output output;
	void *context;

	ZSTD_CCtx *zstd;
	size_t out_room;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t threads[THREADS_MAX];
	int thread_count;
	struct chunk ring[RING];
	uint64_t submitted, taken, written; /* positions */
	bool ended, failed;
	unsigned long crc;
	uint32_t plain_size; /* modulo 2^32, as gzip has it */
};

static struct chunk *chunk_at(struct deflater *d, uint64_t position)
{
	return &d->ring[position % RING];
}

/* ---- the threads of gzip --------------------------------------------------------------------------------------- */

static bool deflate_chunk(const struct deflater *d, z_stream *z, struct chunk *c, const unsigned char *dictionary)
{
	if (deflateReset(z) != Z_OK)
		return false;
	if (dictionary && deflateSetDictionary(z, dictionary, WINDOW) != Z_OK)
		return false;
	z->next_in = c->in;
	z->avail_in = (unsigned)c->size;
	z->next_out = c->out;
	z->avail_out = (unsigned)d->out_room;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
		return false;
	c->result = d->out_room - z->avail_out;
	c->crc = (uint32_t)crc32(crc32(0, NULL, 0), c->in, (unsigned)c->size);
	return true;
}

/* The next chunk nobody has taken. Return: false at the end. */
static bool take(struct deflater *d, uint64_t *position)
{
	while (d->taken == d->submitted && !d->ended)
		pthread_cond_wait(&d->changed, &d->lock);
	*position = d->taken;
	if (d->taken == d->submitted)
		return false;
	d->taken++;
	return true;
}

static void *gzip_thread(void *argument)
{
	struct deflater *d = argument;
	z_stream z = { 0 };
	bool good = deflateInit2(&z, d->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	uint64_t position;

	pthread_mutex_lock(&d->lock);
	while (take(d, &position)) {
		struct chunk *c = chunk_at(d, position);
		/* The one before stays in the ring until this one is written, see make_room(). */
		const unsigned char *before =
			position > 0 ? chunk_at(d, position - 1)->in + DEFLATE_CHUNK - WINDOW : NULL;
		pthread_mutex_unlock(&d->lock);
		good = good && deflate_chunk(d, &z, c, before);
		pthread_mutex_lock(&d->lock);
		c->ready = true;
		d->failed |= !good;
		pthread_cond_broadcast(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	(void)deflateEnd(&z);
	return NULL;
}

static int processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static int start_threads(struct deflater *d, struct azm_err *err)
{
	int wanted = processors(), code = 0;

	for (int i = 0; code == 0 && i < wanted && i < THREADS_MAX; i++) {
		code = pthread_create(&d->threads[i], NULL, gzip_thread, d);
		d->thread_count += code == 0;
	}
	return d->thread_count ? 0 : err_code(err, code, "start a thread", NULL);
}

/* Hand out the oldest chunk, once it is ready. */
static int write_oldest(struct deflater *d, struct azm_err *err)
{
	struct chunk *c = chunk_at(d, d->written);

	pthread_mutex_lock(&d->lock);
	while (!c->ready)
		pthread_cond_wait(&d->changed, &d->lock);
	bool failed = d->failed;
	pthread_mutex_unlock(&d->lock);
	if (failed)
		return err_msg(err, ENOMEM, "compress", "the layer", "zlib failed");
	if (d->output(d->context, c->out, c->result, err) < 0)
		return -1;
	d->crc = crc32_combine(d->crc, c->crc, (long)c->size);
	c->ready = false;
	d->written++;
	return 0;
}

/* One slot less than the ring has: the chunk before the oldest is its dictionary. */
static int make_room(struct deflater *d, struct azm_err *err)
{
	while (d->submitted - d->written >= RING - 1)
		if (write_oldest(d, err) < 0)
			return -1;
	return 0;
}

static int begin_gzip(struct deflater *d, struct azm_err *err)
{
	/* No name, no time, unknown system (RFC 1952). */
	static const unsigned char header[10] = { 0x1f, 0x8b, 8, [9] = 0xff };

	d->level = d->level ? d->level : GZIP_LEVEL;
	d->crc = crc32(0, NULL, 0);
	d->out_room = compressBound(DEFLATE_CHUNK) + 64;
	for (int i = 0; i < RING; i++) {
		d->ring[i].in = xcalloc(1, DEFLATE_CHUNK);
		d->ring[i].out = xcalloc(1, d->out_room);
	}
	return start_threads(d, err) < 0 ? -1 : d->output(d->context, header, sizeof header, err);
}

static void submit_gzip(struct deflater *d, size_t size)
{
	d->plain_size += (uint32_t)size;
	pthread_mutex_lock(&d->lock);
	chunk_at(d, d->submitted)->size = size;
	d->submitted++;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static void put_little_endian(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static int finish_gzip(struct deflater *d, struct azm_err *err)
{
	/* An empty last block of fixed codes, then the trailer. */
	unsigned char end[10] = { 0x03, 0x00 };

	while (d->written < d->submitted)
		if (write_oldest(d, err) < 0)
			return -1;
	put_little_endian(end + 2, (uint32_t)d->crc);
	put_little_endian(end + 6, d->plain_size);
	return d->output(d->context, end, sizeof end, err);
}

/* ---- zstd ------------------------------------------------------------------------------------------------------ */

static int begin_zstd(struct deflater *d, struct azm_err *err)
{
	d->zstd = ZSTD_createCCtx();
	d->out_room = ZSTD_CStreamOutSize();
	d->ring[0].in = xcalloc(1, DEFLATE_CHUNK);
	d->ring[0].out = xcalloc(1, d->out_room);
	if (!d->zstd ||
		ZSTD_isError(
			ZSTD_CCtx_setParameter(d->zstd, ZSTD_c_compressionLevel, d->level ? d->level : ZSTD_LEVEL)) ||
		ZSTD_isError(ZSTD_CCtx_setParameter(d->zstd, ZSTD_c_checksumFlag, 1)))
		return err_code(err, ENOMEM, "compress", "the layer");
	return 0;
}

static int run_zstd(struct deflater *d, size_t size, ZSTD_EndDirective how, struct azm_err *err)
{
	ZSTD_inBuffer in = { d->ring[0].in, size, 0 };
	size_t left;

	do {
		ZSTD_outBuffer out = { d->ring[0].out, d->out_room, 0 };
		left = ZSTD_compressStream2(d->zstd, &out, &in, how);
		if (ZSTD_isError(left))
			return err_msg(err, ENOMEM, "compress", "the layer", "%s", ZSTD_getErrorName(left));
		if (out.pos > 0 && d->output(d->context, out.dst, out.pos, err) < 0)
			return -1;
	} while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
	return 0;
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static int begin(struct deflater *d, struct azm_err *err)
{
	switch (d->codec) {
	case CODEC_NONE:
		d->ring[0].in = xcalloc(1, DEFLATE_CHUNK);
		return 0;
	case CODEC_GZIP:
		return begin_gzip(d, err);
	case CODEC_ZSTD:
		return begin_zstd(d, err);
	default:
		return err_msg(err, EINVAL, "compress", codec_name(d->codec), "layers are not written in that");
	}
}

struct deflater *deflater_new(enum codec codec, int level, deflate_output output, void *context, struct azm_err *err)
{
	struct deflater *d = xcalloc(1, sizeof *d);

	d->codec = codec;
	d->level = level;
	d->output = output;
	d->context = context;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	if (begin(d, err) == 0)
		return d;
	deflater_free(d);
	return NULL;
}

void *deflater_buffer(struct deflater *d, struct azm_err *err)
{
	if (d->codec != CODEC_GZIP)
		return d->ring[0].in;
	return make_room(d, err) < 0 ? NULL : chunk_at(d, d->submitted)->in;
}

int deflater_submit(struct deflater *d, size_t size, struct azm_err *err)
{
	switch (d->codec) {
	case CODEC_GZIP:
		submit_gzip(d, size);
		return 0;
	case CODEC_ZSTD:
		return run_zstd(d, size, ZSTD_e_continue, err);
	default:
		return d->output(d->context, d->ring[0].in, size, err);
	}
}

int deflater_finish(struct deflater *d, struct azm_err *err)
{
	switch (d->codec) {
	case CODEC_GZIP:
		return finish_gzip(d, err);
	case CODEC_ZSTD:
		return run_zstd(d, 0, ZSTD_e_end, err);
	default:
		return 0;
	}
}

void deflater_free(struct deflater *d)
{
	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->ended = true;
	d->taken = d->submitted; /* what nobody waits for is not compressed */
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	for (int i = 0; i < d->thread_count; i++)
		pthread_join(d->threads[i], NULL);
	ZSTD_freeCCtx(d->zstd);
	for (int i = 0; i < RING; i++) {
		free(d->ring[i].in);
		free(d->ring[i].out);
	}
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

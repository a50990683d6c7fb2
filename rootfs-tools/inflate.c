// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/inflate.c: see inflate.h.
 *
 * Theory of operation
 *
 * A codec is a row of functions over its library's state: begin a stream, go on with it. Everything that the formats
 * have in common (one stream after the other, padding, an end in the middle) is here once.
 *
 * gzip is ISA-L's where the host has it: it takes a third of zlib's time, and gzip is what most layers are. It is
 * loaded when it is needed (dlopen), so that nobody has to install it.
 */
#include "rootfs-tools/inflate.h"

#include <bzlib.h>
#include <dlfcn.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/str.h"

enum { WINDOW_LOG_MAX = 26, XZ_MEMORY = 96 << 20 };

/* Where the bytes are; what the libraries advance. */
struct span {
	const unsigned char *in;
	size_t in_size;
	unsigned char *out;
	size_t room;
};

enum step { STEP_MORE, STEP_STREAM_END, STEP_BAD, STEP_TOO_BIG };

struct isal {
	void *library;
	void (*init)(struct inflate_state *);
	void (*reset)(struct inflate_state *);
	int (*inflate)(struct inflate_state *);
};

struct inflater {
	enum codec codec;
	bool inside;  /* a stream has begun */
	bool padding; /* the last stream has ended and zeros were seen */
	bool any;     /* a stream has ended */
	struct isal isal;
	union {
		struct inflate_state *isal;
		z_stream zlib;
		ZSTD_DStream *zstd;
		lzma_stream xz;
		bz_stream bzip2;
	} state;
};

/* ---- gzip ------------------------------------------------------------------------------------------------------ */

static bool isal_load(struct isal *isal)
{
	isal->library = dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
	if (!isal->library)
		return false;
	*(void **)&isal->init = dlsym(isal->library, "isal_inflate_init");
	*(void **)&isal->reset = dlsym(isal->library, "isal_inflate_reset");
	*(void **)&isal->inflate = dlsym(isal->library, "isal_inflate");
	if (isal->init && isal->reset && isal->inflate)
		return true;
	dlclose(isal->library);
	*isal = (struct isal){ 0 };
	return false;
}

static int gzip_open(struct inflater *f)
{
	if (!isal_load(&f->isal))
		return inflateInit2(&f->state.zlib, 15 + 16) == Z_OK ? 0 : -1;
	f->state.isal = xcalloc(1, sizeof *f->state.isal);
	f->isal.init(f->state.isal);
	return 0;
}

static void gzip_close(struct inflater *f)
{
	if (!f->isal.library) {
		inflateEnd(&f->state.zlib);
		return;
	}
	free(f->state.isal);
	dlclose(f->isal.library);
}

static int gzip_begin(struct inflater *f)
{
	if (!f->isal.library)
		return inflateReset(&f->state.zlib) == Z_OK ? 0 : -1;
	f->isal.reset(f->state.isal);
	f->state.isal->crc_flag = ISAL_GZIP;
	return 0;
}

static enum step isal_step(struct inflater *f, struct span *span)
{
	struct inflate_state *state = f->state.isal;

	state->next_in = (uint8_t *)span->in;
	state->avail_in = (uint32_t)(span->in_size > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->in_size);
	state->next_out = span->out;
	state->avail_out = (uint32_t)(span->room > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->room);
	int result = f->isal.inflate(state);
	span->in_size -= (size_t)(state->next_in - span->in);
	span->in = state->next_in;
	span->room -= (size_t)(state->next_out - span->out);
	span->out = state->next_out;
	if (result < 0)
		return STEP_BAD;
	return state->block_state == ISAL_BLOCK_FINISH && state->tmp_out_processed == state->tmp_out_valid
		       ? STEP_STREAM_END
		       : STEP_MORE;
}

static enum step gzip_step(struct inflater *f, struct span *span)
{
	if (f->isal.library)
		return isal_step(f, span);
	z_stream *z = &f->state.zlib;
	z->next_in = (Bytef *)span->in;
	z->avail_in = (uInt)(span->in_size > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->in_size);
	z->next_out = span->out;
	z->avail_out = (uInt)(span->room > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->room);
	int result = inflate(z, Z_NO_FLUSH);
	span->in_size -= (size_t)(z->next_in - span->in);
	span->in = z->next_in;
	span->room -= (size_t)(z->next_out - span->out);
	span->out = z->next_out;
	if (result == Z_STREAM_END)
		return STEP_STREAM_END;
	return result == Z_OK || result == Z_BUF_ERROR ? STEP_MORE : STEP_BAD;
}

/* ---- zstd ------------------------------------------------------------------------------------------------------ */

static int zstd_open(struct inflater *f)
{
	f->state.zstd = ZSTD_createDStream();
	return f->state.zstd &&
			       !ZSTD_isError(ZSTD_DCtx_setParameter(f->state.zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))
		       ? 0
		       : -1;
}

static void zstd_close(struct inflater *f)
{
	ZSTD_freeDStream(f->state.zstd);
}

static int zstd_begin(struct inflater *f)
{
	return ZSTD_isError(ZSTD_DCtx_reset(f->state.zstd, ZSTD_reset_session_only)) ? -1 : 0;
}

static enum step zstd_step(struct inflater *f, struct span *span)
{
	ZSTD_inBuffer in = { span->in, span->in_size, 0 };
	ZSTD_outBuffer out = { span->out, span->room, 0 };
	size_t result = ZSTD_decompressStream(f->state.zstd, &out, &in);

	span->in += in.pos;
	span->in_size -= in.pos;
	span->out += out.pos;
	span->room -= out.pos;
	if (ZSTD_isError(result))
		return ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge ? STEP_TOO_BIG : STEP_BAD;
	return result == 0 ? STEP_STREAM_END : STEP_MORE;
}

/* ---- xz -------------------------------------------------------------------------------------------------------- */

static int xz_open(struct inflater *f)
{
	f->state.xz = (lzma_stream)LZMA_STREAM_INIT;
	return 0;
}

static void xz_close(struct inflater *f)
{
	lzma_end(&f->state.xz);
}

static int xz_begin(struct inflater *f)
{
	return lzma_stream_decoder(&f->state.xz, XZ_MEMORY, 0) == LZMA_OK ? 0 : -1;
}

static enum step xz_step(struct inflater *f, struct span *span)
{
	lzma_stream *xz = &f->state.xz;

	xz->next_in = span->in;
	xz->avail_in = span->in_size;
	xz->next_out = span->out;
	xz->avail_out = span->room;
	lzma_ret result = lzma_code(xz, LZMA_RUN);
	span->in = xz->next_in;
	span->in_size = xz->avail_in;
	span->out = xz->next_out;
	span->room = xz->avail_out;
	if (result == LZMA_MEMLIMIT_ERROR)
		return STEP_TOO_BIG;
	if (result == LZMA_STREAM_END)
		return STEP_STREAM_END;
	return result == LZMA_OK || result == LZMA_BUF_ERROR ? STEP_MORE : STEP_BAD;
}

/* ---- bzip2 ----------------------------------------------------------------------------------------------------- */

static int bzip2_open(struct inflater *f)
{
	return BZ2_bzDecompressInit(&f->state.bzip2, 0, 0) == BZ_OK ? 0 : -1;
}

static void bzip2_close(struct inflater *f)
{
	BZ2_bzDecompressEnd(&f->state.bzip2);
}

static int bzip2_begin(struct inflater *f)
{
	BZ2_bzDecompressEnd(&f->state.bzip2);
	memset(&f->state.bzip2, 0, sizeof f->state.bzip2);
	return bzip2_open(f);
}

static enum step bzip2_step(struct inflater *f, struct span *span)
{
	bz_stream *bz = &f->state.bzip2;

	bz->next_in = (char *)span->in;
	bz->avail_in = (unsigned)(span->in_size > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->in_size);
	bz->next_out = (char *)span->out;
	bz->avail_out = (unsigned)(span->room > UINT32_MAX / 2 ? UINT32_MAX / 2 : span->room);
	int result = BZ2_bzDecompress(bz);
	span->in_size -= (size_t)((unsigned char *)bz->next_in - span->in);
	span->in = (unsigned char *)bz->next_in;
	span->room -= (size_t)((unsigned char *)bz->next_out - span->out);
	span->out = (unsigned char *)bz->next_out;
	if (result == BZ_STREAM_END)
		return STEP_STREAM_END;
	return result == BZ_OK ? STEP_MORE : STEP_BAD;
}

/* ---- none ------------------------------------------------------------------------------------------------------ */

static int nothing(struct inflater *f)
{
	(void)f;
	return 0;
}

static void nothing_to_close(struct inflater *f)
{
	(void)f;
}

static enum step copy_step(struct inflater *f, struct span *span)
{
	size_t size = span->in_size < span->room ? span->in_size : span->room;

	(void)f;
	memcpy(span->out, span->in, size);
	span->in += size;
	span->in_size -= size;
	span->out += size;
	span->room -= size;
	return STEP_MORE;
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned char magic[CODEC_MAGIC];
	size_t magic_size;
	int (*open)(struct inflater *);
	int (*begin)(struct inflater *);
	enum step (*step)(struct inflater *, struct span *);
	void (*close)(struct inflater *);
} codecs[] = {
	[CODEC_NONE] = { "none", { 0 }, 0, nothing, nothing, copy_step, nothing_to_close },
	[CODEC_GZIP] = { "gzip", { 0x1f, 0x8b }, 2, gzip_open, gzip_begin, gzip_step, gzip_close },
	[CODEC_ZSTD] = { "zstd", { 0x28, 0xb5, 0x2f, 0xfd }, 4, zstd_open, zstd_begin, zstd_step, zstd_close },
	[CODEC_XZ] = { "xz", { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, xz_open, xz_begin, xz_step, xz_close },
	[CODEC_BZIP2] = { "bzip2", { 'B', 'Z', 'h' }, 3, bzip2_open, bzip2_begin, bzip2_step, bzip2_close },
};

/* pzstd begins with such a frame, zstd:chunked ends with some: 0x184D2A50 to 0x184D2A5F, least byte first. */
static bool is_skippable_frame(const unsigned char *data, size_t size)
{
	static const unsigned char rest[] = { 0x2a, 0x4d, 0x18 };

	return size > sizeof rest && (*data & 0xf0) == 0x50 && memcmp(data + 1, rest, sizeof rest) == 0;
}

/* "BZh" may well begin the name of a file, the first bytes of a plain tar: a block or the end mark has to follow. */
static bool is_bzip2(const unsigned char *data, size_t size)
{
	static const unsigned char block[] = { 0x31, 0x41, 0x59, 0x26, 0x53, 0x59 };
	static const unsigned char end[] = { 0x17, 0x72, 0x45, 0x38, 0x50, 0x90 };

	return size >= 4 + sizeof block && data[3] >= '1' && data[3] <= '9' &&
	       (memcmp(data + 4, block, sizeof block) == 0 || memcmp(data + 4, end, sizeof end) == 0);
}

enum codec codec_detect(const unsigned char *data, size_t size)
{
	if (is_skippable_frame(data, size))
		return CODEC_ZSTD;
	for (size_t i = CODEC_NONE + 1; i < sizeof codecs / sizeof *codecs; i++)
		if (size >= codecs[i].magic_size && memcmp(data, codecs[i].magic, codecs[i].magic_size) == 0)
			return i == CODEC_BZIP2 && !is_bzip2(data, size) ? CODEC_NONE : (enum codec)i;
	return CODEC_NONE;
}

const char *codec_name(enum codec codec)
{
	return codecs[codec].name;
}

struct inflater *inflater_new(enum codec codec, struct azm_err *err)
{
	struct inflater *f = xcalloc(1, sizeof *f);

	f->codec = codec;
	if (codecs[codec].open(f) == 0)
		return f;
	err_code(err, ENOMEM, "decompress", codecs[codec].name);
	free(f);
	return NULL;
}

void inflater_free(struct inflater *f)
{
	if (!f)
		return;
	codecs[f->codec].close(f);
	free(f);
}

/* Whether another stream may begin with this byte; the library says whether it is one. */
static bool may_begin(const struct inflater *f, unsigned char first)
{
	return first == codecs[f->codec].magic[0] || (f->codec == CODEC_ZSTD && (first & 0xf0) == 0x50);
}

/* Between streams: another one, padding, or what does not belong here. Return: 1 a stream has begun, 0 nothing yet. */
static int next_stream(struct inflater *f, struct span *span, struct azm_err *err)
{
	while (f->any && span->in_size > 0 && *span->in == 0) {
		f->padding = true;
		span->in++;
		span->in_size--;
	}
	if (span->in_size == 0)
		return 0;
	if (f->padding || (f->any && !may_begin(f, *span->in)))
		return err_msg(
			err, EINVAL, "decompress", codecs[f->codec].name, "something follows the compressed data");
	if (codecs[f->codec].begin(f) < 0)
		return err_code(err, ENOMEM, "decompress", codecs[f->codec].name);
	f->inside = true;
	return 1;
}

static int bad_step(const struct inflater *f, enum step step, struct azm_err *err)
{
	if (step == STEP_TOO_BIG)
		return err_msg(err, ENOMEM, "decompress", codecs[f->codec].name,
			"it needs more memory than is allowed (a window of more than %d MiB)",
			1 << (WINDOW_LOG_MAX - 20));
	return err_msg(err, EINVAL, "decompress", codecs[f->codec].name, "the data is damaged");
}

ssize_t inflater_run(struct inflater *f, const unsigned char **in, size_t *in_size, unsigned char *out, size_t room,
	bool end, struct azm_err *err)
{
	struct span span = { *in, *in_size, out, room };

	while (span.room > 0) {
		if (!f->inside) {
			int begun = next_stream(f, &span, err);
			if (begun < 0)
				return -1;
			if (begun == 0)
				break;
		}
		struct span before = span;
		enum step step = codecs[f->codec].step(f, &span);
		if (step >= STEP_BAD)
			return bad_step(f, step, err);
		if (step == STEP_STREAM_END) {
			f->inside = false;
			f->any = true;
		} else if (span.in == before.in && span.out == before.out) {
			break; /* wants more */
		}
	}
	*in = span.in;
	*in_size = span.in_size;
	if (end && span.out == out && f->inside && f->codec != CODEC_NONE)
		return err_msg(err, EINVAL, "decompress", codecs[f->codec].name, "the data ends too early");
	return span.out - out;
}

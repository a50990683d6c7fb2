// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_stream.c: digests, compressions and the pipeline that reads a blob through both
 * (rootfs-tools/digest.h, inflate.h, stream.h), and the set of numbers layers remember names in.
 */
#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "rootfs-tools/number_set.h"
#include "rootfs-tools/stream.h"

enum { PLAIN = 40000, ROOM = 4 * PLAIN };

/* Text that compresses, but not to nothing. */
static void fill_plain(unsigned char *plain, size_t size)
{
	uint32_t x = 1;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		plain[i] = (unsigned char)("abcdefgh"[x >> 29] + (i % 97 == 0 ? (int)(x >> 8 & 63) : 0));
	}
}

static size_t pack_gzip(const unsigned char *plain, size_t size, unsigned char *out)
{
	z_stream z = { 0 };

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)plain;
	z.avail_in = (uInt)size;
	z.next_out = out;
	z.avail_out = ROOM;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t used = z.total_out;
	deflateEnd(&z);
	return used;
}

static size_t pack_zstd(const unsigned char *plain, size_t size, unsigned char *out)
{
	return ZSTD_compress(out, ROOM, plain, size, 3);
}

static size_t pack_xz(const unsigned char *plain, size_t size, unsigned char *out)
{
	size_t used = 0;

	assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, NULL, plain, size, out, &used, ROOM), LZMA_OK);
	return used;
}

static size_t pack_bzip2(const unsigned char *plain, size_t size, unsigned char *out)
{
	unsigned used = ROOM;

	assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out, &used, (char *)plain, (unsigned)size, 1, 0, 0), BZ_OK);
	return used;
}

static const struct packer {
	enum codec codec;
	size_t (*pack)(const unsigned char *plain, size_t size, unsigned char *out);
} packers[] = {
	{ CODEC_GZIP, pack_gzip },
	{ CODEC_ZSTD, pack_zstd },
	{ CODEC_XZ, pack_xz },
	{ CODEC_BZIP2, pack_bzip2 },
	{ CODEC_NONE, NULL },
};

/* All of an input, given @step bytes at a time. Return: bytes that came out, -1 with @err. */
static ssize_t unpack(enum codec codec, const unsigned char *in, size_t size, size_t step, unsigned char *out,
	size_t room, struct azm_err *err)
{
	struct inflater *f = inflater_new(codec, err);
	size_t used = 0, given = 0;
	const unsigned char *next = in;

	assert_non_null(f);
	for (;;) {
		size_t left = (size_t)(in + given - next);
		ssize_t n = inflater_run(
			f, &next, &left, out + used, room - used < step ? room - used : step, given == size, err);
		if (n < 0) {
			inflater_free(f);
			return -1;
		}
		used += (size_t)n;
		assert_true(used < room);
		if (n > 0)
			continue;
		if (given == size)
			break;
		given += size - given < step ? size - given : step;
	}
	inflater_free(f);
	return (ssize_t)used;
}

/* ---- digests --------------------------------------------------------------------------------------------------- */

static void digests_are_read_and_written(void **state)
{
	static const char abc[] = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	static const char *const bad[] = { "", "sha256:", "sha256:ba78", "md5:ba7816bf",
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
		"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
		"sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha256:../../../../../../../../../../../../../../../../../../../../../etc", NULL };
	struct digest named, computed;
	struct azm_err err = { 0 };
	char text[DIGEST_TEXT_SIZE];

	(void)state;
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	hasher_add(hasher, "ab", 2);
	hasher_add(hasher, "c", 1);
	hasher_end(hasher, &computed);
	assert_int_equal(digest_parse(abc, &named, &err), 0);
	assert_true(digest_equal(&named, &computed));
	digest_text(&computed, text);
	assert_string_equal(text, abc);
	hasher = hasher_new(DIGEST_SHA512);
	hasher_end(hasher, &computed);
	digest_text(&computed, text);
	assert_int_equal(digest_parse(text, &named, &err), 0);
	assert_true(digest_equal(&named, &computed));
	for (const char *const *b = bad; *b; b++)
		assert_int_equal(digest_parse(*b, &named, &err), -1);
}

/* ---- compressions ---------------------------------------------------------------------------------------------- */

static void every_compression_is_undone_in_pieces_of_any_size(void **state)
{
	static const size_t steps[] = { 1, 7, 512, ROOM };
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	for (const struct packer *p = packers; p->pack; p++) {
		size_t size = p->pack(plain, sizeof plain, packed);
		assert_int_equal(codec_detect(packed, size), p->codec);
		for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
			assert_int_equal(unpack(p->codec, packed, size, steps[i], out, sizeof out, &err), PLAIN);
			assert_memory_equal(out, plain, PLAIN);
		}
	}
}

static void streams_one_after_the_other_are_one(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	/* Small first parts end anywhere in the words a decoder reads ahead. */
	for (const struct packer *p = packers; p->pack; p++) {
		for (size_t first = 0; first < 40; first++) {
			size_t size = p->pack(plain, first, packed);
			size += p->pack(plain + first, 100, packed + size);
			size += p->pack(plain + first + 100, 0, packed + size);
			assert_int_equal(unpack(p->codec, packed, size, 1, out, sizeof out, &err), first + 100);
			assert_memory_equal(out, plain, first + 100);
			assert_int_equal(unpack(p->codec, packed, size, ROOM, out, sizeof out, &err), first + 100);
			memset(packed + size, 0, 512); /* what a tape's block is filled with */
			assert_int_equal(
				unpack(p->codec, packed, size + 512, ROOM, out, sizeof out, &err), first + 100);
		}
	}
}

static void what_follows_the_last_stream_is_refused(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	for (const struct packer *p = packers; p->pack; p++) {
		size_t size = p->pack(plain, 100, packed);
		packed[size] = 'x';
		assert_int_equal(unpack(p->codec, packed, size + 1, ROOM, out, sizeof out, &err), -1);
		packed[size] = 0;
		packed[size + 1] = packed[0];
		assert_int_equal(unpack(p->codec, packed, size + 2, 1, out, sizeof out, &err), -1);
	}
}

static void an_end_in_the_middle_is_an_error_wherever_it_is(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	for (const struct packer *p = packers; p->pack; p++) {
		size_t size = p->pack(plain, 300, packed);
		for (size_t cut = 1; cut < size; cut++)
			assert_int_equal(unpack(p->codec, packed, cut, ROOM, out, sizeof out, &err), -1);
	}
}

static void damage_is_an_error(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	for (const struct packer *p = packers; p->pack; p++) {
		if (p->codec == CODEC_ZSTD)
			continue; /* frames need not have a checksum: these have none */
		size_t size = p->pack(plain, sizeof plain, packed);
		packed[size / 2] ^= 0x10;
		assert_int_equal(unpack(p->codec, packed, size, ROOM, out, sizeof out, &err), -1);
	}
}

static void skippable_frames_belong_to_zstd(void **state)
{
	static const unsigned char frame[] = { 0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z' };
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };

	(void)state;
	fill_plain(plain, sizeof plain);
	memcpy(packed, frame, sizeof frame);
	size_t size = sizeof frame + pack_zstd(plain, 1000, packed + sizeof frame);
	memcpy(packed + size, frame, sizeof frame);
	size += sizeof frame;
	assert_int_equal(codec_detect(packed, size), CODEC_ZSTD);
	assert_int_equal(unpack(CODEC_ZSTD, packed, size, 1, out, sizeof out, &err), 1000);
	assert_memory_equal(out, plain, 1000);
}

static void a_window_too_large_is_refused(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM], out[ROOM];
	struct azm_err err = { 0 };
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_inBuffer in = { plain, sizeof plain, 0 };
	ZSTD_outBuffer to = { packed, sizeof packed, 0 };

	(void)state;
	ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
	ZSTD_compressStream2(context, &to, &in, ZSTD_e_flush); /* the size is not known: the window is declared */
	ZSTD_compressStream2(context, &to, &in, ZSTD_e_end);
	ZSTD_freeCCtx(context);
	assert_int_equal(unpack(CODEC_ZSTD, packed, to.pos, ROOM, out, sizeof out, &err), -1);
	assert_true(err_is(&err, ENOMEM));
}

static void a_name_is_no_compression(void **state)
{
	(void)state;
	assert_int_equal(codec_detect((const unsigned char *)"BZh9-is-a-name", 14), CODEC_NONE);
	assert_int_equal(codec_detect((const unsigned char *)"bin/", 4), CODEC_NONE);
	assert_int_equal(codec_detect((const unsigned char *)"", 0), CODEC_NONE);
}

/* ---- streams --------------------------------------------------------------------------------------------------- */

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("blob", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, data, size), 0);
	return fd;
}

static struct digest digest_of(const void *data, size_t size)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest;

	hasher_add(hasher, data, size);
	hasher_end(hasher, &digest);
	return digest;
}

/* Read all of it. Return: what stream_finish() says; *size is what came out, *sum the sum of the bytes. */
static int read_all(const struct stream_source *source, size_t *size, struct azm_err *err)
{
	struct stream *s = stream_new(source, err);
	const void *data;
	ssize_t n;

	assert_non_null(s);
	for (*size = 0; (n = stream_next(s, &data, err)) > 0;)
		*size += (size_t)n;
	int result = n < 0 ? -1 : stream_finish(s, err);
	stream_close(s);
	return result;
}

static void a_blob_is_read_and_verified(void **state)
{
	enum { LARGE = 17 << 20 }; /* more than the rings hold */
	unsigned char *plain = malloc(LARGE), *packed = malloc(LARGE);
	struct azm_err err = { 0 };
	size_t size;

	(void)state;
	fill_plain(plain, LARGE);
	memset(packed, 'b', 6);
	size_t length = ZSTD_compress(packed + 6, LARGE - 6, plain, LARGE, 1);
	const struct digest digest = digest_of(packed + 6, length), diff_id = digest_of(plain, LARGE);
	cleanup_fd int fd = file_of(packed, 6 + length);
	struct stream_source source = { .fd = fd, .offset = 6, .size = length, .digest = &digest, .diff_id = &diff_id };
	assert_int_equal(read_all(&source, &size, &err), 0);
	assert_int_equal(size, LARGE);
	source.limit = LARGE;
	assert_int_equal(read_all(&source, &size, &err), 0);
	source.limit = LARGE - 1;
	assert_int_equal(read_all(&source, &size, &err), -1);
	assert_true(err_is(&err, EFBIG));
	source.limit = 0;
	source.digest = &diff_id;
	assert_int_equal(read_all(&source, &size, &err), -1);
	assert_true(err_is(&err, EBADMSG));
	source.digest = &digest;
	source.diff_id = &digest;
	assert_int_equal(read_all(&source, &size, &err), -1);
	assert_true(err_is(&err, EBADMSG));
	source.size = length + 1;
	assert_int_equal(read_all(&source, &size, &err), -1);
	source.size = length - 1;
	assert_int_equal(read_all(&source, &size, &err), -1);
	cleanup_fd int unpacked = file_of(plain, LARGE);
	source = (struct stream_source){ .fd = unpacked, .size = LARGE, .digest = &diff_id, .diff_id = &diff_id };
	assert_int_equal(read_all(&source, &size, &err), 0);
	assert_int_equal(size, LARGE);
	free(plain);
	free(packed);
}

static int give_up(void *context, uint64_t consumed, struct azm_err *err)
{
	(void)consumed;
	return --*(int *)context < 0 ? err_code(err, EINTR, "wait", NULL) : 0;
}

static void a_silent_pipe_can_be_left(void **state)
{
	struct azm_err err = { 0 };
	const void *data;
	int ends[2], ticks = 2;

	(void)state;
	assert_int_equal(pipe_pair(ends, &err), 0);
	struct stream_source source = {
		.fd = ends[0], .size = STREAM_SIZE_UNKNOWN, .tick = give_up, .context = &ticks
	};
	struct stream *s = stream_new(&source, &err);
	assert_non_null(s);
	assert_int_equal(stream_next(s, &data, &err), -1);
	assert_true(err_is(&err, EINTR));
	stream_close(s); /* and does not wait for the pipe */
	close(ends[0]);
	close(ends[1]);
}

static void a_pipe_may_give_single_bytes(void **state)
{
	static unsigned char plain[PLAIN], packed[ROOM];
	struct azm_err err = { 0 };
	const void *data;
	int ends[2];

	(void)state;
	fill_plain(plain, sizeof plain);
	size_t size = pack_gzip(plain, 100, packed);
	assert_int_equal(pipe_pair(ends, &err), 0);
	struct stream_source source = { .fd = ends[0], .size = STREAM_SIZE_UNKNOWN };
	struct stream *s = stream_new(&source, &err);
	assert_non_null(s);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(write_full(ends[1], packed + i, 1), 0);
	close(ends[1]);
	assert_int_equal(stream_peek(s, &data, &err), 100);
	assert_int_equal(stream_codec(s), CODEC_GZIP);
	assert_int_equal(stream_next(s, &data, &err), 100);
	assert_memory_equal(data, plain, 100);
	assert_int_equal(stream_next(s, &data, &err), 0);
	assert_false(stream_ended_in_zeros(s));
	assert_int_equal(stream_finish(s, &err), 0);
	stream_close(s);
	close(ends[0]);
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

static void sets_remember_numbers_and_values(void **state)
{
	struct number_set set = { 0 }, map = { 0 };
	uint64_t value = 0;

	(void)state;
	assert_false(number_set_has(&set, 7));
	for (uint64_t i = 0; i < 5000; i++) {
		number_set_add(&set, i << 40);
		number_set_add(&set, i << 40);
		number_set_put(&map, i, i);
		number_set_put(&map, i, i * i);
	}
	assert_int_equal(set.count, 5000);
	for (uint64_t i = 2; i < 5000; i++) { /* 0 counts as 1 */
		assert_true(number_set_has(&set, i << 40));
		assert_false(number_set_has(&set, (i << 40) + 1));
		assert_true(number_set_get(&map, i, &value));
		assert_int_equal(value, i * i);
	}
	assert_false(number_set_get(&map, 5000, &value));
	number_set_free(&set);
	number_set_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_read_and_written),
		cmocka_unit_test(every_compression_is_undone_in_pieces_of_any_size),
		cmocka_unit_test(streams_one_after_the_other_are_one),
		cmocka_unit_test(what_follows_the_last_stream_is_refused),
		cmocka_unit_test(an_end_in_the_middle_is_an_error_wherever_it_is),
		cmocka_unit_test(damage_is_an_error),
		cmocka_unit_test(skippable_frames_belong_to_zstd),
		cmocka_unit_test(a_window_too_large_is_refused),
		cmocka_unit_test(a_name_is_no_compression),
		cmocka_unit_test(a_blob_is_read_and_verified),
		cmocka_unit_test(a_silent_pipe_can_be_left),
		cmocka_unit_test(a_pipe_may_give_single_bytes),
		cmocka_unit_test(sets_remember_numbers_and_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_sink.c: see layer_sink.h. */
#include "rootfs-tools/layer_sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/deflate.h"

struct layer_sink {
	struct deflater *deflater;
	struct hasher *plain, *packed; /* without compression they are the same: no `packed` */
	int fd;
	unsigned char *buffer; /* the deflater's; NULL: none was taken yet */
	size_t used;
	uint64_t plain_size, size;
};

static int write_out(void *context, const void *data, size_t size, struct azm_err *err)
{
	struct layer_sink *s = context;

	if (s->packed)
		hasher_add(s->packed, data, size);
	s->size += size;
	return write_full(s->fd, data, size) < 0 ? err_sys(err, "write", "the layer") : 0;
}

struct layer_sink *layer_sink_new(enum codec codec, int level, int fd, struct azm_err *err)
{
	struct layer_sink *s = xcalloc(1, sizeof *s);

	s->fd = fd;
	s->plain = hasher_new(DIGEST_SHA256);
	s->packed = codec == CODEC_NONE ? NULL : hasher_new(DIGEST_SHA256);
	s->deflater = deflater_new(codec, level, write_out, s, err);
	if (s->deflater)
		return s;
	layer_sink_free(s);
	return NULL;
}

void layer_sink_free(struct layer_sink *s)
{
	if (!s)
		return;
	deflater_free(s->deflater);
	hasher_free(s->plain);
	hasher_free(s->packed);
	free(s);
}

static int flush(struct layer_sink *s, struct azm_err *err)
{
	size_t size = s->used;

	if (size == 0)
		return 0;
	hasher_add(s->plain, s->buffer, size);
	s->buffer = NULL;
	s->used = 0;
	return deflater_submit(s->deflater, size, err);
}

void *layer_sink_reserve(struct layer_sink *s, size_t *room, struct azm_err *err)
{
	if (s->used == DEFLATE_CHUNK && flush(s, err) < 0)
		return NULL;
	if (!s->buffer)
		s->buffer = deflater_buffer(s->deflater, err);
	*room = DEFLATE_CHUNK - s->used;
	return s->buffer ? s->buffer + s->used : NULL;
}

void layer_sink_commit(struct layer_sink *s, size_t size)
{
	s->used += size;
	s->plain_size += size;
}

int layer_sink_add(struct layer_sink *s, const void *data, size_t size, struct azm_err *err)
{
	size_t room;

	for (size_t done = 0; done < size;) {
		unsigned char *to = layer_sink_reserve(s, &room, err);
		if (!to)
			return -1;
		size_t part = size - done < room ? size - done : room;
		memcpy(to, (const char *)data + done, part);
		layer_sink_commit(s, part);
		done += part;
	}
	return 0;
}

int layer_sink_zeros(struct layer_sink *s, size_t size, struct azm_err *err)
{
	size_t room;

	while (size > 0) {
		unsigned char *to = layer_sink_reserve(s, &room, err);
		if (!to)
			return -1;
		size_t part = size < room ? size : room;
		memset(to, 0, part);
		layer_sink_commit(s, part);
		size -= part;
	}
	return 0;
}

uint64_t layer_sink_plain_size(const struct layer_sink *s)
{
	return s->plain_size;
}

int layer_sink_finish(
	struct layer_sink *s, struct digest *digest, uint64_t *size, struct digest *diff_id, struct azm_err *err)
{
	if (flush(s, err) < 0 || deflater_finish(s->deflater, err) < 0)
		return -1;
	hasher_end(s->plain, diff_id);
	s->plain = NULL;
	*digest = *diff_id;
	if (s->packed)
		hasher_end(s->packed, digest);
	s->packed = NULL;
	*size = s->size;
	return 0;
}

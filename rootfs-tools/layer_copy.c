// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layer_copy.c: see layer_copy.h. One thread writes the layer into a pipe, the caller's applies it. */
#include "rootfs-tools/layer_copy.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

struct writing {
	const struct layer_write_source *source;
	struct layer_write_options options;
	int fd; /* closed at the end */
	struct layer_written written;
	int result;
	struct azm_err err;
};

static void *write_thread(void *argument)
{
	struct writing *w = argument;

	w->result = layer_write(w->source, &w->options, w->fd, &w->written, &w->err);
	close(w->fd);
	return NULL;
}

static int apply(int fd, const struct layer_taker *taker, struct job *job, struct azm_err *err)
{
	const struct stream_source from = {
		.fd = fd, .size = STREAM_SIZE_UNKNOWN, .tick = job ? job_tick : NULL, .context = job
	};
	struct stream *stream = stream_new(&from, err);
	int result = stream ? taker->apply(taker->context, stream, err) : -1;

	stream_close(stream);
	return result;
}

int layer_take(void *context, struct stream *stream, struct azm_err *err)
{
	return layer_apply(context, stream, err);
}

int layer_copy(const struct layer_write_source *source, const struct layer_taker *taker,
	const struct layer_write_options *options, struct job *job, struct digest *diff_id, struct azm_err *err)
{
	struct writing w = { .source = source, .options = *options };
	pthread_t thread;
	int ends[2];

	if (pipe_pair(ends, err) < 0)
		return -1;
	cleanup_fd int reader = ends[0];
	w.options.codec = CODEC_NONE;
	w.options.tick = NULL;
	w.fd = ends[1];
	int code = pthread_create(&thread, NULL, write_thread, &w);
	if (code) {
		close(w.fd);
		return err_code(err, code, "start a thread", NULL);
	}
	int result = apply(reader, taker, job, err);
	close(steal_fd(&reader)); /* a writer that still writes ends with EPIPE */
	pthread_join(thread, NULL);
	if (w.result < 0 && !err_is(&w.err, EPIPE)) { /* what the reader has to say is the consequence */
		*err = w.err;
		return -1;
	}
	if (result == 0 && diff_id)
		*diff_id = w.written.diff_id;
	return result;
}

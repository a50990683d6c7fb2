// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_write.c: see image_write.h. OCI image specification: image-layout.md, manifest.md, config.md; for
 * docker-archive, the manifest.json that `docker save` writes.
 *
 * Theory of operation
 *
 * Blobs are named by their content, which is known when they have been written. In a layout directory they are renamed
 * then. In an archive the block of the header is left free in front of each, and written afterwards; the archive is a
 * file that can be seeked in, made in a partial directory beside its final place (staging.h), or, for standard output,
 * without a name.
 *
 * No time, owner or order of anything depends on the run: the same layers and configuration give the same bytes.
 */
#include "rootfs-tools/image_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/image_write_internal.h"
#include "rootfs-tools/layer_sink.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/stream.h"

#define NEW_BLOB BLOBS ".new"
#define ARCHIVE	 "archive"

enum { COPY_BUFFER = 256 * 1024 };

/* A blob on its way. */
struct pending {
	int fd;	     /* written to at its position; borrowed from the writer for archives */
	off_t begin; /* archives: where its header goes */
};

static bool is_directory(const struct image_writer *w)
{
	return w->format == IMAGE_OCI_DIRECTORY;
}

/* ---- begin and end --------------------------------------------------------------------------------------------- */

static int open_scratch(struct azm_err *err)
{
	cleanup_fd int dir = scratch_directory(err);

	return dir < 0 ? -1 : scratch_file(dir, err);
}

static int begin(struct image_writer *w, const char *path, struct azm_err *err)
{
	w->to_stdout = strcmp(path, "-") == 0;
	if (w->to_stdout && is_directory(w))
		return err_msg(err, EINVAL, "write", path, "a directory cannot go to standard output");
	if (w->to_stdout && isatty(STDOUT_FILENO))
		return err_msg(err, EINVAL, "write", "standard output", "it is a terminal");
	if (w->to_stdout)
		return w->out = open_scratch(err);
	if (staging_begin(path, &w->staging, err) < 0)
		return -1;
	if (!is_directory(w))
		w->out = openat(w->staging.fd, ARCHIVE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	else if (mkdirat(w->staging.fd, "blobs", 0755) < 0 || mkdirat(w->staging.fd, "blobs/sha256", 0755) < 0)
		return err_sys(err, "write", path);
	return is_directory(w) || w->out >= 0 ? 0 : err_sys(err, "write", path);
}

/* Readers that unpack the archive want the directories said (containers/image as an ordinary user). */
static int put_directories(struct image_writer *w, struct azm_err *err)
{
	static const char *const names[] = { "blobs/", BLOBS };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct tar_entry entry = { .path = names[i], .type = TAR_DIRECTORY, .mode = 0755 };
		tar_put(&w->text, &entry);
	}
	return write_full(w->out, w->text.data, w->text.size) < 0 ? err_sys(err, "write", "the archive") : 0;
}

struct image_writer *image_writer_new(enum image_format format, const char *path, struct azm_err *err)
{
	struct image_writer *w = xcalloc(1, sizeof *w);
	const struct staging none = STAGING_NONE;

	*w = (struct image_writer){ .format = format, .staging = none, .out = -1 };
	if (begin(w, path, err) >= 0 && (format != IMAGE_OCI_ARCHIVE || put_directories(w, err) == 0))
		return w;
	image_writer_free(w);
	return NULL;
}

void image_writer_free(struct image_writer *w)
{
	if (!w)
		return;
	cleanup_close_fd(&w->out);
	staging_discard(&w->staging);
	tar_text_free(&w->text);
	free(w->layers);
	free(w);
}

/* ---- blobs ----------------------------------------------------------------------------------------------------- */

static int pending_begin(struct image_writer *w, struct pending *p, struct azm_err *err)
{
	static const char header[TAR_BLOCK];

	if (is_directory(w)) {
		p->fd = openat(w->staging.fd, NEW_BLOB, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
		return p->fd < 0 ? err_sys(err, "write", "a blob") : 0;
	}
	p->fd = w->out;
	p->begin = lseek(w->out, 0, SEEK_CUR);
	return p->begin < 0 || write_full(w->out, header, sizeof header) < 0 ? err_sys(err, "write", "the archive") : 0;
}

static void pending_end(const struct image_writer *w, struct pending *p)
{
	if (is_directory(w))
		cleanup_close_fd(&p->fd);
}

/* A name it has already: what was written is taken back. */
static int pending_drop(const struct image_writer *w, const struct pending *p, struct azm_err *err)
{
	if (is_directory(w))
		return unlinkat(w->staging.fd, NEW_BLOB, 0) < 0 ? err_sys(err, "write", "a blob") : 0;
	return lseek(w->out, p->begin, SEEK_SET) < 0 || ftruncate(w->out, p->begin) < 0
		       ? err_sys(err, "write", "the archive")
		       : 0;
}

/* Give it its name. */
static int pending_name(
	struct image_writer *w, const struct pending *p, const char *name, uint64_t size, struct azm_err *err)
{
	static const char zeros[TAR_BLOCK];
	const struct tar_entry entry = {
		.path = name, .type = TAR_FILE, .mode = 0644, .size = size, .one_block = true
	};

	if (is_directory(w))
		return renameat(w->staging.fd, NEW_BLOB, w->staging.fd, name) < 0 ? err_sys(err, "write", name) : 0;
	w->text.size = 0;
	tar_put(&w->text, &entry);
	if (TEMP_FAILURE_RETRY(pwrite(w->out, w->text.data, TAR_BLOCK, p->begin)) != TAR_BLOCK ||
		write_full(w->out, zeros, tar_padding(size)) < 0)
		return err_sys(err, "write", "the archive");
	return 0;
}

int image_writer_put_file(struct image_writer *w, const char *name, const char *data, size_t size, struct azm_err *err)
{
	struct pending p = { .fd = -1 };

	if (pending_begin(w, &p, err) < 0)
		return -1;
	int result =
		write_full(p.fd, data, size) < 0 ? err_sys(err, "write", name) : pending_name(w, &p, name, size, err);
	pending_end(w, &p);
	return result;
}

char *image_writer_layer_name(const struct image_writer *w, const struct written_layer *layer)
{
	char text[DIGEST_TEXT_SIZE];
	const char *hex = digest_hex(&layer->digest, text);

	return w->format == IMAGE_DOCKER_ARCHIVE ? xasprintf("%s.tar", hex) : xasprintf(BLOBS "%s", hex);
}

static bool is_there(const struct image_writer *w, const struct digest *digest)
{
	for (size_t i = 0; i < w->count; i++)
		if (digest_equal(&w->layers[i].digest, digest))
			return true;
	return false;
}

static int add_layer(
	struct image_writer *w, const struct pending *p, const struct written_layer *layer, struct azm_err *err)
{
	cleanup_free char *name = image_writer_layer_name(w, layer);
	int result = is_there(w, &layer->digest) ? pending_drop(w, p, err) : pending_name(w, p, name, layer->size, err);

	w->layers = xrealloc(w->layers, w->count + 1, sizeof *w->layers);
	w->layers[w->count++] = *layer;
	return result;
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

int image_writer_add_tree(struct image_writer *w, const struct layer_write_source *source,
	const struct layer_write_options *options, struct layer_written *written, struct azm_err *err)
{
	struct layer_write_options mine = *options;
	struct layer_written result;
	struct pending p = { .fd = -1 };

	if (w->format == IMAGE_DOCKER_ARCHIVE)
		mine.codec = CODEC_NONE;
	if (pending_begin(w, &p, err) < 0)
		return -1;
	int failed = layer_write(source, &mine, p.fd, &result, err);
	if (failed == 0) {
		const struct written_layer layer = {
			.digest = result.digest, .diff_id = result.diff_id, .size = result.size, .codec = mine.codec
		};
		failed = add_layer(w, &p, &layer, err);
	}
	pending_end(w, &p);
	if (failed == 0 && written)
		*written = result;
	return failed;
}

/* Hash what is between two positions of a file. */
static int hash_part(int fd, off_t begin, uint64_t size, struct digest *digest, struct azm_err *err)
{
	cleanup_free unsigned char *buffer = xcalloc(1, COPY_BUFFER);
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	ssize_t n = 1;

	for (uint64_t done = 0; done < size && n > 0; done += (uint64_t)n) {
		size_t part = size - done < COPY_BUFFER ? (size_t)(size - done) : COPY_BUFFER;
		n = TEMP_FAILURE_RETRY(pread(fd, buffer, part, begin + (off_t)done));
		if (n > 0)
			hasher_add(hasher, buffer, (size_t)n);
	}
	hasher_end(hasher, digest);
	return n > 0 || size == 0 ? 0 : err_code(err, n < 0 ? errno : EIO, "read", "the layer");
}

static int copy_bytes(int fd, const struct blob *blob, const struct job *job, struct azm_err *err)
{
	cleanup_free unsigned char *buffer = xcalloc(1, COPY_BUFFER);

	for (uint64_t done = 0; done < blob->size;) {
		size_t part = blob->size - done < COPY_BUFFER ? (size_t)(blob->size - done) : COPY_BUFFER;
		ssize_t n = TEMP_FAILURE_RETRY(pread(blob->fd, buffer, part, (off_t)(blob->offset + done)));
		if (n <= 0)
			return err_code(err, n < 0 ? errno : EIO, "read", "the layer");
		if (write_full(fd, buffer, (size_t)n) < 0)
			return err_sys(err, "write", "the layer");
		done += (size_t)n;
		if (job && job_interrupted(job, err) < 0)
			return -1;
	}
	return 0;
}

/* Decompress a blob, which is what both digests say or an error; into @sink, where there is one. */
static int run_stream(const struct blob *blob, const struct digest *digest, const struct digest *diff_id,
	struct layer_sink *sink, struct job *job, struct azm_err *err)
{
	const struct stream_source source = { .fd = blob->fd,
		.offset = blob->offset,
		.size = blob->size,
		.digest = digest,
		.diff_id = diff_id,
		.tick = job ? job_tick : NULL,
		.context = job };
	struct stream *stream = stream_new(&source, err);
	const void *data;
	ssize_t n = stream ? 0 : -1;

	while (stream && (n = stream_next(stream, &data, err)) > 0)
		if (sink && layer_sink_add(sink, data, (size_t)n, err) < 0)
			break;
	int result = n != 0 || stream_finish(stream, err) < 0 ? -1 : 0;
	stream_close(stream);
	return result;
}

/* As it is. The copy is what is verified. */
static int add_copy(struct image_writer *w, const struct pending *p, const struct blob *blob,
	const struct digest *digest, struct written_layer *layer, struct job *job, struct azm_err *err)
{
	const off_t begin = is_directory(w) ? 0 : p->begin + TAR_BLOCK;
	const struct blob copy = { .fd = p->fd, .offset = (uint64_t)begin, .size = blob->size };

	layer->size = blob->size;
	if (copy_bytes(p->fd, blob, job, err) < 0 || run_stream(&copy, digest, &layer->diff_id, NULL, job, err) < 0)
		return -1;
	return hash_part(p->fd, begin, blob->size, &layer->digest, err);
}

/* In another compression. */
static int add_repacked(const struct pending *p, const struct blob *blob, const struct digest *digest, int level,
	struct written_layer *layer, struct job *job, struct azm_err *err)
{
	struct layer_sink *sink = layer_sink_new(layer->codec, level, p->fd, err);
	struct digest diff_id;

	int result = sink && run_stream(blob, digest, &layer->diff_id, sink, job, err) == 0
			     ? layer_sink_finish(sink, &layer->digest, &layer->size, &diff_id, err)
			     : -1;
	layer_sink_free(sink);
	return result;
}

/* What a blob is, and what it is to become. */
static int choose_codec(const struct image_writer *w, const struct blob *blob,
	const struct layer_write_options *options, enum codec *from, enum codec *to, struct azm_err *err)
{
	unsigned char first[CODEC_MAGIC];
	ssize_t n = TEMP_FAILURE_RETRY(pread(
		blob->fd, first, blob->size < sizeof first ? (size_t)blob->size : sizeof first, (off_t)blob->offset));

	if (n < 0)
		return err_sys(err, "read", "the layer");
	*from = codec_detect(first, (size_t)n);
	if (w->format == IMAGE_DOCKER_ARCHIVE)
		*to = CODEC_NONE;
	else /* OCI images have names for these two */
		*to = *from == CODEC_GZIP || *from == CODEC_ZSTD ? *from : options->codec;
	return 0;
}

int image_writer_add_blob(struct image_writer *w, const struct blob *blob, const struct digest *digest,
	const struct digest *diff_id, const struct layer_write_options *options, struct job *job, struct azm_err *err)
{
	struct written_layer layer = { .diff_id = *diff_id };
	struct pending p = { .fd = -1 };
	enum codec from = CODEC_NONE;

	if (choose_codec(w, blob, options, &from, &layer.codec, err) < 0 || pending_begin(w, &p, err) < 0)
		return -1;
	int result = from == layer.codec ? add_copy(w, &p, blob, digest, &layer, job, err)
					 : add_repacked(&p, blob, digest, options->level, &layer, job, err);
	if (result == 0)
		result = add_layer(w, &p, &layer, err);
	pending_end(w, &p);
	return result;
}

size_t image_writer_layers(const struct image_writer *w, uint64_t *bytes)
{
	*bytes = 0;
	for (size_t i = 0; i < w->count; i++)
		*bytes += w->layers[i].size;
	return w->count;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static int copy_to_stdout(int fd, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "read", "the archive");
	const struct blob all = { .fd = fd, .size = (uint64_t)st.st_size };
	return copy_bytes(STDOUT_FILENO, &all, NULL, err) < 0 ? err_wrap(err, "write", "standard output") : 0;
}

int image_writer_appear(struct image_writer *w, struct azm_err *err)
{
	static const char end[2 * TAR_BLOCK];

	if (is_directory(w))
		return staging_commit(&w->staging, err);
	if (write_full(w->out, end, sizeof end) < 0)
		return err_sys(err, "write", "the archive");
	return w->to_stdout ? copy_to_stdout(w->out, err) : staging_commit_file(&w->staging, ARCHIVE, err);
}
